"""Verilog text of kernels and line memories, which Amaranth instantiates."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from lgc.errors import LgcError
from lgc.ir.netlist import FIRST_INPUT, Netlist

from ..fabric import CHUNK

_LUT = "  lgc_lut4 #(.LUT_INIT(16'h%04x)) lut_%d (.O(n%d), .I0(%s), .I1(%s), .I2(%s), .I3(%s));"

_LINE = """\
module {name} (
  input clk, input step, input [{address}:0] ahead, input [{address}:0] behind,
  input [{top}:0] d, output reg [{top}:0] q = 0
);
  (* ram_style = "block", no_rw_check *)
  reg [{top}:0] words [0:{last}];
  always @(posedge clk) if (step) begin
    q <= words[ahead];
    words[behind] <= d;
  end
endmodule
"""


def chunks(width: int) -> list[int]:
    """Widths of the vectors that carry `width` bits."""
    return [min(CHUNK, width - start) for start in range(0, width, CHUNK)]


def kernel_text(name: str, net: Netlist, read: npt.NDArray[np.int64]) -> str:
    """Write a combinational netlist as a module.

    Args:
        name: of the module.
        net: LUTs of four inputs.
        read: the inputs of the netlist that are bits of the ports x0, x1..., in this order; the outputs
            are those of y0, y1... Ports have `CHUNK` bits.

    Raises:
        LgcError: LUTs of another size.
    """
    if net.k != 4:
        raise LgcError(f"The kernel has LUTs of {net.k} inputs, the backend builds 4.")
    names = ["1'b0", "1'b1", *["1'bx"] * net.inputs, *(f"n{i}" for i in range(net.luts))]
    for bit, number in enumerate(read.tolist()):
        names[FIRST_INPUT + number] = f"x{bit // CHUNK}[{bit % CHUNK}]"
    widths = chunks(len(read)), chunks(len(net.outputs))
    ports = [f"input [{width - 1}:0] x{n}" for n, width in enumerate(widths[0])]
    ports += [f"output [{width - 1}:0] y{n}" for n, width in enumerate(widths[1])]
    lines = [f"module {name} (", "  " + ",\n  ".join(ports), ");"]
    lines += [f"  wire n{i};" for i in range(net.luts)]
    pins = [[names[s] for s in row] for row in net.fanin.tolist()]
    lines += [_LUT % (t, i, i, *pins[i]) for i, t in enumerate(net.table.tolist())]
    for n in range(len(widths[1])):
        signals = net.outputs[n * CHUNK : (n + 1) * CHUNK].tolist()
        lines.append(f"  assign y{n} = {{{', '.join(names[s] for s in signals[::-1])}}};")
    return "\n".join([*lines, "endmodule", ""])


def line_text(name: str, width: int, depth: int) -> str:
    """Write a memory of `depth` words of `width` bits; a word is read one step ahead and written one behind.

    The two never meet in memories of three words or more, so it does not matter what would be read then.
    """
    return _LINE.format(name=name, top=width - 1, last=depth - 1, address=(depth - 1).bit_length() - 1)
