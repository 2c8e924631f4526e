"""SAT sweeping: everything equal is merged, nothing else, and proofs hold where simulation is blind."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lgc.ir import satsweep
from lgc.ir.equivalence import compare, patterns
from lgc.ir.netlist import Netlist
from lgc.ir.passes import REGISTRY, Merge, run
from lgc.ir.sat import available, clauses
from lgc.ir.satsweep import sweep
from lgc.ir.simulate import pack, simulate_words
from lgc.ir.text import parse

from .netlists import difflogic, netlists, random_netlist

needs_sat = pytest.mark.skipif(not available(), reason="python-sat is not installed")


def functions(net: Netlist, levels: int = 1) -> list[bytes]:
    """Exhaustive truth table of every signal, over the patterns that can occur."""
    bits = patterns(net.inputs, samples=0, seed=0, levels=levels)
    values = simulate_words(net, pack(bits))
    rest = np.uint64(~np.uint64(0)) >> np.uint64(-len(bits) % 64)
    values[:, -1] &= rest
    return [row.tobytes() for row in values]


@given(net=netlists(max_k=4), levels=st.integers(1, 3))
def test_exactly_the_equal_signals_are_merged(net: Netlist, levels: int) -> None:
    if net.inputs % levels:
        levels = 1
    function = functions(net, levels)
    found = sweep(net, levels=levels)
    assert found.undecided == 0
    old_of = np.concatenate([np.arange(net.first_lut), net.first_lut + found.kept])
    complement = {f: bytes(a ^ b for a, b in zip(f, function[1], strict=True)) for f in function}
    for s in range(net.signals):
        kept = int(old_of[found.literal[s] >> 1])
        inverted = (int(found.literal[s]) ^ int(found.literal[kept])) & 1
        assert function[s] == (complement[function[kept]] if inverted else function[kept])
    classes = {min(function[s], complement[function[s]]) for s in range(2, net.signals)} - {function[0]}
    luts = {min(f, complement[f]) for f in (function[net.first_lut + i] for i in found.kept)}
    assert luts <= classes
    assert len(luts) == len(found.kept)


def chain(width: int, table: str, start: int) -> list[str]:
    lines = [f"%{start} = lut {table} %2 %3"]
    lines += [f"%{start + i} = lut {table} %{start + i - 1} %{3 + i}" for i in range(1, width - 1)]
    return lines


def tree(width: int, table: str, start: int) -> list[str]:
    layer, lines = list(range(2, 2 + width)), []
    while len(layer) > 1:
        lines.append(f"%{start} = lut {table} %{layer[0]} %{layer[1]}")
        layer = [*layer[2:], start]
        start += 1
    return lines


@needs_sat
@pytest.mark.parametrize("table", ["0x8", "0xe"])
def test_sat_settles_what_no_small_cut_shows(table: str) -> None:
    width = 40
    a, b = chain(width, table, 2 + width), tree(width, table, 2 + width)
    nets = [
        parse("\n".join([f"netlist k=2 inputs={width}", *lines, f"output %{2 * width}"]) + "\n")
        for lines in (a, b)
    ]
    comparison = compare(*nets)
    assert comparison.equal
    assert comparison.proof.endswith("1 by SAT")


@needs_sat
def test_bounded_work_leaves_pairs_apart() -> None:
    width = 40
    lines = [*chain(width, "0x8", 2 + width), *tree(width, "0x8", 1 + 2 * width)]
    text = "\n".join([f"netlist k=2 inputs={width}", *lines, f"output %{2 * width} %{3 * width - 1}"])
    net = parse(text + "\n")
    free, bounded = sweep(net), sweep(net, work=0)
    assert len(free.kept) < len(bounded.kept)
    assert not free.undecided
    assert bounded.undecided
    before = [free.literal[output] for output in net.outputs]
    assert before[0] == before[1]


@needs_sat
def test_what_has_no_wide_cut_is_left_to_sat(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chain and tree of fifteen inputs are equal over a cut of all of them."""
    width = 15
    lines = [*chain(width, "0x8", 2 + width), *tree(width, "0x8", 1 + 2 * width)]
    text = "\n".join([f"netlist k=2 inputs={width}", *lines, f"output %{2 * width} %{3 * width - 1}"])
    by_cut = sweep(parse(text + "\n"))
    monkeypatch.setattr(satsweep, "_WIDEST", 0)
    by_sat = sweep(parse(text + "\n"))
    assert len(by_cut.kept) == len(by_sat.kept)
    assert by_cut.merged[2] < by_sat.merged[2]


@needs_sat
def test_a_difference_no_random_pattern_shows_is_found() -> None:
    width = 40
    lines = [f"netlist k=2 inputs={width}", *chain(width, "0x8", 2 + width)]
    wide = parse("\n".join([*lines, f"output %{2 * width}"]) + "\n")
    never = parse(f"netlist k=2 inputs={width}\noutput %0\n")
    comparison = compare(wide, never)
    assert not comparison.equal
    assert comparison.counterexample is not None
    assert comparison.counterexample.all()


def test_without_a_solver_nothing_undecided_is_merged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lgc.ir.sat.available", lambda: False)
    width = 40
    lines = [f"netlist k=2 inputs={width}", *chain(width, "0x8", 2 + width)]
    wide = parse("\n".join([*lines, f"output %{2 * width}"]) + "\n")
    assert sweep(wide).undecided
    assert run([Merge()], wide).luts == wide.luts
    assert compare(wide, parse(f"netlist k=2 inputs={width}\noutput %0\n")).method.startswith("simulation")


@pytest.mark.parametrize("k", [4, 6])
def test_mapping_is_proved_and_every_flipped_bit_is_caught(k: int) -> None:
    net = difflogic(100, [400] * 4, classes=10, seed=5, passing=0.2)
    mapped = run(REGISTRY.parse(f"simplify,lut-map{{k={k}}}"), net)
    assert compare(net, mapped).proof.startswith("SAT sweeping")
    rng = np.random.default_rng(0)
    for _ in range(40):
        lut = int(rng.integers(mapped.luts))
        row = int(rng.integers(1 << int((mapped.fanin[lut] != 0).sum())))
        table = mapped.table.copy()
        table[lut] ^= table.dtype.type(1 << row)
        mutant = replace(mapped, table=table)
        comparison = compare(net, mutant, samples=1)  # simulation alone would miss most
        if comparison.equal:  # the row may be one that never occurs
            assert comparison.proof
            assert compare(net, mutant, samples=1 << 16, seed=1, prove=False).equal


@given(seed=st.integers(0, 1000), levels=st.integers(2, 4))
def test_thermometer_dont_cares_keep_the_function_of_codes(seed: int, levels: int) -> None:
    net = random_netlist(seed, inputs=2 * levels, luts=40, k=2)
    merged = run([Merge(thermometer=levels)], net)
    assert compare(net, merged, levels=levels).equal
    assert merged.luts <= run([Merge()], net).luts


def test_thermometer_bits_imply_each_other() -> None:
    text = "netlist k=2 inputs=4\n%6 = lut 0x8 %2 %3\n%7 = lut 0xe %4 %5\n%8 = lut 0x6 %6 %7\noutput %8\n"
    net = parse(text)
    assert run([Merge()], net).luts == 3
    merged = run([Merge(thermometer=2)], net)
    assert merged.luts == 1  # x1 & x0 is x1, and the OR of a code is its first bit
    assert merged.fanin.tolist() == [[3, 4]]
    assert not compare(net, merged).equal
    assert compare(net, merged, levels=2).equal


def test_random_codes_are_thermometer_codes() -> None:
    bits = satsweep.patterns(12, samples=500, seed=0, levels=3).reshape(500, 4, 3)
    assert (bits[:, :, 1:] <= bits[:, :, :-1]).all()
    assert set(bits.sum(axis=2).ravel()) == {0, 1, 2, 3}


@given(pins=st.integers(0, 6), data=st.data())
def test_clauses_say_exactly_the_table(pins: int, data: st.DataObject) -> None:
    table = data.draw(st.integers(0, (1 << (1 << pins)) - 1))
    for row in range(1 << pins):
        for out in (0, 1):
            value = {pin: row >> pin & 1 for pin in range(pins)} | {-1: out}
            holds = all(any(value[pin] == (sign > 0) for pin, sign in c) for c in clauses(table, pins))
            assert holds == (out == table >> row & 1)
