"""Yosys, ABC, Icarus and gcc on what lgc writes, and lgc on what Yosys and ABC write."""

import ctypes
import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from lgc.errors import ToolMissingError
from lgc.ir import simulate
from lgc.ir.equivalence import compare, patterns
from lgc.ir.interop import aiger, blif, c, verilog
from lgc.ir.netlist import Netlist

from ..netlists import difflogic, random_netlist
from .formats import bare

NETS = [random_netlist(k, k=k, luts=60, inputs=8) for k in range(1, 7)]
NETS.append(difflogic(13, [80, 80], classes=4, seed=2))


def packaged() -> Path:
    """The folder of pyosys, which has native Yosys and ABC."""
    found = importlib.util.find_spec("pyosys")
    if found is None or found.origin is None:
        pytest.skip("pyosys is not installed: no native Yosys and ABC")
    return Path(found.origin).parent


def yosys(folder: Path, *commands: str) -> None:
    """Run Yosys: the native one of pyosys, or whichever lgc finds."""
    if importlib.util.find_spec("pyosys") is None:
        from lgc.backend import tools

        try:
            command = [*tools.find("yosys").command, "-q", "-p", "; ".join(commands)]
        except ToolMissingError as error:
            pytest.skip(str(error))
    else:
        script = "import sys\nfrom pyosys import libyosys as y\nd = y.Design()\nfor c in sys.argv[1:]: y.run_pass(c, d)"
        command = [sys.executable, "-c", script, *commands]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]


def abc(folder: Path, script: str) -> None:
    done = subprocess.run(
        [packaged() / "yosys-abc", "-q", script], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def same(net: Netlist, back: Netlist) -> None:
    assert compare(bare(net), back).equal


WRITTEN = {
    "blif": ("in.blif", blif.dump, "read_blif -wideports in.blif"),
    "gates": ("in.v", verilog.dump, "read_verilog in.v"),
    "lut": ("in.v", lambda net: verilog.dump(net, style="lut"), "read_verilog in.v"),
    "aig": ("in.aig", aiger.dump, "read_aiger in.aig"),
    "aag": ("in.aag", lambda net: aiger.dump(net, binary=False), "read_aiger in.aag"),
}
READ = {
    "simplemap": ("hierarchy -auto-top; flatten; simplemap; opt_clean", "write_verilog -noattr out.v", verilog.parse),
    "cells": ("hierarchy -auto-top; synth -flatten", "write_verilog -noattr -noexpr out.v", verilog.parse),
    "expressions": ("hierarchy -auto-top; synth -flatten", "write_verilog -noattr out.v", verilog.parse),
    "simple-lhs": ("hierarchy -auto-top; synth -flatten", "write_verilog -noattr -simple-lhs out.v", verilog.parse),
    "attributes": ("hierarchy -auto-top; synth -flatten", "write_verilog out.v", verilog.parse),
    "$lut": ("hierarchy -auto-top; synth -flatten -lut 4", "write_verilog -noattr -noexpr out.v", verilog.parse),
    "shifts": ("hierarchy -auto-top; synth -flatten -lut 5", "write_verilog -noattr out.v", verilog.parse),
    "ice40": ("synth_ice40 -flatten -noabc -nocarry; abc -lut 4; ice40_wrapcarry -unwrap; techmap -map +/ice40/cells_map.v; opt_clean", "write_verilog -noattr out.v", verilog.parse),
    "xilinx": ("hierarchy -auto-top; synth -flatten -lut 6; techmap -map +/xilinx/lut_map.v -D LUT_WIDTH=6; opt_clean", "write_verilog -noattr out.v", verilog.parse),
    "ecp5": ("hierarchy -auto-top; synth -flatten -lut 4; techmap -map +/lattice/cells_map_trellis.v; opt_clean", "write_verilog -noattr out.v", verilog.parse),
    "blif": ("hierarchy -auto-top; synth -flatten -lut 6", "write_blif out.blif", blif.parse),
    "aig": ("hierarchy -auto-top; synth -flatten; aigmap; opt_clean", "write_aiger -symbols out.aig", aiger.parse),
    "aag": ("hierarchy -auto-top; synth -flatten; aigmap; opt_clean", "write_aiger -ascii out.aag", aiger.parse),
}  # fmt: skip


@pytest.mark.parametrize("form", WRITTEN)
@pytest.mark.parametrize("net", NETS, ids=lambda net: f"k{net.k}-{net.luts}")
def test_yosys_reads_what_lgc_writes(form: str, net: Netlist, tmp_path: Path) -> None:
    name, dump, command = WRITTEN[form]
    (tmp_path / name).write_bytes(dump(net))
    yosys(tmp_path, command, "hierarchy -auto-top", "synth -flatten -run begin:fine", "techmap", "aigmap",
          "opt_clean", "write_aiger -ascii out.aag")  # fmt: skip
    same(net, aiger.parse((tmp_path / "out.aag").read_bytes()))


@pytest.mark.parametrize("form", READ)
def test_lgc_reads_what_yosys_writes(form: str, tmp_path: Path) -> None:
    script, write, parse = READ[form]
    for net in (NETS[3], NETS[6]):
        (tmp_path / "in.v").write_bytes(verilog.dump(net))
        yosys(tmp_path, "read_verilog in.v", *script.split("; "), write)
        same(net, parse(next(tmp_path.glob("out.*")).read_bytes()))


SCRIPTS = {
    "blif-aig": ("in.blif", "read_blif in.blif; strash; write_aiger out.aig", aiger.parse),
    "blif-lut": ("in.blif", "read_blif in.blif; strash; if -K 6; write_blif out.blif", blif.parse),
    "blif-optimised": (
        "in.blif",
        "read_blif in.blif; strash; dch; if -K 4 -a; mfs2; write_blif out.blif",
        blif.parse,
    ),
    "blif-verilog": ("in.blif", "read_blif in.blif; strash; write_verilog out.v", verilog.parse),
    "blif-sop": ("in.blif", "read_blif in.blif; strash; if -K 6; sop; write_verilog out.v", verilog.parse),
    "aig-blif": ("in.aig", "read_aiger in.aig; write_blif out.blif", blif.parse),
    "aig-aig": ("in.aig", "&r in.aig; &syn3; &w out.aig", aiger.parse),
}


@pytest.mark.parametrize("form", SCRIPTS)
def test_abc_there_and_back(form: str, tmp_path: Path) -> None:
    name, script, parse = SCRIPTS[form]
    for net in NETS:
        (tmp_path / name).write_bytes(blif.dump(net) if name.endswith("blif") else aiger.dump(net))
        abc(tmp_path, script)
        out = next(tmp_path.glob("out.*"))
        same(net, parse(out.read_bytes()))
        out.unlink()


@pytest.mark.parametrize("style", ["gates", "lut"])
def test_icarus_computes_what_the_simulator_does(style: verilog.Style, tmp_path: Path) -> None:
    if shutil.which("iverilog") is None or shutil.which("vvp") is None:
        pytest.skip("iverilog is not installed")
    net = NETS[3]
    bits = patterns(net.inputs, samples=0, seed=0)
    roots = len(net.roots())
    bench = (
        f"module bench; reg [{net.inputs - 1}:0] x; wire [{roots - 1}:0] y; lgc net (.x(x), .y(y)); integer i;\n"
        f'initial for (i = 0; i < {len(bits)}; i = i + 1) begin x = i; #1 $display("%b", y); end\nendmodule\n'
    )
    (tmp_path / "a.v").write_bytes(verilog.dump(net, style=style) + bench.encode())
    subprocess.run(["iverilog", "-Wall", "-Wno-timescale", "-o", "a.vvp", "a.v"], cwd=tmp_path, check=True)
    done = subprocess.run(["vvp", "-n", "a.vvp"], cwd=tmp_path, capture_output=True, text=True, check=True)
    seen = np.array([[letter == "1" for letter in line[::-1]] for line in done.stdout.split()])
    assert np.array_equal(seen, simulate.simulate_roots(net, bits))


C_NETS = [
    *(random_netlist(k, k=k, luts=90, inputs=9, entries=20, classes=k) for k in range(1, 7)),
    random_netlist(9, k=4, luts=1500, inputs=17, entries=300, classes=3),
    difflogic(20, [300, 300], classes=10, seed=1),
    random_netlist(0, luts=0),
    random_netlist(0, classes=0, inputs=0),
]


@pytest.mark.parametrize("net", C_NETS, ids=lambda net: f"k{net.k}-{net.luts}-{len(net.roots())}")
def test_gcc_compiles_and_computes_what_the_simulator_does(net: Netlist, tmp_path: Path) -> None:
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")
    (tmp_path / "net.c").write_bytes(c.dump(net))
    flags = ["-O1", "-std=c99", "-pedantic", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC"]
    subprocess.run(["gcc", *flags, "-o", "net.so", "net.c"], cwd=tmp_path, check=True)
    library = ctypes.CDLL(str(tmp_path / "net.so"))
    bits = np.random.default_rng(0).random((150, net.inputs)) < 0.5
    words = simulate.pack(bits)
    wanted = simulate.simulate_words(net, words)[net.roots()]
    for w in range(words.shape[1]):
        column, out = np.ascontiguousarray(words[:, w]), np.zeros(len(wanted), np.uint64)
        library.lgc_eval(pointer(column), pointer(out))
        assert np.array_equal(out, wanted[:, w])
    if net.readout is not None:
        scores = np.zeros((len(bits), net.readout.classes), np.int32)
        library.lgc_scores(pointer(bits.astype(np.uint8)), pointer(scores), ctypes.c_size_t(len(bits)))
        assert np.array_equal(scores, simulate.scores(net, bits))


def pointer(array: np.ndarray) -> ctypes.c_void_p:
    return array.ctypes.data_as(ctypes.c_void_p)
