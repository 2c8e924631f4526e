"""Netlists of other families after synthesis, simulated with the cell models that Yosys ships."""

from pathlib import Path

import pytest

import lgc
from lgc.backend import tools
from lgc.backend.models import cell_models
from lgc.errors import ToolMissingError
from lgc.frontend import checkpoint
from lgc.verification import verify
from lgc.verification.rungs import EQUAL

from .needs import needs_tools, needs_yosys
from .test_verify import tiny

LIBRARY = "+/ecp5/cells_sim.v"


@needs_yosys
def test_models_bring_what_they_consist_of(tmp_path: Path) -> None:
    text = cell_models(tools.find("yosys"), LIBRARY, ["CCU2C", "TRELLIS_FF"], tmp_path)
    assert [line.split("(")[0].split()[1] for line in text.splitlines() if line.startswith("module ")] == [
        "CCU2C",
        "TRELLIS_FF",
        "LUT4",
        "LUT2",
    ]
    assert "specify" not in text
    assert not list(tmp_path.iterdir())


@needs_yosys
@pytest.mark.parametrize("name", ["DP16KD", "NO_SUCH_CELL"])
def test_a_cell_without_a_model_is_named(name: str, tmp_path: Path) -> None:
    with pytest.raises(ToolMissingError, match=f"has no simulation model of {name} in "):
        cell_models(tools.find("yosys"), LIBRARY, ["LUT4", name], tmp_path)


@needs_tools
@pytest.mark.parametrize(
    "target",
    [
        "ecp5-25f",
        *(
            pytest.param(name, marks=pytest.mark.slow)
            for name in ("gowin-gw1n-9", "nexus-lifcl-40", "machxo2-1200", "xc7a35t", "xczu3eg")
        ),
    ],
)
def test_the_netlist_after_synthesis(target: str, tmp_path: Path) -> None:
    checkpoint.save(tmp_path / "tiny.safetensors", tiny(30))
    build = lgc.compile(tmp_path / "tiny.safetensors", images=2, until="synthesis", target=target)
    rung = verify(build.path, levels=["gates"], images=8).rungs[0]
    assert rung.verdict == EQUAL, rung
    assert rung.method.endswith("vendor cells)")
    assert rung.compared > 8
