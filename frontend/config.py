"""Training configuration: TOML presets or files, plus overrides such as `train.epochs=30`."""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from lgc.errors import LgcError, UsageError, nearest

_PRESETS = Path(__file__).parent / "presets"
_T = TypeVar("_T")
_N = TypeVar("_N", int, float)


def _number(default: _N, low: float, high: float = float("inf")) -> _N:
    return field(default=default, metadata={"low": low, "high": high})


def _name(default: str, *choices: str) -> str:
    return field(default=default, metadata={"choices": choices})


@dataclass(frozen=True)
class DataConfig:
    """What to train on.

    Attributes:
        source: see `lgc.frontend.data.load`.
        validation: samples cut from the training set to choose the epoch.
        seed: of that cut.
        augment: "none"; "affine" and elastic distortions of each training image, new every epoch; or
            "crop", shifts by whole pixels, as cropping the image padded by `shift` does.
        shift: largest translation, pixels.
        rotate: largest rotation, degrees.
        shear: largest shear, degrees.
        scale: largest relative change of height and width.
        elastic: standard deviation of a smooth random displacement, pixels.
        flip: mirror half of the images left to right.
    """

    source: str = "digits"
    validation: int = _number(200, 1)
    seed: int = _number(0, 0)
    augment: str = _name("none", "none", "affine", "crop")
    shift: float = _number(1.0, 0)
    rotate: float = _number(10.0, 0, 180)
    shear: float = _number(10.0, 0, 80)
    scale: float = _number(0.1, 0, 0.9)
    elastic: float = _number(0.0, 0)
    flip: bool = False


@dataclass(frozen=True)
class EncoderConfig:
    """How numbers become bits.

    Attributes:
        kind: "quantile" (even split of the samples, heavy values set apart), "distributive" (plain
            quantiles), "uniform" (even steps), "thresholds", or "learned", which starts from quantiles.
        levels: thresholds per feature.
        scope: thresholds per "feature", or "global" ones shared by all features.
        thresholds: for kind "thresholds", in the features' own unit.
        snap: move thresholds to nearby constants that compare fewer bits.
        tolerance: share of the training samples whose bit `snap` may change, per threshold.
        softness: for kind "learned", width of the sigmoid that stands for a comparison in training, as a
            share of the feature's range.
        spacing: for kind "learned", how softly thresholds of a feature are kept apart, likewise.
        detectors: for images, "edges", "diagonals", "curvature", "sobel": bits that compare the levels of
            neighbouring pixels, beside the pixels' own; see `lgc.frontend.detectors`.
        responses: how many levels a detector must respond with, one bit for each number.
    """

    kind: str = _name("quantile", "quantile", "distributive", "uniform", "thresholds", "learned")
    levels: int = _number(4, 1, 256)
    scope: str = _name("feature", "feature", "global")
    thresholds: tuple[float, ...] = ()
    snap: bool = False
    tolerance: float = _number(0.02, 0, 0.5)
    softness: float = _number(0.03, 1e-4, 10)
    spacing: float = _number(0.03, 1e-4, 10)
    detectors: tuple[str, ...] = ()
    responses: tuple[int, ...] = (1,)


@dataclass(frozen=True)
class LayerConfig:
    """One layer of k-input nodes.

    Attributes:
        kind: "dense"; "conv", a tree of nodes per output channel, the same at every position; or
            "or-pool", the OR of a window.
        width: nodes; for conv, output channels.
        k: inputs per node.
        relaxation: what is learned about the node's function, see `lgc.frontend.relaxations`.
        connections: where the node's inputs come from, see `lgc.frontend.connections`; for conv "random"
            places of the window, or "slots".
        candidates: for learned and local connections, sources each pin chooses from.
        choose: what a pin with candidates reads while training: their "softmax", or the "hard" choice with
            the softmax's gradient; "dwn", for full connections, is DWN's learnable mapping.
        choice_init: how the candidates' logits start: "normal", "dirac" (one candidate nearly certain)
            or "uniform".
        patience: for slots, steps a node's entropy rests before its slots are drawn anew; 0 never draws.
        window: for local connections, side of the square of the image a node reads from, pixels.
        init: how functions start: "residual", "gaussian" (DWN: uniform), or a "catalogue" of tables,
            of which all but a fraction `residual` are random.
        residual: probability of "pass the first input" at the start; 0 starts from random functions.
        depth: for conv, levels of the tree: `k**depth` leaves.
        field: side of the window a tree or a pool reads; 0 is 3 for a tree, 2 for a pool.
        stride: steps between windows; 0 is 1 for a tree, the window's side for a pool.
        padding: zeros around the input.
        reads: for conv, input channels each tree reads; 0 is all.
        groups: for conv, equal runs of channels that stay among themselves.
        shape: for a first layer that is a conv, shape of the features if the data do not say:
            `[length]`, `[length, channels]` or `[height, width, channels]`.
    """

    kind: str = _name("dense", "dense", "conv", "or-pool")
    width: int = _number(1000, 1, 1 << 24)
    k: int = _number(2, 1, 6)
    relaxation: str = _name("dlgn", "dlgn", "dwn", "light", "warp")
    connections: str = _name(
        "random", "random", "random-unique", "learned", "local", "ring", "full", "butterfly", "slots"
    )
    candidates: int = _number(8, 2, 1024)
    choose: str = _name("softmax", "softmax", "hard", "dwn")
    choice_init: str = _name("normal", "normal", "dirac", "uniform")
    patience: int = _number(100, 0)
    window: float = _number(7.0, 1)
    init: str = _name("residual", "gaussian", "residual", "catalogue")
    residual: float = _number(0.9, 0, 0.9999)
    depth: int = _number(3, 1, 8)
    field: int = _number(0, 0, 1 << 12)
    stride: int = _number(0, 0, 1 << 12)
    padding: int = _number(0, 0, 1 << 12)
    reads: int = _number(0, 0)
    groups: int = _number(1, 1)
    shape: tuple[int, ...] = ()


@dataclass(frozen=True)
class ReadoutConfig:
    """What an output of the last layer counts for its class, see `lgc.frontend.groupsum`.

    Attributes:
        weights: whole numbers, repeated over the outputs of each class, or one for every output; empty
            counts each output once.
        learn: "none" keeps them; "integer" and "power" train them from there, rounded to whole numbers
            or to 0 and powers of two.
        largest: learned weights end there.
    """

    weights: tuple[int, ...] = ()
    learn: str = _name("none", "none", "integer", "power")
    largest: int = _number(4, 1, (1 << 15) - 1)


@dataclass(frozen=True)
class ModelConfig:
    """The network between encoder and argmax.

    Attributes:
        layers: first to last; the last one's nodes are counted per class.
        tau: logits are the counts divided by it.
        tau_rule: "fixed" is `tau`; "sqrt" is `tau` times the root of the outputs per class; "auto" and
            "adavar" are LILogicNet's; "learned" starts at `tau`. See `lgc.frontend.groupsum`.
        harden: fraction of the training after which the forward pass is the hardened network while the
            gradient stays the relaxed one's; 1 trains as the estimator says to the end.
        estimator: the forward pass until then: "soft", "gumbel" (noise on the functions), "hard"
            (hardened, the gradient being the relaxed network's) or "gumbel-hard" (both).
        temperature: the functions' logits are divided by it.
        temperature_end: where a temperature schedule ends.
        temperature_schedule: "constant", or "linear" or "exponential" to its end over the epochs.
        readout: what each output counts.
    """

    layers: tuple[LayerConfig, ...] = (LayerConfig(),)
    tau: float = _number(10.0, 1e-6)
    tau_rule: str = _name("fixed", "fixed", "sqrt", "auto", "adavar", "learned")
    harden: float = _number(1.0, 0, 1)
    estimator: str = _name("soft", "soft", "gumbel", "hard", "gumbel-hard")
    temperature: float = _number(1.0, 1e-3, 1e3)
    temperature_end: float = _number(1.0, 1e-3, 1e3)
    temperature_schedule: str = _name("constant", "constant", "linear", "exponential")
    readout: ReadoutConfig = ReadoutConfig()

    def temperature_at(self, done: float) -> float:
        """Temperature after a fraction of the training."""
        start, end = self.temperature, self.temperature_end
        if self.temperature_schedule == "constant":
            return start
        if self.temperature_schedule == "linear":
            return start + (end - start) * done
        return float(start * (end / start) ** done)


@dataclass(frozen=True)
class OptimiserConfig:
    """How the parameters are fitted: Adam on the cross-entropy.

    Attributes:
        epochs: passes over the training set.
        batch: samples per step.
        lr: learning rate of the nodes' functions.
        lr_connections: learning rate of learned connections.
        lr_thresholds: learning rate of learned thresholds, a share of the feature's range per step.
        lr_tau: learning rate of a learned tau's logarithm.
        lr_weights: learning rate of learned weights of outputs.
        clip: largest norm of all gradients together; 0 does not clip.
        clip_thresholds: the same of the thresholds' gradients alone.
        decay: weight decay of the nodes' functions, decoupled (AdamW).
        schedule: "constant", "cosine" down to a hundredth of it, or "step", to a tenth now and then.
        step: for the schedule "step", epochs between.
        patience: stop after that many epochs without a better one, counted from where the forward pass
            is hard (`model.harden`); 0 never stops.
        seed: of initial parameters, wiring, shuffling and augmentation.
        device: "cpu", "cuda", or "auto", a GPU if there is one and it can do all of the network.
        lut_cost: weight of the expected cost of the network in LUTs, see `lgc.frontend.regularise`.
        entropy: weight of the functions' and choices' entropy, likewise.
        freeze: fractions of the training, ascending, after which the first, second, ... layer is decided
            and only the layers behind it go on.
        resample: fraction of the training after which slots are no longer drawn anew.
    """

    epochs: int = _number(30, 1)
    batch: int = _number(128, 1)
    lr: float = _number(0.01, 0, 1000)
    lr_connections: float = _number(0.05, 0, 1000)
    lr_thresholds: float = _number(0.001, 0, 1000)
    lr_tau: float = _number(0.01, 0, 1000)
    lr_weights: float = _number(0.01, 0, 1000)
    clip: float = _number(0.0, 0)
    clip_thresholds: float = _number(0.001, 0)
    decay: float = _number(0.0, 0, 1)
    schedule: str = _name("constant", "constant", "cosine", "step")
    step: int = _number(10, 1)
    patience: int = _number(0, 0)
    seed: int = _number(0, 0)
    device: str = _name("auto", "auto", "cpu", "cuda")
    lut_cost: float = _number(0.0, 0)
    entropy: float = _number(0.0, 0)
    freeze: tuple[float, ...] = ()
    resample: float = _number(1.0, 0, 1)


@dataclass(frozen=True)
class DistilConfig:
    """A teacher whose class scores the network imitates, besides the labels; see `lgc.frontend.distil`.

    Attributes:
        teacher: an .npy file of scores `[training samples, classes]` in the data set's order, or an lgc
            checkpoint; "" for none.
        weight: of the teacher against the labels.
        temperature: the teacher's and the network's scores are divided by it.
    """

    teacher: str = ""
    weight: float = _number(0.5, 0, 1)
    temperature: float = _number(1.0, 1e-3, 1e3)


@dataclass(frozen=True)
class TrainConfig:
    """Everything that determines a training run, besides the data itself."""

    data: DataConfig = DataConfig()
    encoder: EncoderConfig = EncoderConfig()
    model: ModelConfig = ModelConfig()
    train: OptimiserConfig = OptimiserConfig()
    distil: DistilConfig = DistilConfig()

    def to_dict(self) -> dict[str, Any]:
        """Return the configuration as nested dictionaries and lists, fit for JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> TrainConfig:
        """Build and check a configuration.

        Raises:
            UsageError: unknown key, wrong type, or a value out of range; names the key.
        """
        return _build(cls, values, "")


def presets() -> tuple[str, ...]:
    """Names of the configurations that come with lgc."""
    return tuple(sorted(path.stem for path in _PRESETS.glob("*.toml")))


def load(name: str | Path, overrides: Iterable[str] = ()) -> TrainConfig:
    """Load a preset by name or a TOML file by path, with overrides like `train.epochs=30`.

    Raises:
        UsageError: no such preset, unknown key (names the nearest), wrong type or range.
        LgcError: unreadable file.
    """
    path = Path(name)
    if path.suffix != ".toml":
        path = _PRESETS / f"{name}.toml"
        if not path.is_file():
            raise UsageError(f"There is no preset {str(name)!r}.", hint=nearest(str(name), presets()))
    try:
        values = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise LgcError(f"Cannot read the configuration {path}: {error}.") from error
    for text in overrides:
        _override(values, text)
    return TrainConfig.from_dict(values)


def _override(values: dict[str, Any], text: str) -> None:
    """Apply `section.key=value` to nested dictionaries; list items go by number."""
    dotted, equals, right = text.partition("=")
    keys = dotted.strip().split(".")
    if not equals or not all(keys):
        raise UsageError(f"Cannot read the override {text!r}.", hint="Write it as train.epochs=30.")
    try:
        value = tomllib.loads(f"value = {right}")["value"]
    except tomllib.TOMLDecodeError:
        value = right.strip()  # a bare word is a string
    here: object = values
    for depth, key in enumerate(keys[:-1]):
        where = ".".join(keys[: depth + 1])
        if isinstance(here, list):
            here = _item(here, key, where)
        elif isinstance(here, dict):
            here = here.setdefault(key, {})
        else:
            raise UsageError(f"{'.'.join(keys[:depth])} is not a section.")
    if isinstance(here, list):
        _item(here, keys[-1], dotted)
        here[int(keys[-1])] = value
    elif isinstance(here, dict):
        here[keys[-1]] = value
    else:
        raise UsageError(f"{'.'.join(keys[:-1])} is not a section.")


def _item(items: list[object], key: str, where: str) -> object:
    if not key.isdecimal() or int(key) >= len(items):
        raise UsageError(f"There is no {where}: the list has items 0 to {len(items) - 1}.")
    return items[int(key)]


def _build(kind: type[_T], values: object, where: str) -> _T:
    """Turn a dictionary into the dataclass `kind`, checking every key."""
    if not isinstance(values, Mapping):
        raise UsageError(f"{where} must be a section, not {values!r}.")
    hints = get_type_hints(kind)
    fields = {f.name: f for f in dataclasses.fields(kind)}  # type: ignore[arg-type]
    for key in values:
        if key not in fields:
            raise UsageError(f"There is no setting {_join(where, key)}.", hint=nearest(key, fields))
    given: dict[str, Any] = {
        key: _value(hints[key], value, _join(where, key), fields[key].metadata)
        for key, value in values.items()
    }
    return kind(**given)


def _join(where: str, key: str) -> str:
    return f"{where}.{key}" if where else key


def _value(kind: type, value: object, where: str, limits: Mapping[str, Any]) -> object:
    """Check one value against its annotated type and limits."""
    if dataclasses.is_dataclass(kind):
        return _build(kind, value, where)
    if get_origin(kind) is tuple:
        if not isinstance(value, list | tuple):
            raise UsageError(f"{where} must be a list, not {value!r}.")
        return tuple(_value(get_args(kind)[0], item, f"{where}.{i}", {}) for i, item in enumerate(value))
    if kind is bool and isinstance(value, bool):
        return value
    if kind is str and isinstance(value, str):
        return _one_of(value, where, limits.get("choices", (value,)))
    if kind is int and isinstance(value, int) and not isinstance(value, bool):
        return int(_within(value, where, limits))
    if kind is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(_within(value, where, limits))
    expected = {bool: "true or false", int: "an integer", float: "a number", str: "a text"}[kind]
    raise UsageError(f"{where} must be {expected}, not {value!r}.")


def _one_of(value: str, where: str, choices: Iterable[str]) -> str:
    if value not in choices:
        raise UsageError(f"{where} cannot be {value!r}.", hint=nearest(value, choices))
    return value


def _within(value: float, where: str, limits: Mapping[str, float]) -> float:
    low, high = limits.get("low", float("-inf")), limits.get("high", float("inf"))
    if not low <= value <= high:
        upper = f" to {high}" if high < float("inf") else " or more"
        raise UsageError(f"{where} is {value}; it must be {low}{upper}.")
    return value
