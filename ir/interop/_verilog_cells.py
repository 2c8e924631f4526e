"""Cells and gate primitives that structural Verilog may instantiate."""

from __future__ import annotations

from collections.abc import Callable

CELLS: dict[str, tuple[str, str, Callable[..., int]]] = {
    "$_BUF_": ("A", "Y", lambda a: a),
    "$_NOT_": ("A", "Y", lambda a: ~a),
    "$_AND_": ("A B", "Y", lambda a, b: a & b),
    "$_NAND_": ("A B", "Y", lambda a, b: ~(a & b)),
    "$_OR_": ("A B", "Y", lambda a, b: a | b),
    "$_NOR_": ("A B", "Y", lambda a, b: ~(a | b)),
    "$_XOR_": ("A B", "Y", lambda a, b: a ^ b),
    "$_XNOR_": ("A B", "Y", lambda a, b: ~(a ^ b)),
    "$_ANDNOT_": ("A B", "Y", lambda a, b: a & ~b),
    "$_ORNOT_": ("A B", "Y", lambda a, b: a | ~b),
    "$_MUX_": ("A B S", "Y", lambda a, b, s: (a & ~s) | (b & s)),
    "$_NMUX_": ("A B S", "Y", lambda a, b, s: ~((a & ~s) | (b & s))),
    "$_AOI3_": ("A B C", "Y", lambda a, b, c: ~((a & b) | c)),
    "$_OAI3_": ("A B C", "Y", lambda a, b, c: ~((a | b) & c)),
    "$_AOI4_": ("A B C D", "Y", lambda a, b, c, d: ~((a & b) | (c & d))),
    "$_OAI4_": ("A B C D", "Y", lambda a, b, c, d: ~((a | b) & (c | d))),
    "INV": ("I", "O", lambda a: ~a),
    "MUXF7": ("I0 I1 S", "O", lambda a, b, s: (a & ~s) | (b & s)),
    "MUXF8": ("I0 I1 S", "O", lambda a, b, s: (a & ~s) | (b & s)),
    "MUXF9": ("I0 I1 S", "O", lambda a, b, s: (a & ~s) | (b & s)),
    "PFUMX": ("BLUT ALUT C0", "Z", lambda a, b, s: (a & ~s) | (b & s)),
    "L6MUX21": ("D0 D1 SD", "Z", lambda a, b, s: (a & ~s) | (b & s)),
}
"""Gates of Yosys, of Xilinx and of ECP5: input ports, output port, function."""
TABLES = {
    **{f"LUT{k}": ("INIT", [f"I{i}" for i in range(k)], "O") for k in range(1, 7)},
    "SB_LUT4": ("LUT_INIT", ["I0", "I1", "I2", "I3"], "O"),
}
"""Cells with a table: its parameter, the inputs, the least significant first, and the output."""
ECP5 = ("INIT", ["A", "B", "C", "D"], "Z")
PRIMITIVES: dict[str, tuple[Callable[[int, int], int], bool]] = {
    "and": (lambda a, b: a & b, False),
    "nand": (lambda a, b: a & b, True),
    "or": (lambda a, b: a | b, False),
    "nor": (lambda a, b: a | b, True),
    "xor": (lambda a, b: a ^ b, False),
    "xnor": (lambda a, b: a ^ b, True),
}
"""Gate primitives of any number of inputs: the operator and whether the result is inverted."""
