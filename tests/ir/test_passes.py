"""Every pass: golden netlists before and after, and equivalence on random ones."""

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given

from lgc.errors import ToolMissingError, UsageError
from lgc.ir.equivalence import compare
from lgc.ir.evidence import Evidence
from lgc.ir.netlist import Netlist
from lgc.ir.passes import REGISTRY, know, run, spell
from lgc.ir.text import dump, parse
from lgc.ir.verify import check

from .netlists import difflogic, netlists

GOLDEN = sorted((Path(__file__).parent / "golden").glob("*.lgc"))
SEPARATOR = "# becomes\n"
PIPELINES = [
    "fold",
    "strash",
    "dce",
    "absorb",
    "simplify",
    "merge",
    "lut-map{k=6}",
    "lut-map{k=6 depth=true cuts=2}",
    "lut-map{k=6 depth=true levels=3}",
]


@pytest.mark.parametrize("path", GOLDEN, ids=lambda p: p.stem)
def test_golden(path: Path) -> None:
    """The first line of a golden file is `# -p PIPELINE`; `LGC_UPDATE=1` writes the results anew.

    Lines `# sample BITS CLASS` are the data of passes that go by data.
    """
    text = path.read_text()
    before, _, after = text.partition(SEPARATOR)
    pipeline = before.splitlines()[0].removeprefix("# -p ")
    passes = know(REGISTRY.parse(pipeline), 1, evidence(before))
    try:
        result = dump(run(passes, parse(before)))
    except ToolMissingError as error:
        pytest.skip(str(error))
    if os.environ.get("LGC_UPDATE"):
        path.write_text(before + SEPARATOR + result)
        pytest.skip("golden file written anew")
    assert result == after


def evidence(text: str) -> Evidence | None:
    rows = [line.split()[2:] for line in text.splitlines() if line.startswith("# sample ")]
    if not rows:
        return None
    bits = np.array([[c == "1" for c in word] for word, _ in rows])
    return Evidence(bits, bits, np.array([int(label) for _, label in rows]), "golden")


def test_every_pass_has_a_golden_file() -> None:
    assert {path.stem.split(".")[0] for path in GOLDEN} == set(REGISTRY.passes)


@pytest.mark.parametrize("pipeline", PIPELINES)
@given(net=netlists())
def test_equivalence(pipeline: str, net: Netlist) -> None:
    result = run(REGISTRY.parse(pipeline), net)
    check(result)
    comparison = compare(net, result)
    assert comparison.proof == "exhaustive"
    assert comparison.equal, dump(net)


@pytest.mark.parametrize("k", [2, 3, 4, 5])
@given(net=netlists(max_k=2))
def test_lut_map_to_every_k(k: int, net: Netlist) -> None:
    result = run(REGISTRY.parse(f"lut-map{{k={k}}}"), net)
    check(result)
    assert result.k == k
    assert compare(net, result).equal
    assert result.luts <= run(REGISTRY.parse("strash,dce"), net).luts


@given(net=netlists())
def test_passes_are_deterministic(net: Netlist) -> None:
    for pipeline in PIPELINES:
        assert dump(run(REGISTRY.parse(pipeline), net)) == dump(run(REGISTRY.parse(pipeline), net))


@given(net=netlists(max_k=4))
def test_pipeline_bounds_the_luts_between_registers(net: Netlist) -> None:
    for levels in (1, 2, 5):
        staged = run(REGISTRY.parse(f"dce,pipeline{{levels={levels}}}"), net)
        check(staged)
        assert staged.stage is not None
        assert longest_run(staged) <= levels


def longest_run(net: Netlist) -> int:
    """LUTs between registers if a signal is registered exactly where all its readers are later."""
    assert net.stage is not None
    registered = [True] * net.signals
    for i, pins in enumerate(net.fanin.tolist()):
        for s in pins:
            if s < net.first_lut or net.stage[s - net.first_lut] == net.stage[i]:
                registered[s] = False
    run_of = [0] * net.signals
    for i, pins in enumerate(net.fanin.tolist()):
        run_of[net.first_lut + i] = 1 + max(0 if registered[s] else run_of[s] for s in pins)
    return max(run_of, default=0)


def test_lut_map_merges_a_trained_like_network() -> None:
    net = difflogic(200, [400, 400, 400], classes=10, seed=1, passing=0.4)
    simple = run(REGISTRY.parse("simplify"), net)
    mapped = run(REGISTRY.parse("lut-map{k=4}"), simple)
    assert mapped.luts < 0.8 * simple.luts
    assert compare(net, mapped, samples=512).equal


def test_depth_mode_is_never_deeper() -> None:
    net = difflogic(100, [300, 300, 300, 300], classes=10, seed=2)
    area, depth = (run(REGISTRY.parse(f"lut-map{{k=4 depth={d}}}"), net) for d in ("false", "true"))
    assert deepest(depth) <= deepest(area)
    assert deepest(depth) == 2


def deepest(net: Netlist) -> int:
    level = np.zeros(net.signals, int)
    for i in range(net.luts):
        level[net.first_lut + i] = 1 + level[net.fanin[i]].max()
    return int(level.max())


@pytest.mark.parametrize(
    ("pipeline", "message"),
    [
        ("strsh", "There is no pass named 'strsh'. Did you mean strash"),
        ("lut-map{kk=4}", "Pass lut-map has no option 'kk'. Did you mean k"),
        ("lut-map{k=x}", "Option k of pass lut-map must be a whole number, not 'x'."),
        ("lut-map{k=9}", "Pass lut-map: k must be 2 to 6, not 9."),
        ("lut-map{levels=3}", "Pass lut-map: levels must not be negative, and needs depth=true."),
        ("lut-map{depth=1}", "Option depth of pass lut-map must be true or false, not '1'."),
        ("fold}{", "Cannot read 'fold}{' in the pipeline. Write name or name{option=value}."),
    ],
)
def test_bad_pipelines_are_explained(pipeline: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        REGISTRY.parse(pipeline)
    assert str(caught.value).startswith(message)


def test_spelling_round_trips() -> None:
    text = "strash,absorb,dce,lut-map{k=6 depth=true},pipeline{levels=2}"
    assert ",".join(map(spell, REGISTRY.parse(text))) == text
