"""Targets: ours, a user's, and broken ones."""

import re
from importlib.resources import files
from pathlib import Path

import pytest

from lgc.backend.family import FAMILIES
from lgc.backend.target import load, names
from lgc.backend.tools import TOOLS
from lgc.errors import LgcError, UsageError

HX1K = (files("lgc.backend") / "targets" / "ice40-hx1k.toml").read_text()


def test_every_target_loads_under_its_name() -> None:
    assert {"ice40-hx1k", "ice40-hx8k", "ice40-up5k"} <= set(names())
    for name in names():
        target = load(name)
        assert target.name == name
        assert target.luts == target.resources.lut > 1000
        assert target.cells.estimated or any(target.device in word for word in target.pnr)
        assert len(set(target.pins)) == len(target.pins)
        assert not target.pins or target.resources.io == len(target.pins)
        assert target.clock_limit_mhz is None or 100 < target.clock_limit_mhz < 1000


def test_families_name_tools_that_lgc_can_find() -> None:
    for name, family in FAMILIES.items():
        assert family.name == name
        assert set(family.tools) <= set(TOOLS)
        assert {load(target).family for target in names()} == set(FAMILIES)


def test_a_users_own_target(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(HX1K.replace('name = "ice40-hx1k"', 'name = "mine"').replace("io = 95", "io = 12"))
    target = load(path)
    assert (target.name, target.resources.io, target.k) == ("mine", 12, 4)


def test_the_clock_network_limits_the_clock(tmp_path: Path) -> None:
    """Figures of the data sheets; a target that names none has no limit."""
    limits = {name: load(name).clock_limit_mhz for name in names()}
    assert {limits[f"ice40-{device}"] for device in ("hx1k", "hx4k", "hx8k", "lp1k", "lp4k", "lp8k")} == {275}
    assert (limits["ice40-up5k"], limits["xc7a35t"], limits["xczu3eg"]) == (185, 464, 667)
    assert [load("ice40-hx1k").at_most(mhz) for mhz in (274.5, 300)] == [274.5, 275]
    path = tmp_path / "mine.toml"
    assert "clock_limit_mhz = 275 " in HX1K
    path.write_text(HX1K.replace("clock_limit_mhz = 275", "clock_limit_mhz = 133.5"))
    assert load(path).at_most(200) == 133.5
    path.write_text(re.sub("clock_limit_mhz.*", "", HX1K))
    assert (load(path).clock_limit_mhz, load(path).at_most(900)) == (None, 900)


def test_a_router_that_wants_all_pins_is_told_some(tmp_path: Path) -> None:
    text = (files("lgc.backend") / "targets" / "gowin-gw1n-9.toml").read_text()
    path = tmp_path / "mine.toml"
    path.write_text(re.sub(r"(?s)pins = \[.*?\]", "", text))
    with pytest.raises(LgcError, match="lacks the entry 'pins': the router wants a place for each pin"):
        load(path)


def test_an_unknown_name_gets_a_suggestion() -> None:
    with pytest.raises(UsageError, match=r"^Unknown target 'ice40-hx9k'\. Did you mean .*ice40-hx8k"):
        load("ice40-hx9k")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("k = 4", "k = = 4", "is not valid TOML: "),
        ("k = 4", "", "lacks the entry 'k'."),
        ("k = 4", "k = 6", "has LUTs of 4 inputs, not 6."),
        ("k = 4", 'k = "four"', "'k' is 'four', expected a number not below 0."),
        ('family = "ice40"', 'family = "virtex"', "lgc cannot build for family 'virtex'."),
        ("io = 95", "io = -1", "'io' is -1, expected a number not below 0."),
        ("io = 95", "io = true", "'io' is True, expected a number not below 0."),
        ("io = 95", "oi = 95", "has an unknown entry 'oi'. Did you mean io?"),
        ('synth = ["-device", "hx"]', 'synth = "-device hx"', "expected a list of strings."),
        ("[tools]", "[tool]", "lacks the entry 'tools'."),
        ("limit_mhz = 275", "limit_mhz = 0", "'clock_limit_mhz' is 0, expected a frequency in MHz above 0."),
        ("limit_mhz = 275", 'limit_mhz = "275"', "'clock_limit_mhz' is '275', expected a frequency"),
        ("limit_mhz = 275", "limit_mhz = true", "'clock_limit_mhz' is True, expected a frequency"),
        ("limit_mhz = 275", "limit_mhz = nan", "'clock_limit_mhz' is nan, expected a frequency"),
    ],
)
def test_broken_targets_say_what_is_wrong(tmp_path: Path, old: str, new: str, message: str) -> None:
    path = tmp_path / "broken.toml"
    assert old in HX1K
    path.write_text(HX1K.replace(old, new))
    with pytest.raises(LgcError, match=re.escape(message)) as error:
        load(path)
    assert "broken.toml" in str(error.value)


def test_a_target_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(LgcError, match=r"^Cannot read the target .*none\.toml: No such file or directory\.$"):
        load(tmp_path / "none.toml")
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(LgcError, match=r"bytes\.toml: not text\.$"):
        load(tmp_path / "bytes.toml")
