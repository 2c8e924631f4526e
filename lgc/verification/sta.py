"""Delays of a routed design: read from the router's SDF, and added up along paths.

The static analysis is our own, from the routed netlist and its SDF alone, so that the router's figure
for the clock has something to agree with. Times are picoseconds.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from lgc.errors import LgcError

_WIRE = re.compile(r"\(INTERCONNECT (\S+) (\S+) \(\d+:\d+:(\d+)\)")
_INSTANCE = re.compile(r"\(INSTANCE ?(\S*)\)")
_PATH = re.compile(r"\(IOPATH (\S+) (\S+) \(\d+:\d+:(\d+)\) \(\d+:\d+:(\d+)\)")
_SETUP = re.compile(r"\(SETUPHOLD \(\w+ (\S+)\) \(\w+ (\S+)\) \(\d+:\d+:(\d+)\)")
_ESCAPED = re.compile(r"\\(.)")

Pin = tuple[str, str]
"""Cell and port."""
Node = Pin | int
"""A pin that reads, or a net."""
Times = dict[Node, float]


@dataclass(frozen=True, eq=False)
class Delays:
    """What an SDF file says, slowest corner.

    Attributes:
        wire: delay from its driver to each pin.
        path: of each cell from input to output port.
        setup: of each cell's input ports, with the clock's port.
    """

    wire: Mapping[Pin, int]
    path: Mapping[str, Mapping[tuple[str, str], int]]
    setup: Mapping[str, Mapping[str, tuple[str, int]]]


def read_sdf(text: str) -> Delays:
    """Read the SDF 3.0 that nextpnr writes, an entry per line.

    Raises:
        LgcError: it holds no delays, or not in picoseconds.
    """
    if "(TIMESCALE 1ps)" not in text:
        raise LgcError("The delays of the routed design are not in picoseconds.")
    wire: dict[Pin, int] = {}
    path: dict[str, dict[tuple[str, str], int]] = {}
    setup: dict[str, dict[str, tuple[str, int]]] = {}
    cell = ""
    for line in text.splitlines():
        if found := _WIRE.search(line):
            wire[_pin(found[2])] = int(found[3])
        elif found := _INSTANCE.search(line):
            cell = _ESCAPED.sub(r"\1", found[1])
        elif found := _PATH.search(line):
            path.setdefault(cell, {})[found[1], found[2]] = max(int(found[3]), int(found[4]))
        elif found := _SETUP.search(line):
            before = setup.setdefault(cell, {}).get(found[1], ("", 0))[1]
            setup[cell][found[1]] = found[2], max(before, int(found[3]))
    if not wire or not path:
        raise LgcError("The routed design has no delays.")
    return Delays(wire, path, setup)


def _pin(text: str) -> Pin:
    cell, port = text.rsplit("/", 1)
    return _ESCAPED.sub(r"\1", cell), port


@dataclass(frozen=True, eq=False)
class Paths:
    """A routed netlist with its delays as a graph.

    Attributes:
        module: the netlist, as Yosys' JSON has it.
        delays: its delays.
        through: ports from one to the other of cells that are wires: pins of the device, global buffers.
    """

    module: Mapping[str, Any]
    delays: Delays
    through: Mapping[str, tuple[str, str]]

    @cached_property
    def clocks(self) -> dict[str, set[str]]:
        """Ports of each type of cell that are clocks."""
        found: dict[str, set[str]] = {}
        for name, cell in self.module["cells"].items():
            for clock, _ in self.delays.setup.get(name, {}).values():
                found.setdefault(cell["type"], set()).add(clock)
        return found

    def net(self, cell: str, port: str) -> int | None:
        """Net of a port; None where nothing is connected, or a constant."""
        bits = self.module["cells"][cell]["connections"].get(port, [])
        return bits[0] if bits and isinstance(bits[0], int) else None

    @cached_property
    def arcs(self) -> dict[Node, list[tuple[Node, int]]]:
        """Delays from node to node that signals take, clocks of registers left out."""
        found: dict[Node, list[tuple[Node, int]]] = {}
        for name, cell in self.module["cells"].items():
            for port, way in cell["port_directions"].items():
                net = self.net(name, port)
                if way != "output" and net is not None:
                    found.setdefault(net, []).append(((name, port), self.delays.wire.get((name, port), 0)))
            clocks = self.clocks.get(cell["type"], set())
            ways = [(i, o, d) for (i, o), d in self.delays.path.get(name, {}).items() if i not in clocks]
            if name in self.through and not ways:
                ways = [(*self.through[name], 0)]
            for before, after, delay in ways:
                net = self.net(name, after)
                if net is not None:
                    found.setdefault((name, before), []).append((net, delay))
        # a pad's own net is what the cell of the pin drives, not what it reads
        for name, (_, after) in self.through.items():
            net = self.net(name, after)
            assert net is not None
            found[net] = [arc for arc in found.get(net, []) if arc[0] != (name, after)]
        return found

    @cached_property
    def order(self) -> list[Node]:
        """All nodes, each after those before it.

        Raises:
            LgcError: there is a loop.
        """
        waiting: dict[Node, int] = dict.fromkeys(self.arcs, 0)
        for after in self.arcs.values():
            for node, _ in after:
                waiting[node] = waiting.get(node, 0) + 1
        ready = [node for node, count in waiting.items() if not count]
        for node in ready:
            for after_node, _ in self.arcs.get(node, []):
                waiting[after_node] -= 1
                if not waiting[after_node]:
                    ready.append(after_node)
        if len(ready) < len(waiting):
            raise LgcError("The routed design has a combinational loop.")
        return ready

    def forward(self, start: Mapping[Node, float], pick: Callable[[Iterable[float]], float]) -> Times:
        """Latest (`pick` = max) or earliest (min) arrival at each node that a start reaches."""
        time: Times = dict(start)
        for node in self.order:
            if node in time:
                for after, delay in self.arcs.get(node, []):
                    arrival = time[node] + delay
                    time[after] = pick((time[after], arrival)) if after in time else arrival
        return time

    def backward(self, end: Mapping[Node, float], pick: Callable[[Iterable[float]], float]) -> Times:
        """Longest (`pick` = max) or shortest (min) way from each node to an end, with the end's own time."""
        time: Times = dict(end)
        for node in reversed(self.order):
            for after, delay in self.arcs.get(node, []):
                if after in time:
                    way = time[after] + delay
                    time[node] = pick((time[node], way)) if node in time else way
        return time

    @cached_property
    def launches(self) -> dict[int, tuple[Pin, int]]:
        """Nets that registers drive: the clock's pin, and how long after it."""
        found = {}
        for name, ways in self.delays.path.items():
            clocks = self.clocks.get(self.module["cells"][name]["type"], set())
            for (before, after), delay in ways.items():
                net = self.net(name, after)
                if before in clocks and net is not None:
                    found[net] = (name, before), delay
        return found

    @cached_property
    def captures(self) -> dict[Pin, tuple[Pin, int]]:
        """Pins that registers sample: the clock's pin, and how long before it."""
        return {
            (name, port): ((name, clock), setup)
            for name, ports in self.delays.setup.items()
            for port, (clock, setup) in ports.items()
            if self.net(name, port) is not None
        }

    def longest(self) -> float:
        """Longest path from register to register, with setup, all clocked at once as nextpnr has them.

        Raises:
            LgcError: there is none.
        """
        start: Times = {net: delay for net, (_, delay) in self.launches.items()}
        time = self.forward(start, max)
        found = [time[pin] + setup for pin, (_, setup) in self.captures.items() if pin in time]
        if not found:
            raise LgcError("The routed design has no path from register to register.")
        return max(found)
