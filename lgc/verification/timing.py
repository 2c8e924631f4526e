"""Rungs of the clock: paths added up, and the routed netlist simulated with all of its delays.

Icarus Verilog annotates what cells take (`$sdf_annotate`), on the models of packed cells that Yosys
ships. It knows neither INTERCONNECT nor timing checks, so each wire is a cell of its own here, and
what a register needs before its clock is added to the wires that end there: a signal that comes too late
is missed, as it would be on the chip.

The host is the decoded bitstream's: what it sent and got at the pins, clock by clock, is replayed.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lgc.backend import tools
from lgc.backend.rtl import TOP
from lgc.errors import LgcError, MismatchError, ToolMissingError

from . import drive, hardware, lanes, routed
from .cells import shipped
from .sta import Paths, Times, read_sdf
from .subject import Subject
from .unpack import logic

TOLERANCE_PS = 2.0
"""By how much two sums of rounded delays may differ."""

LANES = 2
"""Lanes of the bit-parallel run that are replayed at full rate, and as many with gaps; two samples each."""

CLOCKS, MOST_CLOCKS = 4000, 40_000
"""Clocks of a lane that are replayed: so many or until an answer is complete, at most the second."""

SPEEDS = (1.25, 1.5, 2.0, 3.0)
"""Multiples of the clock at which the simulation is tried until it goes wrong, to see that it can."""

_ROOM = 10
"""Picoseconds in which a host must be able to change or read a pin."""

_BUFFER = "USER_SIGNAL_TO_GLOBAL_BUFFER", "GLOBAL_BUFFER_OUTPUT"

_RESULT = re.compile(r"^(\d+) wrong, first output (\d+) in clock (\d+)$", re.MULTILINE)

_WIRE = """\
module lgc_wire #(parameter D = 0) (input I, output reg O);
  always begin  // what is shorter than the delay gets through, too
    O <= #D I;
    @(I);
  end
endmodule
"""

_BENCH = """\
`timescale 1ps / 1ps
module timed_bench;
  reg clk = 0, beat = 0;
  reg [{ins}-1:0] in = 0, sent [0:{clocks}-1];
  wire [{outs}-1:0] out;
  reg [{outs}-1:0] read = 0, seen [0:{clocks}-1];
  reg [31:0] times [0:{times}-1];
  integer at [0:{outs}-1];
  integer k, count = 0, first = 0, clock = 0;

  lgc_top dut (.{clock_name}(clk), {pins});

  task wrong(input integer which, input integer when_);
    begin
      if (!count) begin
        first = which;
        clock = when_;
      end
      count = count + 1;
    end
  endtask

  initial begin
    $sdf_annotate("timed.sdf", dut);
    $readmemh("times.hex", times);
    $readmemb("sent.bin", sent);
    $readmemb("seen.bin", seen);
    for (k = 0; k < {outs}; k = k + 1) at[k] = 0;
    #100000;
    for (k = 0; k < times[1]; k = k + 1) begin
      clk = k > 0;  // registers start as they are, so the first clock has no edge
      beat = ~beat;
{drives}
{reads}
      #(times[0] / 2) clk = 0;
      #(times[0] - times[0] / 2);
    end
    #100000 $display("%0d wrong, first output %0d in clock %0d", count, first, clock);
    $finish;
  end

{compares}
endmodule
"""


def router_to_paths(subject: Subject) -> tuple[str, int]:
    """Add up all paths from register to register and compare the longest with the router's clock.

    Raises:
        MismatchError: they differ.
        ToolMissingError: another family, or the build has no routed netlist.
    """
    found = paths(subject)
    longest = found.longest()
    wanted = _router_ps(subject)
    if abs(longest - wanted) > TOLERANCE_PS:
        raise MismatchError(
            f"The longest path takes {longest:,.0f} ps, the router's clock is {wanted:,.0f} ps."
        )
    arcs = sum(map(len, found.arcs.values()))
    return f"static, {arcs:,} delays: the longest path takes {longest / 1e3:.3f} ns", 0


def network_at_speed(subject: Subject) -> tuple[str, int]:
    """Simulate the routed netlist with its delays at the router's clock, and faster until it goes wrong.

    Raises:
        MismatchError: an output is wrong at that clock.
        ToolMissingError: no Icarus Verilog, no chip database, another family, a build without delays,
            or pins that no host can use at that clock.
        LgcError: nothing goes wrong however fast the clock, or the simulation failed.
    """
    found = paths(subject)
    period = round(_router_ps(subject)) + 1
    out = hardware.fresh(subject.work / "timing")
    traces, samples = record(subject)
    _, _, tight = phases(found, period, traces[0])
    if tight:
        raise ToolMissingError(
            f"At {_mhz(period)} no host can use the pin {tight[0]}: its paths differ by more than a clock."
        )
    simulation = Simulation.compile(found, traces[0], out, subject.timeout_s)
    for trace in traces:
        wrong = simulation.wrong(trace, period)
        if wrong:
            raise MismatchError(f"At {_mhz(period)} {wrong}.")
    for speed in SPEEDS:
        if simulation.wrong(traces[0], int(period / speed)):
            clocks = sum(len(trace.sent) for trace in traces)
            method = f"icarus, delays, {clocks:,} clocks at {_mhz(period)}; wrong at {speed:g} times that"
            cut = max(len(trace.sent) for trace in traces) == _clocks(subject)[0]
            return f"simulation of {samples:,} vectors{' in part' if cut else ''} ({method})", samples
    raise LgcError(
        f"Even at {SPEEDS[-1]:g} times {_mhz(period)} nothing goes wrong, so delays have no effect."
    )


def _router_ps(subject: Subject) -> float:
    """Period of the router's clock in ps."""
    return 1e6 / float(subject.values("07-route")["fmax_mhz"])


def _mhz(period: int) -> str:
    return f"{1e6 / period:.1f} MHz"


def paths(subject: Subject) -> Paths:
    """Read the routed netlist and its delays.

    Raises:
        ToolMissingError: another family, a build without them, or pins that do more than pass on.
        LgcError: they are damaged.
    """
    hardware.only_ice40(subject)
    module = routed.netlist_of(subject)
    through = {
        name: routed.way(name, cell) if cell["type"] == "SB_IO" else _BUFFER
        for name, cell in module["cells"].items()
        if cell["type"] in {"SB_IO", "SB_GB"}
    }
    return Paths(module, read_sdf(routed.delays_of(subject)), through)


@dataclass(frozen=True, eq=False)
class Trace:
    """What happened at the pins, bool `[clocks, pins]`: what was sent, and what was seen before each edge.

    Attributes:
        inputs, outputs: names of the pins.
        sent, seen: their levels.
    """

    inputs: Sequence[str]
    outputs: Sequence[str]
    sent: npt.NDArray[np.bool_]
    seen: npt.NDArray[np.bool_]


def _clocks(subject: Subject) -> tuple[int, int]:
    """Clocks and lanes that are replayed: a lane suffices where an answer takes long.

    Raises:
        ToolMissingError: it takes too long.
    """
    needed = 2 * hardware.link_clocks(subject.rtl) + CLOCKS // 2
    if needed > MOST_CLOCKS:
        raise ToolMissingError(
            f"An answer takes {needed // 2:,} clocks, more than are simulated with delays.",
            hint="A faster interface, --baud for instance, takes fewer.",
        )
    return (CLOCKS, LANES) if needed <= CLOCKS else (needed, 1)


def record(subject: Subject) -> tuple[list[Trace], int]:
    """Run the decoded bitstream on some samples; return traces of single lanes and the samples in them.

    Raises:
        MismatchError: its answers are not the network's.
        ToolMissingError, LgcError: as `bitstream.network_to_bitstream`.
    """
    clocks, most = _clocks(subject)
    design, port = logic(subject)
    tops = drive.ports_of(hardware.synthesised(subject))
    clock = drive.clock_of(subject.rtl)
    names = {
        way: [bit for name, (read, width) in tops.items() if read is way and name != clock
              for bit in lanes.bits(name, width)]
        for way in (True, False)
    }  # fmt: skip
    made = lanes.program(design, port, clock)
    codes = hardware.few(hardware.stimulus(subject), 2 * most * lanes.FRAMES).codes
    classes, scores = hardware.references(subject, codes)
    sent = hardware.taken(subject, codes)
    traces = []
    for gaps in (False, True):
        recorder = lanes.Recorder([*names[True], *names[False]], clocks)
        host = drive.Host(made, subject.rtl, subject.seed, recorder)
        order = np.roll(np.arange(len(codes)), -most * lanes.FRAMES * gaps)
        found = host.answers(sent[order], gaps=gaps)
        if not np.array_equal(found, drive.expected(subject.rtl, classes[order], scores[order])):
            raise MismatchError("The decoded bitstream gives other answers than the network.")
        for lane in range(min(most, -(-len(codes) // lanes.FRAMES))):
            level = (recorder.levels >> np.uint64(lane) & np.uint64(1)).astype(np.bool_)
            split = len(names[True])
            traces.append(Trace(names[True], names[False], level[:, :split], level[:, split:]))
    return traces, min(len(codes), 2 * most * lanes.FRAMES)


@dataclass(frozen=True, eq=False)
class Simulation:
    """A netlist with delays, compiled, and a host that replays what happened at the pins.

    Nobody promises anything about the pins, only about paths between registers. So each pin has a time
    of its own at which the host changes or reads it, where the design allows one.
    """

    found: Paths
    out: Path
    timeout_s: float

    @classmethod
    def compile(cls, found: Paths, trace: Trace, out: Path, timeout_s: float) -> Simulation:
        """Write netlist, delays and bench into `out` and compile them.

        Raises:
            ToolMissingError: no Icarus Verilog, or no cell models.
            LgcError: it failed.
        """
        names = {cell: f"c{number}" for number, cell in enumerate(found.module["cells"])}
        (out / "timed.v").write_text("\n".join([_WIRE, *_netlist(found, names)]))
        (out / "timed.sdf").write_text("\n".join(_sdf(found, names)))
        (out / "bench.v").write_text(_bench(trace, clock_of(found)))
        shutil.copy(shipped("ice40/cells_sim.v"), out / "cells_sim.v")
        iverilog = tools.find("iverilog")
        args = ["-g2012", "-gspecify", "-DTIMING", "-DNO_ICE40_DEFAULT_ASSIGNMENTS", "-s", "timed_bench"]
        args += ["-o", "timed.vvp", "bench.v", "timed.v", "cells_sim.v"]
        tools.run(iverilog, args, cwd=out, log=out / "compile.log", timeout_s=timeout_s)
        return cls(found, out, timeout_s)

    def wrong(self, trace: Trace, period: int) -> str:
        """Replay a trace with a clock of so many ps; return what is wrong with the outputs, "" if nothing.

        Raises:
            LgcError: the simulation failed or took too long, or no host can talk to the pins.
        """
        drive_at, read_at, _ = phases(self.found, period, trace)
        times = [period, len(trace.sent), *drive_at, *read_at]
        (self.out / "times.hex").write_text("\n".join(f"{time:x}" for time in times) + "\n")
        for name, level in (("sent", trace.sent), ("seen", trace.seen)):
            rows = ("".join(map(str, row[::-1])) for row in level.astype(np.uint8).tolist())
            (self.out / f"{name}.bin").write_text("\n".join(rows) + "\n")
        log = self.out / "timed.log"
        tools.run(tools.find("vvp"), ["-n", "timed.vvp"], cwd=self.out, log=log, timeout_s=self.timeout_s)
        text = log.read_text(errors="replace")
        result = _RESULT.search(text)
        if result is None or "SDF ERROR" in text:
            raise LgcError(f"The simulation with delays ended early:\n{tools.tail(log)}")
        if not int(result[1]):
            return ""
        name = trace.outputs[int(result[2])]
        return f"{int(result[1]):,} levels of outputs are wrong, the first of {name} in clock {result[3]}"


def phases(found: Paths, period: int, trace: Trace) -> tuple[list[int], list[int], list[str]]:
    """Return when the host changes each input and reads each output, in ps after the edge at the pin.

    In the middle of the time in which it may; also the pins where there is no such time.
    """
    net = _port_nets(found)
    edge = found.forward({net[clock_of(found)]: 0.0}, max)
    late: Times = {pin: setup - edge[at] for pin, (at, setup) in found.captures.items() if at in edge}
    soon: Times = {pin: -edge[at] for pin, (at, _) in found.captures.items() if at in edge}
    longest, shortest = found.backward(late, max), found.backward(soon, min)
    start: Times = {n: edge[at] + delay for n, (at, delay) in found.launches.items() if at in edge}
    drive_at: list[int] = []
    read_at: list[int] = []
    tight: list[str] = []
    for name in trace.inputs:
        node = net.get(name, -1)
        low, high = max(0.0, -shortest.get(node, 0.0)), period - longest.get(node, 0.0)
        tight += [name] * (high - low < _ROOM)
        drive_at.append(max(0, int((low + high) / 2)))
        start[node] = float(drive_at[-1])
    last, first = found.forward(start, max), found.forward(start, min)
    for name in trace.outputs:
        node = net.get(name, -1)
        low, high = last.get(node, 0.0), period + first.get(node, 0.0)
        tight += [name] * (high - low < _ROOM)
        read_at.append(int((low + high) / 2))
    return drive_at, read_at, tight


def clock_of(found: Paths) -> str:
    """Name of the clock's port."""
    return "aclk" if "aclk" in found.module["ports"] else "clk"


def _port_nets(found: Paths) -> dict[str, int]:
    """Nets of the pins by port bit."""
    return {
        name: bit
        for port, facts in found.module["ports"].items()
        for name, bit in zip(lanes.bits(port, len(facts["bits"])), facts["bits"], strict=True)
        if isinstance(bit, int)
    }


def _netlist(found: Paths, names: Mapping[str, str]) -> Iterator[str]:
    """Yield lines of the routed netlist in Verilog, a wire with its delay in front of each input."""
    ports = {name: (facts["direction"], len(facts["bits"])) for name, facts in found.module["ports"].items()}
    heads = [f"{way} [{width - 1}:0] {name}" for name, (way, width) in ports.items()]
    yield f"module {TOP} ({', '.join(heads)});"
    pads = _port_nets(found)
    cells = found.module["cells"]
    nets = {found.net(cell, port) for cell, facts in cells.items() for port in facts["connections"]}
    for net in sorted(net for net in nets if net is not None):
        yield f"  wire n{net};"
    driven = {found.net(name, after) for name, (_, after) in found.through.items()}
    for name, net in pads.items():
        yield f"  assign {name} = n{net};" if net in driven else f"  assign n{net} = {name};"
    for cell, facts in cells.items():
        yield from _cell(found, cell, facts, names[cell])
    yield "endmodule\n"


def _cell(found: Paths, cell: str, facts: Mapping[str, Any], name: str) -> Iterator[str]:
    wires, setups = found.delays.wire, found.delays.setup.get(cell, {})
    if cell in found.through:
        before, after = found.through[cell]
        nets = found.net(cell, before), found.net(cell, after)
        delay = wires.get((cell, before), 0) + found.delays.path.get(cell, {}).get((before, after), 0)
        if None not in nets:
            yield f"  lgc_wire #({delay}) {name} (.I(n{nets[0]}), .O(n{nets[1]}));"
        return
    pins = []
    for port, way in facts["port_directions"].items():
        net = found.net(cell, port)
        if net is None:
            continue
        delay = wires.get((cell, port), 0) + setups.get(port, ("", 0))[1]
        if way == "output" or not delay:
            pins.append(f".{port}(n{net})")
            continue
        wire = f"{name}_{port}"
        yield f"  wire {wire}; lgc_wire #({delay}) w_{wire} (.I(n{net}), .O({wire}));"
        pins.append(f".{port}({wire})")
    settings = ", ".join(f".{key}({len(value)}'b{value})" for key, value in facts["parameters"].items())
    yield f"  {facts['type']} #({settings}) {name} ({', '.join(pins)});"


def _sdf(found: Paths, names: Mapping[str, str]) -> Iterator[str]:
    """Yield lines of an SDF file of the cells alone, by the names they have in `_netlist`."""
    yield '(DELAYFILE (SDFVERSION "3.0") (DIVIDER /) (TIMESCALE 1ps)'
    for cell, ways in found.delays.path.items():
        if cell in found.through:
            continue
        kind = found.module["cells"][cell]["type"]
        yield f'(CELL (CELLTYPE "{kind}") (INSTANCE {names[cell]}) (DELAY (ABSOLUTE'
        for (before, after), delay in ways.items():
            if found.net(cell, after) is not None:
                yield f"(IOPATH {before} {after} ({delay}:{delay}:{delay}) ({delay}:{delay}:{delay}))"
        yield ")))"
    yield ")\n"


def _bench(trace: Trace, clock: str) -> str:
    """Text of the bench, which replays a trace; times and levels come from files."""
    ins, outs = len(trace.inputs), len(trace.outputs)
    ports: dict[str, list[str]] = {}
    for i, name in enumerate(trace.inputs):
        ports.setdefault(name.split("[")[0], []).append(f"in[{i}]")
    for i, name in enumerate(trace.outputs):
        ports.setdefault(name.split("[")[0], []).append(f"out[{i}]")
    pins = ", ".join(f".{name}({{{', '.join(bits[::-1])}}})" for name, bits in ports.items())
    drives = "\n".join(f"      in[{i}] <= #(times[{2 + i}]) sent[k][{i}];" for i in range(ins))
    reads = "\n".join(f"      read[{i}] <= #(times[{2 + ins + i}]) beat;" for i in range(outs))
    compares = "\n".join(
        f"  always @(read[{i}]) begin\n    if (out[{i}] !== seen[at[{i}]][{i}]) wrong({i}, at[{i}]);\n"
        f"    at[{i}] = at[{i}] + 1;\n  end"
        for i in range(outs)
    )
    return _BENCH.format(
        clock_name=clock, clocks=MOST_CLOCKS, ins=ins, outs=outs, times=2 + ins + outs, pins=pins,
        drives=drives, reads=reads, compares=compares,
    )  # fmt: skip
