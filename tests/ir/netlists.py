"""Random netlists for the tests of `ir`."""

import numpy as np
from hypothesis import strategies as st

from lgc.ir.netlist import Netlist, table_dtype
from lgc.ir.readout import Readout


def random_netlist(
    seed: int,
    *,
    inputs: int = 7,
    luts: int = 25,
    k: int = 3,
    outputs: int = 4,
    classes: int = 3,
    entries: int = 5,
) -> Netlist:
    """A netlist whose LUTs read anything before them, constants and repeated pins included."""
    rng = np.random.default_rng(seed)
    first = 2 + inputs
    fanin = rng.integers(0, first + np.arange(luts)[:, None], (luts, k)).astype(np.int32)
    table = rng.integers(0, 2 ** (2**k) - 1, luts, dtype=np.uint64, endpoint=True).astype(table_dtype(k))
    readout = None
    if classes:
        signal = rng.integers(0, first + luts, classes * entries).astype(np.int32)
        readout = Readout(
            bias=rng.integers(-3, 4, classes),
            start=np.sort(
                np.concatenate([[0, classes * entries], rng.integers(0, classes * entries + 1, classes - 1)])
            ),
            signal=signal,
            weight=rng.integers(-4, 5, classes * entries).astype(np.int32),
        )
    roots = rng.integers(0, first + luts, outputs).astype(np.int32)
    return Netlist(inputs=inputs, fanin=fanin, table=table, outputs=roots, readout=readout)


def netlists(*, max_k: int = 6, outputs: int = 4) -> st.SearchStrategy[Netlist]:
    """Random netlists of every shape."""
    return st.builds(
        random_netlist,
        st.integers(0, 2**32),
        inputs=st.integers(1, 9),
        luts=st.integers(0, 60),
        k=st.integers(1, max_k),
        outputs=st.just(outputs),
        classes=st.integers(1, 4),
        entries=st.integers(0, 40),
    )


def difflogic(inputs: int, widths: list[int], *, classes: int, seed: int, passing: float = 0.0) -> Netlist:
    """Random 2-input gates wired as difflogic does; a share `passing` of them are wires."""
    rng = np.random.default_rng(seed)
    previous = np.arange(2, 2 + inputs)
    fanin, first = [], 2 + inputs
    for width in widths:
        at = rng.permutation(2 * width) % len(previous)
        fanin.append(rng.permutation(previous)[at].reshape(2, width).T)
        previous = np.arange(first, first + width)
        first += width
    table = rng.integers(0, 16, sum(widths))
    table[rng.random(len(table)) < passing] = 0b1010
    return Netlist(
        inputs=inputs,
        fanin=np.concatenate(fanin).astype(np.int32),
        table=table.astype(np.uint8),
        outputs=np.empty(0, np.int32),
        readout=Readout.group_sum(previous, classes),
    )
