"""OpenML sets through scikit-learn's `fetch_openml`, from a server on this machine."""

import gzip
import hashlib
import json
import logging
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from sklearn.datasets import _openml

from lgc.errors import LgcError
from lgc.frontend import config, data
from lgc.frontend.train import train

SAMPLES = 60
COLOURS = ("blue", "green", "red")


def rows(*, sparse: bool = False, missing: bool = False) -> str:
    """Two measures and a colour; the class is whether the first measure exceeds the second."""
    rng = np.random.default_rng(0)
    lines = []
    for i in range(SAMPLES):
        a, b = rng.integers(0, 100, 2) / 10
        colour, kind = COLOURS[i % 3], "wide" if a > b else "narrow"
        first = "?" if missing and i == 7 else str(a)
        lines.append(f"{{0 {a}, 1 {b}, 3 {kind}}}" if sparse else f"{first},{b},{colour},{kind}")
    return "\n".join(lines)


def arff(body: str) -> str:
    return (
        "@RELATION shapes\n@ATTRIBUTE width REAL\n@ATTRIBUTE height REAL\n"
        f"@ATTRIBUTE colour {{{','.join(COLOURS)}}}\n@ATTRIBUTE kind {{narrow,wide}}\n@DATA\n{body}\n"
    )


FILES = {
    1: arff(rows()),
    2: arff(rows(sparse=True)),
    3: arff(rows(missing=True)),
    4: "@RELATION x\n@DATA\n1,2\n",
}
FILES[5] = FILES[1]  # with a wrong checksum
NAMES = {"shapes": [1], "twice": [1, 2]}


def feature(i: int, name: str, kind: str) -> dict[str, Any]:
    given = {"index": str(i), "name": name, "data_type": kind, "is_target": str(name == "kind").lower()}
    return given | {"is_ignore": "false", "is_row_identifier": "false", "number_of_missing_values": "0"}


class Server(BaseHTTPRequestHandler):
    """The part of OpenML's interface that is asked for."""

    asked: ClassVar[list[str]] = []

    def log_message(self, *_: object) -> None:
        """Keep quiet."""

    def do_GET(self) -> None:
        self.asked.append(self.path)
        answer = self.answer(self.path.strip("/").split("/"))
        self.send_response(200 if answer is not None else 412)
        body = gzip.compress((answer or '{"error": {"code": "111"}}').encode())
        self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def answer(self, path: list[str]) -> str | None:
        number = int(path[-1]) if path[-1].isdecimal() else 0
        if path[0] == "data":
            return FILES[int(path[-1].removesuffix(".arff"))]
        if path[4] == "list":
            found = [
                {"did": i, "version": v + 1, "status": "active"} for v, i in enumerate(NAMES.get(path[6], []))
            ]
            if "data_version" in path:
                found = [
                    each for each in found if each["version"] == int(path[path.index("data_version") + 1])
                ]
            return json.dumps({"data": {"dataset": found}}) if found else None
        if path[4] == "features":
            kinds = {"width": "numeric", "height": "numeric", "colour": "nominal", "kind": "nominal"}
            listed = [feature(i, name, kind) for i, (name, kind) in enumerate(kinds.items())]
            return json.dumps({"data_features": {"feature": listed}})
        if path[4] == "qualities":
            quality = {"name": "NumberOfInstances", "value": str(float(SAMPLES))}
            return json.dumps({"data_qualities": {"quality": [quality]}})
        return self.description(number) if number in FILES else None

    def description(self, number: int) -> str:
        text = FILES[number]
        digest = hashlib.md5((text + " " * (number == 5)).encode()).hexdigest()
        found = {
            "id": str(number),
            "name": "shapes",
            "version": "1",
            "status": "active",
            "description": "made here",
        }
        host = f"http://{self.headers['Host']}"
        form = {"format": "Sparse_ARFF" if number == 2 else "ARFF", "md5_checksum": digest}
        return json.dumps(
            {"data_set_description": found | form | {"url": f"{host}/data/v1/download/{number}.arff"}}
        )


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[list[str]]:
    """A server in OpenML's place and an empty cache; the paths it was asked for."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    for name in ("_SEARCH_NAME", "_DATA_INFO", "_DATA_FEATURES", "_DATA_QUALITIES"):
        here = getattr(_openml, name).replace(
            "https://www.openml.org", f"http://127.0.0.1:{server.server_port}"
        )
        monkeypatch.setattr(_openml, name, here)
    monkeypatch.setenv("SCIKIT_LEARN_DATA", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    Server.asked.clear()
    yield Server.asked
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("source", ["openml:shapes", "openml:Shapes@1", "openml:1"])
def test_a_set_by_name_version_and_number(asked: list[str], source: str) -> None:
    found = data.load(source)
    assert found.class_names == ("narrow", "wide")
    assert found.feature_names == ("width", "height", "colour")
    assert (len(found.train_y), len(found.test_y)) == (48, 12)
    x, y = np.concatenate([found.train_x, found.test_x]), np.concatenate([found.train_y, found.test_y])
    assert np.array_equal(y, x[:, 0] > x[:, 1])
    assert np.unique(x[:, 2]).tolist() == [0, 1, 2]  # categories as their numbers
    assert asked
    asked.clear()
    again = data.load(source)
    assert np.array_equal(again.train_x, found.train_x)
    assert not asked  # it lies in the cache


def test_a_sparse_set_and_several_versions(asked: list[str], caplog: pytest.LogCaptureFixture) -> None:
    dense = data.load("openml:1")
    sparse = data.load("openml:2")
    assert np.array_equal(sparse.train_x[:, :2], dense.train_x[:, :2])
    with caplog.at_level(logging.WARNING, "lgc"):
        data.load("openml:twice")
    assert [
        record.getMessage() for record in caplog.records if "Multiple active versions" in record.getMessage()
    ]
    assert np.array_equal(data.load("openml:twice@2").train_x, sparse.train_x)
    assert any("data_version/2" in path for path in asked)


@pytest.mark.usefixtures("asked")
@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("openml:nothing", r"^Cannot fetch 'nothing' from OpenML: .*nothing.*names and versions"),
        ("openml:shapes@9", r"^Cannot fetch 'shapes@9' from OpenML: .*version 9"),
        ("openml:77", r"^Cannot fetch '77' from OpenML: "),
        ("openml:3", r"NaN"),
        ("openml:4", r"^Cannot fetch '4' from OpenML: "),
        ("openml:5", r"^Cannot fetch '5' from OpenML: The md5 checksum"),
    ],
)
def test_what_cannot_be_had(source: str, message: str) -> None:
    with pytest.raises(LgcError, match=message) as caught:
        data.load(source)
    assert "\n" not in str(caught.value)


@pytest.mark.usefixtures("asked")
def test_a_network_learns_it(tmp_path: Path) -> None:
    settings = config.TrainConfig.from_dict(
        {
            "data": {"source": "openml:shapes", "validation": 12},
            "encoder": {"levels": 8},
            "model": {"tau": 2.0, "layers": [{"width": 80, "connections": "learned"}, {"width": 40}]},
            "train": {"epochs": 60, "batch": 16, "lr": 0.05},
        }
    )
    result = train(settings, data.load("openml:shapes"), out=tmp_path / "m.safetensors")
    assert result.metadata["source"] == "openml:shapes"
    assert result.metadata["validation_accuracy"] >= 0.75  # half is chance
