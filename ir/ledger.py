"""The certificate of an expanded readout: which terms were summed into which, block by block.

`expand` writes it down while it builds; a checker needs nothing else to prove that the score bits
are the scores, by trying all values of each block's few inputs.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ._typing import I64x1, I64x2
from .netlist import Netlist

Term = tuple[int, int, int]
"""`(w, x, p)`: worth `2**w * x` if p is `SINGLE`, else `2**w * (x + (x ^ p))`.

x and p are literals, `2 * signal + inverted`; 0 and 1 are the constants.
"""

SINGLE = -1
"""In place of p: the term is one bit."""

DEAD = -2
"""In place of x: a bit of weight `2**score_width` or more, not computed because no score needs it."""


@dataclass(frozen=True)
class Block:
    """A counter: its input terms are replaced by its output terms, which have the same sum.

    The sums agree modulo `2**score_width` for all values of the distinct signals in `inputs`; the
    LUTs between these signals and the output literals belong to the block alone.

    Attributes:
        group: the class it counts for.
        inputs: terms consumed.
        outputs: terms produced, constants 0 left out.
    """

    group: int
    inputs: tuple[Term, ...]
    outputs: tuple[Term, ...]


@dataclass(frozen=True, eq=False)
class Ledger:
    """Every term of every class, from the readout's entries to the score bits.

    The first terms of class c are, for each entry with signal s and weight v and each bit w that is
    set in |v|, the single `(w, 2 * s + (v < 0), SINGLE)`, and for each bit w that is set in
    `constant[c] - offset` the constant `(w, 1, SINGLE)`. The score is `constant[c]` plus the sum of
    the former. Blocks consume terms, each exactly once; what is left in the end are the score bits
    `(i, outputs[c, i], SINGLE)`, constants 0 left out, and terms of weight `2**score_width` or more.

    Attributes:
        network: what was expanded after its own simplification, readout included.
        extended: the LUTs of `network` under the same signal numbers, then LUTs that encode pairs
            or add up gates, before mapping; no outputs, no readout.
        constant: int64 `[classes]`, bias plus the sum of negative weights.
        offset: `Fabric.offset`.
        folded: blocks over literals of `extended`, in order.
        crossing: two int64 `[literals]`: literals of `extended` and, at the same places, those of
            the fabric's netlist that have the same function. Each x and p of a term that is left
            after `folded` is among the former.
        counted: blocks over literals of the fabric's netlist, in order.
        outputs: int64 `[classes, score_width]`, literals of the score bits.
        counting: the netlist meant by "the fabric's" above, where that has been mapped again since, to the
            same outputs; else None.
    """

    network: Netlist
    extended: Netlist
    constant: I64x1
    offset: int
    folded: tuple[Block, ...]
    crossing: tuple[I64x1, I64x1]
    counted: tuple[Block, ...]
    outputs: I64x2
    counting: Netlist | None = None


def renumber(blocks: Iterable[Block], literal: I64x1) -> tuple[Block, ...]:
    """Return the blocks with literal x replaced by `literal[x]`, `DEAD` where that is negative."""
    new = literal.tolist()

    def term(w: int, x: int, p: int) -> Term:
        x = new[x] if x >= 0 else DEAD
        p = new[p] if p >= 0 else SINGLE
        return (w, DEAD, SINGLE) if x == DEAD else (w, x, p)

    return tuple(
        Block(b.group, tuple(term(*t) for t in b.inputs), tuple(term(*t) for t in b.outputs)) for b in blocks
    )
