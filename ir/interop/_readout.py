"""The readout in formats that have none: a few comment lines, restored on reading.

The format's outputs are the netlist's `roots()` in order. The lines, each after the format's comment
sign, say how many of them are outputs and how the rest is counted:

    lgc readout outputs=2 entries=8000 classes=10
    lgc bias 0*10
    lgc count 800*10
    lgc weight 1*7999 -1

`bias` and `count` (entries) have a value per class, `weight` one per entry; `V*N` repeats V N times.
A long list goes on in further lines with the same word.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from lgc.errors import LgcError

from .._typing import I64x1
from ..netlist import Netlist
from ..readout import Readout

_HEAD = re.compile(r"lgc readout outputs=(\d{1,9}) entries=(\d{1,9}) classes=(\d{1,9})")
_ITEM = re.compile(r"(-?\d{1,18})(?:\*(\d{1,9}))?")
_WORDS = 16
"""Items on a line."""


def with_group_sum(net: Netlist, classes: int) -> Netlist:
    """Return `net` with all its outputs turned into a GroupSum of `classes` equal groups.

    Args:
        net: a netlist without a readout, as files of other programs give.
        classes: number of groups, which follow each other.

    Raises:
        LgcError: there is a readout already, or the outputs do not split into `classes` groups.
    """
    if net.readout is not None:
        raise LgcError("The netlist has a readout already.", hint="Leave out the number of classes.")
    try:
        readout = Readout.group_sum(net.outputs, classes)
    except ValueError:
        raise LgcError(
            f"{len(net.outputs)} outputs do not split into {classes} equal groups.",
            hint="Give a number of classes that divides the number of outputs.",
        ) from None
    return replace(net, outputs=np.empty(0, np.int32), readout=readout)


def lines(net: Netlist) -> list[str]:
    """Return the lines for the readout of `net`, none if it has none."""
    head = net.readout
    if head is None:
        return []
    found = [f"lgc readout outputs={len(net.outputs)} entries={len(head.signal)} classes={head.classes}"]
    for word, values in (("bias", head.bias), ("count", np.diff(head.start)), ("weight", head.weight)):
        items = _runs(values.astype(np.int64))
        found += [f"lgc {word} " + " ".join(items[i : i + _WORDS]) for i in range(0, len(items), _WORDS)]
    return found


def _runs(values: I64x1) -> list[str]:
    """Spell values as `V` and `V*N`."""
    if not values.size:
        return []
    edge = np.flatnonzero(np.diff(values)) + 1
    start = np.concatenate([[0], edge])
    length = np.diff(np.concatenate([start, [values.size]]))
    pairs = zip(values[start].tolist(), length.tolist(), strict=True)
    return [f"{value}*{times}" if times > 1 else f"{value}" for value, times in pairs]


def restore(net: Netlist, comments: Iterable[tuple[str, str]]) -> Netlist:
    """Return `net` with its readout restored from `comments`, if they hold one.

    Args:
        net: a netlist whose outputs are the roots of the one written.
        comments: each with its place, such as `("Line 7", "lgc bias 0*10")`.

    Raises:
        LgcError: the comments start a readout that does not fit the netlist or is incomplete.
    """
    sizes: tuple[int, int, int] | None = None
    values: dict[str, list[int]] = {"bias": [], "count": [], "weight": []}
    last = ""
    for place, comment in comments:
        words = comment.split()
        if words[:1] != ["lgc"]:
            continue
        last = place
        if sizes is None:
            sizes = _sizes(place, " ".join(words), len(net.outputs))
            room = {"bias": sizes[2], "count": sizes[2], "weight": sizes[1]}
        elif len(words) < 2 or words[1] not in values:
            raise LgcError(
                f"{place}: expected 'lgc bias', 'lgc count' or 'lgc weight', found {comment[:60]!r}."
            )
        else:
            _extend(values[words[1]], words[2:], place=place, word=words[1], room=room[words[1]])
    if sizes is None:
        return net
    for word, found in values.items():
        if len(found) != room[word]:
            raise LgcError(f"{last}: the readout has {len(found)} values for {word}, expected {room[word]}.")
    if min(values["count"], default=0) < 0 or sum(values["count"]) != sizes[1]:
        raise LgcError(f"{last}: the readout's counts do not add up to {sizes[1]} entries.")
    if any(abs(weight) >= 1 << 31 for weight in values["weight"]):
        raise LgcError(f"{last}: a weight of the readout does not fit 32 bits.")
    readout = Readout(
        bias=np.array(values["bias"], np.int64),
        start=np.cumsum([0, *values["count"]], dtype=np.int64),
        signal=net.outputs[sizes[0] :].copy(),
        weight=np.array(values["weight"], np.int32),
    )
    return replace(net, outputs=net.outputs[: sizes[0]].copy(), readout=readout)


def _sizes(place: str, text: str, outputs: int) -> tuple[int, int, int]:
    match = _HEAD.fullmatch(text)
    if match is None:
        raise LgcError(f"{place}: expected 'lgc readout outputs=N entries=N classes=N', found {text[:60]!r}.")
    sizes = int(match[1]), int(match[2]), int(match[3])
    if sizes[0] + sizes[1] != outputs:
        raise LgcError(
            f"{place}: the readout is of {sizes[0]} outputs and {sizes[1]} entries, "
            f"the file has {outputs} outputs.",
            hint="Remove the 'lgc' comment lines if the outputs were changed.",
        )
    if not 1 <= sizes[2] <= 1 << 20:
        raise LgcError(f"{place}: the readout has {sizes[2]} classes, expected 1 to {1 << 20}.")
    return sizes


def _extend(values: list[int], items: list[str], *, place: str, word: str, room: int) -> None:
    """Append `V` and `V*N` items; more than `room` values are refused before they take memory."""
    for item in items:
        match = _ITEM.fullmatch(item)
        if match is None:
            raise LgcError(f"{place}: expected a number or V*N, found {item[:40]!r}.")
        times = int(match[2] or 1)
        if len(values) + times > room:
            raise LgcError(f"{place}: more than {room} values for {word}.")
        values += [int(match[1])] * times
