"""Least delays in the benchmark's picture of Artix-7: a database of four tiles, reckoned by hand."""

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
LATE = {"1": 0.5, "6": 0.01}
"""Nanoseconds of pins that are not 0."""


@pytest.fixture(scope="module")
def wires() -> ModuleType:
    pytest.importorskip("scipy")
    spec = importlib.util.spec_from_file_location("xc7_wires", ROOT / "benchmarks" / "xc7_wires.py")
    assert spec is not None
    assert spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    sys.modules["xc7_wires"] = found  # dataclasses look their module up
    spec.loader.exec_module(found)
    return found


def pip(
    a: str, b: str, delay: float | None, in_cap: float = 0, res: float = 0, *, both: bool = False
) -> dict[str, object]:
    facts = {
        "delay": None if delay is None else ["0", "0", "0", str(delay)],
        "in_cap": str(in_cap),
        "res": str(res),
    }
    way = {"src_wire": a, "dst_wire": b, "src_to_dst": facts, "dst_to_src": facts}
    return {f"{a}->{b}": way | {"is_pseudo": "0", "is_directional": "0" if both else "1"}}


def clb(kinds: tuple[str, ...], pins: tuple[str, ...]) -> dict[str, object]:
    """A CLB whose outputs are all one wire, and whose pins are all another."""
    names: dict[str, object] = {"OUT": {"cap": "4", "res": "0"}, "IN": None, "PASS": None}
    pips: dict[str, object] = {}
    sites = []
    for slice_ in ("L", "LL"):
        found: dict[str, object] = {}
        for site in "ABCD":
            for kind in kinds:
                found[site + kind] = {
                    "wire": f"CLBLL_{slice_}_{site}{kind}",
                    "delay": ["0"] * 4,
                    "res": "500",
                }
                pips |= pip(f"CLBLL_{slice_}_{site}{kind}", "OUT", None)
            for pin in pins:
                late = ["0", "0", "0", str(LATE.get(pin, 0))]
                found[site + pin] = {"wire": f"CLBLL_{slice_}_{site}{pin}", "delay": late, "cap": "0"}
                pips |= pip("IN", f"CLBLL_{slice_}_{site}{pin}", None)
        names |= {f"CLBLL_{slice_}_{name}": None for name in found}
        sites.append({"site_pins": found})
    # through a LUT: nothing that a wire may use
    pips |= {"LUT": pip("IN", "OUT", 0.001)["IN->OUT"] | {"is_pseudo": "1"}}  # type: ignore[operator]
    return {"wires": names, "pips": pips, "sites": sites}


def test_the_least_delay_by_hand(tmp_path: Path, wires: ModuleType) -> None:
    left = {"wires": dict.fromkeys(("OUT", "IN")) | {"ACROSS": {"cap": "3", "res": "40"}}, "sites": []}
    left["pips"] = pip("OUT", "IN", 0.1, 10, 1000) | pip("OUT", "ACROSS", 0.2, 20, 2000, both=True)
    right = {
        "wires": dict.fromkeys(("OUT", "IN", "ACROSS")),
        "sites": [],
        "pips": pip("ACROSS", "IN", 0.3, 5, 100),
    }
    tiles = dict(zip(wires.COLUMNS, (None, left, right, None), strict=True))
    folder = tmp_path / "artix7" / "part"
    folder.mkdir(parents=True)
    for name, tile in tiles.items():
        (tmp_path / "artix7" / f"tile_type_{name}.json").write_text(
            json.dumps(tile or clb(wires.KINDS, wires.PINS))
        )
    same = [["OUT", "OUT"], ["IN", "IN"]]
    pairs = (same, [["ACROSS", "ACROSS"]], same, [["PASS", "PASS"]])
    around = zip(wires.COLUMNS, (*wires.COLUMNS[1:], wires.COLUMNS[0]), pairs, strict=True)
    joints = [{"tile_types": [a, b], "grid_deltas": [1, 0], "wire_pairs": some} for a, b, some in around]
    (folder / "tileconn.json").write_text(json.dumps(joints))
    found = wires.Patch(tmp_path, groups=1, rows=1).table()
    assert found.shape == (2, 3, 7, 3, 3)
    first = 500 * 4 / 1000  # the output charges its wire
    home = first + 100 + 500 * 10 / 1000
    # over: the switch, what it charges with half of its resistance, and the next switch behind both
    over = first + 200 + 500 * 20 / 1000 + 2000 * 3 / 1000 + 40 * 3 / 2000 + 300 + (2000 + 40) * 5 / 1000
    for kind in range(3):
        for pin, name in enumerate(wires.PINS):
            late = 1000 * LATE.get(name, 0)
            assert found[0, kind, pin, 1, 1] == pytest.approx(home + late)
            assert found[0, kind, pin, 2, 1] == pytest.approx(over + late)
    assert np.isinf(found[0, 0, 0, 1, 0])  # nothing leads to another row
    (folder / "tileconn.json").write_text(json.dumps(joints[:2]))
    with pytest.raises(SystemExit, match=r"joins INT_R to CLBLL_R; is the checkout whole\?"):
        wires.Patch(tmp_path, groups=1, rows=1)
