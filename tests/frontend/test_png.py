import json
from pathlib import Path

import numpy as np
import pytest

from lgc.errors import LgcError
from lgc.frontend import png
from lgc.frontend.curves import write_curves
from lgc.frontend.usage import KINDS

image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")


def drawn(folder: Path, losses: list[float]) -> np.ndarray:
    usage = dict.fromkeys(KINDS, 0.25)
    lines = [
        {"loss": loss, "val_acc": 0.9, "hard_val_acc": 0.8, "best_epoch": 1, "usage": usage}
        for loss in losses
    ]
    (folder / "m.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    write_curves(folder / "m.jsonl", folder / "m.svg")
    png.write_png(folder / "m.svg", folder / "m.png")
    return np.asarray(image.open(folder / "m.png").convert("RGB")).astype(int)


def test_the_bitmap_shows_the_curve(tmp_path: Path) -> None:
    pixels = drawn(tmp_path, [3.0, 1.0, 2.0])
    assert pixels.shape == (1000, 1760, 3)
    blue = np.abs(pixels[:500, :880] - [0x2A, 0x78, 0xD6]).sum(2) < 30
    columns = np.flatnonzero(blue[80:420, 110:700].any(axis=0))
    assert columns.max() - columns.min() > 500  # from the first epoch to the last
    height = [np.flatnonzero(blue[:, x]).mean() for x in (110 + columns.min(), 110 + columns.max())]
    lowest = np.flatnonzero(blue[:, 90:720].any(axis=1)).max()
    assert height[0] < height[1] < lowest  # 3 is above 2 is above 1


def test_every_text_and_shape_is_drawn(tmp_path: Path) -> None:
    one, other = drawn(tmp_path, [1.0, 2.0]), drawn(tmp_path, [2.0, 1.0])
    for rows, columns in ((slice(0, 500), slice(880, None)), (slice(500, None), slice(0, None))):
        assert (one[rows, columns] != 255).any()
        assert np.array_equal(one[rows, columns], other[rows, columns])  # the loss is in the first panel
    assert not np.array_equal(one[:500, :880], other[:500, :880])


def test_errors(tmp_path: Path) -> None:
    with pytest.raises(LgcError, match="^Cannot read the curves"):
        png.write_png(tmp_path / "none.svg", tmp_path / "m.png")
    (tmp_path / "m.svg").write_text("<svg")
    with pytest.raises(LgcError, match="^Cannot read the curves"):
        png.write_png(tmp_path / "m.svg", tmp_path / "m.png")
    drawn(tmp_path, [1.0])
    with pytest.raises(LgcError, match="^Cannot write"):
        png.write_png(tmp_path / "m.svg", tmp_path / "none" / "m.png")
