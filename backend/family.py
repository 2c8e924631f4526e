"""Device families: what their cells are called and how their tools are told what to do.

What differs between devices of one family is in `targets/*.toml`; what differs between families is
here, as data.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Family:
    """A family of FPGAs.

    Attributes:
        name: name in lgc.
        extra: what `pip install "lgc[...]"` brings its tools.
        synth: Yosys command without top module, and the label behind its mapping.
        ffs: what `dfflegalize` may use in its place, see `synthesise`.
        fabric: Yosys commands that make the family's cells of `lgc_lut4` and `lgc_carry`.
        finish: Yosys commands once the design is flat.
        maps: Verilog that `fabric` refers to as `cells_map.v`, if any.
        carries: whether `lgc_carry` exists, so that the argmax may use carry chains.
        luts: cell types that are LUTs, with their output port.
        ffs_start: how types of flip-flops start.
        data: the data port of flip-flops that live behind a LUT; "" where they need no LUT.
        chains: cell types of carry chains, with the logic cells that each takes.
        brams: cell types of block RAMs, and how many blocks each is.
        shapes: words and bits per word that a block RAM can have as a ROM; none if it is not used.
        k: inputs per LUT.
        cells: what the fabric is made of, see `fabric_text`; the family's own cells need no `fabric`.
        models: Yosys' name of the file with simulation models of its cells; "" if lgc reads the file itself.
        nextpnr: name of the tool in lgc; "" if there is none, and clocks are estimates.
        routed: option that names the routed design, and the file.
        pins: options before and after the name of a pin file, and its suffix.
        all_pins: whether nextpnr wants a place for each pin.
        only_router1: whether its other router cannot route the family's clocks.
        cell_bels: router's names of logic cells; the first says how many there are.
        bram_bels: of block RAMs.
        io_bels: of pins.
        packer: name of the tool in lgc.
        pack: its arguments, with `{routed}` and `{bitstream}`.
        bitstream: file that it writes.
        flash: whether pins to the flash that configures it are a design's afterwards.
    """

    name: str
    extra: str
    synth: tuple[str, str]
    ffs: str
    fabric: str
    finish: str
    maps: str
    carries: bool
    luts: Mapping[str, str]
    ffs_start: tuple[str, ...]
    data: str
    chains: Mapping[str, int]
    brams: Mapping[str, int]
    shapes: tuple[tuple[int, int], ...]
    k: int = 4
    cells: str = "lgc_lut4"
    models: str = ""
    nextpnr: str = ""
    routed: tuple[str, str] = ("", "")
    pins: tuple[tuple[str, ...], tuple[str, ...], str] = ((), (), "")
    all_pins: bool = False
    only_router1: bool = False
    cell_bels: tuple[str, ...] = ()
    bram_bels: tuple[str, ...] = ()
    io_bels: tuple[str, ...] = ()
    packer: str = ""
    pack: tuple[str, ...] = ()
    bitstream: str = ""
    flash: bool = False

    @property
    def estimated(self) -> bool:
        """Whether there is no open place and route, so that synthesis is the last of the tools."""
        return not self.nextpnr

    @property
    def own_cells(self) -> bool:
        """Whether the fabric is made of the vendor's cells, which synthesis knows."""
        return self.cells != "lgc_lut4"

    @property
    def tools(self) -> tuple[str, ...]:
        """Names of the tools: to a bitstream, or to an estimate."""
        return ("yosys",) if self.estimated else ("yosys", self.nextpnr, self.packer)


_MAP = """\
module lgc_lut4 #(parameter [15:0] LUT_INIT = 16'h0) (output O, input I0, input I1, input I2, input I3);
  LUT4 #(.INIT(LUT_INIT)) _TECHMAP_REPLACE_ ({pins});
endmodule
"""

_ICE40 = Family(
    name="ice40",
    extra="tools",
    synth=("synth_ice40 -noflatten", "blif"),
    ffs="-cell $_DFF_?_ 0 -cell $_DFFE_?P_ 0 -cell $_DFF_?P?_ 0 -cell $_DFFE_?P?P_ 0 "
    "-cell $_SDFF_?P?_ 0 -cell $_SDFFCE_?P?P_ 0",
    fabric="chtype -set SB_LUT4 t:lgc_lut4\nchtype -set SB_CARRY t:lgc_carry\ntechmap -map cells_map.v",
    finish="",
    maps="""\
module lgc_spram (input clk, input write, input [13:0] address, input [15:0] d, output [15:0] q);
  SB_SPRAM256KA _TECHMAP_REPLACE_ (
    .CLOCK(clk), .WREN(write), .ADDRESS(address), .DATAIN(d), .DATAOUT(q), .MASKWREN(4'b1111),
    .CHIPSELECT(1'b1), .STANDBY(1'b0), .SLEEP(1'b0), .POWEROFF(1'b1));
endmodule
""",
    carries=True,
    luts={"SB_LUT4": "O"},
    ffs_start=("SB_DFF",),
    data="D",
    chains={"SB_CARRY": 0},  # they share the cell of a LUT wherever nextpnr lets them
    brams={"SB_RAM40_4K": 1},
    shapes=((256, 16), (512, 8), (1024, 4), (2048, 2)),
    nextpnr="nextpnr-ice40",
    routed=("--asc", "design.asc"),
    pins=(("--pcf",), ("--pcf-allow-unconstrained",), ".pcf"),
    all_pins=False,
    cell_bels=("ICESTORM_LC",),
    bram_bels=("ICESTORM_RAM",),
    io_bels=("SB_IO",),
    packer="icepack",
    pack=("{routed}", "{bitstream}"),
    bitstream="lgc.bin",
    flash=True,
)

_TRELLIS_FFS = (
    "-cell $_DFF_?_ 01 -cell $_DFF_?P?_ r -cell $_SDFF_?P?_ r -cell $_DFFE_??_ 01 "
    "-cell $_DFFE_?P??_ r -cell $_SDFFE_?P??_ r"
)

_ECP5 = Family(
    name="ecp5",
    extra="ecp5",
    # wide LUTs of PFU muxes make popcounts two to three times larger
    synth=("synth_ecp5 -noflatten -nowidelut -nolutram -nodsp", "edif"),
    ffs=_TRELLIS_FFS,
    fabric="techmap -map cells_map.v",
    finish="",
    maps=_MAP.format(pins=".Z(O), .A(I0), .B(I1), .C(I2), .D(I3)"),
    carries=False,
    luts={"LUT4": "Z"},
    ffs_start=("TRELLIS_FF",),
    data="",
    chains={"CCU2C": 2},
    brams={"DP16KD": 1},
    shapes=((512, 36), (1024, 18), (2048, 9), (4096, 4), (8192, 2), (16384, 1)),
    nextpnr="nextpnr-ecp5",
    routed=("--textcfg", "design.config"),
    pins=(("--lpf",), ("--lpf-allow-unconstrained",), ".lpf"),
    all_pins=False,
    cell_bels=("TRELLIS_COMB",),
    bram_bels=("DP16KD",),
    io_bels=("TRELLIS_IO",),
    packer="ecppack",
    pack=("--compress", "{routed}", "{bitstream}"),
    bitstream="lgc.bit",
    models="+/ecp5/cells_sim.v",
)

_GOWIN = Family(
    name="gowin",
    extra="gowin",
    # pads are for the flat top module only; block RAM as ROM was not tried in hardware
    synth=("synth_gowin -noflatten -nowidelut -nolutram -nodsp -nobram -noiopads", "vout"),
    ffs="-cell $_DFF_?_ 0 -cell $_DFFE_?P_ 0 -cell $_SDFF_?P?_ r -cell $_SDFFE_?P?P_ r "
    "-cell $_DFF_?P?_ r -cell $_DFFE_?P?P_ r",
    fabric="techmap -map cells_map.v",
    finish="iopadmap -bits -inpad IBUF O:I -outpad OBUF I:O",
    maps=_MAP.format(pins=".F(O), .I0(I0), .I1(I1), .I2(I2), .I3(I3)"),
    carries=False,
    luts={f"LUT{k}": "F" for k in (1, 2, 3, 4)},
    ffs_start=("DFF",),
    data="",
    chains={"ALU": 1},
    brams={"pROM": 1, "SDPB": 1, "DPB": 1},
    shapes=(),
    nextpnr="nextpnr-himbaechel-gowin",
    routed=("--write", "design.json"),
    pins=(("--vopt",), (), ".cst"),
    all_pins=True,
    cell_bels=("LUT4", "ALU"),
    bram_bels=("BSRAM",),
    io_bels=("IOB",),
    packer="gowin_pack",
    pack=("-o", "{bitstream}", "{routed}"),
    bitstream="lgc.fs",
    models="+/gowin/cells_sim.v",
)

# the fabric of ECP5 with other carries and block RAM, which is not used
_MACHXO2 = replace(
    _ECP5,
    name="machxo2",
    extra="machxo2",
    synth=("synth_lattice -family xo2 -noflatten -nowidelut -nolutram -nodsp -nobram", "edif"),
    chains={"CCU2D": 2},
    brams={},
    shapes=(),
    nextpnr="nextpnr-machxo2",
    pins=(("--lpf",), (), ".lpf"),
    bram_bels=("DP8KC",),
    packer="xo2pack",
    models="+/lattice/cells_sim_xo2.v",
)

_NEXUS = Family(
    name="nexus",
    extra="nexus",
    # pads are for the flat top module only; nextpnr takes no carry-in from a constant's driver
    synth=(
        "synth_lattice -family lifcl -noflatten -nowidelut -nolutram -nodsp -nobram -noiopad -noccu2",
        "edif",
    ),
    ffs=_TRELLIS_FFS,
    fabric="techmap -map cells_map.v",
    finish="iopadmap -bits -inpad IB O:I -outpad OB I:O",
    maps=_MAP.replace(".INIT(LUT_INIT)", '.INIT($sformatf("0x%04x", LUT_INIT))').format(
        pins=".Z(O), .A(I0), .B(I1), .C(I2), .D(I3)"
    ),
    carries=False,
    luts={"LUT4": "Z"},
    ffs_start=("FD1P3",),
    data="",
    chains={},
    brams={},
    shapes=(),
    nextpnr="nextpnr-nexus",
    routed=("--fasm", "design.fasm"),
    pins=(("--pdc",), (), ".pdc"),
    all_pins=True,
    only_router1=True,
    cell_bels=("OXIDE_COMB",),
    bram_bels=("OXIDE_EBR",),
    io_bels=("SEIO33_CORE", "SEIO18_CORE", "DIFFIO18_CORE"),
    packer="prjoxide",
    pack=("pack", "{routed}", "{bitstream}"),
    bitstream="lgc.bit",
    models="+/nexus/cells_sim.v",
)

_CYCLONE4 = Family(
    name="cyclone4",
    extra="tools",
    synth=("synth_intel -family cycloneive -noflatten -nodsp -nobram", "vqm"),
    ffs="-cell $_DFFE_PN0P_ 01",
    fabric="techmap -map cells_map.v",
    finish="",
    maps="""\
module lgc_lut4 #(parameter [15:0] LUT_INIT = 16'h0) (output O, input I0, input I1, input I2, input I3);
  cycloneive_lcell_comb #(.lut_mask(LUT_INIT), .sum_lutc_input("datac")) _TECHMAP_REPLACE_ (
    .combout(O), .dataa(I0), .datab(I1), .datac(I2), .datad(I3));
endmodule
""",
    carries=False,
    luts={"cycloneive_lcell_comb": "combout"},
    ffs_start=("dffeas",),
    data="",
    chains={},
    brams={},
    shapes=(),
    models="+/intel/cycloneiv/cells_sim.v",
)

_CYCLONE5 = Family(
    name="cyclone5",
    extra="tools",
    synth=("synth_intel_alm -family cyclonev -noflatten -nolutram -nodsp -nobram -noiopad -noclkbuf", ""),
    ffs="-cell $_DFFE_PN0P_ 0 -cell $_SDFFCE_PP0P_ 0",
    fabric="techmap -map cells_map.v",
    finish="",
    maps="""\
module lgc_lut4 #(parameter [15:0] LUT_INIT = 16'h0) (output O, input I0, input I1, input I2, input I3);
  MISTRAL_ALUT4 #(.LUT(LUT_INIT)) _TECHMAP_REPLACE_ (.Q(O), .A(I0), .B(I1), .C(I2), .D(I3));
endmodule
""",
    carries=False,
    luts={"MISTRAL_NOT": "Q", "MISTRAL_ALUT_ARITH": "SO"} | {f"MISTRAL_ALUT{k}": "Q" for k in range(2, 7)},
    ffs_start=("MISTRAL_FF",),
    data="",
    chains={},
    brams={},
    shapes=(),
    models="+/intel_alm/common/alm_sim.v",
)

# pads and clock buffers are the vendor's tool's; SRLs would hide registers in LUTs
_XILINX = "-nowidelut -nolutram -nodsp -nosrl -noiopad -noclkbuf"
_SLICE_FFS = "-cell $_DFFE_?P?P_ 01 -cell $_SDFFE_?P?P_ 01"
_SLICE_LUTS = {"LUT6_2": "O6", "INV": "O"} | {f"LUT{k}": "O" for k in range(1, 7)}
_BLOCKS = ((512, 36), (1024, 18), (2048, 9), (4096, 4), (8192, 2), (16384, 1))

_XC7 = Family(
    name="xc7",
    extra="tools",
    synth=(f"synth_xilinx -family xc7 {_XILINX}", "edif"),
    ffs=_SLICE_FFS,
    fabric="",
    finish="",
    maps="",
    carries=False,
    luts=_SLICE_LUTS,
    ffs_start=("FD",),
    data="",
    chains={"CARRY4": 0},  # beside LUTs that are counted
    brams={"RAMB18E1": 1, "RAMB36E1": 2},
    shapes=_BLOCKS,
    k=6,
    cells="CARRY4",
    models="+/xilinx/cells_sim.v",
)

_XCUP = Family(
    name="xcup",
    extra="tools",
    synth=(f"synth_xilinx -family xcup {_XILINX}", "edif"),
    ffs=_SLICE_FFS,
    fabric="",
    finish="",
    maps="",
    carries=False,
    luts=_SLICE_LUTS,
    ffs_start=("FD",),
    data="",
    chains={"CARRY8": 0, "CARRY4": 0},
    brams={"RAMB18E2": 1, "RAMB36E2": 2},
    shapes=_BLOCKS,
    k=6,
    cells="CARRY8",
    models="+/xilinx/cells_sim.v",
)

_ALL = (_ICE40, _ECP5, _GOWIN, _NEXUS, _MACHXO2, _XC7, _XCUP, _CYCLONE4, _CYCLONE5)

FAMILIES: Mapping[str, Family] = {family.name: family for family in _ALL}
"""Families the backend knows, by name."""
