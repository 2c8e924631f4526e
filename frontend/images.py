"""Images: folders with one folder per class, and the binary batches of CIFAR-10."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from lgc.errors import LgcError, ToolMissingError, nearest
from lgc.ir.encoder import FixedPoint

from ._typing import Array, I64x1
from .raw import Raw

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".gif", ".ppm", ".pgm", ".webp"})
"""Files of an image folder with other suffixes are not looked at."""
_GREY = {"1", "L"}
_COLOUR = {"P", "RGB", "RGBA", "LA", "PA", "CMYK", "YCbCr"}

_CIFAR_TRAIN = tuple(f"data_batch_{i}.bin" for i in range(1, 6))
_CIFAR_TEST = "test_batch.bin"
_CIFAR_SHAPE = (3, 32, 32)
_CIFAR_NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def classes(folder: Path) -> list[Path]:
    """List the folders of `folder` that hold images, by name: one per class."""
    inside = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    return [path for path in inside if any(child.suffix.lower() in SUFFIXES for child in path.iterdir())]


def is_folder(folder: Path) -> bool:
    """Tell whether `load_folder` would find images."""
    return bool(classes(folder) or ((folder / "train").is_dir() and classes(folder / "train")))


def load_folder(folder: Path) -> Raw:
    """Read `folder/train/CLASS/*.png` and `folder/test/CLASS/*.png`, or `folder/CLASS/*.png`.

    All images must have one size. Grey ones give uint8 `[samples, height, width]`; if any has colour,
    all become `[samples, height, width, 3]`. Classes are the folders' names in order.

    Raises:
        ToolMissingError: Pillow is not installed.
        LgcError: unreadable images, several sizes, more than 8 bits per channel, an empty class.
    """
    train = folder / "train" if (folder / "train").is_dir() else folder
    _refuse_empty(train)
    names = [path.name for path in classes(train)]
    parts = [_read_classes(train, names)]
    if train != folder and (folder / "test").is_dir():
        parts.append(_read_classes(folder / "test", names))
    if any(part[0].ndim == 4 for part in parts):
        parts = [(_coloured(x), y) for x, y in parts]
    test_x, test_y = parts[1] if len(parts) == 2 else (None, None)
    return Raw(*parts[0], test_x, test_y, tuple(names), format=FixedPoint(8))


def _refuse_empty(folder: Path) -> None:
    with_images = classes(folder)
    for path in sorted(folder.iterdir()):
        if path.is_dir() and not path.name.startswith(".") and path not in with_images:
            raise LgcError(f"The class folder {path} holds no image.", hint="Fill it or remove it.")


def _read_classes(folder: Path, names: list[str]) -> tuple[Array, I64x1]:
    images: list[Array] = []
    labels: list[int] = []
    first = None
    for path in classes(folder):
        if path.name not in names:
            raise LgcError(f"The training set has no class {path.name!r}.", hint=nearest(path.name, names))
        for file in sorted(child for child in path.iterdir() if child.suffix.lower() in SUFFIXES):
            pixels, first = _read(file), first or file
            if images and pixels.shape[:2] != images[0].shape[:2]:
                sizes = [" x ".join(map(str, array.shape[:2])) for array in (images[0], pixels)]
                raise LgcError(
                    f"Images differ in size: {first} is {sizes[0]} pixels, {file} is {sizes[1]}.",
                    hint="Scale them to one size first.",
                )
            images.append(pixels)
            labels.append(names.index(path.name))
    if not images:
        raise LgcError(f"{folder} holds no images.", hint="Expected one folder of images per class.")
    if any(image.ndim == 3 for image in images):
        images = [image if image.ndim == 3 else np.repeat(image[..., None], 3, axis=2) for image in images]
    return np.stack(images), np.array(labels, np.int64)


def _read(file: Path) -> Array:
    """Pixels uint8 `[height, width]` or `[height, width, 3]`."""
    try:
        pillow = import_module("PIL.Image")
    except ImportError as error:
        raise ToolMissingError(
            "Image files are read with Pillow, which is not installed.", hint="pip install pillow"
        ) from error
    try:
        with pillow.open(file) as image:
            return np.asarray(_plain(image, file), np.uint8)
    except (OSError, SyntaxError, pillow.DecompressionBombError) as error:
        raise LgcError(f"Cannot read the image {file}: {error}.") from error


def _plain(image: Any, file: Path) -> Any:
    if image.mode in _GREY:
        return image.convert("L")
    if image.mode in _COLOUR:
        return image.convert("RGB")
    raise LgcError(f"{file} has pixels of type {image.mode}.", hint="Give 8 bits per channel.")


def _coloured(x: Array) -> Array:
    return x if x.ndim == 4 else np.repeat(x[..., None], 3, axis=3)


def is_cifar(folder: Path) -> bool:
    """Tell whether the folder has binary batches of CIFAR-10."""
    return (folder / _CIFAR_TRAIN[0]).is_file()


def load_cifar(folder: Path) -> Raw:
    """Read CIFAR-10's binary version (Krizhevsky 2009): uint8 `[samples, 32, 32, 3]`.

    Raises:
        LgcError: a batch is missing, cut short, or has labels beyond 9.
    """
    train = [_batch(folder / name) for name in _CIFAR_TRAIN]
    test_x, test_y = _batch(folder / _CIFAR_TEST)
    x, y = (np.concatenate(arrays) for arrays in zip(*train, strict=True))
    return Raw(x, y, test_x, test_y, _CIFAR_NAMES, format=FixedPoint(8))


def _batch(path: Path) -> tuple[Array, I64x1]:
    try:
        data = np.fromfile(path, np.uint8)
    except OSError as error:
        raise LgcError(f"Cannot read {path}: {error.strerror}.", hint="CIFAR-10 has six batches.") from error
    record = 1 + int(np.prod(_CIFAR_SHAPE))
    if not data.size or data.size % record:
        raise LgcError(f"{path} has {data.size} bytes, not a multiple of {record}.", hint="Fetch it again.")
    rows = data.reshape(-1, record)
    if rows[:, 0].max() >= len(_CIFAR_NAMES):
        raise LgcError(f"{path} has a label {rows[:, 0].max()}; CIFAR-10's end at 9.")
    planes = rows[:, 1:].reshape(-1, *_CIFAR_SHAPE)
    return np.ascontiguousarray(planes.transpose(0, 2, 3, 1)), rows[:, 0].astype(np.int64)
