"""torchlogix' state dicts put together by a description: every layer with its tensors and its sizes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from lgc.errors import LgcError, UsageError, nearest

from .._typing import Array
from . import files, shells
from .description import ARGUMENTS, named, under
from .network import Options
from .torchlogix import PARAMETRIZATIONS


@dataclass(frozen=True, eq=False)
class Part:
    """One layer of a description, completed by what its tensors say.

    Attributes:
        kind: name of its class.
        arguments: of its constructor.
        tensors: of the state dict, by the rest of their names.
        reads: shape of its input, `(C, ...)` of images; () where it is not known.
    """

    kind: str
    arguments: dict[str, Any]
    tensors: Mapping[str, Any]
    reads: tuple[int, ...] = ()


def parts(state: Mapping[str, Any], description: Mapping[str, Any], options: Options) -> list[Part]:
    """Give every layer its tensors and its arguments.

    The layers with tensors are those of the state dict in its order; `name` says otherwise. Sizes follow
    from the layer before.

    Raises:
        UsageError: an argument is missing, or is not what the tensors say.
        LgcError: the state dict has other layers.
    """
    layers = description["layers"]
    names = named(state, layers)
    shape: tuple[int, ...] = ()
    found = []
    for number, (layer, owned) in enumerate(zip(layers, names, strict=True), 1):
        kind = layer["type"]
        where = f"Layer {number}, {kind}"
        arguments = ARGUMENTS[kind] | {k: v for k, v in layer.items() if k in ARGUMENTS[kind]}
        arguments["parametrization"] = _parametrization(layer, description, options)
        part = Part(kind, arguments, under(state, owned))
        before = shape or _start(options)
        try:
            shape = _completed(part, before, options, where)
        except (TypeError, ValueError, KeyError, IndexError, AttributeError, OverflowError) as error:
            raise LgcError(
                f"{where} does not fit its tensors: {error!r:.120}.", hint="Check --config."
            ) from None
        found.append(replace(part, reads=_reads(part, before)))
    return found


def _reads(part: Part, before: tuple[int, ...]) -> tuple[int, ...]:
    given = part.arguments
    if part.kind == "LogicDense":
        return (given["in_dim"],)
    if part.kind == "ResidualLogicBlock":
        return (given["in_channels"], *sides(given["in_dim"], 2, "in_dim"))
    if part.kind.startswith("LogicConv"):
        return (given["channels"], *sides(given["in_dim"], _axes(part.kind), "in_dim"))
    return before


def _parametrization(layer: Mapping[str, Any], description: Mapping[str, Any], options: Options) -> str:
    found = (
        layer.get("parametrization") or options.parametrization or description.get("parametrization", "raw")
    )
    if found not in PARAMETRIZATIONS:
        raise UsageError(
            f"There is no parametrization {found!r}.", hint=nearest(str(found), PARAMETRIZATIONS)
        )
    return str(found)


def _completed(part: Part, shape: tuple[int, ...], options: Options, where: str) -> tuple[int, ...]:
    """Fill in what the layer before and the tensors say; returns the shape after it, () if not known."""
    given, kind = part.arguments, part.kind
    if "Binarization" in kind:
        levels = _levels(part, options)
        sample = options.inputs
        if given.get("feature_dim") == 1 and len(sample) > 1:
            sample = sample if len(sample) > 2 else (*sample, 1)
            return (sample[-1] * levels, *sample[:-1])
        return (math.prod(sample) * levels,) if sample else ()
    if kind == "LogicDense":
        return _dense(part, shape)
    if kind.startswith("LogicConv"):
        return _conv(part, shape, where)
    if kind == "ResidualLogicBlock":
        return _block(part, shape, where)
    if kind.startswith("OrPooling"):
        return _pool(part, shape, where)
    if kind == "GroupSum":
        _needed(part, "k", where)
    return (math.prod(shape),) if kind == "Flatten" and shape else shape


def _levels(part: Part, options: Options) -> int:
    value = part.tensors.get("thresholds")
    if value is None:
        return len(options.thresholds[0]) if options.thresholds else 1
    return int(value.shape[-1])


def _start(options: Options) -> tuple[int, ...]:
    """Shape of images as torch has them, where they are given, and no layer comes before."""
    sample = options.inputs
    if len(sample) < 2:
        return ()
    levels = len(options.thresholds[0]) if options.thresholds else 1
    sample = sample if len(sample) > 2 else (*sample, 1)
    return (sample[-1] * levels, *sample[:-1])


def _needed(part: Part, name: str, where: str) -> Any:
    if part.arguments.get(name) is None:
        raise UsageError(
            f"{where} needs {name}.", hint="Write it as in the constructor, in the file of --config."
        )
    return part.arguments[name]


def _dense(part: Part, shape: tuple[int, ...]) -> tuple[int, ...]:
    given = part.arguments
    weight = files.matrix(part.tensors, "weight")
    indices = files.integers(part.tensors.get("connections.indices"), "The tensor connections.indices")
    if given["in_dim"] is None:
        given["in_dim"] = math.prod(shape) if shape else int(indices.max()) + 1
    _same(given, "out_dim", len(weight))
    given["lut_rank"] = int(indices.shape[-2])
    return (len(weight),)


def _same(given: dict[str, Any], name: str, true: int) -> None:
    if given.get(name) not in (None, true):
        raise UsageError(
            f"The description has {name} = {given[name]}, the file {true}.", hint="Check --config."
        )
    given[name] = true


def _axes(kind: str) -> int:
    return 3 if kind.endswith("3d") else 2


def sides(value: Any, axes: int, name: str, low: int = 0) -> tuple[int, ...]:
    """Return an argument per axis, given once for all or for each.

    Raises:
        ValueError: no integers, out of range, or of another number of axes.
    """
    found = tuple(value) if isinstance(value, list | tuple) else (value,) * axes
    if len(found) != axes or not all(type(n) is int and low <= n < 1 << 20 for n in found):
        raise ValueError(f"{name} = {value!r}")
    return found


def _conv(part: Part, shape: tuple[int, ...], where: str) -> tuple[int, ...]:
    given, axes = part.arguments, _axes(part.kind)
    if given["in_dim"] is None and len(shape) == axes + 1:
        given["in_dim"] = list(shape[1:])
    if given["channels"] is None:
        given["channels"] = shape[0] if len(shape) == axes + 1 else 1
    size = sides(_needed(part, "in_dim", where), axes, "in_dim", 1)
    field = sides(given["receptive_field_size"], axes, "receptive_field_size", 1)
    stride, padding = (sides(given[name], 1, name, low)[0] for name, low in (("stride", 1), ("padding", 0)))
    if "Transpose" in part.kind:
        after = sides(given["output_padding"], axes, "output_padding")
        positions = tuple(
            (n - 1) * stride - 2 * padding + f + more for n, f, more in zip(size, field, after, strict=True)
        )
    else:
        positions = tuple((n + 2 * padding - f) // stride + 1 for n, f in zip(size, field, strict=True))
    indices = files.integers(part.tensors.get("connections._indices_L0"), f"{where}: connections._indices_L0")
    if indices.ndim != 5 or indices.shape[-1] != axes + 1:
        raise LgcError(f"{where} has indices {list(indices.shape)}; expected 5 axes, {axes + 1} at the end.")
    if min(positions) < 1 or math.prod(positions) != indices.shape[2]:
        raise UsageError(
            f"{where} has {indices.shape[2]} positions in the file, {list(positions)} by the description.",
            hint="Check in_dim, receptive_field_size, stride and padding.",
        )
    _same(given, "num_kernels", int(indices.shape[1]))
    _same(given, "tree_depth", sum(key.startswith("tree_weights.") for key in part.tensors))
    given["lut_rank"] = int(indices.shape[0])
    channels = sides(given["channels"], 1, "channels", 1)[0]
    given |= {"in_dim": size, "receptive_field_size": field, "stride": stride, "padding": padding}
    given["channels"] = channels
    last = [int(n) for n in indices.reshape(-1, axes + 1).max(axis=0)]
    there = [*(n + 2 * padding for n in size), channels]
    if "Transpose" not in part.kind and any(n >= end for n, end in zip(last, there, strict=True)):
        raise UsageError(
            f"{where} reads element {last} of {there}.", hint="Check in_dim, channels and padding."
        )
    return (given["num_kernels"], *positions)


def _inner(part: Part, number: int) -> Part:
    """One of a block's two convolutions."""
    given = part.arguments
    first = number == 0
    arguments = ARGUMENTS["LogicConv2d"] | {
        name: given[name] for name in ("in_dim", "tree_depth", "receptive_field_size", "padding")
    }
    arguments |= {
        "channels": given["in_channels" if first else "out_channels"],
        "num_kernels": given["out_channels"],
    }
    tensors = {key[2:]: value for key, value in part.tensors.items() if key.startswith(f"{number}.")}
    return Part("LogicConv2d", arguments | {"parametrization": given["parametrization"]}, tensors)


def _block(part: Part, shape: tuple[int, ...], where: str) -> tuple[int, ...]:
    given = part.arguments
    if given["downsample"]:
        raise UsageError(
            f"{where}: torchlogix cannot build blocks that downsample.", hint="See docs/import.md."
        )
    if len(shape) == 3:
        given["in_dim"] = given["in_dim"] if given["in_dim"] is not None else shape[1]
        given["in_channels"] = given["in_channels"] if given["in_channels"] is not None else shape[0]
    for name in ("in_dim", "in_channels"):
        _needed(part, name, where)
    given["out_channels"] = given["out_channels"] or given["in_channels"]
    for number in (0, 2):
        inner = _inner(part, number)
        after = _conv(inner, (), where)
        _same(given, "tree_depth", inner.arguments["tree_depth"])
        given["lut_rank"] = inner.arguments["lut_rank"]
    return after


def _pool(part: Part, shape: tuple[int, ...], where: str) -> tuple[int, ...]:
    given, axes = part.arguments, _axes(part.kind)
    size = sides(_needed(part, "kernel_size", where), axes, "kernel_size", 1)
    if given["stride"] is None:
        given["stride"] = given["kernel_size"]
    stride, padding = sides(given["stride"], axes, "stride", 1), sides(given["padding"], axes, "padding")
    given["kernel_size"], given["stride"], given["padding"] = size, stride, padding
    if len(shape) != axes + 1:
        return ()
    each = zip(shape[1:], size, stride, padding, strict=True)
    return (shape[0], *((n + 2 * pad - f) // step + 1 for n, f, step, pad in each))


def module(found: list[Part]) -> shells.Shell:
    """Build the module as a file would have it."""
    inside = {str(i): _shell(part) for i, part in enumerate(found)}
    return shells.make("torch.nn.modules.container.Sequential", {"_modules": inside})


def _shell(part: Part) -> shells.Shell:
    given, kind = part.arguments, part.kind
    if kind == "ResidualLogicBlock":
        main = {str(i): _shell(_ready(part, i)) for i in (0, 2)}
        inside = {
            "main": shells.make("torch.nn.modules.container.Sequential", {"_modules": main}),
            "shortcut": shells.make("torch.nn.modules.linear.Identity", {}),
        }
        return shells.make("torchlogix.modules.resblock.ResidualLogicBlock", {"_modules": inside})
    if kind in ("Flatten", "Identity"):
        return shells.make(f"torch.nn.modules.{kind.lower()}.{kind}", {})
    state = dict(given) | {key: value for key, value in part.tensors.items() if "." not in key}
    if kind.startswith("Logic"):
        name = f"{given['parametrization'].capitalize()}LUTParametrization"
        rank = {"lut_rank": given["lut_rank"]}
        state["parametrization"] = shells.make(f"torchlogix.parametrization.{name}", rank)
        links = {
            key.removeprefix("connections."): value
            for key, value in part.tensors.items()
            if key.startswith("connections.")
        }
        if "Conv" in kind:
            links |= _geometry(part, state)
        state["connections"] = shells.make("torchlogix.connections.Connections", links)
    return shells.make(f"torchlogix.layers.{kind}", state)


def _ready(part: Part, number: int) -> Part:
    """One of a block's convolutions with its geometry known."""
    inner = _inner(part, number)
    _conv(inner, (), "A block")
    return inner


def _geometry(part: Part, state: dict[str, Any]) -> dict[str, Any]:
    """Attributes of a convolution as torchlogix computes them; returns those of its connections."""
    given, axes = part.arguments, _axes(part.kind)
    size, field = (sides(given[name], axes, name) for name in ("in_dim", "receptive_field_size"))
    stride, padding = given["stride"], given["padding"]
    state |= {"conv_dimension": axes, "in_dim": size}
    state["tree_weights"] = list(_trees(part.tensors))
    links = {"receptive_field_size": field, "stride": stride, "padding": padding}
    if "Transpose" in part.kind:
        after = sides(given["output_padding"], axes, "output_padding")
        links |= {
            "orig_stride": stride,
            "output_padding_t": after,
            "stride": 1,
            "padding": field[0] - 1 - padding,
        }
        grown = zip(size, field, after, strict=True)
        state["kernel_positions"] = [(n - 1) * stride - 2 * padding + f + more for n, f, more in grown]
    else:
        state["kernel_positions"] = [
            (n + 2 * padding - f) // stride + 1 for n, f in zip(size, field, strict=True)
        ]
    return links


def _trees(tensors: Mapping[str, Any]) -> Iterator[Array]:
    for level in range(sum(key.startswith("tree_weights.") for key in tensors)):
        value = tensors[f"tree_weights.{level}"]
        if not isinstance(value, np.ndarray) or value.ndim != 3 or value.dtype.kind != "f":
            raise LgcError(
                f"The tensor tree_weights.{level} is not one of numbers [nodes, kernels, parameters]."
            )
        yield value
