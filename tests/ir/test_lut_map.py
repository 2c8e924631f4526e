"""The LUT mapper: function, size and depth, on random netlists and against ABC."""

import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lgc.errors import LgcError, ToolMissingError
from lgc.ir.equivalence import compare
from lgc.ir.netlist import Netlist
from lgc.ir.passes import LutMap, SatLut, Strash, lut_map, run
from lgc.ir.passes.satlut import find_abc, read_blif, run_abc, write_blif
from lgc.ir.text import parse
from lgc.ir.verify import check

from .netlists import difflogic, netlists


def depth(net: Netlist) -> int:
    return int(net.levels()[net.roots()].max(initial=0))


def gates(net: Netlist) -> int:
    """LUTs of two and more pins, what a mapper is judged by."""
    return int(((net.fanin != 0).sum(axis=1) > 1).sum())


@pytest.fixture(scope="module")
def abc() -> Path:
    try:
        return find_abc()
    except ToolMissingError as error:
        pytest.skip(str(error))


def with_abc(abc: Path, net: Netlist, script: str, folder: Path) -> Netlist:
    write_blif(net, folder / "in.blif")
    assert run_abc(
        abc, f"read_blif in.blif; strash; {script}; write_blif out.blif", folder=folder, seconds=300
    )
    return read_blif(folder / "out.blif", net)


@given(net=netlists(max_k=2), k=st.integers(2, 6), by_depth=st.booleans(), cuts=st.integers(1, 12))
def test_function_and_size(net: Netlist, k: int, by_depth: bool, cuts: int) -> None:
    simple = run((Strash(),), net)
    mapped = LutMap(k=k, depth=by_depth, cuts=cuts)(net)
    check(mapped)
    assert mapped.k == k
    assert compare(net, mapped).equal
    assert gates(mapped) <= gates(simple)
    assert depth(mapped) <= depth(simple)


@given(net=netlists(max_k=2), k=st.integers(2, 6), levels=st.integers(1, 8))
def test_levels_may_be_traded_for_luts(net: Netlist, k: int, levels: int) -> None:
    fewest = LutMap(k=k, depth=True)(net)
    mapped = LutMap(k=k, depth=True, levels=levels)(net)
    check(mapped)
    assert compare(net, mapped).equal
    assert depth(mapped) <= max(levels, depth(fewest))


def test_a_level_more_saves_luts() -> None:
    net = difflogic(400, [2000] * 4, classes=10, seed=5, passing=0.42)
    area = LutMap(k=4)(net)
    sizes = [LutMap(k=4, depth=True, levels=levels)(net) for levels in (0, depth(area))]
    assert depth(sizes[0]) < depth(sizes[1]) <= depth(area)
    assert area.luts <= sizes[1].luts < sizes[0].luts


@given(net=netlists(max_k=6), by_depth=st.booleans())
def test_luts_as_wide_as_the_target(net: Netlist, by_depth: bool) -> None:
    mapped = LutMap(k=6, depth=by_depth)(net)
    check(mapped)
    assert compare(net, mapped).equal


def test_wider_luts_than_the_target_are_refused() -> None:
    net = parse("netlist k=3 inputs=3\n%5 = lut 0x80 %2 %3 %4\noutput %5\n")
    with pytest.raises(LgcError, match="A LUT with 3 pins does not fit LUTs of 2"):
        LutMap(k=2)(net)


def test_a_lut_is_evicted_when_all_its_readers_can_do_without() -> None:
    """Absorbing %8 into both readers saves it; absorbing it into one of them saves nothing."""
    net = parse(
        "netlist k=2 inputs=6\n"
        "%8 = lut 0x8 %2 %3\n"
        "%9 = lut 0x6 %4 %5\n%10 = lut 0x8 %8 %9\n"
        "%11 = lut 0x6 %6 %7\n%12 = lut 0xe %8 %11\n"
        "output %10 %12\n"
    )
    mapped = LutMap(k=4)(net)
    assert mapped.luts == 2
    assert compare(net, mapped).equal


@pytest.mark.parametrize("k", [4, 6])
@pytest.mark.parametrize("passing", [0.0, 0.42])
def test_fewer_luts_than_abc(k: int, passing: float, abc: Path, tmp_path: Path) -> None:
    net = difflogic(400, [2000] * 4, classes=10, seed=5, passing=passing)
    area, by_depth = LutMap(k=k)(net), LutMap(k=k, depth=True)(net)
    peer_area = with_abc(abc, net, f"if -K {k} -a", tmp_path)
    peer_depth = with_abc(abc, net, f"if -K {k}", tmp_path)
    assert gates(area) < gates(peer_area)
    assert gates(by_depth) <= gates(peer_depth)
    assert depth(by_depth) <= depth(run((Strash(),), peer_depth))
    assert compare(net, area, samples=512).equal
    assert compare(net, by_depth, samples=512).equal


def test_a_huge_netlist_gets_fewer_cuts(monkeypatch: pytest.MonkeyPatch) -> None:
    net = difflogic(400, [2000] * 8, classes=10, seed=6)
    usual = LutMap(k=6)(net)
    monkeypatch.setattr(lut_map, "_HUGE", 100)
    fewer = LutMap(k=6)(net)
    assert usual.luts < fewer.luts < 1.1 * usual.luts
    assert compare(net, fewer, samples=512).equal


@given(net=netlists(max_k=4))
def test_satlut_keeps_the_function(net: Netlist) -> None:
    if not has_abc():
        pytest.skip("ABC is not installed")
    mapped = LutMap(k=4)(net)
    better = SatLut()(mapped)
    check(better)
    assert better.luts <= mapped.luts
    assert compare(net, better).equal


def has_abc() -> bool:
    try:
        find_abc()
    except ToolMissingError:
        return False
    return True


def test_satlut_without_abc_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LGC_ABC", raising=False)
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr("lgc.ir.passes.satlut.find_spec", lambda _: None)
    with pytest.raises(ToolMissingError, match="pip install pyosys") as caught:
        SatLut()(parse("netlist k=4 inputs=1\noutput %2\n"))
    assert caught.value.exit_code == 3


def test_satlut_names_a_bad_lgc_abc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LGC_ABC", "no-such-abc")
    with pytest.raises(ToolMissingError, match="LGC_ABC names 'no-such-abc', which cannot be run"):
        find_abc()


def test_satlut_reports_what_abc_says(abc: Path, tmp_path: Path) -> None:
    with pytest.raises(LgcError, match="ABC could not run 'read_blif nothing.blif'"):
        run_abc(abc, "read_blif nothing.blif", folder=tmp_path, seconds=60)


def test_satlut_gives_up_after_its_time(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    sleep = shutil.which("sleep")
    if sleep is None:
        pytest.skip("there is no `sleep` to stand for a slow ABC")
    slow = tmp_path / "abc"
    slow.write_text(f"#!/bin/sh\nexec {sleep} 60\n")
    slow.chmod(0o755)
    monkeypatch.setenv("LGC_ABC", str(slow))
    net = parse("netlist k=4 inputs=2\n%4 = lut 0x8 %2 %3\noutput %4\n")
    assert SatLut(seconds=1)(net) is net


def test_small_netlists_are_taken_apart_and_mapped_again(monkeypatch: pytest.MonkeyPatch) -> None:
    nets = [difflogic(60, [150] * 5, classes=5, seed=seed) for seed in range(6)]
    again = [LutMap(k=4)(net).luts for net in nets]
    monkeypatch.setattr(lut_map, "_SMALL", -1)
    once = [LutMap(k=4)(net).luts for net in nets]
    assert all(a <= b for a, b in zip(again, once, strict=True))
    assert sum(again) < sum(once)
