"""Block RAM in the bit-parallel run of a decoded bitstream: as the vendor's model in Icarus Verilog."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from lgc.errors import ToolMissingError
from lgc.verification import lanes
from lgc.verification.decode import Design, Memory, Port, block
from lgc.verification.emit import verilog
from lgc.verification.hardware import ice40_models

CLOCKS, LANES = 400, 3
MODES = [(read, write) for read in range(4) for write in range(4)]
INPUTS = ["RADDR", "WADDR", "WDATA", "MASK", "RCLKE", "RE", "WCLKE", "WE"]
WIDTHS = {"RADDR": 11, "WADDR": 11, "WDATA": 16, "MASK": 16}

BENCH = """\
module bench;
  reg clk = 0;
  reg [57:0] in, sent [0:{clocks}-1];
  wire [255:0] out;
  integer k;
  lgc_top dut (.clk(clk), .in(in), .out(out));
  initial begin
    $readmemh("sent.hex", sent);
    for (k = 0; k < {clocks}; k = k + 1) begin
      in = sent[k];
      #1 if (k) $display("%b", out);
      clk = 1;
      #1 clk = 0;
    end
    $finish;
  end
endmodule
"""


def memories(rng: np.random.Generator) -> tuple[Design, dict[str, int]]:
    """A written memory of each pair of modes, all at the same pins."""
    port = {"clk": 2} | {f"in[{i}]": 3 + i for i in range(58)}
    names = [f"{name}_{i}" if name in WIDTHS else name for name in INPUTS for i in range(WIDTHS.get(name, 1))]
    shared = dict(zip(names, range(3, 61), strict=True)) | {"RCLK": 2, "WCLK": 2}
    made = []
    for n, (read, write) in enumerate(MODES):
        data = {f"RDATA_{i}": 100 + 16 * n + i for i in range(16)}
        port |= {f"out[{16 * n + i}]": net for i, net in enumerate(data.values())}
        content = tuple(rng.bytes(32).hex() for _ in range(16))
        made.append(Memory(shared | data, read, write, False, False, content))
    return Design((), tuple(made), {n: n for n in range(2, 61)}, {}), port


def test_every_mode_reads_and_writes_as_the_vendors_model(tmp_path: Path) -> None:
    """Lanes that agree on an address, and lanes that do not."""
    try:
        models = ice40_models()
    except ToolMissingError as error:
        pytest.skip(str(error))
    if shutil.which("iverilog") is None:
        pytest.skip("iverilog is not installed")
    rng = np.random.default_rng(0)
    design, port = memories(rng)
    level = rng.integers(0, 2, (CLOCKS, 58, LANES), np.uint8)
    for at in (0, 11):  # few words, so that what was written is read
        level[:, at + 2 : at + 8] = 0
    level[: CLOCKS // 2, :22] = level[: CLOCKS // 2, :22, :1]  # the same addresses at first
    level[:, 54:] |= rng.integers(0, 2, (CLOCKS, 4, LANES), np.uint8)
    weight = (1 << np.arange(LANES)).astype(np.uint64)
    waves = (level * weight).sum(axis=2).astype(np.uint64)[None]
    length = np.ones((1, CLOCKS), np.int32)
    made = lanes.program(design, port)
    pins = [f"out[{i}]" for i in range(256)]
    seen = lanes.wave(made, [f"in[{i}]" for i in range(58)], pins, length, waves, clocks=CLOCKS)[0]
    ports = {"clk": (True, 1), "in": (True, 58), "out": (False, 256)}
    (tmp_path / "design.v").write_text(verilog(design, port, ports))
    (tmp_path / "bench.v").write_text(BENCH.format(clocks=CLOCKS))
    files = ["bench.v", "design.v", str(models)]

    def run(*command: str) -> str:
        done = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True)
        return done.stdout

    run("iverilog", "-g2012", "-DNO_ICE40_DEFAULT_ASSIGNMENTS", "-s", "bench", "-o", "sim", *files)
    for lane in range(LANES):
        rows = [sum(int(bit) << i for i, bit in enumerate(row)) for row in level[:, :, lane]]
        (tmp_path / "sent.hex").write_text("\n".join(f"{row:x}" for row in rows))
        printed = run("vvp", "-n", "sim")
        lines = [line for line in printed.split() if len(line) == 256]
        assert len(lines) == CLOCKS - 1
        known = 0
        for clock, line in enumerate(lines, 1):
            ours = [int(word >> np.uint64(lane) & np.uint64(1)) for word in seen[clock]]
            for bit, their in zip(ours, line[::-1], strict=True):
                assert their == "x" or bit == int(their)
                known += their != "x"
        assert known > 0.9 * 256 * CLOCKS
    assert len({tuple(row) for row in seen.tolist()}) > CLOCKS // 3


WIDTHS_OF_BLOCKS = (1, 2, 4, 9, 18, 36)


def bits_of(width: int, word: int) -> list[tuple[int, int]]:
    """Where the bits of a word lie, as byte and bit of it: words of less than a byte leave out its last bit."""
    if width < 9:
        return [divmod(word * width + bit, 8) for bit in range(width)]
    return [divmod(word * width + bit, 9) for bit in range(width)]


@pytest.mark.parametrize("read", WIDTHS_OF_BLOCKS)
@pytest.mark.parametrize("write", WIDTHS_OF_BLOCKS)
def test_blocks_of_all_widths(read: int, write: int) -> None:
    """Two ports of their own widths; what is read while it is written is wrong, since nothing promises it."""
    rng = np.random.default_rng(36 * read + write)
    names = ["re", "rc", "we", "wc", *(f"ra{i}" for i in range(14)), *(f"wa{i}" for i in range(14))]
    names += [*(f"d{i}" for i in range(36)), *(f"m{i}" for i in range(36))]
    port = {name: 3 + n for n, name in enumerate(names)}
    nets = {name: [port[f"{name}{i}"] for i in range(width)] for name, width in
            (("ra", 14), ("wa", 14), ("d", write), ("m", write))}  # fmt: skip
    held = rng.integers(0, 2, (2048, 9), np.uint8)
    shown = [200 + bit for bit in range(read)]
    reads = Port(nets["ra"], shown, 2, [port["re"], port["rc"]])
    writes = Port(nets["wa"], nets["d"], 2, [port["we"], port["wc"]], nets["m"])
    design = Design((), (block(held.copy(), reads, writes),), {n: n for n in range(2, 107)}, {})
    made = lanes.program(design, port | {"clk": 2} | {f"q{bit}": net for bit, net in enumerate(shown)})
    level = rng.integers(0, 2, (CLOCKS, len(names), LANES), np.uint8)
    for name, width in (("ra", read), ("wa", write)):  # a few bytes in all, so that what was written is read
        pin_of = np.array([names.index(f"{name}{i}") for i in range(14)])
        level[:, pin_of[(32 // width - 1).bit_length() :]] = 0
        level[: CLOCKS // 2, pin_of, 1:] = level[: CLOCKS // 2, pin_of, :1]
    level[:, :4] |= rng.integers(0, 2, (CLOCKS, 4, LANES), np.uint8)
    weight = (1 << np.arange(LANES)).astype(np.uint64)
    waves = (level * weight).sum(axis=2).astype(np.uint64)[None]
    pins = [f"q{bit}" for bit in range(read)]
    seen = lanes.wave(made, names, pins, np.ones((1, CLOCKS), np.int32), waves, clocks=CLOCKS)[0]
    met = 0
    for lane in range(LANES):
        now, wanted = held.copy(), np.zeros(read, np.int64)
        for clock in range(CLOCKS):
            assert (seen[clock] >> np.uint64(lane) & np.uint64(1)).tolist() == wanted.tolist()
            pin = dict(zip(names, level[clock, :, lane].tolist(), strict=True))
            word = {side: sum(pin[f"{side}{i}"] << i for i in range(14)) for side in ("ra", "wa")}
            into = {}
            if pin["we"] & pin["wc"]:
                places = enumerate(bits_of(write, word["wa"]))
                into = {place: pin[f"d{bit}"] for bit, place in places if not pin[f"m{bit}"]}
            if pin["re"] & pin["rc"]:
                places_read = bits_of(read, word["ra"])
                wanted = np.array([1 - into[at] if at in into else now[at] for at in places_read], np.int64)
                met += len(into.keys() & set(places_read))
            for place, value in into.items():
                now[place] = value
    assert met > 0


def test_a_memory_with_another_clock_is_refused() -> None:
    from lgc.errors import LgcError

    design, port = memories(np.random.default_rng(0))
    with pytest.raises(LgcError, match="a block RAM with another clock"):
        lanes.program(design, port | {"clk": 3})
