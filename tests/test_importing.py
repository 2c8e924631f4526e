"""`lgc import` from the command line to a compiled network."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from lgc import importing
from lgc.cli import main
from lgc.errors import LgcError, MismatchError, UsageError
from lgc.frontend import checkpoint
from lgc.ir.encoder import FixedPoint

ROOT = Path(__file__).parents[1]


def container(folder, **more):
    """Two classes, four ready bits; and the scores of all patterns."""
    layer = {"fanin": [[0, 3], [1, 2], [0, 0], [3, 2]], "table": [8, 6, 1, 14]}
    file = folder / "n.json"
    file.write_text(
        json.dumps({"format": "lgc-network-1", "bits": 4, "classes": 2, "layers": [layer]} | more)
    )
    x = (np.arange(16)[:, None] >> np.arange(4) & 1).astype(bool)
    scores = np.stack([(x[:, 0] & x[:, 3]) * 1 + (x[:, 1] ^ x[:, 2]), ~x[:, 0] * 1 + (x[:, 3] | x[:, 2])], 1)
    return file, x, scores


def run(*arguments):
    return CliRunner().invoke(main, [str(a) for a in arguments], catch_exceptions=False)


def test_the_command_says_what_it_found(tmp_path):
    file, _, _ = container(tmp_path)
    done = run("import", file, "-o", tmp_path / "m.safetensors", "--json", "--class-names", "no, yes")
    facts = json.loads(done.stdout)
    assert facts == {
        "checkpoint": str(tmp_path / "m.safetensors"),
        "format": "lgc-json",
        "layers": 1,
        "nodes": 4,
        "widths": "4 of 2 inputs",
        "inputs": "4 features of 1 bit, ready bits: 4 input bits",
        "classes": 2,
        "wiring": "in the file",
        "checked": "agreement with the original package was not checked",
    }
    saved = checkpoint.load(tmp_path / "m.safetensors")
    assert saved.class_names == ("no", "yes")
    assert saved.metadata["imported"]["file"] == "n.json"
    assert len(saved.metadata["imported"]["sha256"]) == 64
    shown = run("inspect", tmp_path / "m.safetensors").stdout
    assert "4 × 2-input light" in shown


@pytest.mark.parametrize("form", ["bits", "packed", "x"])
def test_scores_are_checked(tmp_path, form):
    file, x, scores = container(tmp_path)
    given = {"bits": x} if form == "bits" else {"x": x.astype(np.uint8)}
    if form == "packed":
        given = {"bits": np.packbits(x, axis=1), "n_bits": 4}
    np.savez(tmp_path / "s.npz", scores=scores, **given)
    out = tmp_path / "m.safetensors"
    done = run("import", file, "-o", out, "--check", tmp_path / "s.npz", "--json")
    assert json.loads(done.stdout)["checked"] == "all scores of 16 samples equal those in s.npz"
    assert checkpoint.load(out).metadata["imported"]["checked"].startswith("all scores of 16")


def test_a_different_score_is_a_mismatch(tmp_path):
    file, x, scores = container(tmp_path)
    scores[5, 1] += 1
    np.savez(tmp_path / "s.npz", scores=scores, bits=x)
    with pytest.raises(MismatchError, match="Sample 5, class 1: .*; 1 of 16 samples differ") as caught:
        importing.run(file, tmp_path / "m.safetensors", "auto", tmp_path / "s.npz")
    assert caught.value.exit_code == 4
    assert not (tmp_path / "m.safetensors").exists()


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"scores": np.zeros((16, 2))}, "must hold scores, and either x or bits"),
        ({"bits": np.zeros((16, 4))}, "must hold scores"),
        ({"scores": np.zeros((16, 3)), "bits": np.zeros((16, 4), bool)}, "has scores [16, 3]; the network gives [16, 2]"),
        ({"scores": np.zeros((16, 2)), "bits": np.zeros((16, 5), bool)}, "the network has 4 input bits"),
        ({"scores": np.zeros((0, 2)), "bits": np.zeros((0, 4), bool)}, "has scores [0, 2]"),
        ({"scores": np.zeros((16, 2)), "bits": np.zeros((16, 4))}, "The bits are float64"),
        ({"scores": np.zeros((16, 2)), "bits": np.zeros((16, 0), np.uint8), "n_bits": 4}, "The packed bits are"),
    ],
)  # fmt: skip
def test_files_of_scores_that_do_not_fit(tmp_path, arrays, message):
    file, _, _ = container(tmp_path)
    np.savez(tmp_path / "s.npz", **arrays)
    with pytest.raises(LgcError) as caught:
        importing.check(importing.read(file), tmp_path / "s.npz")
    assert message in str(caught.value)


def test_texts_of_the_command_line():
    found = importing.options(inputs="4x3", thresholds="0.25,0.5", bits="s12.8", class_names="a,b", seed=3)
    assert (found.inputs, found.thresholds, found.form) == ((4, 3), ((0.25, 0.5),), FixedPoint(12, 8, True))
    assert (found.class_names, found.seed) == (("a", "b"), 3)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"inputs": "28by28"}, "Cannot read the shape '28by28'. Write it as 784"),
        ({"inputs": "0x5"}, "Cannot read the shape"),
        ({"inputs": "1x2x3x4x5"}, "Cannot read the shape"),
        ({"thresholds": "half"}, "Cannot read the thresholds 'half'"),
        ({"thresholds": "nowhere.npy"}, "Cannot read the thresholds nowhere.npy"),
        ({"bits": "wide"}, "Cannot read the feature format 'wide'"),
        ({"bits": "40"}, "Cannot read the feature format '40'"),
        ({"bits": "8.99"}, "too many bits after the point"),
    ],
)
def test_texts_that_cannot_be_read(given, message):
    with pytest.raises(LgcError) as caught:
        importing.options(**given)
    assert message in str(caught.value)


def test_thresholds_from_an_array(tmp_path):
    np.save(tmp_path / "t.npy", np.array([[0.5, 1.5], [2.5, 3.5]], np.float32))
    assert importing.options(thresholds=str(tmp_path / "t.npy")).thresholds == ((0.5, 1.5), (2.5, 3.5))


def test_help_names_every_format_and_every_option_has_a_line():
    from lgc.frontend.importers import FORMATS

    text = run("import", "--help").stdout
    table, _, listed = text.partition("Options:")
    assert [name for name in [*FORMATS, "netlist"] if f"  {name} " not in table] == []
    assert len(re.findall(r"^ +--?[a-z]", listed, re.MULTILINE)) > 20
    examples = [line.split()[2] for line in table.splitlines() if line.strip().startswith("lgc import ")]
    assert len(examples) >= 8


def test_names_that_do_not_exist(tmp_path):
    with pytest.raises(LgcError, match="There is no file .*nothing.pth"):
        importing.read(tmp_path / "nothing.pth")
    file, _, _ = container(tmp_path)
    with pytest.raises(UsageError, match="There is no format 'diflogic'. Did you mean difflogic"):
        importing.read(file, "diflogic")


def test_without_torch_only_torch_files_are_out_of_reach(tmp_path):
    file, _, _ = container(tmp_path)
    (tmp_path / "m.pth").write_bytes(b"PK")
    script = (
        "import sys; sys.modules['torch'] = None\n"
        "from pathlib import Path\nfrom lgc import importing\nimport lgc.errors\n"
        f"print(importing.read(Path({str(file)!r})).format)\n"
        f"try:\n    importing.read(Path({str(tmp_path / 'm.pth')!r}))\n"
        "except lgc.errors.ToolMissingError as error:\n    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [
        "lgc-json",
        'Torch files are read with PyTorch, which is not installed. pip install "lgc[train]"',
    ]


def test_the_example_hands_a_network_over(tmp_path):
    done = subprocess.run(
        [sys.executable, ROOT / "examples" / "import_any.py", tmp_path],
        capture_output=True,
        text=True,
        check=True,
    )
    first, second = done.stdout.splitlines()
    assert first.startswith("all scores of 360 samples equal those in scores.npz; accuracy 8")
    assert second == f"Verilog is in {tmp_path / 'build'}"
    assert list((tmp_path / "build").rglob("*.v"))
    assert checkpoint.load(tmp_path / "model.safetensors").metadata["imported"]["format"] == "lgc-json"
