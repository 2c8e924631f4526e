"""Rungs before the hardware: the trained model, the netlists, and the expanded readout."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING

import numpy as np

from lgc import models
from lgc.errors import MismatchError, ToolMissingError
from lgc.head import Aim
from lgc.ir._typing import Bool1, Bool2, I64x2
from lgc.ir.equivalence import compare, patterns
from lgc.ir.fabric import Fabric
from lgc.ir.netlist import Netlist
from lgc.ir.passes.expand_argmax import Argmax, add_argmax, prove_expanded
from lgc.ir.passes.expand_readout import expand
from lgc.ir.proof import prove
from lgc.ir.simulate import scores
from lgc.pace import Pace

from .subject import PROOF_LUTS, Subject

if TYPE_CHECKING:
    from lgc.frontend.checkpoint import Checkpoint

_BATCH = 4096
"""Samples that the torch model evaluates at once."""
_ARRAYS = ("fanin", "table", "outputs")
_RANDOM = 4096
"""Random patterns tried where nothing is proved."""


def model_to_netlist(subject: Subject) -> tuple[str, int]:
    """Compare the trained model's scores in evaluation mode with the lowered netlist's.

    All samples of the validation and the test split, every score.

    Returns:
        Method and number of vectors.

    Raises:
        MismatchError: a score differs.
        ToolMissingError: no torch, or no checkpoint.
    """
    if find_spec("torch") is None:
        raise ToolMissingError("PyTorch is not installed.", hint='Try: pip install "lgc[train]"')
    network = subject.network
    held_out = subject.held_out
    bits = np.concatenate([held_out, network.encoder.compare(subject.samples.codes)])
    own = subject.checkpoint.encoder
    if own.format != network.encoder.format or not np.array_equal(own.threshold, network.encoder.threshold):
        raise MismatchError("The thresholds of the build are not those of the model.")
    expected = model_scores(subject.checkpoint, bits)
    _same("the model", expected, "the netlist", scores(network.netlist, bits))
    split = f"{len(held_out):,} validation, {len(subject.samples):,} {_what(subject.samples)}"
    return f"evaluation in torch of {split} samples", len(bits)


def _what(samples: models.Samples) -> str:
    return "test" if samples.labels is not None else "random"


def model_scores(checkpoint: Checkpoint, bits: Bool2) -> I64x2:
    """Scores int64 `[samples, classes]` of the hardened layers as torch evaluates them.

    Args:
        checkpoint: the model.
        bits: encoded samples bool `[samples, bits]`.
    """
    import torch

    from lgc.frontend.checkpoint import Detectors
    from lgc.frontend.detectors import detect
    from lgc.frontend.layers.stack import of
    from lgc.frontend.network import blocks

    first = checkpoint.layers[0]
    detectors = first if isinstance(first, Detectors) else None
    modules = [module.eval() for module in of(checkpoint.layers[detectors is not None :])]
    classes = len(checkpoint.class_names)
    weights = None if checkpoint.weights is None else torch.from_numpy(checkpoint.weights.astype(np.float32))
    found = []
    for start in range(0, len(bits), _BATCH):
        batch = bits[start : start + _BATCH]
        if detectors is not None:
            batch = detect(detectors, batch)
        with torch.no_grad():
            x = blocks(batch, np.arange(len(batch)))
            for module in modules:
                x = module(x, True)
            if weights is not None:
                x = x * weights[:, None]
            counts = x.view(x.shape[0], classes, -1, x.shape[-1]).sum(2)
            found.append(counts.transpose(1, 2).reshape(-1, classes)[: len(batch)].double().numpy())
    total = np.concatenate(found) if found else np.zeros((0, classes))
    exact: I64x2 = np.rint(total).astype(np.int64)
    if not np.array_equal(exact, total):
        raise MismatchError("The model's counts in evaluation mode are not whole numbers.")
    return exact


def _same(one: str, a: I64x2, other: str, b: I64x2) -> None:
    """Raise with the first sample at which scores differ."""
    differ = (a != b).any(axis=1)
    if differ.any():
        n = int(differ.argmax())
        raise MismatchError(
            f"{int(differ.sum()):,} of {len(a):,} score vectors differ, first at sample {n}: {one} gives "
            f"{a[n].tolist()}, {other} {b[n].tolist()}."
        )


def netlist_to_optimised(subject: Subject) -> tuple[str, int]:
    """Prove the optimised netlist equal to the lowered one.

    Raises:
        MismatchError: with the input pattern that tells the two apart.
        ToolMissingError: passes gave up exactness on request, so there is nothing to prove.
    """
    facts = subject.values("02-optimise")
    before, after = subject.network.netlist, subject.optimised
    bits = _stimulus(subject)
    if facts["keeps_scores"] and facts["keeps_classes"]:
        return _compare(before, after, bits, subject)
    if not facts["keeps_classes"]:
        raise ToolMissingError("Passes gave up exactness on request; the RTL is compared with their result.")
    a, b = scores(before, bits), scores(after, bits)
    _same("less its first score, the network", a - a[:, :1], "the optimised one", b - b[:, :1])
    return f"simulation of {len(bits):,} vectors (differences of scores)", len(bits)


def _compare(a: Netlist, b: Netlist, bits: Bool2, subject: Subject) -> tuple[str, int]:
    proof = max(a.luts, b.luts) <= PROOF_LUTS
    found = compare(a, b, data=bits, levels=subject.levels, prove=proof, seed=subject.seed)
    if not found.equal:
        assert found.counterexample is not None
        raise MismatchError(
            f"They differ at input pattern {_hex(found.counterexample)}{_at(a, b, found.counterexample)}."
        )
    return found.method, found.patterns


def _at(a: Netlist, b: Netlist, pattern: Bool1) -> str:
    if a.readout is None or b.readout is None:
        return ""
    one, other = (scores(net, pattern[None])[0].tolist() for net in (a, b))
    return f": scores {one} and {other}"


def _hex(pattern: Bool1) -> str:
    """Input bits as a hexadecimal number, bit 0 lowest."""
    number = int.from_bytes(np.packbits(pattern, bitorder="little").tobytes(), "little")
    return f"0x{number:x} ({len(pattern)} bits)"


def _stimulus(subject: Subject) -> Bool2:
    """Random patterns that can occur, and the samples, encoded."""
    encoder = subject.network.encoder
    drawn = patterns(encoder.bits, samples=_RANDOM, seed=subject.seed, levels=subject.levels)
    return np.concatenate([drawn, encoder.compare(subject.samples.codes)])


def optimised_to_fabric(subject: Subject) -> tuple[str, int]:
    """Prove that the mapped LUTs with their popcount give the optimised netlist's scores.

    The fabric on disk has no ledger. It is made again with one; if that gives the same LUTs, the
    ledger is the fabric's, and proves it. Samples and random patterns are simulated in any case.

    Raises:
        MismatchError: a score differs.
    """
    before, fabric = subject.optimised, subject.fabric
    bits = _stimulus(subject)
    found = fabric.scores(bits)
    _same("the optimised netlist", scores(before, bits), "the fabric", found)
    _same("its scores' argmax", found.argmax(axis=1)[:, None], "its class", fabric.index(bits)[:, None])
    reason = f"more than {PROOF_LUTS:,} LUTs"
    if fabric.netlist.luts <= PROOF_LUTS:
        try:
            again = remade(subject)
        except ToolMissingError as error:
            reason = str(error)
        else:
            reason = again.reason
            if not reason:
                proof = prove(before, again.counted, levels=subject.levels)
                argmax_proof = prove_expanded(again.counted.netlist, again.argmax, levels=subject.levels)
                if proof.proved and argmax_proof:
                    return f"proof ({proof.method}; argmax by {argmax_proof}{again.how})", len(bits)
                reason = proof.reason or "the argmax could not be proved"
    return f"simulation of {len(bits):,} vectors (no proof: {reason})", len(bits)


@dataclass(frozen=True, eq=False)
class Remade:
    """The fabric made again, with what a proof needs.

    Attributes:
        counted: network and popcount, with the ledger.
        argmax: what was added to it.
        how: how the fabric of the build was found equal, for the report; "" where it is the same.
        reason: why it could not be proved equal, "" if it was.
    """

    counted: Fabric
    argmax: Argmax
    how: str = ""
    reason: str = ""


def remade(subject: Subject) -> Remade:
    """Expand again and compare with the fabric of the build, LUT by LUT or else by SAT sweeping.

    Raises:
        MismatchError: the fabric of the build computes something else.
        ToolMissingError: the checkpoint, which says where inputs are in the image, is not there.
    """
    key = subject.key("03-expand")
    stored = subject.fabric
    slices = bool(key.get("slices"))
    place = models.positions(subject.checkpoint)
    k, given, pace = int(key["k"]), None, Pace(**key.get("pace", {}))
    if (aim := Aim.of(key.get("head", "sites"))).chosen:
        fabric, given = aim(subject.optimised, k)
    else:
        fabric = expand(
            subject.optimised, k=k, fractured=slices, carry=slices and pace.chained, position=place,
            registered=pace.waiting,
        )  # fmt: skip
    # stages are not made again: they are no part of the function
    made, argmax = add_argmax(
        fabric, carry=bool(key.get("carry")) and pace.chained, argmax=given, registered=pace.waiting,
        fractured=slices,
    )  # fmt: skip
    if made.facts() != stored.facts():
        return Remade(fabric, argmax, reason="this version of lgc makes another fabric")
    if all(np.array_equal(getattr(made.netlist, n), getattr(stored.netlist, n)) for n in _ARRAYS):
        return Remade(fabric, argmax)
    method, _ = _compare(made.netlist, stored.netlist, _stimulus(subject), subject)
    if method.startswith("proof"):
        return Remade(fabric, argmax, how=f"; other tables of equal function: {method}")
    return Remade(fabric, argmax, reason="it has other tables than this version of lgc makes")
