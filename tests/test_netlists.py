import re
from pathlib import Path

import pytest

from lgc import netlists
from lgc.errors import LgcError, UsageError
from lgc.ir.equivalence import compare

from .ir.netlists import random_netlist


@pytest.mark.parametrize("suffix", [suffix for suffix in netlists.SUFFIXES if suffix != ".c"])
def test_every_format_by_its_suffix(suffix: str, tmp_path: Path) -> None:
    net = random_netlist(3, k=4)
    path = tmp_path / f"net{suffix}"
    netlists.write(path, net)
    assert compare(netlists.read(path), net).equal
    netlists.write(path.with_suffix(suffix.upper()), net)
    assert path.read_bytes() == path.with_suffix(suffix.upper()).read_bytes()


def test_c_is_only_written(tmp_path: Path) -> None:
    netlists.write(tmp_path / "net.c", random_netlist(0))
    assert "void lgc_scores(" in (tmp_path / "net.c").read_text()
    with pytest.raises(
        UsageError, match=r"net\.c has the suffix '\.c', which names no netlist format\. Known: \.lgc, "
    ):
        netlists.read(tmp_path / "net.c")


@pytest.mark.parametrize("name", ["net.edif", "net"])
def test_unknown_suffixes_name_the_known_ones(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"Known: \.lgc, \.npz, \.blif, \.aig, \.aag, \.v\.$"):
        netlists.read(tmp_path / name)
    with pytest.raises(UsageError, match=r"Known: \.lgc, \.npz, \.blif, \.aig, \.aag, \.v, \.c\.$"):
        netlists.write(tmp_path / name, random_netlist(0))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("suffix", [suffix for suffix in netlists.SUFFIXES if suffix != ".c"])
def test_errors_name_the_file(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"net{suffix}"
    with pytest.raises(LgcError, match=f"^Cannot read {re.escape(str(path))}: No such file or directory"):
        netlists.read(path)
    path.write_bytes(b"\x00\xff damaged")
    with pytest.raises(LgcError, match="^" + re.escape(f"{path}: ")):
        netlists.read(path)


def test_a_failed_write_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "net.blif"
    path.write_text("before")
    with pytest.raises(AttributeError):
        netlists.write(path, None)  # type: ignore[arg-type]
    assert [p.name for p in tmp_path.iterdir()] == ["net.blif"]
    assert path.read_text() == "before"


def test_a_place_that_is_not_writable(tmp_path: Path) -> None:
    with pytest.raises(LgcError, match="^Cannot write .*: No such file or directory. Choose another place"):
        netlists.write(tmp_path / "absent" / "net.blif", random_netlist(0))
