"""Structural Verilog out: one flat module, of expressions or of LUT instances. `parse` reads it back.

What is written passes Yosys and Icarus Verilog as it stands; what is read is described in
`_verilog_reader`. (IEEE Std 1364-2005.)
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal

from lgc.errors import LgcError

from ..netlist import Netlist
from . import _functions, _readout, _render
from ._render import OWN, PIN
from ._verilog_reader import parse

__all__ = ["dump", "parse", "pieces"]

Style = Literal["gates", "lut"]
_NAMES = _render.Names()


def pieces(net: Netlist, *, name: str = "lgc", style: Style = "gates") -> Iterator[bytes]:
    """Yield `net` as Verilog, piece by piece; see `dump`."""
    if not re.fullmatch(r"[A-Za-z_]\w*", name) or name in {"module", "endmodule", "wire", "assign"}:
        raise LgcError(f"{name!r} is no name for a Verilog module.", hint="Use letters, digits and _.")
    roots = len(net.roots())
    yield "".join(f"// {line}\n" for line in _readout.lines(net)).encode()
    # a Verilog vector has at least one bit, so ports of none are left out
    ports = [("input", "x", net.inputs), ("output", "y", roots)]
    listed = ", ".join(f"{way} wire [{size - 1}:0] {port}" for way, port, size in ports if size)
    yield f"module {name} ({listed});\n".encode()
    yield from _render.luts(net, _gate if style == "gates" else _instance, names=_NAMES)
    yield from _render.roots(
        net,
        (f"  assign {OWN} = 1'b0;\n", f"  assign {OWN} = 1'b1;\n", f"  assign {OWN} = {PIN[0]};\n"),
        names=_NAMES,
        own=("y[", "]"),
    )
    yield b"endmodule\n"
    if style == "lut":
        yield _CELLS.encode()


def dump(net: Netlist, *, name: str = "lgc", style: Style = "gates") -> bytes:
    """Write `net` as Verilog.

    The module has the ports `x`, a bit per input, and `y`, a bit for each of `net.roots()`; a port
    without bits is left out. A readout goes into comment lines that `parse` restores it from; stages
    and origins are left out.

    Args:
        net: the netlist.
        name: of the module.
        style: "gates" for an `assign` per LUT, "lut" for instances of the cells LUT1 to LUT6, whose
            definitions follow the module unless LGC_LUT_CELLS is defined.

    Raises:
        LgcError: `name` is not a plain Verilog identifier.
    """
    return b"".join(pieces(net, name=name, style=style))


def _gate(function: int, _: int) -> str:
    text = _render.expression(_functions.decompose(function, xor_cost=1), mux="{s} ? {a} : {b}")
    return f"  wire {OWN} = {_constant(text)};\n"


def _constant(text: str) -> str:
    return {"0": "1'b0", "1": "1'b1"}.get(text, text)


def _instance(function: int, pins: int) -> str:
    if not pins:
        return f"  wire {OWN} = {_constant(str(function & 1))};\n"
    rows = 1 << pins
    listed = ", ".join(f".I{i}({PIN[i]})" for i in range(pins))
    init = f"{rows}'h{function & ((1 << rows) - 1):0{max(rows // 4, 1)}x}"
    return f"  wire {OWN};\n  LUT{pins} #(.INIT({init})) lut_{OWN} ({listed}, .O({OWN}));\n"


def _cell(pins: int) -> str:
    ports = ", ".join(f"I{i}" for i in range(pins))
    select = ", ".join(f"I{i}" for i in reversed(range(pins)))
    return (
        f"module LUT{pins} #(parameter [{(1 << pins) - 1}:0] INIT = 0) (input wire {ports}, output wire O);\n"
        f"  assign O = INIT >> {{{select}}};\nendmodule\n"
    )


_CELLS = "`ifndef LGC_LUT_CELLS\n" + "".join(map(_cell, range(1, 7))) + "`endif\n"
