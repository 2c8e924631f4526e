"""Placing once more and routing by delay, for designs with a register behind every LUT."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lgc.backend import improve, pnr, refine, router
from lgc.backend._exchange import cycles, weigh
from lgc.backend.exchange import Exchange, exchange
from lgc.backend.pnr import BETTER, place_and_route
from lgc.backend.relieve import relieve
from lgc.backend.replicate import replicate
from lgc.backend.rtl import write_rtl
from lgc.backend.synth import Synthesis, synthesise
from lgc.backend.target import load
from lgc.backend.tools import Tool
from lgc.backend.wires import Ice40Chip, Wires
from lgc.errors import LgcError
from lgc.hw_tests.samples import random_sample

from ..needs import needs


def netlist(target: str, out: Path) -> Synthesis:
    sample = random_sample(seed=5, layers=(60, 50), classes=3, luts_per_stage=1)
    device = load(target)
    files = write_rtl(
        sample.encoder, sample.fabric, out=out / "rtl", argmax_registers=True, family=device.cells
    )
    return synthesise(files, device, out=out / "synth")


@pytest.fixture(scope="module")
def registered(tmp_path_factory: pytest.TempPathFactory) -> Synthesis:
    return netlist("ice40-hx8k", tmp_path_factory.mktemp("registered"))


def test_families_without_a_database_are_left_alone() -> None:
    tool = Tool("nextpnr-ice40", ("nextpnr-ice40",), "0.11", "PATH")
    assert improve.database(tool, load("ice40-hx8k")) is None
    assert improve.database(tool, load("gowin-gw1n-9")) is None


@needs("yosys", "nextpnr-ice40")
def test_the_design_stays_and_its_wires_are_routed(registered: Synthesis, tmp_path: Path) -> None:
    found = place_and_route(registered, load("ice40-hx8k"), out=tmp_path, eager=True, timeout_s=300)
    assert "--no-route" in found.commands[0]
    assert BETTER in found.commands[1]
    assert "--no-pack" in found.commands[1]
    (module,) = json.loads((tmp_path / BETTER).read_text())["modules"].values()
    places = [cell["attributes"]["BEL"] for cell in module["cells"].values()]
    assert len(set(places)) == len(places) > 300
    wires: dict[str, int] = {}
    for net in module["netnames"].values():
        for wire in filter(None, net["attributes"]["ROUTING"].strip().split(";")[::3]):
            assert wires.setdefault(wire, net["bits"][0]) == net["bits"][0]
    # nextpnr routed the rest: clock, pins, chains
    (arcs,) = re.findall(r"Routing (\d+) arcs", (tmp_path / "nextpnr-router1.log").read_text())
    assert int(arcs) < 300
    assert found.fmax_mhz > 100


@pytest.mark.slow
@needs("yosys", "nextpnr-ecp5")
def test_an_ecp5(tmp_path: Path) -> None:
    """With chains of carries, registers with enables, and two readers of what a register takes over."""
    found = place_and_route(
        netlist("ecp5-25f", tmp_path), load("ecp5-25f"), out=tmp_path / "route", eager=True, timeout_s=300
    )
    assert BETTER in found.commands[1]
    assert "--disable-router-lutperm" in found.commands[1]
    assert found.fmax_mhz > 100


@needs("yosys", "nextpnr-ice40")
@pytest.mark.parametrize("fails", ["improve", "route"])
def test_what_does_not_route_is_left_to_nextpnr(
    registered: Synthesis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    onwards = pnr._run

    def refuse(nextpnr: Tool, args: list[str], *rest: Any) -> tuple[str, float]:
        if BETTER in args:
            raise LgcError("No routing was found.")
        return onwards(nextpnr, args, *rest)

    if fails == "improve":
        monkeypatch.setattr(router.Router, "press", lambda *_: False)
    else:
        monkeypatch.setattr(pnr, "_run", refuse)
    found = place_and_route(registered, load("ice40-hx8k"), out=tmp_path, eager=True, timeout_s=300)
    assert [BETTER in command for command in found.commands] == [False]


def around(cells: int, tiles: int, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A ring of cells dealt out at random over a square of tiles, and delays that are distances."""
    rng = np.random.default_rng(seed)
    at = np.stack(np.meshgrid(np.arange(1, tiles + 1), np.arange(1, tiles + 1), indexing="ij"), -1).reshape(
        -1, 2
    )
    slots = np.concatenate([np.c_[at, np.full(len(at), n)] for n in range(8)])
    place = slots[rng.permutation(len(slots))[:cells]].astype(np.int32)
    far = abs(np.arange(-9, 10))
    delay = np.broadcast_to(100.0 * (1 + far[:, None] + far[None]), (8, 8, 19, 19)).astype(np.float32)
    return place, at.astype(np.int32), delay


def annealed(
    place: np.ndarray, moving: int, wires: np.ndarray, tiles: np.ndarray, delay: np.ndarray, loose: int,
    rounds: float,
) -> np.ndarray:  # fmt: skip
    cost, pick = refine.cost_of(delay, 16.0), np.arange(moving, dtype=np.int32)
    plan = refine.Schedule(rounds, 0.5, 0.01, 1)
    return refine._annealed(place, moving, wires, tiles, cost, plan, loose, pick)


def test_long_wires_become_short() -> None:
    """A ring closes its gaps; every cell has a place of its own, and tiles are not crowded."""
    place, tiles, delay = around(200, 8)
    ring = np.stack([np.arange(200), (np.arange(200) + 1) % 200], axis=1).astype(np.int32)
    found = annealed(place, 200, ring, tiles, delay, refine.LOOSE["ecp5"], 250)
    length = abs(found[ring[:, 0], :2] - found[ring[:, 1], :2]).sum(axis=1)
    assert abs(place[ring[:, 0], :2] - place[ring[:, 1], :2]).sum(axis=1).max() > 8
    assert length.max() <= 4
    assert len(set(map(tuple, found.tolist()))) == 200
    crowd = np.unique(found[:, :2], axis=0, return_counts=True)[1]
    assert crowd.max() <= refine.LOOSE["ecp5"]


def test_a_full_device_is_filled_and_fixed_cells_pull() -> None:
    place, tiles, delay = around(70, 3)
    place[60:] = [9, 9, 0]
    wires = np.stack([np.arange(60), np.full(60, 60)], axis=1).astype(np.int32)
    found = annealed(place, 60, wires[:3], tiles[:8], delay, refine.LOOSE["ecp5"], 50)
    assert len(set(map(tuple, found.tolist()))) == 60
    assert found[:3, :2].sum(axis=1).min() >= found[3:, :2].sum(axis=1).max() - 1


def grid(edges: list[tuple[int, int, int]], wires: int) -> Wires:
    origin, target, delay = np.array(edges).T
    flat = np.zeros(wires, np.int32)
    chip = Ice40Chip.__new__(Ice40Chip)
    values = delay, np.zeros(len(delay)), np.arange(len(delay))
    return Wires.of(chip, origin, target, values, (flat, flat, flat - 1))


def negotiated(edges: list[tuple[int, int, int]], ends: list[tuple[int, int]], wires: int) -> router.Router:
    graph = grid(edges, wires)
    source, sink = np.array(ends, np.int32).T.copy()
    nets = router.Nets(
        [f"n{i}" for i in range(len(ends))], source, np.arange(len(ends) + 1, dtype=np.int32), sink,
        np.zeros(len(ends), np.int32), np.zeros(len(ends), np.float32), [], [],
    )  # fmt: skip
    return router.Router(graph, nets, np.zeros((1, 3, 3), np.float32), margin=1)


def test_the_net_with_a_way_around_gives_way() -> None:
    """Both want wire 4; the second has another way that takes little longer, the first one that takes long."""
    edges = [(0, 4, 10), (1, 4, 10), (4, 2, 10), (4, 3, 10), (0, 5, 500), (5, 2, 500), (1, 6, 15), (6, 3, 15)]
    found = negotiated(edges, [(0, 2), (1, 3)], 7)
    assert found.run()
    assert found.taken.tolist() == [20, 30]
    ways = [
        found.tree_wire[at : at + size].tolist()
        for at, size in zip(found.tree_at, found.tree_size, strict=True)
    ]
    assert ways == [[0, 4, 2], [1, 6, 3]]


def test_what_is_late_for_long_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both want wire 4, without which the second has no way; the first is late on its other one."""
    monkeypatch.setattr(router, "MANY", 1.0)
    edges = [(0, 4, 10), (1, 4, 10), (4, 2, 10), (4, 3, 10), (0, 5, 500), (5, 2, 500)]
    found = negotiated(edges, [(0, 2), (1, 3)], 6)
    assert found.press()
    assert found.goal < 30
    assert found.taken.tolist() == [1000, 20]
    monkeypatch.setattr(router, "LABOUR", 200)
    assert not negotiated(edges[:4], [(0, 2), (1, 3)], 5).press()


def test_three_cells_change_places_where_no_two_can() -> None:
    """Each is drawn to the place of the next by what stands there; alone, none of them may go."""
    x = np.array([0, 1, 2, 1, 2, 0], np.int32)
    wires = np.array([[0, 3], [1, 4], [5, 2]], np.int32)
    y, z = np.zeros(6, np.int32), np.array([0, 0, 0, 1, 1, 1], np.int32)
    slots = np.array([[column, 0, 0] for column in range(3)], np.int32)
    cell, joined = np.arange(3, dtype=np.int32), refine.joined(wires, 6)
    delay = (100.0 * abs(np.arange(-3, 4)))[:, None] * np.ones((2, 2, 1, 7), np.float32)
    cost = np.empty(3)
    delay = delay.astype(np.float32)
    weigh(0, x, y, z, slots, cell, *joined, delay, 50.0, 2.0, cost)
    assert np.isinf(cost).all()
    to, on = np.empty(3, np.int32), np.empty(3, np.int32)
    assert cycles(0, x, y, z, slots, cell, *joined, delay, 50.0, 2.0, cost, to, on) == 1
    assert (to[0], on[0], cost[0]) == (1, 2, 0.0)
    assert x.tolist() == [0, 1, 2, 1, 2, 0]


def test_no_way_is_told() -> None:
    assert not negotiated([(0, 4, 10), (4, 2, 10)], [(0, 2), (1, 3)], 5).run()
    one = negotiated([(0, 4, 10), (1, 4, 10), (4, 2, 10), (4, 3, 10)], [(0, 2), (1, 3)], 5)
    assert not one.run()


def test_it_is_given_up_after_so_much_labour(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(router, "LABOUR", 20)
    one = negotiated([(0, 4, 10), (1, 4, 10), (4, 2, 10), (4, 3, 10)], [(0, 2), (1, 3)], 5)
    assert not one.run()
    assert 20 * 2 < one.looked < 25 * 2  # a round looks at three wires per net


def lut(place: str, pins: dict[str, int], *, table: str = "1000000000000000", register: bool = True) -> dict:
    ways = {pin: "output" if pin == "O" else "input" for pin in pins}
    parameters = {"LUT_INIT": table, "DFF_ENABLE": str(int(register)), "CARRY_ENABLE": "0"}
    return {
        "type": "ICESTORM_LC", "parameters": parameters, "attributes": {"NEXTPNR_BEL": place},
        "port_directions": ways, "connections": {pin: [bit] for pin, bit in pins.items()},
    }  # fmt: skip


def placed(cells: dict[str, dict]) -> dict[str, Any]:
    bits = {bits[0] for cell in cells.values() for bits in cell["connections"].values()}
    return {
        "cells": cells,
        "netnames": {f"n{bit}": {"bits": [bit], "attributes": {"ROUTING": " "}} for bit in sorted(bits)},
    }


def test_copies_share_the_loads_of_a_register() -> None:
    """Those that stand together read the same one; each takes over the same signal."""
    cells = {"r": lut("X5/Y5/lc0", {"I0": 2, "CLK": 3, "O": 4})}
    cells |= {f"l{x}": lut(f"X{x}/Y5/lc1", {"I0": 4, "I1": 2, "CLK": 3, "O": 10 + x}) for x in range(1, 13)}
    module = placed(cells)
    assert replicate(module, most=1, fan_out=3) == 1
    assert replicate(module, most=9, fan_out=3) == 2
    assert replicate(module, most=9, fan_out=3) == 0
    groups: dict[int, list[int]] = {}
    for x in range(1, 13):
        groups.setdefault(cells[f"l{x}"]["connections"]["I0"][0], []).append(x)
    assert sorted(groups.values()) == [[1, 2, 3], [4, 5, 6], [7, 8, 9], [10, 11, 12]]
    drivers = {cell["connections"]["O"][0]: cell for cell in cells.values()}
    for bit in groups:
        assert drivers[bit]["connections"] == {"I0": [2], "CLK": [3], "O": [bit]}
        assert sum(net["bits"] == [bit] for net in module["netnames"].values()) == 1


def test_a_lut_whose_loads_stand_apart_is_copied() -> None:
    """Registers with an enable stay where they are, too far apart for the LUT that both read."""
    cells = {
        "d": lut("X20/Y5/lc0", {"I0": 2, "I3": 8, "CLK": 3, "O": 4}, table="1000011101001010"),
        "l": lut("X1/Y5/lc0", {"I0": 4, "CLK": 3, "CEN": 9, "O": 5}),
        "r": lut("X21/Y5/lc0", {"I2": 4, "CLK": 3, "CEN": 9, "O": 6}),
    }
    module, tiles = placed(cells), {(x, y) for x in range(1, 22) for y in range(4, 7)}
    far = abs(np.arange(-20, 21))
    delay = np.broadcast_to(100.0 + 100 * (far[:, None] + far[None]), (8, 8, 41, 41)).astype(np.float32)
    assert relieve(module, tiles, delay, delay, family="ecp5", seed=1) == 0
    assert relieve(module, tiles, delay, delay, family="ice40", seed=1) == 1
    (copy,) = module["cells"].keys() - {"d", "l", "r"}
    for name, pin in (("l", "I0"), ("r", "I2")):
        (driven,) = module["cells"][name]["connections"][pin]
        (cell,) = (
            module["cells"][each]
            for each in ("d", copy)
            if module["cells"][each]["connections"]["O"] == [driven]
        )
        assert cell["parameters"]["LUT_INIT"] == "1000011101001010"
        assert cell["connections"] | {"O": []} == {"I0": [2], "I3": [8], "CLK": [3], "O": []}
    found = refine.Cells.of(module)
    assert refine.least(found, refine.wide(delay, found, tiles)).max() <= 900
    assert [module["cells"][name]["attributes"]["NEXTPNR_BEL"] for name in "lr"] == [
        "X1/Y5/lc0",
        "X21/Y5/lc0",
    ]


def test_inputs_turn_with_the_table() -> None:
    rng = np.random.default_rng(3)
    for _ in range(20):
        table = rng.integers(0, 1 << 16)
        cell = lut("X1/Y1/lc0", {"I0": 5, "I2": 7, "I3": 8}, table=f"{table:016b}")
        order = rng.permutation(4)
        router._turn(cell, {pin: int(order[pin]) for pin in (0, 2, 3)})
        turned = int(cell["parameters"]["LUT_INIT"], 2)
        for row in range(16):
            value = dict(zip((5, None, 7, 8), (row >> n & 1 for n in range(4)), strict=True))
            pins = [cell["connections"][f"I{n}"] for n in range(4)]
            new = sum((value[bits[0]] if bits else value[None]) << n for n, bits in enumerate(pins))
            assert turned >> new & 1 == table >> row & 1


def test_what_is_on_a_longer_path_stays() -> None:
    """A register, a LUT without one, a register behind it; and two registers whose paths are single wires."""
    cells = {
        "a": lut("X1/Y1/lc0", {"I0": 9, "CLK": 3, "O": 4}),
        "b": lut("X1/Y2/lc0", {"I0": 4, "O": 5}, register=False),
        "c": lut("X1/Y3/lc0", {"I0": 5, "CLK": 3, "O": 6}),
        "d": lut("X1/Y4/lc0", {"I0": 6, "CLK": 3, "O": 7}),
        "e": lut("X1/Y5/lc0", {"I0": 7, "CLK": 3, "O": 8}),
    }
    found = refine.Cells.of(placed(cells))
    of = {names[0]: i for i, names in enumerate(found.members)}
    assert {name for name, i in of.items() if found.plain[i]} == {"d", "e"}
    assert {name for name, i in of.items() if found.slow[i]} == {"b"}


def row() -> tuple[Wires, dict[str, Any]]:
    """Return a device of four tiles, and a design in which two wires want the same track.

    Between any two tiles there is one track, of 100 ps for each step and 50 more, and eight of 900 ps. Two wires
    lead from tile 0 to tile 2.
    """
    names: list[str] = []
    for x in range(4):
        names += [f"X{x}/Y1/lutff_{n}:out" for n in range(8)]
        names += [f"X{x}/Y1/lutff_{n}:in_0_lut" for n in range(8)]
    at = {name: n for n, name in enumerate(names)}
    edges, tracks = [], len(names)
    for source in range(4):
        for sink in range(4):
            far = abs(source - sink)
            for delay, many in ((100 * far + 50, 1), (900, 8)):
                for _ in range(many):
                    edges += [(at[f"X{source}/Y1/lutff_{n}:out"], tracks, delay) for n in range(8)]
                    edges += [(tracks, at[f"X{sink}/Y1/lutff_{n}:in_0_lut"], 0) for n in range(8)]
                    tracks += 1
    graph = grid(edges, tracks)
    graph.x[: len(names)] = [int(name[1]) for name in names]
    graph.y[:] = 1
    graph.chip.__dict__["number"] = at
    cells = {
        "a": lut("X0/Y1/lc0", {"CLK": 3, "O": 4}),
        "b": lut("X2/Y1/lc0", {"I0": 4, "CLK": 3, "O": 5}),
        "c": lut("X0/Y1/lc1", {"CLK": 3, "O": 6}),
        "d": lut("X2/Y1/lc1", {"I0": 6, "CLK": 3, "O": 7}),
    }
    return graph, placed(cells)


def crowded() -> tuple[dict[str, Any], router.Router, np.ndarray]:
    graph, module = row()
    found = router.Router(
        graph, router.Nets.of(module, graph, set()), np.zeros((1, 3, 3), np.float32), margin=9
    )
    assert found.run()
    assert sorted(found.taken.tolist()) == [250, 900]
    far = abs(np.arange(-20, 21))[None, None, :, None] * np.ones((8, 8, 1, 41))
    return module, found, (100 * far + 50).astype(np.float32)


def test_cells_change_places_where_two_wires_want_a_track() -> None:
    """One of two wires from tile 0 to tile 2 goes around, until a cell at one of its ends stands elsewhere."""
    module, found, delay = crowded()
    cells, tiles = refine.Cells.of(module), {(x, 1) for x in range(4)}
    assert exchange(module, found, cells, tiles, delay, seed=1) > 0
    assert found.taken.max() < 250
    again = router.Nets.of(module, found.wires, set())
    assert again.source.tolist() == found.nets.source.tolist()
    assert again.sink.tolist() == found.nets.sink.tolist()
    for net, (source, sink) in enumerate(zip(again.source, again.sink, strict=True)):
        at, size = found.tree_at[net], found.tree_size[net]
        tree = found.tree_wire[at : at + size].tolist()
        assert tree[0] == source
        assert tree[-1] == sink
        assert found.wires.origin[found.tree_edge[at + 1 : at + size]].tolist() == tree[:-1]
    used = np.bincount(
        np.concatenate(
            [found.tree_wire[a : a + n] for a, n in zip(found.tree_at, found.tree_size, strict=True)]
        )
    )
    assert used.max() == 1


def test_an_exchange_that_helps_nothing_leaves_everything_as_it_was() -> None:
    module, found, delay = crowded()
    state = Exchange(found, refine.Cells.of(module), {(x, 1) for x in range(4)}, delay)
    state.limit[:] = 40  # less than any pin takes
    before = [
        found.tree_size.tolist(),
        found.occupied.tolist(),
        found.taken.tolist(),
        found.nets.source.tolist(),
    ]
    a = next(i for i, names in enumerate(state.cells.members) if names == ["a"])
    assert not state.exchange(a, state.slot[3, 1, 5])
    assert not state.exchange(a, state.slot[2, 1, 0])  # where b stands
    assert before == [
        found.tree_size.tolist(), found.occupied.tolist(), found.taken.tolist(), found.nets.source.tolist()
    ]  # fmt: skip
    assert [axis.tolist() for axis in (state.x, state.y, state.z)] == state.cells.place.T.tolist()
    assert (found.history == 1).all()


def test_pins_are_routed_along_and_no_clock_waits_for_them() -> None:
    """From a pin to a register, to another, to a pin; only the wire between the registers is timed."""
    names = [f"X{x}/Y1/lutff_{n}{end}" for x in (1, 2) for n in (0, 1) for end in (":out", ":in_0_lut")]
    names += ["X0/Y1/io_0:D_IN_0", "X0/Y1/io_1:D_OUT_0"]
    graph = grid([(0, 1, 10)], len(names))
    graph.chip.__dict__["number"] = {name: n for n, name in enumerate(names)}
    cells = {
        "in": pad("X0/Y1/io0", {"PACKAGE_PIN": 1, "D_IN_0": 2}),
        "a": lut("X1/Y1/lc0", {"I0": 2, "CLK": 9, "O": 3}),
        "b": lut("X2/Y1/lc1", {"I0": 3, "CLK": 9, "O": 4}),
        "out": pad("X0/Y1/io1", {"PACKAGE_PIN": 5, "D_OUT_0": 4}),
        "led": pad("X1/Y0/io0", {"DOUT0": 4}) | {"type": "SB_IO_OD"},  # left to nextpnr
    }
    found = router.Nets.of(placed(cells), graph, set())
    assert found.names == ["n2", "n3", "n4"]
    ends = [names[wire] for wire in (*found.source, *found.sink)]
    assert ends == [
        "X0/Y1/io_0:D_IN_0", "X1/Y1/lutff_0:out", "X2/Y1/lutff_1:out",
        "X1/Y1/lutff_0:in_0_lut", "X2/Y1/lutff_1:in_0_lut", "X0/Y1/io_1:D_OUT_0",
    ]  # fmt: skip
    assert found.timed.tolist() == [False, True, False]


def pad(place: str, pins: dict[str, int]) -> dict[str, Any]:
    ways = {pin: "output" if pin == "D_IN_0" else "input" for pin in pins}
    return {
        "type": "SB_IO", "parameters": {}, "attributes": {"NEXTPNR_BEL": place},
        "port_directions": ways, "connections": {pin: [bit] for pin, bit in pins.items()},
    }  # fmt: skip
