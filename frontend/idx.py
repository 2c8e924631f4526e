"""The idx format of the MNIST family, read with suspicion: sizes are checked before allocating."""

from __future__ import annotations

import gzip
import math
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np

from lgc.errors import LgcError

from ._typing import Array

_UNSIGNED_BYTE = 8
_GZIP_LIMIT = 1040
"""Deflate never shrinks data by more than this factor."""
_CHUNK = 1 << 20


def find(folder: Path, part: str, kind: str) -> Path | None:
    """Find a file of the MNIST family, such as `train-images-idx3-ubyte.gz`, raw before gzipped."""
    rank = {"images": 3, "labels": 1}[kind]
    stems = [f"{part}-{kind}-idx{rank}-ubyte", f"{part}-{kind}.idx{rank}-ubyte"]
    paths = (folder / (stem + suffix) for suffix in ("", ".gz") for stem in stems)
    return next((path for path in paths if path.is_file()), None)


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            yield cast(BinaryIO, file)
    except (OSError, EOFError, zlib.error) as error:
        raise LgcError(f"Cannot read {path}: {error}.", hint="Fetch the file again.") from error


def _take(file: BinaryIO, size: int) -> bytes:
    """Read up to `size` bytes piecewise, so that a lying header cannot ask for memory."""
    parts, left = [], size
    while left and (part := file.read(min(left, _CHUNK))):
        parts.append(part)
        left -= len(part)
    return b"".join(parts)


def read(path: Path, rank: int) -> Array:
    """Read one idx file of unsigned bytes, uint8 with `rank` dimensions.

    Raises:
        LgcError: not an idx file, another rank or element type, too short or too long.
    """
    available = path.stat().st_size * (_GZIP_LIMIT if path.suffix == ".gz" else 1)
    with _opened(path) as file:
        magic = _take(file, 4)
        if len(magic) < 4 or magic[:2] != b"\0\0":
            raise LgcError(f"{path} is not an idx file: it starts with {magic!r}.", hint="Fetch it again.")
        if magic[2] != _UNSIGNED_BYTE or magic[3] != rank:
            raise LgcError(
                f"{path} holds {magic[3]}-dimensional data of type {magic[2]:#04x}; "
                f"expected {rank} dimensions of unsigned bytes (0x08)."
            )
        sizes = _take(file, 4 * rank)
        shape = tuple(int(n) for n in np.frombuffer(sizes[: len(sizes) // 4 * 4], ">u4"))
        size = math.prod(shape)
        if len(shape) < rank or size > available:
            raise LgcError(f"{path} is truncated: its header says {list(shape)}.", hint="Fetch it again.")
        data = _take(file, size + 1)
    if len(data) != size:
        found = "more" if len(data) > size else str(len(data))
        raise LgcError(f"{path} should hold {size} bytes of data, but has {found}.", hint="Fetch it again.")
    return np.frombuffer(data, np.uint8).reshape(shape)
