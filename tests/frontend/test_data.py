import gzip
import os
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lgc.errors import LgcError, ToolMissingError
from lgc.frontend import data
from lgc.ir.encoder import FixedPoint

ROOT = Path(__file__).parents[2]
MNIST = Path(os.environ.get("LGC_DATA", ROOT.parent / "shared" / "data")) / "mnist"
needs_mnist = pytest.mark.skipif(not MNIST.is_dir(), reason=f"the real MNIST is not at {MNIST}; set LGC_DATA")

Array = npt.NDArray[np.generic]


def idx_bytes(array: Array) -> bytes:
    header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
    return header + array.astype(np.uint8).tobytes()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A small idx folder: 20 training and 10 test images of 3x2 pixels, two classes."""
    rng = np.random.default_rng(0)
    for part, n in (("train", 20), ("t10k", 10)):
        (tmp_path / f"{part}-images-idx3-ubyte").write_bytes(idx_bytes(rng.integers(0, 256, (n, 3, 2))))
        (tmp_path / f"{part}-labels-idx1-ubyte").write_bytes(idx_bytes(np.arange(n) % 2))
    return tmp_path


def npz(path: Path, **changes: object) -> Path:
    rng = np.random.default_rng(0)
    arrays: dict[str, object] = {
        "x_train": rng.normal(size=(12, 4)),
        "y_train": np.arange(12) % 3,
        "x_test": rng.normal(size=(6, 4)),
        "y_test": np.arange(6) % 3,
    }
    arrays |= changes
    out = path / "set.npz"
    np.savez(out, **{key: np.asarray(value) for key, value in arrays.items() if value is not None})
    return out


def test_digits_are_split_once_and_for_all() -> None:
    digits = data.load("digits")
    assert (digits.train_x.shape, digits.test_x.shape) == ((1437, 8, 8), (360, 8, 8))
    assert digits.format == FixedPoint(5)
    assert int(digits.train_x.max()) == 16
    assert np.bincount(digits.test_y).tolist() == DIGITS_TEST_COUNTS
    # the split is part of every reported accuracy: it must never move
    assert int(digits.test_x.astype(np.int64).sum()) == DIGITS_TEST_SUM
    assert digits.class_names == tuple("0123456789")


DIGITS_TEST_SUM = 112559
DIGITS_TEST_COUNTS = [36, 37, 35, 37, 36, 36, 36, 36, 35, 36]


def test_digits_without_scikit_learn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(ToolMissingError, match=r'pip install "lgc\[train\]"'):
        data.load("digits")


@needs_mnist
def test_mnist_is_read_as_published() -> None:
    mnist = data.load(MNIST)
    assert (mnist.train_x.shape, mnist.test_x.shape) == ((60000, 28, 28), (10000, 28, 28))
    assert np.bincount(mnist.train_y).tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert (mnist.format, mnist.image_shape, mnist.features) == (FixedPoint(8), (28, 28), 784)


@needs_mnist
def test_names_are_looked_up_in_lgc_data(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LGC_DATA", str(MNIST.parent))
    assert len(data.load("mnist").test_y) == 10000


def test_idx_raw_and_gzipped_read_alike(folder: Path) -> None:
    raw = data.load(folder)
    for path in list(folder.iterdir()):
        (folder / f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    packed = data.load(folder)
    assert np.array_equal(raw.train_x, packed.train_x)
    assert np.array_equal(raw.test_y, packed.test_y)
    assert raw.image_shape == (3, 2)


def test_missing_sources(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(LgcError, match="^There is no data set 'nowhere'"):
        data.load("nowhere")
    with pytest.raises(LgcError, match="is not a data set lgc can read"):
        data.load(folder / "train-images-idx3-ubyte")
    (folder / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(LgcError, match=r"holds no t10k labels\. Expected t10k-labels-idx1-ubyte"):
        data.load(folder)
    (tmp_path / "empty").mkdir()
    with pytest.raises(LgcError, match="holds no train images"):
        data.load(tmp_path / "empty")


BAD_IDX = {
    "empty": (b"", "is not an idx file"),
    "text": (b"<html>not found</html>", "is not an idx file"),
    "type": (bytes([0, 0, 13, 3]) + bytes(100), "of type 0x0d"),
    "rank": (bytes([0, 0, 8, 1]) + bytes(100), "holds 1-dimensional data"),
    "header": (bytes([0, 0, 8, 3, 0, 0]), "is truncated"),
    "huge": (bytes([0, 0, 8, 3]) + b"\xff" * 12, "is truncated"),
    "short": (idx_bytes(np.zeros((20, 3, 2)))[:-1], "is truncated|should hold 120 bytes"),
    "long": (idx_bytes(np.zeros((20, 3, 2))) + b"x", "has more"),
}


@pytest.mark.parametrize("packed", [False, True], ids=["raw", "gz"])
@pytest.mark.parametrize("case", sorted(BAD_IDX))
def test_bad_idx(folder: Path, case: str, packed: bool) -> None:
    content, message = BAD_IDX[case]
    path = folder / "train-images-idx3-ubyte"
    path.unlink()
    if packed:
        path.with_name(path.name + ".gz").write_bytes(gzip.compress(content))
    else:
        path.write_bytes(content)
    with pytest.raises(LgcError, match=message):
        data.load(folder)


def test_gzip_cut_short_or_garbled(folder: Path) -> None:
    path = folder / "train-images-idx3-ubyte"
    whole = gzip.compress(np.random.default_rng(0).bytes(5000))
    packed = path.with_name(path.name + ".gz")
    path.unlink()
    for content in (whole[:200], whole[:-4], b"\x1f\x8b" + b"garbage" * 20, b"not gzip at all"):
        packed.write_bytes(content)
        with pytest.raises(LgcError):
            data.load(folder)


def test_npz_reals_get_sixteen_bits(tmp_path: Path) -> None:
    loaded = data.load(npz(tmp_path, class_names=["a", "b", "c"]))
    assert loaded.class_names == ("a", "b", "c")
    assert (loaded.format.width, loaded.format.signed, loaded.image_shape) == (16, True, None)
    error = np.abs(np.ldexp(loaded.format.quantise(loaded.train_x), -loaded.format.fraction) - loaded.train_x)
    assert error.max() <= 2.0**-loaded.format.fraction


NAN = np.full((12, 4), np.nan)
BAD_NPZ: dict[str, tuple[dict[str, object], str]] = {
    "missing array": ({"y_test": None}, r"lacks y_test\. Needed: x_train"),
    "nan": ({"x_train": NAN}, "^The training features hold NaN"),
    "text": ({"x_train": np.full((12, 4), "a")}, "not numbers"),
    "one dimension": ({"x_train": np.zeros(12)}, r"have shape \(12,\)"),
    "no samples": ({"x_test": np.zeros((0, 4)), "y_test": np.zeros(0, int)}, r"have shape \(0, 4\)"),
    "feature count": ({"x_test": np.zeros((6, 5))}, r"^Training samples are \(4,\), test samples \(5,\)"),
    "label count": ({"y_train": np.arange(11) % 3}, "12 samples but labels of shape"),
    "negative": ({"y_train": np.arange(12) % 3 - 1}, "labels reach -1"),
    "fraction": ({"y_train": np.arange(12) / 4}, "^The training labels are not integers"),
    "test label": ({"y_test": np.arange(6)}, "^The test labels reach 5, but there are 3 classes"),
    "empty class": ({"y_train": np.arange(12) % 3 * 2}, "^Class 1 has no training sample"),
    "huge label": ({"y_train": np.full(12, 1 << 60)}, "^Class 0 has no training sample"),
    "one class": (
        {"y_train": np.zeros(12, int), "y_test": np.zeros(6, int)},
        "^There is only one class",
    ),
    "names": ({"class_names": ["a", "b"]}, "^The training labels reach 2, but there are 2 classes"),
    "wide": ({"x_train": np.full((12, 4), 1 << 40)}, "31 bits is the limit"),
    "pickle": ({"x_train": np.array([{}] * 12, object)}, "Cannot read"),
}


@pytest.mark.parametrize("case", sorted(BAD_NPZ))
def test_bad_npz(tmp_path: Path, case: str) -> None:
    changes, message = BAD_NPZ[case]
    with pytest.raises(LgcError, match=message):
        data.load(npz(tmp_path, **changes))


def test_npz_that_is_none(tmp_path: Path) -> None:
    path = npz(tmp_path)
    whole = path.read_bytes()
    for content in (b"", b"PK\x03\x04 no archive", whole[: len(whole) // 2], whole[:-30]):
        path.write_bytes(content)
        with pytest.raises(LgcError, match="Cannot read"):
            data.load(path)


def test_npz_bomb_is_refused(tmp_path: Path) -> None:
    import zipfile

    path = tmp_path / "bomb.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x_train.npy", b"\0" * 5_000_000)
    raw = path.read_bytes().replace((5_000_000).to_bytes(4, "little"), (4_000_000_000).to_bytes(4, "little"))
    path.write_bytes(raw)
    with pytest.raises(LgcError, match="claims to unpack to 4000000000 bytes"):
        data.load(path)


@given(st.lists(st.integers(0, 4), min_size=10, max_size=200), st.integers(0, 2**32), st.data())
def test_validation_is_stratified(labels: list[int], seed: int, draw: st.DataObject) -> None:
    y = np.array(labels)
    size = draw.draw(st.integers(1, len(labels) - 1))
    chosen = data.held_out(y, size, seed)
    assert chosen.sum() == size
    assert np.array_equal(chosen, data.held_out(y, size, seed))
    counts, taken = np.bincount(y, minlength=5), np.bincount(y[chosen], minlength=5)
    assert (np.abs(taken - counts * size / len(y)) < 1 + 1e-9).all()


def test_validation_never_touches_the_test_set() -> None:
    digits = data.load("digits")
    train_x, train_y, val_x, val_y = data.split_validation(digits, 200, seed=3)
    assert (len(train_x), len(val_x), len(train_y), len(val_y)) == (1237, 200, 1237, 200)
    both = np.concatenate([train_x, val_x]).reshape(1437, -1)
    assert sorted(map(bytes, both)) == sorted(map(bytes, digits.train_x.reshape(1437, -1)))
    with pytest.raises(LgcError, match="^Cannot hold out 1437 of 1437 samples"):
        data.split_validation(digits, 1437, seed=3)


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=20))
def test_fixed_point_covers_the_data(values: list[float]) -> None:
    x = np.array(values)[:, None]
    form = data.fixed_point(x)
    back = np.ldexp(form.quantise(x).astype(float), -form.fraction)
    assert (np.abs(back - x) <= np.ldexp(1.0, -form.fraction)).all()


@pytest.mark.parametrize(
    ("x", "form"),
    [
        (np.array([[0, 255]], np.uint8), FixedPoint(8)),
        (np.array([[0, 1000]]), FixedPoint(10)),
        (np.array([[-3, 4]]), FixedPoint(4, signed=True)),
        (np.array([[0, 0]]), FixedPoint(1)),
    ],
)
def test_fixed_point_is_exact_for_integers(x: npt.NDArray[np.int64], form: FixedPoint) -> None:
    assert data.fixed_point(x) == form
    assert np.array_equal(form.quantise(x), x)
