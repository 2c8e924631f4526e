import numpy as np
import pytest

from lgc.errors import UsageError
from lgc.frontend import augment
from lgc.frontend.config import DataConfig
from lgc.frontend.data import load


def test_nothing_asked_nothing_done() -> None:
    images = load("digits").train_x[:50]
    still = DataConfig(shift=0, rotate=0, shear=0, scale=0, elastic=0)
    distortion = augment.draw(still, images.shape, np.random.default_rng(0))
    rows = np.arange(50)[::-1]
    assert np.array_equal(distortion.apply(images, rows), images[rows])


def test_distortions_are_small_seeded_and_different() -> None:
    images = load("digits").train_x[:200]
    config = DataConfig(shift=0.25, rotate=5, shear=0, scale=0.05)
    first = augment.draw(config, images.shape, np.random.default_rng(1)).apply(images, np.arange(200))
    again = augment.draw(config, images.shape, np.random.default_rng(1)).apply(images, np.arange(200))
    other = augment.draw(config, images.shape, np.random.default_rng(2)).apply(images, np.arange(200))
    assert first.dtype == images.dtype
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    change = np.abs(first.astype(int) - images).mean()
    assert 0.2 < change < 2


@pytest.mark.parametrize("knob", ["shift", "rotate", "shear", "scale", "elastic"])
def test_every_knob_distorts(knob: str) -> None:
    images = load("digits").train_x[:20]
    still = {"shift": 0.0, "rotate": 0.0, "shear": 0.0, "scale": 0.0, "elastic": 0.0}
    config = DataConfig(**(still | {knob: 0.9}))  # type: ignore[arg-type]
    floats = augment.draw(config, images.shape, np.random.default_rng(0)).apply(
        images.astype(np.float32), np.arange(20)
    )
    assert np.abs(floats - images).max() > 0.01


def test_colour_images_keep_their_channels() -> None:
    images = np.random.default_rng(0).integers(0, 256, (6, 8, 8, 3)).astype(np.uint8)
    out = augment.draw(DataConfig(), images.shape, np.random.default_rng(0)).apply(images, np.arange(6))
    assert out.shape == images.shape


@pytest.mark.parametrize("shape", [(10, 4), (10, 1, 8), (10, 2, 2, 2, 2)])
def test_only_images(shape: tuple[int, ...]) -> None:
    with pytest.raises(UsageError, match=r"^data\.augment = affine needs images"):
        augment.draw(DataConfig(augment="affine"), shape, np.random.default_rng(0))


def test_half_of_the_images_are_mirrored() -> None:
    images = load("digits").train_x[:400]
    still = DataConfig(shift=0, rotate=0, shear=0, scale=0, elastic=0, flip=True)
    out = augment.draw(still, images.shape, np.random.default_rng(0)).apply(images, np.arange(400))
    mirrored = (out == images[:, :, ::-1]).all(axis=(1, 2))
    assert (mirrored | (out == images).all(axis=(1, 2))).all()
    assert 150 < mirrored.sum() < 250


def test_crops_are_whole_windows_of_the_padded_image() -> None:
    images = np.random.default_rng(0).integers(1, 256, (300, 8, 8, 3)).astype(np.uint8)
    config = DataConfig(augment="crop", shift=2, flip=True)
    out = augment.draw(config, images.shape, np.random.default_rng(1)).apply(images, np.arange(300))
    padded = np.pad(images, ((0, 0), (2, 2), (2, 2), (0, 0)))
    seen = set()
    for image, source in zip(out, padded, strict=True):
        windows = {
            (down, across, mirrored): source[down : down + 8, across : across + 8][
                :, :: -1 if mirrored else 1
            ]
            for down in range(5)
            for across in range(5)
            for mirrored in (False, True)
        }
        match = [place for place, window in windows.items() if np.array_equal(image, window)]
        assert len(match) == 1
        seen.add(match[0])
    assert len(seen) > 45  # of 50, evenly drawn
