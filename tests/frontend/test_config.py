import re
from pathlib import Path

import pytest

from lgc.errors import LgcError, UsageError
from lgc.frontend import config
from lgc.frontend.config import LayerConfig, TrainConfig
from lgc.frontend.connections import CONNECTIONS
from lgc.frontend.relaxations import RELAXATIONS


@pytest.mark.parametrize("name", config.presets())
def test_presets_load_and_survive_json(name: str) -> None:
    loaded = config.load(name)
    assert TrainConfig.from_dict(loaded.to_dict()) == loaded


def test_presets_are_there() -> None:
    assert {"digits", "mnist"} <= set(config.presets())


def test_overrides() -> None:
    loaded = config.load(
        "digits",
        [
            "train.epochs=3",
            "model.layers.0.width = 50",
            "data.source=some/where",
            "model.tau=4",
            "train.lr=1e-3",
        ],
    )
    assert (loaded.train.epochs, loaded.model.layers[0].width, loaded.data.source) == (3, 50, "some/where")
    assert loaded.model.tau == 4.0
    assert loaded.train.lr == 0.001
    replaced = config.load("digits", ["model.layers=[{width=20}]"])
    assert replaced.model.layers == (LayerConfig(width=20),)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("train.epoch=3", r"^There is no setting train\.epoch\. Did you mean epochs"),
        ("trian.epochs=3", r"^There is no setting trian\. Did you mean train"),
        ("model.layers.0.witdh=3", r"^There is no setting model\.layers\.0\.witdh\. Did you mean width"),
        ("model.layers.7.width=3", r"^There is no model\.layers\.7: the list has items 0 to 1"),
        ("model.layers.9=3", r"^There is no model\.layers\.9"),
        ("train.epochs=ten", r"^train\.epochs must be an integer, not 'ten'"),
        ("train.epochs=2.5", r"^train\.epochs must be an integer, not 2\.5"),
        ("train.epochs=true", r"^train\.epochs must be an integer, not True"),
        ("train.lr=fast", r"^train\.lr must be a number, not 'fast'"),
        ("train.epochs=0", r"^train\.epochs is 0; it must be 1 or more"),
        ("model.harden=2", r"^model\.harden is 2; it must be 0 to 1"),
        ("train.lr=nan", r"^train\.lr is nan"),
        ("encoder.kind=quantle", r"^encoder\.kind cannot be 'quantle'\. Did you mean quantile"),
        ("data.source=3", r"^data\.source must be a text, not 3"),
        ("encoder.thresholds=3", r"^encoder\.thresholds must be a list, not 3"),
        ('encoder.thresholds=["a"]', r"^encoder\.thresholds\.0 must be a number, not 'a'"),
        ("model.layers=[3]", r"^model\.layers\.0 must be a section, not 3"),
        ("train=3", r"^train must be a section, not 3"),
        ("train.epochs.x=3", r"^train\.epochs is not a section"),
        ("train.epochs.x.y=3", r"^train\.epochs is not a section"),
        ("nonsense", r"^Cannot read the override 'nonsense'"),
        ("train..x=3", r"^Cannot read the override"),
    ],
)
def test_bad_overrides(override: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        config.load("digits", [override])


def test_unknown_preset_and_unreadable_files(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"^There is no preset 'digit'\. Did you mean digits"):
        config.load("digit")
    with pytest.raises(LgcError, match="^Cannot read the configuration"):
        config.load(tmp_path / "none.toml")
    (tmp_path / "bad.toml").write_text("[train\n")
    with pytest.raises(LgcError, match="^Cannot read the configuration"):
        config.load(tmp_path / "bad.toml")


def test_files_need_not_say_everything(tmp_path: Path) -> None:
    (tmp_path / "short.toml").write_text("[train]\nepochs = 7\n")
    loaded = config.load(tmp_path / "short.toml")
    assert loaded.train.epochs == 7
    assert loaded.model == TrainConfig().model


def test_named_choices_are_the_registries() -> None:
    for key, registry in (("connections", CONNECTIONS), ("relaxation", RELAXATIONS)):
        for name in registry:
            TrainConfig.from_dict({"model": {"layers": [{key: name}]}})
        with pytest.raises(UsageError, match=re.escape(", ".join(sorted(registry)))):
            TrainConfig.from_dict({"model": {"layers": [{key: "zzzzzzzz"}]}})


def test_switches_are_true_or_false() -> None:
    assert config.load("digits", ["encoder.snap=true"]).encoder.snap
    assert not config.load("digits").encoder.snap
    for wrong in ("1", "yes"):
        with pytest.raises(UsageError, match=r"^encoder\.snap must be true or false, not "):
            config.load("digits", [f"encoder.snap={wrong}"])
