"""Proof that a fabric computes the scores of its network.

SAT never proves a popcount. The ledger that `expand` writes makes it easy: the network's LUTs are
proved by SAT sweeping, each counter by trying all values of its few inputs, and the whole by
bookkeeping: every term is used once, every counter keeps the sum, and what is left are the scores.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from . import sat, satsweep
from ._typing import I64x1, I64x2
from .equivalence import compare, join
from .fabric import Fabric
from .ledger import DEAD, SINGLE, Block, Ledger, Term
from .netlist import Netlist

MOST_INPUTS = 16
"""Most distinct signals a counter may read: 65,536 assignments."""


@dataclass(frozen=True)
class Proof:
    """The outcome of a proof.

    Attributes:
        proved: whether the fabric was proved to give the network's scores for every input.
        method: what was done, for reports.
        reason: why it failed, "" if it did not.
    """

    proved: bool
    method: str
    reason: str = ""


class _FailedError(Exception):
    """A step of the proof does not hold."""


def prove(net: Netlist, fabric: Fabric, *, levels: int = 1) -> Proof:
    """Prove that `fabric` computes the scores of `net`.

    Args:
        net: netlist with a readout, given to `expand`.
        fabric: what `expand` made of it, with its ledger.
        levels: inputs are thermometer codes of so many bits; 1 if any pattern can occur.
    """
    ledger = fabric.ledger
    if ledger is None:
        return Proof(False, "", "the fabric has no ledger")
    counting = fabric if ledger.counting is None else replace(fabric, netlist=ledger.counting)
    try:
        _network(net, ledger, levels)
        terms = _first_terms(ledger, fabric)
        _consume(terms, ledger.folded, ledger.extended, fabric.score_width)
        _cross(terms, ledger, counting, levels)
        _consume(terms, ledger.counted, counting.netlist, fabric.score_width)
        _end(terms, ledger, counting)
        if counting is not fabric:
            _mapped_again(counting.netlist, fabric.netlist, levels)
    except _FailedError as failure:
        return Proof(False, "", str(failure))
    counters = len(ledger.folded) + len(ledger.counted)
    return Proof(True, f"SAT sweeping of the network, {counters:,} counters exhaustively")


def prove_argmax(
    net: Netlist, scores: I64x2, index: I64x1, *, never: Sequence[int] = (), conflicts: int = 200_000
) -> bool | None:
    """Prove that literals of `net` spell the number of the highest score, the lowest of equals.

    For each two classes SAT shows that the index is not that of one while the other beats it. Score
    bits count as free, whatever they are computed from.

    Args:
        net: the netlist.
        scores: literals int64 `[classes, width]`, unsigned, least significant bit first.
        index: literals int64 `[bits]`.
        never: classes that cannot have the highest score, as the caller knows; the index is proved not to
            be theirs, and they are compared with no other.
        conflicts: SAT conflicts spent on a pair of classes.

    Returns:
        True if proved, False if refuted, None if the conflicts did not suffice or no solver is there.
    """
    if not sat.available():
        return None
    free = (scores >> 1).ravel().tolist()
    cones = sat.Cones(net.fanin, net.table.astype(np.uint64), net.first_lut, free=free)
    bits = [cones.literal(int(x)) for x in index]
    score = [[cones.literal(int(x)) for x in row] for row in scores]
    try:
        playing = [(i, number) for i, number in enumerate(score) if i not in set(never)]
        for i, own in playing:
            chosen = [bit if i >> place & 1 else -bit for place, bit in enumerate(bits)]
            for j, other in playing:
                if i != j:
                    wrong = cones.solve([*chosen, _beats(cones, other, own, on_tie=j < i)], conflicts)
                    if wrong is not False:
                        return None if wrong is None else False
        beyond = [*never, *range(len(score), 1 << len(bits))]
        numbers = [[bit if n >> place & 1 else -bit for place, bit in enumerate(bits)] for n in beyond]
        return all(cones.solve(number, conflicts) is False for number in numbers) or None
    finally:
        cones.close()


def _beats(cones: sat.Cones, a: list[int], b: list[int], *, on_tie: bool) -> int:
    """Return a literal that is true where number a is above b, or equal and `on_tie`."""
    result = cones.variable()
    cones.add([result if on_tie else -result])
    for x, y in zip(a, b, strict=True):
        below, result = result, cones.variable()
        cones.add([-x, y, result])  # x and not y
        cones.add([x, -y, -result])
        for equal in ([x, y], [-x, -y]):
            cones.add([*equal, -below, result])
            cones.add([*equal, below, -result])
    return result


def _network(net: Netlist, ledger: Ledger, levels: int) -> None:
    """`net`, the ledger's network and the first LUTs of its extension are the same."""
    if not compare(net, ledger.network, samples=64, levels=levels).proof:
        raise _FailedError("the network before expansion could not be proved equal to the one given")
    network, extended = ledger.network, ledger.extended
    n, k = network.luts, network.k
    same = (
        extended.inputs == network.inputs
        and np.array_equal(extended.fanin[:n, :k], network.fanin)
        and not extended.fanin[:n, k:].any()
        and np.array_equal(extended.table[:n], network.table)
    )
    if not same:
        raise _FailedError("the extended network does not begin with the network")


_Terms = list[Counter[Term]]


def _first_terms(ledger: Ledger, fabric: Fabric) -> _Terms:
    """Terms of each class, from the readout; they are checked not to overflow the score."""
    head = ledger.network.readout
    assert head is not None
    constant, terms = head.bias.copy(), []
    for c in range(head.classes):
        entries = slice(int(head.start[c]), int(head.start[c + 1]))
        found: Counter[Term] = Counter()
        highest = 0
        for signal, weight in zip(head.signal[entries].tolist(), head.weight[entries].tolist(), strict=True):
            constant[c] += min(weight, 0)
            highest += abs(weight)
            found.update((w, 2 * signal + (weight < 0), SINGLE) for w in _ones(abs(weight)))
        extra = int(constant[c]) - fabric.offset
        if extra < 0 or highest + extra >= 1 << fabric.score_width:
            raise _FailedError(f"the score of class {c} does not fit {fabric.score_width} bits")
        found.update((w, 1, SINGLE) for w in _ones(extra))
        terms.append(found)
    return terms


def _ones(number: int) -> list[int]:
    return [w for w in range(number.bit_length()) if number >> w & 1]


def _consume(terms: _Terms, blocks: Iterable[Block], net: Netlist, width: int) -> None:
    """Replace the input terms of every block by its outputs; each block is checked."""
    cone = _Cone(net)
    for number, block in enumerate(blocks):
        have = terms[block.group]
        for term in block.inputs:
            if have[term] < 1:
                raise _FailedError(f"counter {number} of class {block.group} uses a term that is not there")
            have[term] -= 1
        cone.check(block, width, f"counter {number} of class {block.group}")
        have.update(term for term in block.outputs if term[1] != DEAD)


def _cross(terms: _Terms, ledger: Ledger, fabric: Fabric, levels: int) -> None:
    """Rewrite the terms from literals of the extended network to literals of the fabric."""
    before, after = ledger.crossing
    _same_function(ledger.extended, before, fabric.netlist, after, levels)
    new = dict(zip(before.tolist(), after.tolist(), strict=True))
    new |= {x ^ 1: y ^ 1 for x, y in new.items()} | {0: 0, 1: 1, SINGLE: SINGLE}
    for c, found in enumerate(terms):
        moved: Counter[Term] = Counter()
        for (w, x, p), times in found.items():
            if times and (x not in new or p not in new):
                raise _FailedError(f"a term of class {c} does not cross into the fabric")
            if times:
                moved[w, new[x], new[p]] += times
        terms[c] = moved


def _same_function(a: Netlist, of_a: I64x1, b: Netlist, of_b: I64x1, levels: int) -> None:
    """Each literal of `of_a` has the function of its partner in `of_b`."""
    needed = int((of_b >> 1).max(initial=0)) + 1 - b.first_lut  # not the counters
    b = replace(b, fanin=b.fanin[: max(needed, 0)], table=b.table[: max(needed, 0)], stage=None, origin=None)
    joint, signal_of_b = join(a, b)
    literal = satsweep.sweep(joint, levels=levels).literal
    left = literal[of_a >> 1] ^ (of_a & 1)
    right = literal[signal_of_b[of_b >> 1]] ^ (of_b & 1)
    if (left != right).any():
        where = int(np.flatnonzero(left != right)[0])
        raise _FailedError(
            f"signal %{of_b[where] >> 1} of the fabric could not be proved equal to "
            f"%{of_a[where] >> 1} of the network"
        )


def _end(terms: _Terms, ledger: Ledger, fabric: Fabric) -> None:
    """Only the score bits are left, and they are the fabric's outputs."""
    bits = ledger.outputs
    signals = np.where(bits < 2, bits, bits >> 1)
    if (bits[bits >= 2] & 1).any() or not np.array_equal(signals.ravel(), fabric.netlist.outputs):
        raise _FailedError("the ledger's score bits are not the fabric's outputs")
    for c, found in enumerate(terms):
        score = Counter((i, int(x), SINGLE) for i, x in enumerate(bits[c]) if x != 0)
        left = Counter(
            {t: n for t, n in found.items() if n and t[0] < fabric.score_width and t[1:] != (0, SINGLE)}
        )
        if left != score:
            raise _FailedError(f"the terms left in class {c} are not its score bits")


def _mapped_again(before: Netlist, after: Netlist, levels: int) -> None:
    """Both netlists have the same outputs."""
    if not same_outputs(before, after, levels=levels):
        raise _FailedError("the fabric could not be proved equal to the counters it was mapped from")


def same_outputs(a: Netlist, b: Netlist, *, levels: int = 1) -> bool:
    """Prove by SAT sweeping that two netlists without readout have the same outputs, counters and all.

    Args:
        a: one netlist.
        b: the other, such as the first one mapped again.
        levels: inputs are thermometer codes of so many bits.
    """
    joint, signal = join(a, b)
    for work, conflicts in ((0, 0), (None, 2_000), (None, 50_000)):  # hashing alone often shows it
        literal = satsweep.sweep(joint, levels=levels, work=work, conflicts=conflicts).literal
        if np.array_equal(literal[a.outputs], literal[signal[b.outputs]]):
            return True
    return False


class _Cone:
    """Evaluates literals of a netlist over all values of a few signals, as integers of 2**n bits."""

    def __init__(self, net: Netlist) -> None:
        self.first = net.first_lut
        self.fanin = net.fanin
        self.table = net.table

    def check(self, block: Block, width: int, name: str) -> None:
        """Fail unless the block's terms have equal sums, modulo `2**width`, for all values."""
        literals = [literal for _, x, p in block.inputs for literal in (x, p) if literal >= 2]
        leaves = sorted({literal >> 1 for literal in literals})
        if len(leaves) > MOST_INPUTS:
            raise _FailedError(f"{name} reads {len(leaves)} signals")
        variables, full = _variables(len(leaves))
        value = dict(zip(leaves, variables, strict=True)) | {0: 0, 1: full}
        sums = []
        for terms in (block.inputs, block.outputs):
            bits = [0] * (width + 1)
            for w, x, p in terms:
                if x == DEAD:
                    if w < width:
                        raise _FailedError(f"{name} leaves out a bit that counts")
                    continue
                first = self._literal(x, value, full, name)
                _add(bits, w, first)
                if p != SINGLE:
                    _add(bits, w, first ^ self._literal(p, value, full, name))
            sums.append(bits[:width])
        if sums[0] != sums[1]:
            raise _FailedError(f"{name} does not keep the sum")

    def _literal(self, literal: int, value: dict[int, int], full: int, name: str) -> int:
        found = self._signal(literal >> 1, value, full, name)
        return found ^ full if literal & 1 else found

    def _signal(self, s: int, value: dict[int, int], full: int, name: str) -> int:
        if s in value:
            return value[s]
        if s < self.first:
            raise _FailedError(f"{name} reads signal %{s}, which is not among its inputs")
        row = s - self.first
        pins = self.fanin[row].tolist()
        while pins and pins[-1] == 0:
            pins.pop()
        value[s] = _lookup(int(self.table[row]), [self._signal(p, value, full, name) for p in pins], full)
        return value[s]


@lru_cache(maxsize=MOST_INPUTS + 1)
def _variables(n: int) -> tuple[tuple[int, ...], int]:
    """Truth tables of n variables and of constant 1, bit r being the value in row r."""
    full = (1 << (1 << n)) - 1
    return tuple(full // ((1 << (1 << j)) + 1) << (1 << j) for j in range(n)), full


def _lookup(table: int, pins: list[int], full: int) -> int:
    """Value of a LUT whose pins have the given values."""
    rows = 1 << len(pins)
    if table == 0:
        return 0
    if table == (1 << rows) - 1:
        return full
    half = rows >> 1
    low = _lookup(table & ((1 << half) - 1), pins[:-1], full)
    high = _lookup(table >> half, pins[:-1], full)
    return low ^ ((low ^ high) & pins[-1])


def _add(bits: list[int], w: int, value: int) -> None:
    """Add `2**w * value` to numbers held bit by bit; what leaves at the top is lost."""
    while value and w < len(bits):
        bits[w], value = bits[w] ^ value, bits[w] & value
        w += 1
