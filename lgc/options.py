"""How to compile: what `lgc compile` and `lgc.compile` can be told."""

from __future__ import annotations

from dataclasses import dataclass

STAGES = ("verilog", "simulation", "synthesis", "bitstream")
"""Where a compilation may end."""


@dataclass(frozen=True)
class Options:
    """How to compile; the same names and defaults as the options of `lgc compile`.

    Attributes:
        target: name or TOML file of the FPGA.
        passes: optimisation pipeline before mapping.
        levels: LUTs between registers, 0 for a combinational fabric.
        head: for Xilinx, what network, counters and argmax are chosen for: the fewest "sites" of two LUTs, or
            the fewest "luts"; with ":12" behind it, in at most 12 levels, each CARRY4 on the way being one.
        until: last stage, one of `STAGES`.
        data: data set for simulation; what the checkpoint was trained on if "".
        images: samples to simulate, all if None.
        simulator: "auto", "icarus" or "verilator".
        seed: of the placer.
        seeds: placements to try, numbered from `seed`; the fastest is kept.
        board: name or TOML file of a board, whose target, pins and clock then hold; "" for none.
        interface: "stream", "parallel", "words", "axi", "uart" or "spi".
        word: bits per word of words and axi.
        pack: what is sent of a feature, "levels", "codes" or "bits"; the stream takes codes.
        with_scores: whether scores can be had over the interface.
        clock_hz: clock that a UART counts; the board's if None and there is one, else 12 MHz.
        baud: of the UART.
        scripts: other tools to write scripts for, see `lgc.backend.scripts`.
        timeout_ms: silence that ends a request over the UART.
        pipeline: "auto" as `levels` says, "none", or a number of register stages, argmax included.
        clock: "50MHz" for as few stages as reach that; "" for any.
        throughput: "held" where a sample's bits stand still until its class is out, "full" where the
            fabric takes new ones every clock.
        wire_registers: with "full", registers on the wires from each stage to the next besides.
        fold: build kernels of convolutions once and stream images through them, run dense layers as a
            program, see `lgc.folding`.
        positions: with `fold`, neighbouring places of a row that enter per clock; 0 for a feature per clock.
        continuous: with `fold`, time steps between windows over a signal without end, each of which gets a
            class; 0 for samples one by one.
        fps: with `fold`, frames per second that tail and places per clock are chosen for; 0 for any.
        tail: with `fold`, "parallel" for LUTs, "serial" for a program in memory, "auto" for what
            `lgc.folding.TAILS` says.
    """

    target: str = "ice40-hx8k"
    passes: str = "simplify,merge,reduce"
    levels: int = 4
    head: str = "sites"
    until: str = "bitstream"
    data: str = ""
    images: int | None = None
    simulator: str = "auto"
    seed: int = 1
    seeds: int = 1
    board: str = ""
    interface: str = "stream"
    word: int = 8
    pack: str = "levels"
    with_scores: bool = False
    clock_hz: float | None = None
    baud: int = 115_200
    scripts: tuple[str, ...] = ()
    timeout_ms: float = 50
    pipeline: str = "auto"
    clock: str = ""
    throughput: str = "held"
    wire_registers: int = 0
    fold: bool = False
    tail: str = "auto"
    positions: int = 0
    fps: float = 0
    continuous: int = 0
