"""Placing once more, for designs with a register behind every LUT."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lgc.backend import pnr, refine
from lgc.backend.family import FAMILIES
from lgc.backend.pnr import PLACED, place_and_route
from lgc.backend.rtl import write_rtl
from lgc.backend.synth import Synthesis, synthesise
from lgc.backend.target import load
from lgc.backend.tools import Tool
from lgc.errors import LgcError
from lgc.hw_tests.samples import random_sample

from ..needs import needs


@pytest.fixture(scope="module")
def registered(tmp_path_factory: pytest.TempPathFactory) -> Synthesis:
    sample = random_sample(seed=5, layers=(60, 50), classes=3, luts_per_stage=1)
    out = tmp_path_factory.mktemp("registered")
    files = write_rtl(sample.encoder, sample.fabric, out=out / "rtl", argmax_registers=True)
    return synthesise(files, load("ice40-hx8k"), out=out / "synth")


@needs("yosys", "nextpnr-ice40")
def test_cells_get_places_of_their_own_and_the_design_stays(registered: Synthesis, tmp_path: Path) -> None:
    found = place_and_route(registered, load("ice40-hx8k"), out=tmp_path, eager=True, timeout_s=300)
    assert "--no-route" in found.commands[0]
    assert PLACED in found.commands[1]
    before, after = (json.loads(p.read_text()) for p in (registered.netlist, tmp_path / PLACED))
    places = {}
    for cell in after["modules"]["lgc_top"]["cells"].values():
        if place := cell["attributes"].pop("BEL", None):
            places.setdefault(place, []).append(cell["type"])
    assert after == before
    assert len(places) > 150
    assert all(sorted(kinds) in (["SB_DFF"], ["SB_LUT4"], ["SB_DFF", "SB_LUT4"]) for kinds in places.values())


@needs("yosys", "nextpnr-ice40")
def test_places_that_do_not_route_are_given_up(
    registered: Synthesis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    route = pnr._run

    def fails(nextpnr: Tool, args: list[str], *rest: Any) -> tuple[str, float]:
        if PLACED in args:
            raise LgcError("No routing was found.")
        return route(nextpnr, args, *rest)

    monkeypatch.setattr(pnr, "_run", fails)
    found = place_and_route(registered, load("ice40-hx8k"), out=tmp_path, eager=True, timeout_s=300)
    assert [PLACED in command for command in found.commands] == [False]


def test_long_wires_become_short() -> None:
    """A ring of cells, dealt out at random, closes its gaps; tiles hold no more than eight of them."""
    rng = np.random.default_rng(0)
    cells = 200
    tiles = np.stack(np.meshgrid(np.arange(1, 9), np.arange(1, 9), indexing="ij"), axis=-1).reshape(-1, 2)
    where = np.repeat(tiles, 4, axis=0)[rng.permutation(256)[:cells]].astype(np.int32)
    wires = np.stack([np.arange(cells), (np.arange(cells) + 1) % cells], axis=1)
    places, (before, after) = refine._annealed(where, cells, wires, seed=1)
    assert before > 8
    assert after <= 3
    assert len(set(places)) == cells
    assert {place[:2] for place in places} <= set(map(tuple, where.tolist()))


def test_cells_that_stay_pull_those_that_move() -> None:
    where = np.array([[1, 1], [9, 9], [9, 9], [9, 8]], np.int32)
    places, _ = refine._annealed(where[[0, 2, 1, 3]], 2, np.array([[0, 2], [0, 3], [1, 2]]), seed=1)
    assert places[0][:2] == (9, 9)


def test_paths_of_several_luts_are_left_to_the_placer(tmp_path: Path) -> None:
    """Without registers the slowest path is no single wire."""
    lut = {"type": "SB_LUT4", "attributes": {}, "port_directions": {"I0": "input", "O": "output"}}
    cells = {f"l{i}": lut | {"connections": {"I0": [2 + i], "O": [3 + i]}} for i in range(3)}
    ports = {"a": {"direction": "input", "bits": [2]}, "b": {"direction": "output", "bits": [5]}}
    netlist, placed = tmp_path / "netlist.json", tmp_path / "cells.json"
    netlist.write_text(
        json.dumps({"modules": {"m": {"attributes": {"top": 1}, "ports": ports, "cells": cells}}})
    )
    at = {f"l{i}_LC": {"attributes": {"NEXTPNR_BEL": f"X1/Y1/lc{i}"}} for i in range(3)}
    placed.write_text(json.dumps({"modules": {"m": {"cells": at}}}))
    assert refine.refine(netlist, placed, FAMILIES["ice40"], tmp_path / "out.json", seed=1) is None
    assert not (tmp_path / "out.json").exists()
