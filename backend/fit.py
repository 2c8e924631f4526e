"""Whether a design fits a device, and which part of it is too large if not."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from lgc.errors import DoesNotFitError
from lgc.ir.carry_cells import ALONE
from lgc.ir.fabric import Fabric
from lgc.ir.netlist import FIRST_INPUT

from .fabric import Wires, writer_of
from .target import Target, load, names
from .xilinx import SliceCells

_RESOURCES = {"lut": "LUTs", "ff": "flip-flops", "bram": "block RAMs", "io": "pins", "cell": "logic cells"}

_PARTS = {
    "encoder": "encoder",
    "network": "network",
    "readout": "counters",
    "argmax": "argmax",
    "io": "interface",
}

_REMEDIES = {
    "encoder": "fewer features or thresholds",
    "network": "fewer nodes",
    "readout": "a narrower last layer",
}


def check_fit(
    target: Target,
    *,
    parts: Mapping[str, Mapping[str, int]] | None = None,
    at_least: bool = False,
    **used: int,
) -> None:
    """Compare what a design uses with what the target has.

    Args:
        target: the device.
        parts: for each resource what the parts of the design use of it; what they leave is counted to
            flip-flops and carries without a LUT.
        at_least: more may be needed.
        **used: of each resource, `cell` being logic cells.

    Raises:
        DoesNotFitError: says which resources are over and by how much, which parts take them, and
            which target has enough.
    """
    has = {name: _available(target, name) for name in used}
    over = [name for name, count in used.items() if count > has[name]]
    if not over:
        return
    needs = " and ".join(
        f"{used[name]:,} {_word(target, name)} of {has[name]:,} ({used[name] / has[name] - 1:.0%} over)"
        if has[name]
        else f"{used[name]:,} {_word(target, name)}, of which it has none"
        for name in over
    )
    known = parts or {}
    shares = [_shares(used[name], has[name], known[name]) for name in over if name in known]
    raise DoesNotFitError(
        f"The design does not fit {target.name}: it needs {'at least ' if at_least else ''}{needs}."
        + "".join(f" {share}" for share in shares if share),
        hint=_hint(target, used, known.get(over[0], {})),
    )


def _available(target: Target, resource: str) -> int:
    found: int = getattr(target.resources, "lut" if resource == "cell" else resource)
    return found


def _word(target: Target, resource: str) -> str:
    return "LUT sites" if resource == "cell" and target.cells.own_cells else _RESOURCES[resource]


def _shares(used: int, has: int, parts: Mapping[str, int]) -> str:
    """Return a sentence on what each part takes, the largest first."""
    found = sorted(((count, _PARTS.get(part, part)) for part, count in parts.items() if count), reverse=True)
    rest = used - sum(count for count, _ in found)
    if rest > 0 and found:
        found.append((rest, "flip-flops and carries without a LUT"))
    texts = [
        f"{part} {count:,}" + (f" ({count - has:,} over by itself)" if count > has > 0 else "")
        for count, part in found
    ]
    return f"By part: {', '.join(texts)}." if texts else ""


def _hint(target: Target, used: Mapping[str, int], parts: Mapping[str, int]) -> str:
    """Return what to try: the smallest target of the family that has enough, less of the largest part."""
    others = [load(name) for name in names()]
    large = [
        other
        for other in others
        if other.family == target.family
        and all(count <= _available(other, name) for name, count in used.items())
    ]
    fits = min(large, key=lambda other: (other.luts, other.name), default=None)
    larger = "Try a larger target" + (f" ({fits.name} has enough)" if fits else "")
    largest = max(parts, key=lambda part: parts[part], default="")
    if largest in _REMEDIES:
        return f"{larger}, or {_REMEDIES[largest]}."
    return f"{larger}, a narrower last layer, or fewer nodes or thresholds."


def least_cells(fabric: Fabric, cells: str) -> dict[str, int]:
    """Count the logic cells that a design needs at least, by part, before it is written.

    Args:
        fabric: with its argmax, if it has one.
        cells: what it is made of, see `fabric_text`.

    Returns:
        A cell for each stored bit of the encoder; LUTs, positions of chains and carries that share no
        LUT's cell for the others.
    """
    net = fabric.netlist
    wires = Wires.of(fabric, writer_of(fabric, cells), held=True)
    read = np.unique(np.append(net.fanin.ravel(), net.roots()))
    found = {"encoder": int(((read >= FIRST_INPUT) & (read < net.first_lut)).sum())}
    spans = {
        "network": (net.first_lut, wires.split),
        "readout": (wires.split, wires.tail),
        "argmax": (wires.tail, net.signals),
    }
    writer = wires.cells
    for part, (start, stop) in spans.items():
        if isinstance(writer, SliceCells):
            found[part] = writer.count(wires, slice(start - net.first_lut, stop - net.first_lut))
        else:
            found[part] = stop - start
    if isinstance(writer, SliceCells):
        positions = (p for _, chain in writer.slices.chains for p in chain)
        found["readout"] += sum(not p.pins and p.five is None for p in positions)
    elif fabric.carries is not None:
        found["argmax"] -= int((fabric.carries.beside != ALONE).sum())
    return found
