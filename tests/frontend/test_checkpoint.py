import dataclasses
import json
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save_file

from lgc.errors import LgcError
from lgc.frontend import checkpoint

from .networks import random_checkpoint, random_conv_checkpoint

Tensors = dict[str, Any]
Header = dict[str, Any]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    out = tmp_path / "model.safetensors"
    checkpoint.save(out, random_checkpoint(0))
    return out


@given(st.integers(0, 2**32), st.sampled_from(["dlgn2", "light4 dlgn2", "light6"]))
def test_round_trip(tmp_path_factory: pytest.TempPathFactory, seed: int, layers: str) -> None:
    model = random_checkpoint(seed, layers=layers)
    out = tmp_path_factory.mktemp("round") / "deep" / "model.safetensors"
    checkpoint.save(out, model)
    back = checkpoint.load(out)
    assert np.array_equal(back.encoder.threshold, model.encoder.threshold)
    assert back.encoder.format == model.encoder.format
    for ours, theirs in zip(back.layers, model.layers, strict=True):
        assert np.array_equal(ours.fanin, theirs.fanin)
        assert np.array_equal(ours.parameters, theirs.parameters)
        assert ours.relaxation == theirs.relaxation
    assert (back.class_names, back.tau, back.metadata) == (model.class_names, model.tau, model.metadata)


@given(st.integers(0, 2**32), st.integers(1, 3))
def test_round_trip_of_convolutions(tmp_path_factory: pytest.TempPathFactory, seed: int, axes: int) -> None:
    model = random_conv_checkpoint(seed, axes=axes)
    out = tmp_path_factory.mktemp("round") / "model.safetensors"
    checkpoint.save(out, model)
    back = checkpoint.load(out)
    for ours, theirs in zip(back.layers, model.layers, strict=True):
        assert type(ours) is type(theirs)
        for field in dataclasses.fields(ours):
            a, b = getattr(ours, field.name), getattr(theirs, field.name)
            assert np.array_equal(a, b) if isinstance(b, np.ndarray) else a == b


def test_dense_files_stay_readable_for_an_older_lgc(tmp_path: Path) -> None:
    for model, version in ((random_checkpoint(0), 1), (random_conv_checkpoint(0), 2)):
        checkpoint.save(tmp_path / "m.safetensors", model)
        assert checkpoint.read_tensors(tmp_path / "m.safetensors")[1]["format"] == version


def test_a_failed_write_leaves_the_old_file(path: Path) -> None:
    before = path.read_bytes()
    with pytest.raises(TypeError):
        checkpoint.write_tensors(path, {}, {"unfit for json": object()})
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_missing_and_unreadable(tmp_path: Path) -> None:
    with pytest.raises(LgcError, match=r"^Cannot read the checkpoint .*none\.st: No such file"):
        checkpoint.load(tmp_path / "none.st")
    with pytest.raises(LgcError, match="^Cannot read the checkpoint .*: Is a directory"):
        checkpoint.load(tmp_path)


def test_pickles_are_named_not_opened(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Callable[[Path], None], tuple[Path]]:
            return Path.touch, (tmp_path / "sprung",)

    bare, zipped = tmp_path / "bare.pt", tmp_path / "zipped.pt"
    bare.write_bytes(pickle.dumps({"w": Trap()}))
    with zipfile.ZipFile(zipped, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(Trap()))
    for trap in (bare, zipped):
        with pytest.raises(LgcError, match="is a PyTorch pickle, which can run code"):
            checkpoint.load(trap)
    assert not (tmp_path / "sprung").exists()


def test_any_truncation_is_an_error(path: Path) -> None:
    whole = path.read_bytes()
    for size in {0, 1, 7, 8, 9, 15, 16, 100, len(whole) // 2, len(whole) - 1, *range(20, len(whole), 97)}:
        path.write_bytes(whole[:size])
        with pytest.raises(LgcError):
            checkpoint.load(path)


@given(st.integers(0, 2**62), st.integers(0, 255))
def test_damage_never_crashes(tmp_path_factory: pytest.TempPathFactory, where: int, value: int) -> None:
    out = tmp_path_factory.mktemp("damage") / "model.safetensors"
    checkpoint.save(out, random_checkpoint(1))
    content = bytearray(out.read_bytes())
    content[where % len(content)] = value
    out.write_bytes(content)
    try:
        model = checkpoint.load(out)
    except LgcError as error:
        assert str(out) in str(error)  # noqa: PT017
    else:  # the byte was a parameter, a threshold or text
        sources = model.encoder.bits
        for layer in model.layers:
            assert 0 <= layer.fanin.min() <= layer.fanin.max() < sources
            assert np.isfinite(layer.parameters).all()
            sources = layer.nodes


def test_absurd_sizes_are_refused_before_allocating(path: Path) -> None:
    header = {"x": {"dtype": "F32", "shape": [1 << 40, 1 << 20], "data_offsets": [0, 1 << 62]}}
    text = json.dumps(header).encode()
    for content in (len(text).to_bytes(8, "little") + text, (1 << 60).to_bytes(8, "little") + text):
        path.write_bytes(content + bytes(64))
        with pytest.raises(LgcError, match="is damaged or not a checkpoint"):
            checkpoint.load(path)


def test_foreign_safetensors(tmp_path: Path) -> None:
    foreign = tmp_path / "foreign.safetensors"
    save_file({"w": np.zeros(3, np.float32)}, foreign)
    with pytest.raises(LgcError, match="is a safetensors file, but not from lgc"):
        checkpoint.load(foreign)
    save_file({"w": np.zeros(3, np.float32)}, foreign, metadata={"lgc": "[]"})
    with pytest.raises(LgcError, match="its header is not an object"):
        checkpoint.load(foreign)
    save_file({"w": np.zeros(3, np.float32)}, foreign, metadata={"lgc": "{"})
    with pytest.raises(LgcError, match="is damaged or not a checkpoint"):
        checkpoint.load(foreign)


def drop(key: str) -> Callable[[Tensors, Header], None]:
    return lambda tensors, _: tensors.pop(key)


def put(key: str, change: Callable[[Any], Any]) -> Callable[[Tensors, Header], None]:
    return lambda tensors, _: tensors.update({key: change(tensors[key])})


def head(**values: object) -> Callable[[Tensors, Header], None]:
    return lambda _, header: header.update(values)


def first(value: float) -> Callable[[Any], Any]:
    def change(array: Any) -> Any:
        array = array.copy()
        array.flat[0] = value
        return array

    return change


FORM = {"width": 4, "fraction": 0, "signed": False}
BAD: dict[str, tuple[Callable[[Tensors, Header], None], str]] = {
    "newer": (head(format=4), "The checkpoint has format 4, this lgc reads 1 to 3"),
    "kind": (head(layers=[{"kind": "attention"}]), "Layer 0 is of the unknown kind 'attention'"),
    "no layer names": (lambda _, header: header.pop("layers"), "is not a complete checkpoint: KeyError"),
    "no layers": (head(layers=[]), "3 classes cannot share the last layer's 15 outputs"),
    "no classes": (head(class_names=[]), "0 classes cannot share"),
    "classes": (head(class_names=list("abcdefg")), "7 classes cannot share"),
    "tau": (head(tau=0), "The scale tau is 0.0"),
    "tau text": (head(tau="warm"), "is not a complete checkpoint"),
    "tau nan": (head(tau=float("nan")), "The scale tau is nan"),
    "relaxation": (head(layers=["dlgn", "haevy"]), "There is no relaxation 'haevy'"),
    "relaxation of 4": (head(layers=["dlgn", "dlgn"]), "Layer 1 has parameters"),
    "width": (head(encoder=FORM | {"width": 99}), "A feature format of 99 bits"),
    "format": (head(encoder=[]), "is not a complete checkpoint"),
    "missing fanin": (drop("layers.1.fanin"), "The tensor layers.1.fanin is missing"),
    "missing threshold": (drop("encoder.threshold"), "The tensor encoder.threshold is missing"),
    "index": (put("layers.0.fanin", first(15)), "Layer 0 reads source 15; there are 15"),
    "negative": (put("layers.1.fanin", first(-1)), "Layer 1 reads source -1"),
    "int64": (put("layers.0.fanin", lambda a: a.astype(np.int64)), "is int64"),
    "float64": (put("layers.0.parameters", lambda a: a.astype(np.float64)), "is float64"),
    "flat": (put("layers.0.fanin", np.ravel), "expected int32"),
    "seven inputs": (put("layers.0.fanin", lambda a: np.repeat(a[:, :1], 7, 1)), "lgc knows 1 to 6 inputs"),
    "fewer parameters": (put("layers.0.parameters", lambda a: a[:, :-1]), "Layer 0 has parameters"),
    "fewer nodes": (put("layers.1.parameters", lambda a: a[:-1]), "Layer 1 has parameters"),
    "nan": (put("layers.1.parameters", first(float("nan"))), "Layer 1 has NaN or infinite parameters"),
    "infinite": (put("layers.0.parameters", first(float("inf"))), "Layer 0 has NaN or infinite parameters"),
    "descending": (put("encoder.threshold", first(99)), "The thresholds of a feature are not ascending"),
    "empty": (put("encoder.threshold", lambda a: a[:0]), "expected int32"),
}


@pytest.mark.parametrize("case", sorted(BAD))
def test_bad_content(path: Path, case: str) -> None:
    tensors, header = checkpoint.read_tensors(path)
    change, message = BAD[case]
    change(tensors, header)
    checkpoint.write_tensors(path, tensors, header)
    with pytest.raises(LgcError) as caught:
        checkpoint.load(path)
    assert message in str(caught.value)
    assert caught.value.exit_code == 1
    assert str(path) in str(caught.value)


def entry(i: int, **values: object) -> Callable[[Tensors, Header], None]:
    return lambda _, header: header["layers"][i].update(values)


BAD_CONV: dict[str, tuple[Callable[[Tensors, Header], None], str]] = {
    "no size": (lambda _, header: header["layers"][0].pop("size"), "is not a complete checkpoint"),
    "shape": (entry(1, shape=[1, 1]), "Layer 1 has windows"),
    "other shape": (entry(1, shape=[9, 9, 9]), "Layer 1 reads [9, 9, 9] values; there are"),
    "huge": (entry(1, shape=[1 << 20, 1 << 20, 1 << 20]), "is too large"),
    "huge padding": (entry(0, padding=[1 << 40, 1 << 40]), "is too large"),
    "fraction": (entry(0, stride=[1.5, 1]), "is not a complete checkpoint"),
    "stride": (entry(0, stride=[0, 1]), "Layer 0 has windows"),
    "negative": (entry(0, padding=[-1, 0]), "Layer 0 has windows"),
    "window": (entry(0, size=[99, 99]), "that do not fit"),
    "pool padding": (entry(1, padding=[3, 3], size=[3, 3]), "Layer 1 pads as much as its window [3, 3]"),
    "leaf": (put("layers.0.leaf", first(9)), "Layer 0 has leaves outside of its windows"),
    "no leaf": (drop("layers.0.leaf"), "The tensor layers.0.leaf is missing"),
    "flat leaf": (put("layers.0.leaf", lambda a: a[:, :, 0]), "expected int32 [n, m, k]"),
    "tree": (put("layers.0.leaf", lambda a: a[:, :3]), "has 3 leaves and 3 nodes, no complete tree"),
    "few channels": (put("layers.0.parameters", lambda a: a[:0]), "expected float32"),
    "source": (put("layers.0.source", first(-1)), "Layer 0 reads source -1"),
    "short source": (put("layers.0.source", lambda a: a[:-1]), "sources to the shape"),
    "relaxation": (entry(0, relaxation="light"), "Layer 0 has parameters"),
    "infinite": (put("layers.2.parameters", first(float("inf"))), "Layer 2 has NaN or infinite"),
}


@pytest.mark.parametrize("case", sorted(BAD_CONV))
def test_bad_convolutions(tmp_path: Path, case: str) -> None:
    path = tmp_path / "model.safetensors"
    checkpoint.save(path, random_conv_checkpoint(1))
    tensors, header = checkpoint.read_tensors(path)
    change, message = BAD_CONV[case]
    change(tensors, header)
    checkpoint.write_tensors(path, tensors, header)
    with pytest.raises(LgcError) as caught:
        checkpoint.load(path)
    assert message in str(caught.value)
