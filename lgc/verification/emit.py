"""A decoded design as Verilog of vendor cells, with the ports of the design it came from."""

from __future__ import annotations

import re
from collections.abc import Iterator

from lgc.backend.rtl import TOP
from lgc.errors import LgcError

from .decode import Cell, Design, Memory
from .drive import Ports
from .lanes import bits

_SYMBOL = re.compile(r"(.+)\$SB_IO_(?:IN|OUT)$")
_VECTORS = {"WDATA": 16, "RDATA": 16, "MASK": 16, "WADDR": 11, "RADDR": 11}


def ports(design: Design, symbols: dict[int, str], tops: Ports, constant: dict[str, int]) -> dict[str, int]:
    """Nets by the port bit they belong to, `clk` or `result__payload[0]`.

    Args:
        design: the decoded bitstream.
        symbols: net names by wire, from the router: which pin is which port. Of the logic they say
            nothing.
        tops: ports of the top module; inputs that nothing reads may have no pin.
        constant: outputs that are always 0 or 1, and may have none either.

    Raises:
        LgcError: an output or the clock has no pin.
    """
    found = dict(constant)
    for wire, net in (design.inputs | design.outputs).items():
        match = _SYMBOL.fullmatch(symbols.get(wire, ""))
        if match is not None:
            found[match[1]] = net
    if design.beside:
        found["clk"] = design.beside
    return complete(found, tops)


def complete(found: dict[str, int], tops: Ports) -> dict[str, int]:
    """Return nets by port bit if no output lacks one, nor the clock.

    Raises:
        LgcError: one does.
    """
    wanted = [name for name, (read, width) in tops.items() if not read for name in bits(name, width)]
    wanted += [name for name in ("clk", "aclk") if name in tops]
    missing = [name for name in wanted if name not in found]
    if missing:
        raise LgcError(
            f"No pin of the bitstream is known as {missing[0]}.",
            hint="Route with the nextpnr whose chip database is installed.",
        )
    return found


def verilog(design: Design, port: dict[str, int], tops: Ports) -> str:
    """Text of a module with the ports of the top module and cells of the iCE40 library inside.

    Args:
        design: the decoded bitstream.
        port: nets by port bit.
        tops: ports to declare, whether they have a pin or not.
    """
    heads = [
        f"{'input' if read else 'output'} [{width - 1}:0] {name}" for name, (read, width) in tops.items()
    ]
    lines = [
        f"module {TOP} (",
        "  " + ",\n  ".join(heads),
        ");",
        *map("  wire n%d;".__mod__, sorted(_nets(design))),
    ]
    inputs = set(design.inputs.values())
    for name, net in port.items():
        lines.append(f"  assign n{net} = {name};" if net in inputs else f"  assign {name} = {_name(net)};")
    for number, cell in enumerate(design.cells):
        lines += _cell(number, cell)
    for number, memory in enumerate(design.memories):
        lines += _memory(number, memory)
    return "\n".join([*lines, "endmodule", ""])


def _nets(design: Design) -> set[int]:
    found = set(design.inputs.values())
    for cell in design.cells:
        found |= {cell.out, cell.direct, cell.carry}
    for memory in design.memories:
        found |= {net for pin, net in memory.pins.items() if pin.startswith("RDATA")}
    return found - {0}


def _name(net: int) -> str:
    return f"1'b{net}" if net < 2 else f"n{net}"


def _cell(number: int, cell: Cell) -> Iterator[str]:
    pin = {name: _name(net) for name, net in cell.pins.items()}
    table = f"t{number}" if cell.register else f"n{cell.out}"
    if cell.register:
        yield f"  wire {table};"
    inputs = ", ".join(f".I{i}({pin[f'I{i}']})" for i in range(4))
    yield f"  SB_LUT4 #(.LUT_INIT(16'h{cell.table:04x})) l{number} (.O({table}), {inputs});"
    if cell.direct:
        yield f"  assign n{cell.direct} = {table};"
    if cell.carry:
        inputs = f".I0({pin['I1']}), .I1({pin['I2']}), .CI({pin['CIN']})"
        yield f"  SB_CARRY c{number} (.CO(n{cell.carry}), {inputs});"
    if cell.register:
        kind = "SB_DFF" + "N" * cell.falling + "E" + ("" if cell.asynchronous else "S") + "RS"[cell.set_]
        reset = f".{'S' if cell.set_ else 'R'}({pin['SR']})"
        clocked = f".C({pin['CLK']}), .E({pin['CEN']}), {reset}"
        yield f"  {kind} r{number} (.Q(n{cell.out}), {clocked}, .D({table}));"


def _memory(number: int, memory: Memory) -> Iterator[str]:
    kind = "SB_RAM40_4K" + "NR" * memory.falling_read + "NW" * memory.falling_write
    content = ", ".join(f".INIT_{w:X}(256'h{row})" for w, row in enumerate(memory.content))
    pins = []
    for name, width in _VECTORS.items():
        bits = [_name(memory.pins[f"{name}_{i}"]) for i in range(width)]
        pins.append(f".{name}({{{', '.join(bits[::-1])}}})")
    clocks = {"RCLK": "RCLK" + "N" * memory.falling_read, "WCLK": "WCLK" + "N" * memory.falling_write}
    for name in ("RCLK", "RCLKE", "RE", "WCLK", "WCLKE", "WE"):
        pins.append(f".{clocks.get(name, name)}({_name(memory.pins[name])})")
    modes = f".READ_MODE({memory.read_mode}), .WRITE_MODE({memory.write_mode})"
    yield f"  {kind} #({modes}, {content}) m{number} ({', '.join(pins)});"
