"""The fabric in cells of lgc's own: `lgc_lut4`, and `lgc_carry` for iCE40.

They have the ports and parameters of iCE40's SB_LUT4 and SB_CARRY. Simulators see one-line models of them,
Yosys black boxes that become the family's cells after synthesis.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from lgc.ir.carry_cells import ALONE
from lgc.ir.fabric import Fabric

if TYPE_CHECKING:
    from .fabric import Wires

CELLS = """\
// Simulation models of the LUTs and carries in fabric.v; synthesis uses the device's own.
module lgc_lut4 #(parameter [15:0] LUT_INIT = 16'h0) (output O, input I0, input I1, input I2, input I3);
  assign O = LUT_INIT[{I3, I2, I1, I0}];
endmodule
module lgc_carry (output CO, input I0, input I1, input CI);
  assign CO = (I0 & I1) | ((I0 | I1) & CI);
endmodule
// single-port RAM of iCE40 UltraPlus
module lgc_spram (input clk, input write, input [13:0] address, input [15:0] d, output reg [15:0] q);
  reg [15:0] words [0:16383];
  always @(posedge clk) if (write) words[address] <= d; else q <= words[address];
endmodule
"""

CARRY = "  lgc_carry carry_%s (.CO(%s), .I0(%s), .I1(%s), .CI(%s));"
LUT = "  lgc_lut4 #(.LUT_INIT(16'h%04x)) lut_%s (.O(%s), .I0(%s), .I1(%s), .I2(%s), .I3(%s));"


@dataclass(frozen=True, eq=False)
class Lut4Cells:
    """Writes LUTs and carries, their pins as they are wired.

    Attributes:
        fanin: `[luts, 4]`; a carry has its operands first, then the carry from below.
        table: `[luts]`.
        carry: `[luts]`, bool.
    """

    fanin: npt.NDArray[np.int32]
    table: npt.NDArray[Any]
    carry: npt.NDArray[np.bool_]

    @property
    def visible(self) -> npt.NDArray[np.bool_]:
        """LUTs whose outputs are wires, bool `[luts]`: all."""
        return np.ones(len(self.table), np.bool_)

    @classmethod
    def of(cls, fabric: Fabric) -> Lut4Cells:
        """Give carries their pins, LUTs that share a carry's cell its pins, and a carry's reader pin 3."""
        net = fabric.netlist
        carry = np.zeros(net.luts, np.bool_)
        if fabric.carries is None:
            return cls(net.fanin, net.table, carry)
        fanin, table = net.fanin.copy(), net.table.copy()
        for made, i0, i1, ci, beside in fabric.carries.rows():
            carry[made - net.first_lut] = True
            fanin[made - net.first_lut] = i0, i1, ci, 0
            if beside != ALONE:
                _arrange(fanin, table, beside - net.first_lut, {1: i0, 2: i1, 3: ci})
        carries = set(fabric.carries.carry.tolist())
        for row in np.flatnonzero(~carry & np.isin(net.fanin, fabric.carries.carry).any(axis=1)).tolist():
            (last,) = carries.intersection(net.fanin[row].tolist())
            _arrange(fanin, table, row, {3: last})
        return cls(fanin, table, carry)

    def lines(self, wires: Wires, luts: slice) -> list[str]:
        """One instance per LUT or carry."""
        net = wires.net
        stage = wires.stage[net.first_lut :][luts]
        fanin, table = self.fanin[luts], self.table[luts]
        pins = [wires.at(fanin[:, pin], stage) for pin in range(4)]
        names = wires.name[net.first_lut :][luts]
        lines = [LUT % row for row in zip(table.tolist(), names, names, *pins, strict=True)]
        for row in np.flatnonzero(self.carry[luts]).tolist():
            lines[row] = CARRY % (names[row], names[row], *(pin[row] for pin in pins[:3]))
        return lines


def _arrange(fanin: npt.NDArray[np.int32], table: npt.NDArray[Any], row: int, wanted: dict[int, int]) -> None:
    """Move signals of a LUT to the pins `wanted`; what it does not read may be among them."""
    old = fanin[row].tolist()
    rest = [s for s in old if s and s not in wanted.values()]
    new = [wanted[pin] if pin in wanted else (rest.pop(0) if rest else 0) for pin in range(4)]
    found = 0
    for index in range(16):
        value = {s: index >> pin & 1 for pin, s in enumerate(new) if s} | {0: 0}
        found |= (int(table[row]) >> sum(value[s] << pin for pin, s in enumerate(old)) & 1) << index
    fanin[row], table[row] = new, found
