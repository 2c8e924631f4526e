"""Modules of torchlogix, difflogic and DWN, live ones and those of files, without importing the packages."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import numpy as np

from lgc.errors import LgcError, UsageError

from .._typing import Array, Bool2
from .dwn import padded
from .network import Foreign, Options, Tables, gates
from .shells import Shell
from .steps import Conv, Dense, Flatten, Pool, Residual, Step, layers_of, lsb_first
from .torchlogix import learned, light, raw, warp

_PACKAGES = ("torchlogix", "difflogic", "torch_dwn")
_PARAMETRIZATIONS = {
    "RawLUTParametrization": raw,
    "WarpLUTParametrization": warp,
    "LightLUTParametrization": light,
}
_NOTHING = {"Identity", "Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "DummyBinarization"}
_MAX_MODULES = 4096


@dataclass(frozen=True, eq=False)
class Taken:
    """A module taken apart.

    Attributes:
        foreign: its network.
        shape: of a sample as the module takes it, without the batch.
        tau: logits are `(score + beta) / tau`.
        beta: see tau.
        package: whose layers they are.
    """

    foreign: Foreign
    shape: tuple[int, ...]
    tau: float
    beta: float
    package: str


def take(model: Any, options: Options) -> Taken:
    """Take a module of known layers apart.

    Args:
        model: a `torch.nn.Sequential` of them, or a module around one; or its `Shell`.
        options: what the module does not say, such as the shape of images that are flattened.

    Raises:
        UsageError: something must be given by an option.
        LgcError: a layer that is not known, or does not fit the one before.
    """
    modules = [(module, *_kind(module)) for module in islice(_flat(model), _MAX_MODULES)]
    if len(modules) == _MAX_MODULES:
        raise LgcError(f"The module has {_MAX_MODULES:,} layers or more.", hint="The file is damaged.")
    package = next((package for _, package, _ in modules if package), "")
    steps: list[Step] = []
    bits: Any = None
    head: Any = None
    for module, owner, kind in modules:
        if head is not None:
            raise LgcError(f"A {kind} follows the group sum.", hint="Give the model up to its group sum.")
        if kind.endswith("Binarization"):
            bits = module if kind != "DummyBinarization" and not steps else _late(kind, bits)
        elif kind == "GroupSum":
            head = module
        else:
            steps += _step(module, owner, kind)
    if not any(isinstance(step, Dense | Conv | Residual) for step in steps):
        raise LgcError("The module has no logic layers.", hint=f"Known are those of {', '.join(_PACKAGES)}.")
    classes = int(head.k) if head is not None else options.classes
    if not classes:
        raise UsageError("The module has no group sum.", hint="Give classes=N.")
    return _put_together(steps, bits, head, classes, options, package)


def _late(kind: str, bits: Any) -> Any:
    if kind != "DummyBinarization":
        raise LgcError(f"The {kind} is not the first layer.", hint="Only one, at the start, is known.")
    return bits


def _flat(module: Any) -> Iterator[Any]:
    """Modules in the order they run: of sequences, and of modules around a single other one."""
    children = list(_children(module).values())
    if _in_sequence(module):
        for child in children:
            yield from _flat(child)
    elif _kind(module)[0] or type(module).__name__ in _NOTHING | {"Flatten"}:
        yield module
    elif len(children) == 1:
        yield from _flat(children[0])
    else:
        yield module


def _children(module: Any) -> dict[str, Any]:
    inside = module.children() if isinstance(module, Shell) else module._modules
    return {name: child for name, child in inside.items() if child is not None}


def _in_sequence(module: Any) -> bool:
    """Tell whether children run in order; of a file, where classes have no bases, by their names."""
    if not isinstance(module, Shell):
        import torch

        return isinstance(module, torch.nn.Sequential)
    kind, names = type(module), list(module.children())
    if kind.__module__.startswith("torch."):
        return kind.__name__ == "Sequential"
    return not _kind(module)[0] and bool(names) and names == [str(i) for i in range(len(names))]


def _kind(module: Any) -> tuple[str, str]:
    """Package and name of the known class a module is of; no package if it is of none."""
    for cls in type(module).__mro__:
        package, _, rest = cls.__module__.partition(".")
        if package in _PACKAGES and not rest.startswith("models"):
            return package, cls.__name__
    return "", type(module).__name__


def _step(module: Any, package: str, kind: str) -> list[Step]:
    if kind == "Flatten":
        return [Flatten()]
    if kind in _NOTHING:
        return []
    key = f"{package}.{kind}"
    if key == "torchlogix.LogicDense":
        fanin = _resolved(module.connections)
        rows = _rows(module.parametrization, _plain(module.weight))
        return [Dense(Tables(fanin[:, ::-1], rows), int(module.in_dim))]
    if kind in {"LogicConv2d", "LogicConv3d", "LogicConvTranspose2d", "LogicConvTranspose3d"}:
        return [_conv(module)]
    if kind in {"OrPooling2d", "OrPooling3d"}:
        axes = int(kind[-2])
        stride = module.kernel_size if module.stride is None else module.stride
        return [Pool(*(_per_axis(value, axes) for value in (module.kernel_size, stride, module.padding)))]
    if kind == "ResidualLogicBlock":
        return [Residual(_branch(module.main), _branch(module.shortcut))]
    if key == "difflogic.LogicLayer":
        a, b = (_plain(side).astype(np.int64) for side in module.indices)
        gate = _finite(_plain(module.weights)).argmax(axis=1)
        return [Dense(gates(a, b, gate, "A layer"), int(module.in_dim))]
    if key == "torch_dwn.LUTLayer":
        return [_dwn(module)]
    raise LgcError(
        f"A layer of the class {type(module).__name__} is not known.",
        hint="Known are the layers of torchlogix, difflogic and torch_dwn, in sequence.",
    )


def _branch(module: Any) -> tuple[Step, ...]:
    steps: list[Step] = []
    for child in _flat(module):
        steps += _step(child, *_kind(child))
    return tuple(steps)


def _plain(tensor: Any) -> Array:
    found: Array = tensor if isinstance(tensor, np.ndarray) else tensor.detach().cpu().numpy()
    return found


def _finite(weight: Array) -> Array:
    if not np.isfinite(weight).all():
        raise LgcError("A layer has NaN or infinite weights.", hint="The training run diverged.")
    return weight


def _rows(parametrization: Any, weight: Array) -> Bool2:
    name = type(parametrization).__name__
    if name not in _PARAMETRIZATIONS:
        raise LgcError(f"The parametrization {name} is not known.", hint="Known: raw, warp and light.")
    return _PARAMETRIZATIONS[name](_finite(weight), int(parametrization.lut_rank))


def _resolved(connections: Any) -> Array:
    """Return sources int64 `[n, k]`, first input first."""
    indices = _plain(connections.indices).astype(np.int64)
    if hasattr(connections, "weights"):
        best = _finite(_plain(connections.weights)).argmax(axis=0)[None]
        indices = np.take_along_axis(indices, best, axis=0)[0]
    return indices.T


def _dwn(layer: Any) -> Dense:
    if not layer.ste:
        raise LgcError("A DWN layer without `ste` gives numbers, not bits.", hint="Train it with ste=True.")
    luts = _finite(_plain(layer.luts))
    if hasattr(layer.mapping, "weights"):
        fanin = _finite(_plain(layer.mapping.weights)).argmax(axis=0).reshape(len(luts), -1)
    else:
        fanin = _plain(layer.mapping)
    return Dense(Tables(fanin.astype(np.int64), light(luts, layer.n)), int(layer.input_size))


def _per_axis(value: Any, axes: int) -> tuple[int, ...]:
    return tuple(map(int, value)) if isinstance(value, tuple) else (int(value),) * axes


def _conv(module: Any) -> Conv:
    """Leaves are counted node by node; the first input of a node, its highest bit, becomes its lowest."""
    if not module.tree_depth:
        raise LgcError("A convolution has no tree (tree_depth=0).", hint="torchlogix cannot run it either.")
    axes, transposed = int(module.conv_dimension), "Transpose" in _kind(module)[1]
    links = module.connections
    # [k, kernels, positions, nodes, 1 + axes]
    indices = _plain(links._indices_L0 if hasattr(links, "_indices_L0") else links.indices[0]).astype(
        np.int64
    )
    k, kernels, positions, nodes, coordinates = indices.shape
    reads = indices.transpose(1, 2, 3, 0, 4).reshape(kernels, positions, nodes * k, coordinates)
    _refuse_other_trees(links, k, len(_listed(module.tree_weights)))
    rows = []
    below = nodes * k
    for weight in _listed(module.tree_weights):
        tree = _plain(weight)  # [nodes, kernels, parameters]
        if tree.shape[:2] != (below // k, kernels) or below % k:
            raise LgcError(f"A convolution has a level of a tree {list(tree.shape)} over {below} below it.")
        below //= k
        flat = _rows(module.parametrization, tree.reshape(-1, tree.shape[2]))
        rows.append(lsb_first(flat).reshape(*tree.shape[:2], -1).transpose(1, 0, 2))
    if below != 1:
        raise LgcError(f"A convolution has {below} roots per kernel.", hint="The model is inconsistent.")
    return Conv(
        (int(module.channels), *_per_axis(module.in_dim, axes)),
        np.concatenate([reads[..., -1:], reads[..., :-1]], axis=-1),
        tuple(rows),
        tuple(map(int, module.kernel_positions)),
        int(links.orig_stride) if transposed else 1,
        tuple(map(int, links.output_padding_t)) if transposed else (0,) * axes,
        int(links.padding),
        tuple(map(int, links.receptive_field_size)),
        int(links.stride),
    )


def _refuse_other_trees(links: Any, k: int, depth: int) -> None:
    """Demand that node m of a level reads nodes `k m` to `k m + k - 1` of the one below."""
    for level in range(1, depth):
        name = f"_indices_L{level}"
        inner = _plain(getattr(links, name) if hasattr(links, name) else links.indices[level])
        if not np.array_equal(inner, np.arange(k ** (depth - level)).reshape(-1, k).T):
            raise LgcError(
                f"A convolution's level {level} is no plain tree.", hint="torchlogix builds no other."
            )


def _listed(parameters: Any) -> list[Any]:
    """Members of a `ParameterList`, of a file too."""
    if not isinstance(parameters, Shell):
        return list(parameters)
    found = parameters.state["_parameters"]
    return [found[str(i)] for i in range(len(found))]


def _put_together(
    steps: list[Step], bits: Any, head: Any, classes: int, options: Options, package: str
) -> Taken:
    given = len(options.thresholds[0]) if options.thresholds else 1
    levels, rows = (given, ()) if bits is None else _thresholds(bits, options)
    first: Step = next(step for step in steps if not isinstance(step, Flatten))
    if isinstance(first, Residual):
        first = first.main[0]
    if isinstance(first, Conv):
        shape, features = first.shape, (*first.shape[1:], first.shape[0] // levels)
        if first.shape[0] % levels:
            raise LgcError(f"{levels} thresholds do not make {first.shape[0]} channels.")
    else:
        count = _reads(first, options, levels)
        shape = (count,)
        features = options.inputs or (count // levels,)
        if math.prod(features) * levels != count:
            raise UsageError(
                f"Inputs {list(features)} with {levels} thresholds do not make {count} bits.",
                hint="Check inputs.",
            )
        if isinstance(first, Pool):
            if len(features) != len(first.size) + 1:
                raise UsageError("Pools come first.", hint="Give inputs=(rows, columns, channels).")
            shape = (features[-1] * levels, *features[:-1])
    image = len(shape) > 1 or (bits is not None and bits.feature_dim == 1 and len(features) > 1)
    tau, beta = float(getattr(head, "tau", 1.0)), float(getattr(head, "beta", 0.0))
    if head is not None and package == "torch_dwn":
        steps = _counted(steps, head, classes)
    found = Foreign(
        layers_of(steps, shape, classes),
        bits=math.prod(shape),
        classes=classes,
        tau=tau,
        shape=features,
        thresholds=rows,
        any_order=True,
        order="channel" if image else "feature",
        notes={"wiring": "in the module"} | ({"beta": beta} if beta else {}),
    )
    whole = (*features, 1) if image and len(features) == 2 else features
    sample = (whole[-1], *whole[:-1]) if image else (math.prod(features),)
    if bits is None:
        sample = shape
    return Taken(replace(found, shape=options.inputs or features), sample, tau, beta, package)


def _reads(first: Step, options: Options, levels: int) -> int:
    """Input bits of a network that starts with a dense layer or a pool."""
    if isinstance(first, Dense):
        return first.reads
    if options.inputs:
        return math.prod(options.inputs) * levels
    raise UsageError("The shape of the inputs is not in the module.", hint="Give inputs=(28, 28).")


def _counted(steps: list[Step], head: Any, classes: int) -> list[Step]:
    """DWN's group sum may permute its inputs, and pads them with zeros."""
    last = steps[-1]
    if not isinstance(last, Dense):
        raise LgcError("The last layer is not one of LUTs.", hint="Give the model up to its group sum.")
    tables = last.tables
    if head.randperm is not None:
        order = _plain(head.randperm)
        tables = Tables(tables.fanin[order], tables.rows[order])
    return [*steps[:-1], Dense(padded(tables, classes), last.reads)]


def _thresholds(module: Any, options: Options) -> tuple[int, tuple[tuple[float, ...], ...]]:
    """Thresholds as the module compares in eval mode, learned ones too."""
    if module.feature_dim not in (1, -2):
        raise LgcError(f"Bits of dimension {module.feature_dim} are not known.", hint="Known: 1 and -2.")
    if not isinstance(module, Shell):
        found = _plain(module.get_thresholds())
    elif _kind(module)[1] == "LearnableBinarization":
        rule = options.learned
        exact = f"softplus={module.temperature_softplus}"
        found = learned(_plain(module.raw_diffs), exact if rule == "softplus" else rule)
    else:
        found = _plain(module.thresholds)
    value = _finite(np.atleast_2d(found.astype(np.float64)))
    return value.shape[1], tuple(tuple(map(float, row)) for row in value)
