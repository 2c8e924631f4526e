"""Pin files and boards: what goes where, and what cannot."""

import json
from importlib.resources import files
from pathlib import Path

import pytest

from lgc.backend import board, target
from lgc.backend.pins import ports, write_pins
from lgc.errors import LgcError, UsageError

ICEBREAKER = (files("lgc.backend") / "boards" / "icebreaker.toml").read_text()


@pytest.fixture
def netlist(tmp_path: Path) -> Path:
    found = {"clk": [2], "rx": [3], "tx": [4], "led": [5, 6]}
    path = tmp_path / "netlist.json"
    path.write_text(
        json.dumps({"modules": {"lgc_top": {"ports": {n: {"bits": b} for n, b in found.items()}}}})
    )
    return path


def test_ports_are_bits(netlist: Path) -> None:
    assert ports(netlist) == ["clk", "rx", "tx", "led[0]", "led[1]"]


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("ice40-up5k", ["set_io clk 35", "set_io led[1] 9"]),
        (
            "ecp5-25f",
            [
                'LOCATE COMP "clk" SITE "35";',
                'LOCATE COMP "led[1]" SITE "9";',
                'IOBUF PORT "led[1]" IO_TYPE=LVCMOS18;',
            ],
        ),
    ],
)
def test_pin_files_of_the_families(netlist: Path, tmp_path: Path, name: str, lines: list[str]) -> None:
    pins = {"clk": "35", "led[1]": "9 LVCMOS18"}
    path = write_pins(pins, netlist, target.load(name), tmp_path / "pins")
    assert path.read_text().splitlines() == lines


def test_where_all_pins_are_wanted_the_target_names_the_rest(netlist: Path, tmp_path: Path) -> None:
    gowin = target.load("gowin-gw1n-9")
    path = write_pins({"rx": "52 LVCMOS33"}, netlist, gowin, tmp_path / "pins.cst")
    free = [pin for pin in gowin.pins if pin != "52"]
    assert path.read_text().splitlines() == [
        'IO_LOC "rx" 52;',
        'IO_PORT "rx" IO_TYPE=LVCMOS33;',
        *(f'IO_LOC "{p}" {pin};' for p, pin in zip(("clk", "tx", "led[0]", "led[1]"), free, strict=False)),
    ]


def test_pins_that_clash_or_have_no_port(netlist: Path, tmp_path: Path) -> None:
    up5k = target.load("ice40-up5k")
    with pytest.raises(UsageError, match=r"^Ports 'clk' and 'rx' are both on pin 35\.$"):
        write_pins({"clk": "35", "rx": "35 LVCMOS33"}, netlist, up5k, tmp_path / "pins")
    with pytest.raises(UsageError, match=r"^The design has no port 'led\[2\]' to place\. Did you mean .*led"):
        write_pins({"led[2]": "35"}, netlist, up5k, tmp_path / "pins")
    assert not (tmp_path / "pins").exists()


def test_more_ports_than_pins(tmp_path: Path) -> None:
    path = tmp_path / "netlist.json"
    path.write_text(json.dumps({"modules": {"lgc_top": {"ports": {"x": {"bits": list(range(2, 102))}}}}}))
    with pytest.raises(LgcError, match=r"^gowin-gw1n-9 has 53 pins for the 100 ports left to place\.$"):
        write_pins({}, path, target.load("gowin-gw1n-9"), tmp_path / "pins")


def test_a_netlist_of_something_else(tmp_path: Path) -> None:
    (tmp_path / "netlist.json").write_text('{"modules": []}')
    with pytest.raises(LgcError, match=r"^netlist\.json is not a netlist of Yosys: "):
        ports(tmp_path / "netlist.json")


@pytest.mark.parametrize("name", board.names())
def test_every_board_fits_its_target(name: str) -> None:
    found = board.load(name)
    chip = target.load(found.target)
    assert found.name == name
    assert len(found.pins) + len(found.leds) <= chip.resources.io
    if chip.pins:  # pins of boards need not be among them, but most are
        assert {pin.split()[0] for pin in found.pins.values()} <= set(chip.pins)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('clk = "35"', 'clk = "6"', r"^Ports 'clk' and 'rx' are both on pin 6\.$"),
        ('leds = ["11", "37"]', 'leds = ["11", "35"]', r"^Ports 'clk' and 'led 1' are both on pin 35\.$"),
        ('rx = "6"', "", "both of rx and tx or neither"),
        ('clk = "35"', "", "a board has the pins clk"),
        ("12_000_000", "0", "'clock_hz' is 0, expected a int"),
        ('rx = "6"', "rx = 6", "pins are strings"),
        ("title", "titel", "has an unknown entry 'titel'. Did you mean title"),
        ("[pins]", "[pins", "is not valid TOML"),
    ],
)
def test_broken_boards_say_what_is_wrong(tmp_path: Path, old: str, new: str, message: str) -> None:
    path = tmp_path / "mine.toml"
    assert old in ICEBREAKER
    path.write_text(ICEBREAKER.replace(old, new))
    with pytest.raises(LgcError, match=message):
        board.load(path)


def test_a_board_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"^Unknown board 'icebraker'\. Did you mean .*icebreaker"):
        board.load("icebraker")
    with pytest.raises(LgcError, match=r"^Cannot read the board .*none\.toml: No such file"):
        board.load(tmp_path / "none.toml")
