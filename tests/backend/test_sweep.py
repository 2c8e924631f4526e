"""Seeds placed in parallel with the real tools."""

from pathlib import Path

import pytest

from lgc.backend import tools
from lgc.backend.pins import ports
from lgc.backend.pnr import ClockUnroutableError, Routing, place_and_route
from lgc.backend.rtl import write_rtl
from lgc.backend.sweep import Seed, first_routed, sweep
from lgc.backend.synth import Synthesis, synthesise
from lgc.backend.target import load
from lgc.errors import DoesNotFitError, ToolMissingError
from lgc.hw_tests.samples import random_sample


@pytest.fixture(scope="module")
def netlist(tmp_path_factory: pytest.TempPathFactory) -> Synthesis:
    try:
        tools.find("yosys"), tools.find("nextpnr-ice40")
    except ToolMissingError as error:
        pytest.skip(str(error))
    sample = random_sample(seed=5, layers=(30, 24), classes=3, luts_per_stage=2)
    out = tmp_path_factory.mktemp("rtl")
    files = write_rtl(sample.encoder, sample.fabric, out=out / "rtl", argmax_registers=True, held=True)
    return synthesise(files, load("ice40-hx1k"), out=out / "synth", low=("rst",))


def test_an_input_tied_low_is_no_pin_and_nothing_else_is_lost(netlist: Synthesis, tmp_path: Path) -> None:
    sample = random_sample(seed=5, layers=(30, 24), classes=3, luts_per_stage=2)
    files = write_rtl(sample.encoder, sample.fabric, out=tmp_path / "rtl", argmax_registers=True, held=True)
    free = synthesise(files, load("ice40-hx1k"), out=tmp_path / "synth")
    assert set(ports(free.netlist)) - set(ports(netlist.netlist)) == {"rst"}
    assert netlist.luts["network"] == free.luts["network"] == files.network_luts
    assert netlist.ffs == free.ffs
    assert abs(sum(netlist.luts.values()) - sum(free.luts.values())) < 20


def test_the_fastest_seed_is_kept(netlist: Synthesis, tmp_path: Path) -> None:
    alone: dict[int, float] = {}

    def route(seed: int, out: Path) -> Routing:
        found = place_and_route(netlist, load("ice40-hx1k"), out=out, seed=seed, timeout_s=300)
        alone[seed] = found.fmax_mhz
        return found

    best, spread = sweep(route, (3, 4, 5), out=tmp_path, jobs=2)
    assert spread == tuple(Seed(seed, alone[seed]) for seed in (3, 4, 5))
    assert best.fmax_mhz == max(alone.values())
    assert [path.name for path in tmp_path.iterdir()] == [f"seed-{best.seed}"]
    assert best.asc.is_file()
    assert best.commands[0].startswith(f"cd seed-{best.seed} && ")


def test_seeds_that_miss_the_clock_are_told_apart(netlist: Synthesis, tmp_path: Path) -> None:
    def route(seed: int, out: Path) -> Routing:
        freq = 900.0 if seed == 1 else None
        return place_and_route(netlist, load("ice40-hx1k"), out=out, seed=seed, freq_mhz=freq, timeout_s=300)

    best, spread = sweep(route, (1, 2), out=tmp_path)
    assert (best.seed, spread[0]) == (2, Seed(1, None))
    with pytest.raises(DoesNotFitError, match=r"MHz, not 900 MHz\.") as error:
        sweep(route, (1,), out=tmp_path)
    assert not hasattr(error.value, "__notes__")


def test_seeds_without_a_way_for_the_clock_are_passed_over(netlist: Synthesis, tmp_path: Path) -> None:
    def route(seed: int, out: Path) -> Routing:
        if seed not in ways:
            raise ClockUnroutableError(f"Seed {seed} has no way.")
        return place_and_route(netlist, load("ice40-hx1k"), out=out, seed=seed, timeout_s=300)

    ways = {5}
    assert first_routed(route, 3, tmp_path).seed == 5
    ways = set()
    with pytest.raises(ClockUnroutableError, match=r"^Seed 6 has"):
        first_routed(route, 3, tmp_path)
