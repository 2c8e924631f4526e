"""The JSON Schema accepts what the loader accepts and says of every setting what it means."""

import dataclasses
import json
import tomllib
from pathlib import Path
from typing import get_args, get_origin, get_type_hints

import jsonschema
import pytest
from click.testing import CliRunner

from lgc.cli import main
from lgc.errors import UsageError
from lgc.frontend import config
from lgc.frontend.schema import attributes, schema

CHECK = jsonschema.Draft202012Validator(schema())
PRESETS = Path(config.__file__).parent / "presets"


def accepts(values: object) -> bool:
    return bool(CHECK.is_valid(values))


@pytest.mark.parametrize("name", config.presets())
def test_presets_are_valid(name: str) -> None:
    assert accepts(tomllib.loads((PRESETS / f"{name}.toml").read_text()))


@pytest.mark.parametrize(
    "text",
    [
        "train.epochs=0",
        "train.epochs=1.5",
        "train.epoch=3",
        "data.augment=afine",
        "model.layers=[{width=0}]",
        "model.layers=[{widht=10}]",
        "model.tau=0",
        "encoder.thresholds=64",
        "data.flip=1",
    ],
)
def test_what_the_loader_refuses_is_invalid(text: str) -> None:
    with pytest.raises(UsageError):
        config.load("digits", [text])
    values = tomllib.loads((PRESETS / "digits.toml").read_text())
    config._override(values, text)
    assert not accepts(values)


def sections(kind: type) -> set[type]:
    found = {kind}
    for hint in get_type_hints(kind).values():
        inner = get_args(hint)[0] if get_origin(hint) is tuple else hint
        if dataclasses.is_dataclass(inner):
            found |= sections(inner)
    return found


@pytest.mark.parametrize("kind", sorted(sections(config.TrainConfig) - {config.TrainConfig}, key=str))
def test_every_setting_is_described(kind: type) -> None:
    assert {f.name for f in dataclasses.fields(kind)} == set(attributes(kind))


def test_the_command_prints_it() -> None:
    done = CliRunner().invoke(main, ["train", "--schema"])
    assert done.exit_code == 0
    assert json.loads(done.output) == schema()
