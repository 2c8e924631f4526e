"""The formats that are both read and written, for the tests."""

import io
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from lgc.ir import text
from lgc.ir.interop import aiger, arrays, blif, verilog
from lgc.ir.netlist import Netlist


@dataclass(frozen=True)
class Format:
    """How to write and read a format, as bytes."""

    dump: Callable[[Netlist], bytes]
    parse: Callable[[bytes], Netlist]


def _save(net: Netlist) -> bytes:
    stream = io.BytesIO()
    arrays.save(stream, net)
    return stream.getvalue()


FORMATS = {
    "text": Format(lambda net: text.dump(net).encode(), lambda data: text.parse(data.decode("latin-1"))),
    "arrays": Format(_save, lambda data: arrays.load(io.BytesIO(data))),
    "blif": Format(blif.dump, blif.parse),
    "aig": Format(aiger.dump, aiger.parse),
    "aag": Format(partial(aiger.dump, binary=False), aiger.parse),
    "gates": Format(verilog.dump, verilog.parse),
    "lut": Format(partial(verilog.dump, style="lut"), verilog.parse),
}


def bare(net: Netlist) -> Netlist:
    """`net` with its roots as outputs and no readout, as other programs see it."""
    return replace(net, outputs=net.roots().astype(np.int32), readout=None)
