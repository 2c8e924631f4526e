"""The thermometer encoder in hardware: one feature per clock into one flip-flop per used input bit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from amaranth import Cat, ClockSignal, Const, Instance, Module, Mux, Shape, Signal, Value, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from .fabric import CHUNK
from .plan import Plan, span


@dataclass(frozen=True)
class Grid:
    """Row and column rings that point at one feature: feature f is row `f // cols`, column `f % cols`."""

    rows: int
    cols: int

    @classmethod
    def of(cls, features: int) -> Grid:
        """Choose the grid with the fewest registers; one filled exactly needs no wrap-around logic."""
        grids = [cls(-(-features // cols), cols) for cols in range(1, features + 1)]
        return min(grids, key=lambda g: (g.rows + g.cols + 2 * (g.rows * g.cols != features), g.rows))


def store_text(plan: Plan) -> str:
    """Verilog module `lgc_store`: the used bits, written where the rings point.

    Once mapped, each bit is one LUT4 with its flip-flop: row and column select between the
    comparator's bit and the old value. In simulation only the row in question is looked at.
    """
    grid = Grid.of(plan.encoder.features)
    ports = ["input clk", f"input [{grid.rows - 1}:0] row", f"input [{grid.cols - 1}:0] col"]
    ports.append(f"input [{max(plan.levels.size, 1) - 1}:0] level")
    ports += [f"output reg [{width - 1}:0] x{n} = 0" for n, width in enumerate(plan.chunks)]
    lines = ["always @(posedge clk) begin"]
    row_of, col_of = np.divmod(plan.feature, grid.cols)
    column = plan.column
    for row in np.unique(row_of).tolist():
        lines.append(f"  if (row[{row}]) begin")
        bits = np.flatnonzero(row_of == row)
        apart = np.diff(bits) != 1
        apart |= (np.diff(col_of[bits]) != 0) | (np.diff(bits // CHUNK) != 0)
        for run in np.split(bits, np.flatnonzero(apart) + 1):  # one assignment each: simulators are quicker
            low, high = int(run[0]) % CHUNK, int(run[-1]) % CHUNK
            place = f"x{run[0] // CHUNK}[{low if low == high else f'{high}:{low}'}]"
            levels = ", ".join(f"level[{n}]" for n in column[run[::-1]].tolist())
            value = levels if low == high else f"{{{levels}}}"
            lines.append(f"    if (col[{col_of[run[0]]}]) {place} <= {value};")
        lines.append("  end")
    lines.append("end")
    return "\n".join(["module lgc_store (", "  " + ",\n  ".join(ports), ");", *lines, "endmodule", ""])


class Encoder(wiring.Component):  # type: ignore[misc]
    """Take features in order, compare them with their thresholds, keep the bits.

    A feature is registered (stage A), compared and registered (B), and written to its bits (C).
    The rings follow stage B and stand still with it, so stage C may write the same bits again; no
    write enable is needed. While `hold` is high the last feature of a frame waits in stage A, and with
    `held` the first one as well, so that the bits stand still.

    Args:
        plan: thresholds and the bits to keep.
        held: see above.
        restartable: add the ports `restart` and `empty`, for sources whose frames can break off.

    Ports:
        features: stream of codes; feature 0 follows feature `features - 1` and reset.
        hold: a result is on its way, do not complete another frame.
        taken: high for one clock when the last feature enters stage B.
        frame: high for one clock while the bits of a complete frame stand in `x0`, `x1`...
        x<n>: used input bits, `CHUNK` per vector.
        restart: the next feature is feature 0. Only while `empty`, else a whole frame may be lost.
        empty: no feature waits in stage A.
    """

    latency = 3
    """Clocks from accepting the last feature to `frame`."""

    def __init__(self, plan: Plan, *, held: bool = False, restartable: bool = False) -> None:
        self.plan = plan
        self.held = held
        self.restartable = restartable
        form = plan.encoder.format
        ports = {
            "features": In(stream.Signature(Shape(form.width, form.signed))),
            "hold": In(1),
            "taken": Out(1),
            "frame": Out(1),
        }
        if restartable:
            ports |= {"restart": In(1), "empty": Out(1)}
        super().__init__(ports | {f"x{n}": Out(width) for n, width in enumerate(plan.chunks)})

    def elaborate(self, platform: object) -> Module:
        """Build the module."""
        del platform
        m = Module()
        form = self.plan.encoder.format
        code = Signal(Shape(form.width, form.signed), reset_less=True)
        full = Signal()
        advance, stall, last = Signal(), Signal(), Signal()
        row, col, next_is_last = self._rings(m, advance)
        accept = self.features.valid & self.features.ready
        m.d.comb += [
            stall.eq(full & self.hold if self.held else full & self.hold & next_is_last),
            advance.eq(full & ~stall),
            self.features.ready.eq(~stall),
            self.taken.eq(advance & next_is_last),
        ]
        m.d.sync += [full.eq(self.features.valid | stall), last.eq(self.taken), self.frame.eq(last)]
        if self.restartable:
            m.d.comb += self.empty.eq(~full)
        with m.If(accept):
            m.d.sync += code.eq(self.features.payload)
        level = Signal(max(self.plan.levels.size, 1), reset_less=True)
        compared = Cat(code >= threshold for threshold in self._thresholds(m, accept))
        with m.If(advance):  # the feature that waits must not reach the bits of the one before it
            m.d.sync += level.eq(compared)
        outputs = {f"o_x{n}": getattr(self, f"x{n}") for n in range(len(self.plan.chunks))}
        m.submodules.store = Instance(
            "lgc_store", i_clk=ClockSignal(), i_row=row, i_col=col, i_level=level, **outputs
        )
        return m

    def _rings(self, m: Module, advance: Value) -> tuple[Signal, Signal, Value]:
        """One-hot row and column of the feature in stage B; whether the next one ends the frame."""
        features = self.plan.encoder.features
        grid = Grid.of(features)
        last_row, last_col = divmod(features - 1, grid.cols)
        row, col = Signal(grid.rows, init=1 << last_row), Signal(grid.cols, init=1 << last_col)
        with m.If(advance):
            m.d.sync += col.eq(col.rotate_left(1))
            with m.If(col[-1]):
                m.d.sync += row.eq(row.rotate_left(1))
            if grid.rows * grid.cols != features:
                with m.If(row[last_row] & col[last_col]):
                    m.d.sync += [row.eq(1), col.eq(1)]
        if self.restartable:
            with m.If(self.restart):
                m.d.sync += [row.eq(row.init), col.eq(col.init)]
        before_row, before_col = divmod((features - 2) % features, grid.cols)
        return row, col, row[before_row] & col[before_col]

    def _thresholds(self, m: Module, accept: Value) -> list[Value]:
        """Threshold of each comparator for the feature in stage A: a constant, or read from a ROM."""
        own, table = self.plan.table
        shape = Shape(*span(table))
        values = [Const(self.plan.constant(column) or 0) for column in range(self.plan.levels.size)]
        if own:
            word = self._rom(m, accept)
            for n, column in enumerate(own):
                part = word.word_select(n, shape.width)
                values[column] = part.as_signed() if shape.signed else part
        return values

    def _rom(self, m: Module, accept: Value) -> Value:
        """Thresholds of the feature accepted last."""
        features, width = self.plan.memory
        m.submodules.rom = rom = Memory(shape=unsigned(width), depth=features, init=self.plan.words)
        port = rom.read_port(domain="sync")
        position = Signal(range(features))
        m.d.comb += [port.addr.eq(position), port.en.eq(accept)]
        with m.If(accept):
            m.d.sync += position.eq(Mux(position == features - 1, 0, position + 1))
        if self.restartable:
            with m.If(self.restart):
                m.d.sync += position.eq(0)
        return Value.cast(port.data)
