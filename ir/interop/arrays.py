"""Netlists as arrays in a zip file (`.npz`): fast, exact, for networks of any size.

The members are those of `numpy.savez`, so `numpy.load` opens the file too:

    version         int64 scalar, 1
    inputs          int64 scalar
    fanin           int32 [luts, k]
    table           unsigned [luts]
    outputs         int32 [outputs]
    stage, origin   uint16, int32 [luts], where the netlist has them
    bias, start     int64 [classes], [classes + 1], where it has a readout
    signal, weight  int32 [entries]

Members are stored, not compressed: trained tables and wiring hardly shrink, and loading is a copy.
"""

from __future__ import annotations

import math
import re
import struct
import zipfile
from pathlib import Path
from typing import IO, Any, BinaryIO

import numpy as np
import numpy.typing as npt

from lgc.errors import LgcError

from ..netlist import FIRST_INPUT, Netlist, table_dtype
from ..readout import Readout
from ..verify import check
from ._assemble import MAX_INPUTS

VERSION = 1
_READOUT = ("bias", "start", "signal", "weight")
_KINDS = {
    "version": ("i8", 0),
    "inputs": ("i8", 0),
    "fanin": ("i4", 2),
    "table": ("u1 u2 u4 u8", 1),
    "outputs": ("i4", 1),
    "stage": ("u2", 1),
    "origin": ("i4", 1),
    "bias": ("i8", 1),
    "start": ("i8", 1),
    "signal": ("i4", 1),
    "weight": ("i4", 1),
}
"""Types and number of dimensions of each member."""
_NEEDED = ("version", "inputs", "fanin", "table", "outputs")
_HEADER = re.compile(
    r"\{'descr': '[<|]([iu]\d)', 'fortran_order': False, 'shape': \(((?:\d{1,12},? ?){0,2})\), \} *\n"
)
_CHUNK = 1 << 22


def save(file: Path | BinaryIO, net: Netlist) -> None:
    """Write `net` with everything it has.

    Args:
        file: where to; a stream is left open.
        net: the netlist.

    Raises:
        OSError: the place is not writable.
    """
    arrays: dict[str, npt.NDArray[Any]] = {
        "version": np.array(VERSION, np.int64),
        "inputs": np.array(net.inputs, np.int64),
        "fanin": net.fanin,
        "table": net.table,
        "outputs": net.outputs,
    }
    arrays |= {name: column for name in ("stage", "origin") if (column := getattr(net, name)) is not None}
    if net.readout is not None:
        arrays |= {name: getattr(net.readout, name) for name in _READOUT}
    little = {
        name: np.ascontiguousarray(array)
        .astype(array.dtype.newbyteorder("<"), copy=False)
        .reshape(array.shape)
        for name, array in arrays.items()
    }
    if isinstance(file, Path):
        with file.open("wb") as stream:
            np.savez(stream, allow_pickle=False, **little)
    else:
        np.savez(file, allow_pickle=False, **little)


def load(file: Path | BinaryIO) -> Netlist:
    """Read what `save` writes; memory is taken only for what the file really holds.

    Raises:
        LgcError: no such container, a version of a later lgc, members missing, of another type or
            cut short, or a netlist that is not well formed.
        OSError: the file is not readable.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            arrays = _members(archive)
    except (
        zipfile.BadZipFile,
        NotImplementedError,  # zipfile's word for a compression it does not know
        EOFError,
        struct.error,
        ValueError,
        OverflowError,
    ) as error:
        raise LgcError(
            f"This is no array container, or it was cut short: {str(error) or type(error).__name__}."
        ) from None
    net = _netlist(arrays)
    check(net)
    return net


def _members(archive: zipfile.ZipFile) -> dict[str, npt.NDArray[Any]]:
    """Read all members; their sizes are compared with the file's before anything is allocated."""
    infos = archive.infolist()
    names = [info.filename.removesuffix(".npy") for info in infos]
    if unknown := sorted(set(names) - set(_KINDS)):
        raise LgcError(f"The array container has the unknown member {unknown[0][:40]!r}.")
    if missing := [name for name in _NEEDED if name not in names]:
        raise LgcError(f"The array container has no member {missing[0]!r}.")
    if len(set(names)) < len(names):
        raise LgcError("The array container has a member twice.")
    stream = archive.fp
    assert stream is not None
    size = stream.seek(0, 2)
    if any(info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 1 for info in infos):
        raise LgcError("The array container is compressed or encrypted; lgc reads stored members only.")
    if sum(info.file_size for info in infos) > size:
        raise LgcError("The array container claims more bytes than the file has; it was cut short.")
    order = sorted(zip(names, infos, strict=True), key=lambda item: item[0] != "version")
    arrays: dict[str, npt.NDArray[Any]] = {}
    for name, info in order:
        with archive.open(info) as member:
            arrays[name] = _array(name, member, info.file_size)
        if name == "version" and int(arrays[name]) != VERSION:
            raise LgcError(
                f"The array container is of version {int(arrays[name])}, this lgc reads version {VERSION}.",
                hint="Use a newer lgc.",
            )
    return arrays


def _array(name: str, member: IO[bytes], size: int) -> npt.NDArray[Any]:
    """Read one member, whose header must claim exactly the bytes that follow it."""
    start = member.read(10)
    if len(start) < 10 or start[:8] != b"\x93NUMPY\x01\x00":
        raise LgcError(f"Member {name!r} of the array container is no numpy array.")
    length = int.from_bytes(start[8:], "little")
    match = _HEADER.fullmatch(member.read(length).decode("latin-1"))
    kinds, dimensions = _KINDS[name]
    shape = tuple(int(n) for n in re.findall(r"\d+", match[2])) if match else ()
    if match is None or match[1] not in kinds.split() or len(shape) != dimensions:
        raise LgcError(
            f"Member {name!r} of the array container must be of type {kinds.replace(' ', ' or ')} and "
            f"have {dimensions} dimensions."
        )
    dtype = np.dtype(f"<{match[1]}")
    if math.prod(shape) * dtype.itemsize != size - 10 - length:
        raise LgcError(
            f"Member {name!r} of the array container claims the shape {list(shape)}, "
            f"but holds {size - 10 - length} bytes."
        )
    array = np.empty(shape, dtype)
    view = array.reshape(-1).view(np.uint8).data
    at = 0
    while at < len(view):
        got = member.read(min(_CHUNK, len(view) - at))
        if not got:
            raise LgcError(f"Member {name!r} of the array container was cut short.")
        view[at : at + len(got)] = got
        at += len(got)
    member.read(1)  # at the end, zipfile compares the checksum
    return array.astype(dtype.newbyteorder("="), copy=False)


def _netlist(arrays: dict[str, npt.NDArray[Any]]) -> Netlist:
    fanin, table, inputs = arrays["fanin"], arrays["table"], int(arrays["inputs"])
    if not 1 <= fanin.shape[1] <= 6:
        raise LgcError(f"The array container's LUTs have {fanin.shape[1]} inputs; k is 1 to 6.")
    if not 0 <= inputs <= MAX_INPUTS or inputs + len(fanin) + FIRST_INPUT >= 1 << 31:
        raise LgcError(f"The array container claims {inputs} inputs, expected 0 to {MAX_INPUTS}.")
    if table.dtype != table_dtype(fanin.shape[1]):
        raise LgcError(
            f"Tables of {fanin.shape[1]}-input LUTs are {table_dtype(fanin.shape[1])}, "
            f"the array container has {table.dtype}."
        )
    found = [name for name in _READOUT if name in arrays]
    if found and len(found) < len(_READOUT):
        raise LgcError(f"The array container has {found[0]!r} but no complete readout.")
    if found and len(arrays["start"]) != len(arrays["bias"]) + 1:
        raise LgcError("The readout's bias and start arrays do not fit together.")
    return Netlist(
        inputs=inputs,
        fanin=fanin,
        table=table,
        outputs=arrays["outputs"],
        readout=Readout(**{name: arrays[name] for name in _READOUT}) if found else None,
        stage=arrays.get("stage"),
        origin=arrays.get("origin"),
    )
