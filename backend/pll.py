"""Phase-locked loops: a clock other than the board's, and the top module that holds the loop.

The loop stands between the pin and the design; the design stays in reset until it has locked. What
frequencies a device can make is in its data sheet (Lattice FPGA-TN-02052 for iCE40, FPGA-TN-02200
for ECP5, Gowin UG286).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from lgc.errors import LgcError, UsageError

from .rtl import TOP, RtlFiles
from .target import Target

DESIGN = "lgc_design"
"""Name that the top module gets where a loop is put around it."""

TOLERANCE = 0.01
"""Largest deviation from the clock that was asked for."""

_SETTLE = 4
"""Clocks in reset after the loop has locked."""

_PORT = re.compile(r"^  (input|output) (\[\d+:0\] )?(\w+);$", re.MULTILINE)
_MODULE = re.compile(rf"^module {TOP}\(.*?^endmodule$", re.MULTILINE | re.DOTALL)

_TOP = """\
// The design behind a phase-locked loop: {wanted:g} MHz of {given:g} MHz.
module {top} ({ports});
{declared}
  wire clock, locked;
  reg [{last}:0] settled = 0;
  always @(posedge clock) settled <= {{settled[{last} - 1:0], locked}};
{instance}
  {design} core (
    .clk(clock), .rst(~settled[{last}]){connected}
  );
endmodule
"""


@dataclass(frozen=True)
class Pll:
    """A phase-locked loop and its dividers.

    Attributes:
        cell: type of the vendor's cell.
        given_mhz: clock at the pin.
        made_mhz: clock that comes out.
        parameters: of the cell, as Verilog text.
        pins: of the cell, by name.
        attributes: of the instance, as Verilog text.
    """

    cell: str
    given_mhz: float
    made_mhz: float
    parameters: Mapping[str, str]
    pins: Mapping[str, str]
    attributes: Mapping[str, str]

    def verilog(self) -> str:
        """Return the instance, from `clk` to `clock` and `locked`."""
        attributes = "".join(f'  (* {name} = "{value}" *)\n' for name, value in self.attributes.items())
        parameters = ", ".join(f".{name}({value})" for name, value in self.parameters.items())
        pins = ", ".join(f".{name}({value})" for name, value in self.pins.items())
        return f"{attributes}  {self.cell} #({parameters}) pll (\n    {pins}\n  );"


@dataclass(frozen=True)
class _Setting:
    """Dividers that a device takes, and the clock they make."""

    mhz: float
    rank: float
    values: tuple[int, ...]


def plan(target: Target, *, given_mhz: float, wanted_mhz: float, pad: bool = False) -> Pll:
    """Choose dividers for the clock that comes closest.

    Args:
        target: the device.
        given_mhz: clock at the pin.
        wanted_mhz: clock to make.
        pad: whether the pin is the loop's own, as iCE40 wants to know.

    Raises:
        UsageError: loops of the target are not known, or none comes within `TOLERANCE`.
    """
    makers: dict[str, tuple[Callable[[float], Iterable[_Setting]], Callable[..., Pll]]] = {
        "ice40": (_ice40_settings, _ice40),
        "ecp5": (_ecp5_settings, _ecp5),
        "gowin": (_gowin_settings, _gowin),
    }
    if target.family not in makers:
        raise UsageError(
            f"No phase-locked loop of {target.name} is known here.",
            hint=f"Leave --clock out; the board has {given_mhz:g} MHz.",
        )
    settings, make = makers[target.family]
    found = list(settings(given_mhz))
    best = min(found, key=lambda s: (abs(s.mhz - wanted_mhz), s.rank, s.values), default=None)
    if best is None or abs(best.mhz / wanted_mhz - 1) > TOLERANCE:
        raise UsageError(
            f"No phase-locked loop of {target.name} makes {wanted_mhz:g} MHz of {given_mhz:g} MHz"
            f"{_nearest(found, wanted_mhz)}."
        )
    return make(best, given_mhz, target, pad)


def _nearest(found: list[_Setting], wanted: float) -> str:
    """Clocks around the one wanted, for the message."""
    below = max((s.mhz for s in found if s.mhz <= wanted), default=None)
    above = min((s.mhz for s in found if s.mhz > wanted), default=None)
    near = [f"{mhz:.6g}" for mhz in (below, above) if mhz is not None]
    return f"; the nearest are {' and '.join(near)} MHz" if near else ""


def _ice40_settings(given: float) -> Iterable[_Setting]:
    for r in range(16):
        phase = given / (r + 1)
        if not 10 <= phase <= 133:
            continue
        for q in range(1, 7):
            for f in range(128):
                oscillator = phase * (f + 1)
                if 533 <= oscillator <= 1066 and 16 <= oscillator / 2**q <= 275:
                    yield _Setting(oscillator / 2**q, r, (r, f, q))


def _ice40(best: _Setting, given: float, _: Target, pad: bool) -> Pll:
    r, f, q = best.values
    ranges = (17, 26, 44, 66, 101)
    filters = 1 + sum(given / (r + 1) >= edge for edge in ranges)
    return Pll(
        "SB_PLL40_PAD" if pad else "SB_PLL40_CORE",
        given,
        best.mhz,
        {
            "FEEDBACK_PATH": '"SIMPLE"',
            "DIVR": f"4'd{r}",
            "DIVF": f"7'd{f}",
            "DIVQ": f"3'd{q}",
            "FILTER_RANGE": f"3'd{filters}",
        },
        {
            "PACKAGEPIN" if pad else "REFERENCECLK": "clk",
            "PLLOUTGLOBAL": "clock",
            "LOCK": "locked",
            "RESETB": "1'b1",
            "BYPASS": "1'b0",
        },
        {},
    )


def _ecp5_settings(given: float) -> Iterable[_Setting]:
    for i in range(1, 129):
        phase = given / i
        if not 3.125 <= phase <= 400:
            continue
        for feedback in range(1, 81):
            made = phase * feedback
            if not 10 <= made <= 400:
                continue
            for out in range(1, 129):
                if 400 <= made * out <= 800:
                    # an oscillator in the middle of its range, few dividers
                    yield _Setting(made, abs(made * out - 600) + 1000 * i, (i, feedback, out))


def _ecp5(best: _Setting, given: float, _: Target, pad: bool) -> Pll:
    del pad
    i, feedback, out = best.values
    return Pll(
        "EHXPLLL",
        given,
        best.mhz,
        {
            "PLLRST_ENA": '"DISABLED"',
            "INTFB_WAKE": '"DISABLED"',
            "STDBY_ENABLE": '"DISABLED"',
            "DPHASE_SOURCE": '"DISABLED"',
            "OUTDIVIDER_MUXA": '"DIVA"',
            "OUTDIVIDER_MUXB": '"DIVB"',
            "OUTDIVIDER_MUXC": '"DIVC"',
            "OUTDIVIDER_MUXD": '"DIVD"',
            "CLKI_DIV": str(i),
            "CLKOP_ENABLE": '"ENABLED"',
            "CLKOP_DIV": str(out),
            "CLKOP_CPHASE": str(out - 1),
            "CLKOP_FPHASE": "0",
            "FEEDBK_PATH": '"CLKOP"',
            "CLKFB_DIV": str(feedback),
        },
        {
            "RST": "1'b0",
            "STDBY": "1'b0",
            "CLKI": "clk",
            "CLKOP": "clock",
            "CLKFB": "clock",
            "PHASESEL0": "1'b0",
            "PHASESEL1": "1'b0",
            "PHASEDIR": "1'b1",
            "PHASESTEP": "1'b1",
            "PHASELOADREG": "1'b1",
            "PLLWAKESYNC": "1'b0",
            "ENCLKOP": "1'b0",
            "LOCK": "locked",
        },
        {
            "FREQUENCY_PIN_CLKI": f"{given:g}",
            "FREQUENCY_PIN_CLKOP": f"{best.mhz:g}",
            "ICP_CURRENT": "12",
            "LPF_RESISTOR": "8",
        },
    )


def _gowin_settings(given: float) -> Iterable[_Setting]:
    for i in range(64):
        if not 3 <= given / (i + 1) <= 400:
            continue
        for f in range(64):
            made = given * (f + 1) / (i + 1)
            if not 3.125 <= made <= 400:
                continue
            for out in (2, 4, 8, 16, 32, 48, 64, 80, 96, 112, 128):
                if 400 <= made * out <= 1000:  # both of a GW1N's and a GW2A's oscillators can
                    yield _Setting(made, i, (i, f, out))


_GOWIN_DEVICES = {"gowin-gw1n-9": "GW1N-9C", "gowin-gw2a-18": "GW2A-18"}


def _gowin(best: _Setting, given: float, target: Target, pad: bool) -> Pll:
    del pad
    i, f, out = best.values
    low = {"RESET", "RESET_P", "CLKFB"}
    groups = {"FBDSEL": 6, "IDSEL": 6, "ODSEL": 6, "PSDA": 4, "DUTYDA": 4, "FDLY": 4}
    return Pll(
        "rPLL",
        given,
        best.mhz,
        {
            "FCLKIN": f'"{given:g}"',
            "DEVICE": f'"{_GOWIN_DEVICES.get(target.name, "GW1N-9C")}"',
            "IDIV_SEL": str(i),
            "FBDIV_SEL": str(f),
            "ODIV_SEL": str(out),
            "DYN_SDIV_SEL": "2",
        },
        {"CLKIN": "clk", "CLKOUT": "clock", "LOCK": "locked"}
        | dict.fromkeys(sorted(low), "1'b0")
        | {name: f"{width}'b0" for name, width in groups.items()},
        {},
    )


def wrap(rtl: RtlFiles, pll: Pll) -> str:
    """Verilog of a top module with a loop around the design, which is called `DESIGN` then.

    Raises:
        UsageError: the interface brings its own clock.
    """
    if rtl.interface.name == "axi":
        raise UsageError(
            "AXI4-Stream brings its own clock: a board's phase-locked loop is not for it.",
            hint="Leave --clock out or take another interface.",
        )
    ports = {name: f"  {way} {size}{name};" for way, size, name in _ports(rtl)}
    found = [name for name in ports if name not in {"clk", "rst"}]
    return _TOP.format(
        top=TOP,
        design=DESIGN,
        given=pll.given_mhz,
        wanted=pll.made_mhz,
        last=_SETTLE - 1,
        ports=", ".join(["clk", *found]),
        declared="\n".join(ports[name] for name in ["clk", *found]),
        instance=pll.verilog(),
        connected="".join(f",\n    .{name}({name})" for name in found),
    )


def _ports(rtl: RtlFiles) -> list[tuple[str, str, str]]:
    """Direction, range and name of each port of the top module, as Yosys wrote them."""
    for path in rtl.sources:
        module = _MODULE.search(path.read_text())
        if module is not None:
            return _PORT.findall(module[0])
    raise LgcError(f"None of {', '.join(path.name for path in rtl.sources)} has the module {TOP}.")
