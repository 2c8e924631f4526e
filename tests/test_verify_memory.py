"""Block RAM in the bit-parallel run of a decoded bitstream: as the vendor's model in Icarus Verilog."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from lgc import hw_tests
from lgc.errors import ToolMissingError
from lgc.verification import lanes
from lgc.verification.cells import shipped
from lgc.verification.decode import Design, Memory, Port, block
from lgc.verification.emit import verilog
from lgc.verification.parts import Parts

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
        models = shipped("ice40/cells_sim.v")
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


SIDES = [(1, 1), (9, 9), (18, 18), (36, 36), (1, 9), (18, 2), (4, 18)]
"""Widths of the side that reads and of the one that writes; 36 only together."""


def instance(number: int, read: int, write: int, bits: np.ndarray) -> str:
    """A block RAM of ECP5 whose port A writes and whose port B reads."""
    words = (bits.reshape(-1, 18).astype(object) << np.arange(18)).sum(axis=1)
    rows = words.reshape(64, 16)
    content = [
        f".INITVAL_{n:02X}(320'h{sum(w << 20 * i for i, w in enumerate(row)):x})"
        for n, row in enumerate(rows)
    ]
    pins = {"CLKA": "clk", "CLKB": "clk", "OCEA": "1'b1", "OCEB": "1'b1", "RSTA": "1'b0", "RSTB": "1'b0"}
    pins |= {f"CS{side}{i}": "1'b0" for side in "AB" for i in range(3)}
    pins |= {"CEB": "in[0]", "CEA": "in[1]", "WEA": "in[2]", "WEB": "1'b0"}
    pins |= {f"AD{side}{i}": f"in[{3 + 14 * (side == 'A') + i}]" for side in "AB" for i in range(14)}
    pins |= {f"DI{side}{i}": f"in[{31 + 18 * (side == 'B') + i}]" for side in "AB" for i in range(18)}
    shown = [f"DOA{i}" for i in range(18)] if read == 36 else []
    shown += [f"DOB{i}" for i in range(18)]
    pins |= {pin: f"out[{36 * number + i}]" for i, pin in enumerate(shown[:read])}
    wired = ", ".join(f".{pin}({net})" for pin, net in pins.items())
    return (
        f"DP16KD #(.DATA_WIDTH_A(32'd{write}), .DATA_WIDTH_B(32'd{read}), {', '.join(content)}) "
        f"m{number} ({wired});"
    )


def test_the_model_of_ecp5_is_what_is_run_bit_by_bit(tmp_path: Path) -> None:
    """In Icarus Verilog, where what is read while it is written is x and here wrong."""
    if shutil.which("iverilog") is None:
        pytest.skip("iverilog is not installed")
    rng = np.random.default_rng(1)
    width, inputs = 36 * len(SIDES), list(range(3, 70))
    parts = Parts(1000)
    port = {"clk": 2} | {f"in[{i}]": net for i, net in enumerate(inputs)}
    lines = []
    for n, (read, write) in enumerate(SIDES):
        bits = rng.integers(0, 2, (2048, 9), np.uint8)
        at, to, data = inputs[3:17], inputs[17:31], inputs[31:67]
        skip = {1: 0, 2: 1, 4: 2, 9: 3, 18: 4, 36: 5}
        shown = [200 + 36 * n + i for i in range(read)]
        port |= {f"out[{36 * n + i}]": net for i, net in enumerate(shown)}
        mask = [parts.inverse(to[i // 9]) for i in range(write)] if write > 9 else []
        enable = inputs[1:3] if write < 36 else inputs[1:2]
        reads = Port(at[skip[read] :], shown, 2, inputs[:1])
        parts.memories.append(block(bits, reads, Port(to[skip[write] :], data[:write], 2, enable, mask)))
        lines.append(instance(n, read, write, bits))
    outs = dict(enumerate(net for name, net in port.items() if name.startswith("out")))
    made = lanes.program(parts.design({n: n for n in range(2, 70)}, outs), port)
    level = rng.integers(0, 2, (CLOCKS, 67, 1), np.uint8)
    level[:, :3] |= rng.integers(0, 2, (CLOCKS, 3, 1), np.uint8)
    level[:, [*range(9, 17), *range(23, 31)]] = 0
    seen = lanes.wave(
        made, [f"in[{i}]" for i in range(67)], [f"out[{i}]" for i in range(width)],
        np.ones((1, CLOCKS), np.int32), level.sum(axis=2).astype(np.uint64)[None], clocks=CLOCKS,
    )[0]  # fmt: skip
    rows = [sum(int(bit) << i for i, bit in enumerate(row)) for row in level[:, :, 0]]
    (tmp_path / "sent.hex").write_text("\n".join(f"{row:x}" for row in rows))
    (tmp_path / "design.v").write_text(
        f"module lgc_top(input clk, input [66:0] in, output [{width - 1}:0] out);\n"
        + "\n".join(lines)
        + "\nendmodule\n"
    )
    bench = BENCH.format(clocks=CLOCKS).replace("[57:0]", "[66:0]").replace("[255:0]", f"[{width - 1}:0]")
    (tmp_path / "bench.v").write_text(bench)
    model = Path(hw_tests.__file__).parent / "ecp5_ram.v"
    command = ["iverilog", "-g2012", "-s", "bench", "-o", "sim", "bench.v", "design.v", str(model)]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    done = subprocess.run(["vvp", "-n", "sim"], cwd=tmp_path, check=True, capture_output=True, text=True)
    printed = [line for line in done.stdout.split() if len(line) == width]
    assert len(printed) == CLOCKS - 1
    used = [36 * n + i for n, (read, _) in enumerate(SIDES) for i in range(read)]
    counts = {"known": 0, "met": 0}
    for clock, line in enumerate(printed, 1):
        for bit in used:
            their = line[::-1][bit]
            if their == "x":
                counts["met"] += clock > 20
            elif clock > 20:  # by then all have read
                counts["known"] += 1
                assert int(their) == int(seen[clock, bit] & np.uint64(1)), (clock, divmod(bit, 36))
    assert counts["known"] > 0.8 * len(used) * CLOCKS
    assert counts["met"] > 100


def test_a_memory_with_another_clock_is_refused() -> None:
    from lgc.errors import LgcError

    design, port = memories(np.random.default_rng(0))
    with pytest.raises(LgcError, match="a block RAM with another clock"):
        lanes.program(design, port | {"clk": 3})
