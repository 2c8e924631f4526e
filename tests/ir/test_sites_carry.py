"""Carry chains: atoms exhaustively, legality of positions, sites, levels, and whole readouts."""

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lgc.errors import LgcError, UsageError
from lgc.ir.carry import GONE, SLICE, ChainBuilder, Chains
from lgc.ir.equivalence import patterns
from lgc.ir.fabric import Fabric
from lgc.ir.ledger import SINGLE
from lgc.ir.netlist import Netlist
from lgc.ir.passes import REGISTRY
from lgc.ir.passes._arrival import columns_of, count_by_plan
from lgc.ir.passes._arrival import plan as by_arrival
from lgc.ir.passes._fold import STRATEGIES
from lgc.ir.passes._slices import HALVES, Plan, _apply, atom, best, build, count_in_chains, greedy
from lgc.ir.passes._tally import Tally
from lgc.ir.passes.expand_readout import expand
from lgc.ir.proof import prove
from lgc.ir.readout import Readout
from lgc.ir.simulate import outputs, scores
from lgc.ir.sites import sites
from lgc.ir.text import dump, parse
from lgc.ir.verify import check

from .netlists import difflogic, netlists


def empty(inputs: int) -> Netlist:
    return Netlist(inputs, np.empty((0, 6), np.int32), np.empty(0, np.uint64), np.empty(0, np.int32), None)


def bare(inputs: int, classes: int = 1) -> Netlist:
    """A readout that counts the inputs."""
    return replace(empty(inputs), readout=Readout.group_sum(np.arange(2, 2 + inputs), classes))


def started(heights: list[int], width: int, *, inverted: int = 0) -> tuple[ChainBuilder, Tally]:
    """Columns of distinct inputs, inverted where the bit of `inverted` is set."""
    builder = ChainBuilder(empty(sum(heights)), k=6)
    weights = [w for w, n in enumerate(heights) for _ in range(n)]
    terms = [(w, 2 * (2 + i) + (inverted >> i & 1), SINGLE) for i, w in enumerate(weights)]
    return builder, Tally(builder, 0, width, terms)


def worth(builder: ChainBuilder, tally: Tally) -> tuple[Netlist, np.ndarray, Chains]:
    """The sum of what is in the columns for all inputs, modulo `2**width`; every position is checked."""
    terms = list(tally.terms())
    net = builder.netlist([x for _, x, _ in terms])
    check(net)
    chains = builder.chains(np.arange(2 * net.signals))
    chains.check(net)
    values = outputs(net, patterns(net.inputs, samples=0, seed=0)).astype(np.int64)
    return net, values @ np.array([1 << w for w, _, _ in terms]) % (1 << tally.width), chains


def expected(heights: list[int], width: int, inverted: int = 0) -> np.ndarray:
    bits = patterns(sum(heights), samples=0, seed=0).astype(np.int64)
    bits ^= np.array([inverted >> i & 1 for i in range(sum(heights))])
    return bits @ np.repeat(1 << np.arange(len(heights)), heights) % (1 << width)


KINDS = [(1, low, 0) for low in (1, 2)] + [(2, left + 1, high) for left, high in HALVES]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("carry_in", [0, 1])
@pytest.mark.parametrize("inverted", [0, 0b101010, 0b1])
def test_atoms_exhaustively(kind: tuple[int, int, int], carry_in: int, inverted: int) -> None:
    positions, low, high = kind
    builder, tally = started([low + carry_in, high], 4, inverted=inverted)
    bits = [tally.columns[0].singles.pop(0) for _ in range(low)]
    carry = tally.columns[0].singles.pop() & ~1 if carry_in else 0
    above = [tally.columns[1].singles.pop() for _ in range(high)]
    builder.begin(carry)
    atom(tally, 0, carry, sorted(bits, key=lambda x: x & 1), above, positions=positions)
    builder.end()
    kept = inverted & ~(1 << low) if carry_in else inverted
    found, chains = worth(builder, tally)[1:]
    assert np.array_equal(found, expected([low + carry_in, high], 4, kept))
    assert chains.positions == positions + (low + carry_in > 1)


def test_the_counter_of_thirteen_bits_takes_four_sites_and_one_for_its_carry() -> None:
    for width, sites_needed in ((5, 5), (4, 4)):
        builder, tally = started([7, 0, 6], width)
        build(tally, 0, (1, ((2, 6, 0), (2, 6, 0))))
        net, found, chains = worth(builder, tally)
        assert np.array_equal(found, expected([7, 0, 6], width))
        assert [len(c.singles) for c in tally.columns] == [1] * width
        assert sites(net, chains).count == chains.positions == sites_needed
        assert (chains.slices, chains.hosted(net).all()) == (-(-sites_needed // 4), True)


SEVEN = """\
netlist k=6 inputs=7
%9 = lut 0x6996966996696996 %2 %3 %4 %5 %6 %7
%10 = lut 0x6 %8 %9
%11 = lut 0xca %7 %8 %9
%12 = lut 0x177e7ee8 %2 %3 %4 %5 %6
%13 = lut 0xe8808000 %2 %3 %4 %5 %6
%14 = lut 0x6 %11 %12
%15 = lut 0xb8 %11 %12 %13
output %10 %14 %15
"""


def test_golden_counter_of_seven_bits() -> None:
    """Two LUTs of six and five pins and one more; sums and carries; the carry of the second leaves."""
    builder, tally = started([7], 3)
    build(tally, 0, (1, ((2, 6, 0),)))
    net, _, chains = worth(builder, tally)
    assert dump(net) == SEVEN
    rows = np.stack([chains.propagate, chains.generate, chains.sum, chains.carry], axis=1)
    assert rows.tolist() == [[18, 14, 20, 22], [24, 26, 28, 30], [0, GONE, 30, GONE]]
    assert (chains.start.tolist(), chains.carry_in.tolist()) == ([0, 3], [16])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 7), min_size=1, max_size=4), st.integers(1, 6), st.integers(0))
def test_columns_of_any_height(heights: list[int], width: int, inverted: int) -> None:
    heights = heights[:width]
    while sum(heights) > 14:
        heights = heights[:-1]
    if not sum(heights):
        return
    builder, tally = started(heights, width, inverted=inverted)
    count_in_chains(tally)
    assert all(len(column.singles) <= 1 for column in tally.columns)
    assert np.array_equal(worth(builder, tally)[1], expected(heights, width, inverted))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 30), min_size=2, max_size=6), st.integers(1, 6))
def test_a_plan_costs_what_was_planned(heights: list[int], least: int) -> None:
    heights[0] += 2
    for plan in (greedy(tuple(heights), least), best(tuple(heights))[1]):
        builder, tally = started(heights, len(heights))
        tally.order(0)
        build(tally, 0, plan)
        cost, after = _apply(tuple(heights), plan)
        assert tuple(len(c.singles) for c in tally.columns) == after
        net = builder.netlist([x for _, x, _ in tally.terms()])
        chains = builder.chains(np.arange(2 * net.signals))
        assert cost == sites(net, chains).count


def carried(net: Netlist, **options: str) -> Fabric:
    fabric = expand(net, k=6, fractured=True, carry=True, **options)
    check(fabric.netlist)
    if fabric.chains is not None:
        fabric.chains.check(fabric.netlist)
    return fabric


@settings(max_examples=30, deadline=None)
@given(netlists(max_k=6, outputs=0))
def test_scores_are_exact_and_proved(net: Netlist) -> None:
    fabric = carried(net)
    bits = patterns(net.inputs, samples=0, seed=0)
    assert np.array_equal(fabric.scores(bits), scores(net, bits))
    proof = prove(net, fabric)
    assert proof.proved, proof.reason
    without = expand(net, k=6, fractured=True)
    assert sites(fabric.netlist, fabric.chains).count <= sites(without.netlist).count


@pytest.mark.parametrize("strategy", STRATEGIES[6])
def test_every_strategy_with_carries(strategy: str) -> None:
    for passing in (0.0, 0.5):
        net = difflogic(60, [400, 400], classes=5, seed=1, passing=passing)
        fabric = carried(net, strategy=strategy)
        assert fabric.chains is not None
        bits = patterns(60, samples=300, seed=1)
        assert np.array_equal(fabric.scores(bits), scores(net, bits))
        assert prove(net, fabric).proved


def test_a_broken_carry_is_found() -> None:
    """One carry with a wrong table: neither the proof nor the check of the chains accepts it."""
    net = bare(60, classes=2)
    fabric = carried(net)
    assert fabric.chains is not None
    at = int(fabric.chains.carry[0] >> 1) - fabric.netlist.first_lut
    table = fabric.netlist.table.copy()
    table[at] ^= np.uint64(1)
    broken = replace(fabric.netlist, table=table)
    assert not prove(net, replace(fabric, netlist=broken)).proved
    with pytest.raises(LgcError, match="is not what position 0 of the carry chains computes"):
        fabric.chains.check(broken)


def test_wide_counts_take_three_quarters_of_a_site_per_bit() -> None:
    fabric = carried(bare(400))
    assert sites(fabric.netlist, fabric.chains).count < 0.75 * 400
    without = expand(bare(400), k=6, fractured=True)
    assert sites(fabric.netlist, fabric.chains).count < 0.85 * sites(without.netlist).count


def test_a_chain_is_one_level() -> None:
    builder, tally = started([7, 0, 6, 0, 2], 6)
    build(tally, 0, (1, ((2, 6, 0), (2, 6, 0), (1, 2, 0))))
    net, _, chains = worth(builder, tally)
    assert chains.positions == 6
    assert chains.levels(net).max() == 1
    assert chains.levels(net, carry=True).max() == 3  # the LUT and two CARRY4
    assert all(builder.level(x) == 1 for _, x, _ in tally.terms())


def test_levels_grow_with_the_logarithm_of_the_count() -> None:
    deep = []
    for bits in (200, 3200):
        fabric = carried(bare(bits))
        assert fabric.chains is not None
        deep.append(int(fabric.chains.levels(fabric.netlist).max()))
    assert deep[1] <= deep[0] + 8, deep


CHAIN = "netlist k=3 inputs=6\n%8 = lut 0x6 %2 %3\n%9 = lut 0x6 %8 %4\n%10 = lut 0xd8 %8 %4 %2\n"


def one(**changes: int) -> Chains:
    """A position that adds inputs 2 and 3 to the carry-in 4, and one that lets the carry out."""
    value = {"carry_in": 8, "s": 16, "d": 4, "o": 18, "c": 20} | changes
    arrays = ([0, 2], [value["carry_in"]], [value["s"], 0], [value["d"], GONE], [value["o"], value["c"]])
    return Chains(*(np.array(x, np.int64) for x in (*arrays, [value["c"], GONE])))


def test_a_generate_from_outside_and_a_carry_in_share_no_wire() -> None:
    net = parse(CHAIN + "output %9 %10\n")
    one().check(net)  # propagate has two pins, so that generate may be the LUT's other output
    wide = parse(
        "netlist k=6 inputs=8\n%10 = lut 0x6996966996696996 %2 %3 %4 %5 %6 %7\n%11 = lut 0x6 %10 %8\n"
        "%12 = lut 0xd8 %10 %8 %9\n%13 = lut 0xd8 %10 %8 %2\noutput %11 %12 %13\n"
    )
    one(carry_in=16, s=20, d=4, o=22, c=26).check(wide)  # its own pin: the LUT's lower half
    with pytest.raises(LgcError, match="^Literal 18 does not reach the carry of position 0"):
        one(carry_in=16, s=20, d=18, o=22, c=24).check(wide)


@pytest.mark.parametrize(
    ("net", "changes", "message"),
    [
        (
            CHAIN + "output %9 %10\n",
            {"carry_in": 9},
            "Position 0 of the carry chains has an inverted carry-in",
        ),
        (CHAIN + "output %9 %10\n", {"o": 20}, "Literal 20 is not what position 0 of the carry chains"),
        (CHAIN + "output %9 %10\n", {"d": 6}, "is not what position 0 of the carry chains computes"),
    ],
)
def test_a_wrong_position_is_refused(net: str, changes: dict[str, int], message: str) -> None:
    with pytest.raises(LgcError, match=message):
        one(**changes).check(parse(net))


def test_a_carry_must_not_leave_its_chain() -> None:
    net = parse(CHAIN + "%11 = lut 0x6 %10 %5\noutput %9 %10 %11\n")
    chains = one()
    chains.check(net)
    inside = Chains(
        chains.start,
        chains.carry_in,
        np.array([16, 10], np.int64),
        chains.generate,
        np.array([18, 22], np.int64),
        chains.carry,
    )
    with pytest.raises(LgcError, match="^The carry of position 0 of the carry chains leaves its chain"):
        inside.check(net)


def test_options() -> None:
    with pytest.raises(LgcError, match="^Carry chains are built with 6-input LUTs only"):
        expand(bare(9), k=4, carry=True)
    message = re.escape("Pass expand-readout: carry needs k=6.")
    with pytest.raises(UsageError, match=f"^{message}$"):
        REGISTRY.parse("expand-readout{k=5 carry=true}")
    (step,) = REGISTRY.parse("expand-readout{k=6 fractured=true carry=true}")
    net = difflogic(20, [60], classes=3, seed=0)
    comparison = step.verify(net, step(net), 1)  # type: ignore[union-attr]
    assert comparison.equal
    assert "exhaustively" in comparison.proof


def over(net: Netlist, literal: int, pins: list[int]) -> int:
    """Truth table of a literal, which is a constant, one of `pins`, or a LUT of them."""
    table = 0
    for row in range(1 << len(pins)):
        value = {s: row >> at & 1 for at, s in enumerate(pins)} | {0: 0}
        s = literal >> 1
        if s not in value:
            lut = s - net.first_lut
            index = sum(value[p] << at for at, p in enumerate(net.fanin[lut].tolist()))
            value[s] = int(net.table[lut]) >> index & 1
        table |= (value[s] ^ (literal & 1)) << row
    return table


def pins_of(net: Netlist, literal: int) -> list[int]:
    lut = (literal >> 1) - net.first_lut
    return sorted(set(net.fanin[lut].tolist()) - {0}) if lut >= 0 else [literal >> 1] * (literal > 1)


def slices(net: Netlist, chains: Chains) -> list[str]:
    """Verilog of one chain over inputs alone: a LUT6_2 per position, and CARRY4."""
    lines, last = [], chains.positions - 1
    fabric_carry = int(chains.carry_in[0]) > 1
    for i in range(chains.positions):
        s, d = int(chains.propagate[i]), max(int(chains.generate[i]), 0)
        pins, beside = pins_of(net, s), f"n{d >> 1}" if d > 1 else f"1'b{d}"
        if d > 1 and d >> 1 >= net.first_lut:  # the other output
            pins = sorted(set(pins) | set(pins_of(net, d)))
            assert len(pins) <= 5
            pins += [0] * (5 - len(pins))
            init, beside = over(net, s, pins) << 32 | over(net, d, pins), f"five{i}"
            names = [f"n{p}" if p else "1'b0" for p in pins] + ["1'b1"]
        else:
            if i == 0 and fabric_carry and d > 1:  # the same with one pin at 0
                pins, beside = [*(p for p in pins if p != d >> 1), d >> 1], f"five{i}"
            padded = [*pins[:-1], *[0] * (6 - len(pins)), *pins[-1:]]
            init = over(net, s, padded)
            names = [f"n{p}" if p else "1'b0" for p in padded]
        ports = ", ".join(f".I{j}({name})" for j, name in enumerate(names))
        lines.append(f"  LUT6_2 #(.INIT(64'h{init:016x})) lut{i} ({ports}, .O6(s[{i}]), .O5(five{i}));")
        lines.insert(0, f"  wire five{i};")
        lines.append(f"  assign d[{i}] = {beside};")
    for at in range(0, last + 1, SLICE):
        below = f"co[{at - 1}]" if at else "1'b0"
        first = (
            "1'b0" if at else f"n{chains.carry_in[0] >> 1}" if fabric_carry else f"1'b{chains.carry_in[0]}"
        )
        part = f"{at + 3}:{at}"
        lines.append(
            f"  CARRY4 carry{at} (.CI({below}), .CYINIT({first}), .S(s[{part}]), .DI(d[{part}]), "
            f".O(o[{part}]), .CO(co[{part}]));"
        )
    size = -(-(last + 1) // SLICE) * SLICE
    lines.insert(0, f"  wire [{size - 1}:0] s, d, o, co;")
    lines += [f"  assign s[{i}] = 1'b0, d[{i}] = 1'b0;" for i in range(last + 1, size)]
    return lines


@pytest.mark.parametrize(
    ("heights", "plan"),
    [
        ([7, 0, 6], (1, ((2, 6, 0), (2, 6, 0)))),
        ([6, 0, 4, 1], (0, ((2, 6, 0), (2, 4, 1)))),
        ([5, 2, 2], (1, ((2, 4, 1), (1, 2, 0)))),
        ([3, 2, 1], (1, ((1, 2, 0), (1, 2, 0), (1, 1, 0)))),
        ([7, 1, 1], None),
        ([7, 1, 1, 6, 1, 1], None),
        ([4, 3, 1, 2], None),
    ],
)
def test_xilinx_cells_count_as_the_chains_do(heights: list[int], plan: Plan | None, tmp_path: Path) -> None:
    """LUT6_2 and CARRY4 of Yosys' simulation library, wired as `Chains` says, proved by SAT."""
    pytest.importorskip("pyosys", reason="pyosys is not installed")
    builder, tally = started(heights, 8)
    if plan is None:  # by arrival: all at once in the last chain
        count_by_plan(tally, by_arrival(columns_of(tally, builder.level), -1, ripple=True))
    else:
        build(tally, 0, plan)
    net, _, chains = worth(builder, tally)
    assert len(chains.carry_in) == 1
    total = sum(heights)
    made = {int(x): f"o[{i}]" for i, x in enumerate(chains.sum.tolist())}
    terms = [(w, made[x] if x in made else f"n{x >> 1}") for w, x, _ in tally.terms()]
    weights = [w for w, n in enumerate(heights) for _ in range(n)]
    lines = [f"module top(input [{total - 1}:0] x, output ok);"]
    lines += [f"  wire n{2 + i} = x[{i}];" for i in range(total)]
    lines += slices(net, chains)
    left = " + ".join(f"(8'd0 + {name}) * {1 << w}" for w, name in terms)
    right = " + ".join(f"(8'd0 + x[{i}]) * {1 << w}" for i, w in enumerate(weights))
    lines += [
        f"  wire [7:0] left = {left};",
        f"  wire [7:0] right = {right};",
        "  assign ok = left == right;",
    ]
    source = tmp_path / "top.v"
    source.write_text("\n".join([*lines, "endmodule", ""]))
    steps = [
        "read_verilog +/xilinx/cells_sim.v",
        f"read_verilog {source}",
        "hierarchy -top top",
        "proc",
        "flatten",
    ]
    steps += ["opt -full", "sat -verify -prove ok 1 top"]
    code = "import pyosys.libyosys as y; d = y.Design()\n" + "".join(f"y.run_pass({s!r}, d)\n" for s in steps)
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout[-2000:] + ran.stderr[-2000:]
    assert "SAT proof finished - no model found: SUCCESS!" in ran.stdout
