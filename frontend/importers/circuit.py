"""Circuits that torchlogix exports as JSON: 2-input gates in order, sums with bias."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lgc.errors import LgcError, UsageError
from lgc.ir.netlist import FIRST_INPUT
from lgc.ir.readout import Readout

from .._typing import Array, Bool2, I64x1
from . import files
from .network import MAX_BITS, MAX_NODES, Foreign, Options
from .wires import Wires, layered

_GATES = {
    "CONST_FALSE": (0, 0, 0, 0), "CONST_TRUE": (1, 1, 1, 1), "WIRE": (0, 1, 0, 1), "NOT": (1, 0, 1, 0),
    "AND": (0, 0, 0, 1), "OR": (0, 1, 1, 1), "XOR": (0, 1, 1, 0), "NAND": (1, 1, 1, 0),
    "NOR": (1, 0, 0, 0), "XNOR": (1, 0, 0, 1), "AND_NOT_B": (0, 1, 0, 0), "AND_NOT_A": (0, 0, 1, 0),
    "OR_NOT_B": (1, 1, 0, 1), "OR_NOT_A": (1, 0, 1, 1), "NOT_A": (1, 0, 1, 0), "NOT_B": (1, 1, 0, 0),
}  # fmt: skip
"""Tables by name; `in0` is the lowest bit of a row's number."""
_NUMBER = {name: i for i, name in enumerate(_GATES)}
_TABLES: Bool2 = np.array(list(_GATES.values()), np.bool_)
_LARGEST_BIAS = 1 << 20


def read(path: Path, options: Options) -> Foreign:
    """Read `Circuit.write_json`, simplified or not; the constants that it folded into sums too.

    Raises:
        UsageError: there are no sums, and no number of classes.
        LgcError: a gate that reads what is not there yet, or damaged.
    """
    found = files.json_object(path)
    try:
        return _parse(found, options)
    except (KeyError, TypeError, ValueError, OverflowError, AttributeError, IndexError) as error:
        raise LgcError(
            f"{path} is no circuit of torchlogix: {error!r:.200}.", hint="Write it with write_json."
        ) from None


def accepts(found: Mapping[str, Any]) -> bool:
    """Tell whether a JSON object is a circuit."""
    return "gates" in found and "n_inputs" in found


def _parse(found: Mapping[str, Any], options: Options) -> Foreign:
    bits, gates = int(found["n_inputs"]), found["gates"]
    if not 1 <= bits <= MAX_BITS or len(gates) > MAX_NODES:
        raise LgcError(f"The circuit has {bits} inputs and {len(gates)} gates.", hint="It is damaged.")
    columns = [np.array([int(gate[name]) for gate in gates], np.int64) for name in ("gate_id", "in0", "in1")]
    kinds = np.array([_NUMBER[gate["op"]] for gate in gates], np.int64)
    signal_of = _signals(bits, columns[0])
    wires = Wires(bits)
    sources = np.stack([signal_of(column) for column in columns[1:]], axis=1).reshape(-1, 2)
    own = FIRST_INPUT + bits + np.arange(len(gates))
    if (late := np.flatnonzero((sources >= own[:, None]).any(axis=1))).size:
        raise LgcError(f"Gate {columns[0][late[0]]} reads one that comes after it.", hint="It is damaged.")
    wires.luts(sources, _TABLES[kinds])
    readout, beta, tau = _readout(found, signal_of, options)
    layers, offset = layered(wires.netlist(readout))
    beta += offset
    notes: dict[str, Any] = {"wiring": "in the file"} | ({"beta": beta} if beta else {})
    return Foreign(layers, bits=bits, classes=readout.classes, tau=tau, notes=notes)


def _signals(bits: int, ids: I64x1) -> Any:
    """Return a function from the file's numbers of inputs and gates to signals; -1 is constant 0."""
    known = np.concatenate([[-1], np.arange(bits), ids])
    order = np.argsort(known, kind="stable")
    ranked = known[order]
    if (ranked[1:] == ranked[:-1]).any():
        raise LgcError("Two gates have one number, or that of an input.", hint="It is damaged.")
    signals = np.concatenate([[0], FIRST_INPUT + np.arange(bits + len(ids))])[order]

    def signal_of(numbers: Array) -> Array:
        at = np.minimum(np.searchsorted(ranked, numbers), len(ranked) - 1)
        if (unknown := ranked[at] != numbers).any():
            raise LgcError(f"A gate reads {numbers[unknown][0]}, which is not there.", hint="It is damaged.")
        return signals[at]

    return signal_of


def _readout(found: Mapping[str, Any], signal_of: Any, options: Options) -> tuple[Readout, float, float]:
    """Return the readout with whole-numbered bias, what all scores are above it, and tau."""
    sums = {int(each["node_id"]): each for each in found.get("sum_nodes") or []}
    outputs = [int(number) for number in found["outputs"]]
    if not sums:
        if options.classes is None:
            raise UsageError("The circuit has no sums.", hint="Say how many classes: --classes N.")
        if not outputs or len(outputs) % options.classes:
            raise LgcError(f"{options.classes} classes cannot share {len(outputs)} outputs equally.")
        return Readout.group_sum(signal_of(np.array(outputs, np.int64)), options.classes), 0.0, 1.0
    if not outputs or not all(number in sums for number in outputs):
        raise LgcError("Some outputs of the circuit are sums, some are not.", hint="Export the whole model.")
    heads = [sums[number] for number in outputs]
    betas = np.array([float(each.get("beta", 0.0)) for each in heads])
    taus = {float(each.get("tau", 1.0)) for each in heads}
    if len(taus) > 1:
        raise LgcError("The sums of the circuit are scaled differently.", hint="Give one tau.")
    if not np.isfinite(betas).all() or np.abs(betas).max() > _LARGEST_BIAS:
        raise LgcError(f"A sum of the circuit has the bias {betas.max()}.", hint="It is damaged.")
    shared = float(betas.min())
    if (betas - shared != np.rint(betas - shared)).any():
        raise LgcError("The biases of the circuit's sums differ by fractions.", hint="Use whole numbers.")
    if shared == np.rint(shared) and shared >= 0:
        shared = 0.0
    groups = [np.array([int(number) for number in each["input_ids"]], np.int64) for each in heads]
    lengths = np.array([len(group) for group in groups])
    signal = signal_of(np.concatenate(groups)) if lengths.sum() else np.zeros(1, np.int64)
    if not lengths.sum():
        lengths[0] = 1
    readout = Readout(
        bias=np.rint(betas - shared).astype(np.int64),
        start=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        signal=signal.astype(np.int32),
        weight=np.ones(len(signal), np.int32),
    )
    return readout, shared, taus.pop()
