"""Reading foreign files with suspicion: nothing in them is run, sizes are checked before memory is taken."""

from __future__ import annotations

import json
import math
import pickle
import re
import struct
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lgc.errors import LgcError, ToolMissingError

from .._typing import Array

MAX_BYTES = 1 << 34
"""Bytes of one file's arrays."""
_RATIO = 1040
"""Deflate never shrinks data by more than this factor; savez_compressed uses it."""
DAMAGE = (
    ArithmeticError, AssertionError, AttributeError, EOFError, ImportError, LookupError, MemoryError, OSError,
    RuntimeError, TypeError, ValueError, pickle.PickleError, struct.error, zipfile.BadZipFile,
)  # fmt: skip
"""What parsers raise on damaged files, between them."""


def arrays(path: Path) -> dict[str, Array]:
    """Read an .npz file without pickles.

    Raises:
        LgcError: unreadable, damaged, too large, or with objects in it.
    """
    _archive(path, stored=False)
    try:
        with np.load(path, allow_pickle=False) as file:
            found = {}
            for key in file.files:
                _refuse_size(key, file)
                found[key] = file[key]
    except (*DAMAGE, zipfile.LargeZipFile) as error:
        raise _damaged(path, error) from None
    return {key: array for key, array in found.items() if isinstance(array, np.ndarray)}


def _refuse_size(key: str, file: Any) -> None:
    """Compare the shape a member claims with the bytes it has."""
    name = next((n for n in (key, f"{key}.npy") if n in file.zip.namelist()), key)
    with file.zip.open(name) as member:
        version = np.lib.format.read_magic(member)
        read = {1: np.lib.format.read_array_header_1_0, 2: np.lib.format.read_array_header_2_0}
        if version[0] not in read:
            raise ValueError(f"the array {key} has a format of version {version[0]}")
        shape, _, dtype = read[version[0]](member)
    if math.prod(shape) * dtype.itemsize > file.zip.getinfo(name).file_size or dtype.hasobject:
        raise ValueError(f"the array {key} claims {list(shape)} values of {dtype}")


def torch_state(path: Path) -> dict[str, Any]:
    """Read what `torch.save(model.state_dict(), path)` wrote; tensors become arrays, lists stay lists.

    Only with `weights_only=True`: no code of the file is run.

    Raises:
        ToolMissingError: torch is not installed.
        LgcError: it is a whole module, would run code, is damaged, or too large.
    """
    found = torch_file(path)
    if not isinstance(found, Mapping):
        raise LgcError(
            f"{path} is no state dict but a {type(found).__name__}.",
            hint="Leave --format out for whole modules.",
        )
    return dict(found)


def torch_file(path: Path) -> Any:
    """Read a state dict, or a whole module as its `Shell`; the one inside of a training checkpoint.

    Raises:
        ToolMissingError: torch is not installed.
        LgcError: it would run code, is damaged, too large, or neither.
    """
    try:
        import torch  # noqa: F401
    except ImportError:
        raise ToolMissingError(
            "Torch files are read with PyTorch, which is not installed.", hint='pip install "lgc[train]"'
        ) from None
    from . import shells

    _archive(path, stored=True)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = shells.load(path)
    except DAMAGE as error:
        raise _damaged(path, error) from None
    found = inner(found, shells.Shell)
    if isinstance(found, shells.Shell):
        return found
    if not isinstance(found, Mapping) or not all(isinstance(key, str) for key in found):
        raise LgcError(
            f"{path} is no state dict but a {type(found).__name__}.",
            hint="Save it with torch.save(model.state_dict(), file).",
        )
    kept = {key: value for key, value in found.items() if not is_derived(key)}
    return {key.removeprefix("_orig_mod."): _array(value, key) for key, value in kept.items()}


def is_derived(key: str) -> bool:
    """Tell whether a tensor is what torchlogix' export mode makes of others, by strides of 0."""
    return key.rpartition(".")[2].startswith("_export_")


def inner(found: Any, shell: type) -> Any:
    """Return what training scripts put next to epochs and optimisers, a state dict or a `shell`."""
    if not isinstance(found, Mapping):
        return found
    for key in ("state_dict", "model_state_dict", "model", "net"):
        if isinstance(found.get(key), Mapping | shell):
            return found[key]
    return found


def plain(tensor: Any, key: str) -> Array:
    """Return a tensor as an array.

    Raises:
        LgcError: not of plain numbers, or claiming more than the file has.
    """
    import torch

    if tensor.layout != torch.strided or tensor.is_quantized or tensor.is_complex():
        raise LgcError(f"The tensor {key} is {tensor.dtype} {tensor.layout}, not plain numbers.")
    if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
        raise LgcError(f"The tensor {key} claims {list(tensor.shape)} values; the file has fewer.")
    held = tensor.detach()
    found: Array = (held.float() if held.dtype == torch.bfloat16 else held).numpy()
    return found


def _array(value: Any, key: str, depth: int = 0) -> Any:
    import torch

    if isinstance(value, torch.Tensor):
        return plain(value, key)
    if isinstance(value, list | tuple) and depth < 3 and len(value) < 1 << 16:
        return [_array(item, key, depth + 1) for item in value]
    return None


def _archive(path: Path, *, stored: bool) -> None:
    """Check a zip archive's directory before its content is read."""
    try:
        size = path.stat().st_size
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except FileNotFoundError:
        raise LgcError(f"There is no file {path}.", hint="Check its name.") from None
    except zipfile.BadZipFile:
        with path.open("rb") as file:
            pickled = file.read(2) in (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")
        if pickled:
            raise LgcError(
                f"{path} is a bare pickle, which lgc does not open.",
                hint="Where you trust it, load it and save its state_dict() with a recent torch.",
            ) from None
        raise LgcError(f"{path} is damaged or of another format.", hint="Fetch it again.") from None
    except DAMAGE as error:
        raise _damaged(path, error) from None
    total = sum(member.file_size for member in members)
    packed = any(member.compress_type != zipfile.ZIP_STORED for member in members)
    if total > min(MAX_BYTES, size * (1 if stored else _RATIO)) or (stored and packed):
        raise LgcError(f"{path} claims {total:,} bytes of data in {size:,}.", hint="Fetch it again.")


def text(path: Path) -> str:
    """Read a text file.

    Raises:
        LgcError: unreadable or not UTF-8.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise LgcError(f"{path} is too large.")
        return path.read_text("utf-8")
    except UnicodeDecodeError:
        raise LgcError(f"{path} is not a text file.", hint="Fetch it again.") from None
    except OSError as error:
        raise LgcError(f"Cannot read {path}: {error.strerror}.", hint="Check its name.") from None


def json_object(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        LgcError: unreadable, or something else.
    """
    try:
        found = json.loads(text(path))
    except (ValueError, RecursionError) as error:
        raise _damaged(path, error) from None
    if not isinstance(found, dict):
        raise LgcError(f"{path} holds no JSON object.", hint="See docs/import.md.")
    return found


def _damaged(path: Path, error: BaseException) -> LgcError:
    reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
    return LgcError(f"{path} is damaged: {reason.rstrip('.')}.", hint="Fetch it again.")


def matrix(state: Mapping[str, Any], key: str, *, columns: int | None = None) -> Array:
    """Fetch a two-dimensional tensor of finite numbers.

    Raises:
        LgcError: missing, another shape, NaN or infinite.
    """
    value = state.get(key)
    if (
        not isinstance(value, np.ndarray)
        or value.ndim != 2
        or not value.size
        or value.dtype.kind not in "fiu"
    ):
        raise LgcError(f"The tensor {key} is not a matrix of numbers.", hint="The file is damaged.")
    if columns is not None and value.shape[1] != columns:
        raise LgcError(f"The tensor {key} has {value.shape[1]} columns instead of {columns}.")
    if value.dtype.kind == "f" and not np.isfinite(value).all():
        raise LgcError(f"The tensor {key} has NaN or infinite values.", hint="The training run diverged.")
    return value


def integers(value: Any, what: str) -> Array:
    """Check that something is an array of integers.

    Raises:
        LgcError: it is not.
    """
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "ui" or not value.size:
        raise LgcError(f"{what} is not an array of integers.", hint="The file is damaged.")
    return value.astype(np.int64)


def safetensors(path: Path) -> dict[str, Any]:
    """Read a safetensors file of somebody else, ordered by the numbers in its names; the file has no order.

    Raises:
        LgcError: unreadable or damaged.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        return dict(sorted(load_file(path).items(), key=lambda item: _natural(item[0])))
    except FileNotFoundError:
        raise LgcError(f"There is no file {path}.", hint="Check its name.") from None
    except (SafetensorError, *DAMAGE) as error:
        raise _damaged(path, error) from None


def _natural(name: str) -> list[tuple[int, str]]:
    pieces = re.split(r"(\d+)", name)
    return [(int(piece), "") if piece.isdecimal() else (-1, piece) for piece in pieces]
