"""What a report says: one frozen dataclass per section, every figure with its stage.

Estimates, post-synthesis and post-route figures live in different sections; a section that was
not reached is None.
"""

from __future__ import annotations

import dataclasses
import json
import re
import types
import typing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lgc.errors import LgcError
from lgc.manifest import write_text

from .sections import Accuracy, Confusion, Floorplan, Hop, Inputs, Layer, PassResult, StageChoice

SCHEMA_VERSION = 2
"""Raised when a field changes its meaning or disappears."""

_NUMBERS = re.compile(r"\[\s*(-?\d[-+.\deE]*(?:,\s*-?\d[-+.\deE]*)*)\s*\]")
"""A list of numbers in JSON."""


@dataclass(frozen=True)
class Model:
    """The network that was compiled."""

    file: str
    sha256: str
    classes: int
    features: int
    feature_bits: int
    levels: int
    layers: tuple[str, ...]
    seed: int | None
    data_source: str
    validation_accuracy: float | None
    test_accuracy: float | None


@dataclass(frozen=True)
class Netlist:
    """What the optimiser made of it; LUTs are counted in the netlist, before synthesis.

    Attributes:
        nodes: nodes of the trained network, one each.
        simplified: of these left after simplification.
        network_luts: LUTs of the network after mapping.
        popcount_luts: LUTs that count its outputs.
        counted_bits: distinct output bits counted over all classes.
        input_bits: encoder bits the network reads.
        k: inputs per LUT.
        depth: LUTs on the longest path, popcount included.
        stages: register stages of the fabric.
        demand: tiles of wire per tile, ESTIMATED before any tool ran, see `lgc.backend.wiring`; None where
            there is no estimate.
        routed: the highest demand that is known to have routed on the family; None if none is.
        head: what network, counters and argmax were chosen for, in words; None where there is no choice.
    """

    nodes: int
    simplified: int
    network_luts: int
    popcount_luts: int
    counted_bits: int
    input_bits: int
    k: int
    depth: int
    stages: int
    demand: float | None = None
    routed: float | None = None
    head: str | None = None


@dataclass(frozen=True)
class Check:
    """One comparison of a step with the one before it."""

    rung: str
    method: str
    compared: int
    equal: bool


@dataclass(frozen=True)
class Simulation:
    """RTL simulation against the network.

    Attributes:
        simulator: its name and version.
        samples: samples streamed through the design.
        source: where they came from.
        classes_equal: samples whose class equals the network's.
        scores_equal: samples whose scores all equal the network's.
        correct: samples whose class equals the label, or None without labels.
        latency_cycles: clocks from the last feature taken to the result, measured.
        cycles_per_sample: clocks between results, measured.
        seconds: wall time.
    """

    simulator: str
    samples: int
    source: str
    classes_equal: int
    scores_equal: int
    correct: int | None
    latency_cycles: int
    cycles_per_sample: float
    seconds: float


@dataclass(frozen=True)
class Parts:
    """A resource split by what uses it."""

    encoder: int
    network: int
    readout: int
    argmax: int
    io: int

    @property
    def total(self) -> int:
        """Sum of the parts."""
        return self.encoder + self.network + self.readout + self.argmax + self.io


@dataclass(frozen=True)
class PostSynthesis:
    """Resources after synthesis, before placement.

    Attributes:
        tool: name and version.
        luts: LUT cells of each part; a LUT with two outputs is one.
        ffs: flip-flops of each part.
        carries: carry cells.
        brams: block RAMs.
        cells: logic cells or LUT sites needed at least; None in older reports.
        cells_available: what the device has; None in older reports.
    """

    tool: str
    luts: Parts
    ffs: Parts
    carries: int
    brams: int
    cells: int | None = None
    cells_available: int | None = None


@dataclass(frozen=True)
class Seed:
    """Maximum clock with one of several placer seeds, None where it was not reached or routed."""

    seed: int
    fmax_mhz: float | None


@dataclass(frozen=True)
class PostRoute:
    """Figures from the router's own report.

    Attributes:
        tool: its name and version.
        device: device and package.
        cells: logic cells used.
        cells_available: logic cells of the device.
        brams: block RAMs used.
        io: pins used.
        fmax_mhz: maximum clock of the design.
        seed: the placer's seed.
        router: which router was used.
        latency_ns: latency of a result at `fmax_mhz`, or at `clock_limit_mhz` if that is lower.
        samples_per_second: throughput, likewise.
        sweep: what each of several seeds gave; empty for a single one.
        area_delay: LUTs after synthesis times `latency_ns`.
        critical: the slowest path between two registers.
        clock_mhz: clock that the router had to reach, None for any.
        pll: the cell that makes it of the board's clock; "" if none does.
        clock_limit_mhz: what the data sheet allows the network that spreads the clock; None if unknown,
            and in older reports.
    """

    tool: str
    device: str
    cells: int
    cells_available: int
    brams: int
    io: int
    fmax_mhz: float
    seed: int
    router: str
    latency_ns: float
    samples_per_second: float
    sweep: tuple[Seed, ...]
    area_delay: float | None = None
    critical: tuple[Hop, ...] = ()
    clock_mhz: float | None = None
    pll: str = ""
    clock_limit_mhz: float | None = None


@dataclass(frozen=True)
class Estimate:
    """What a delay model says of the clock, where nothing was placed and routed.

    Attributes:
        device: device and package.
        fmax_mhz: maximum clock, estimated.
        latency_ns: latency of a result at `fmax_mhz`, or at `clock_limit_mhz` if that is lower.
        samples_per_second: throughput, likewise.
        levels: LUTs on the slowest path.
        limited_by: "fabric", "shell" if encoder and control are slower, or a part of a folded design.
        source: where the delays come from.
        critical: LUTs of the slowest path, and when their outputs are right.
        clock_limit_mhz: as in `PostRoute`.
    """

    device: str
    fmax_mhz: float
    latency_ns: float
    samples_per_second: float
    levels: int
    limited_by: str
    source: str
    critical: tuple[Hop, ...] = ()
    clock_limit_mhz: float | None = None


@dataclass(frozen=True)
class Bitstream:
    """The file to load into the FPGA."""

    file: str
    bytes: int
    sha256: str
    tool: str


@dataclass(frozen=True)
class Link:
    """The interface, where it is not the plain stream; words are bytes of a UART or SPI.

    Attributes:
        name: `words`, `axi`, `uart` or `spi`.
        word: bits per word.
        pack: what is sent of a feature, `levels` or `codes`.
        scores: whether scores can be had.
        request: words of a sample, with command and checksum where there are such.
        answer: words of an answer with the class alone, likewise.
        baud: of a UART.
        samples_per_second: what the line carries at that rate; None for others, which have no rate.
    """

    name: str
    word: int
    pack: str
    scores: bool
    request: int
    answer: int
    baud: int | None
    samples_per_second: float | None


@dataclass(frozen=True)
class StepTime:
    """Wall time of a build step, and whether it was kept from an earlier run."""

    name: str
    seconds: float
    cached: bool


@dataclass(frozen=True)
class Report:
    """Everything a build has to say.

    Attributes that files of this schema version may lack have a default.
    """

    schema_version: int
    lgc_version: str
    created: str
    target: str
    pipeline: str
    model: Model
    netlist: Netlist
    checks: tuple[Check, ...]
    simulation: Simulation | None
    post_synthesis: PostSynthesis | None
    post_route: PostRoute | None
    bitstream: Bitstream | None
    steps: tuple[StepTime, ...]
    tools: dict[str, str]
    warnings: tuple[str, ...]
    accuracy: tuple[Accuracy, ...] = ()
    confusion: Confusion | None = None
    layers: tuple[Layer, ...] = ()
    inputs: Inputs | None = None
    passes: tuple[PassResult, ...] = ()
    floorplan: Floorplan | None = None
    estimate: Estimate | None = None
    link: Link | None = None
    choices: tuple[StageChoice, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the report as dictionaries and lists, fit for JSON."""
        return dataclasses.asdict(self)

    def to_json(self) -> str:
        """Return the report as JSON text, keys in the order of the fields, rows of numbers on one line."""
        text = json.dumps(self.to_dict(), indent=2)
        return _NUMBERS.sub(lambda found: re.sub(r"\s+", " ", found[1]).join("[]"), text) + "\n"

    @classmethod
    def load(cls, path: Path) -> Report:
        """Read a report that `to_json` wrote.

        Raises:
            LgcError: missing, damaged, or of another schema version.
        """
        try:
            values = json.loads(path.read_text())
        except OSError:
            raise LgcError(f"There is no report at {path}.", hint="Make one with `lgc compile`.") from None
        except ValueError:
            raise LgcError(f"{path} is damaged.", hint="Run `lgc compile` again.") from None
        if not isinstance(values, dict) or values.get("schema_version") != SCHEMA_VERSION:
            raise LgcError(
                f"{path} is not a report of schema version {SCHEMA_VERSION}.", hint="Run `lgc compile` again."
            )
        try:
            return typing.cast("Report", read(cls, values))
        except (KeyError, TypeError) as error:
            raise LgcError(f"{path} lacks {error}.", hint="Run `lgc compile` again.") from None

    def write(self, build: Path) -> None:
        """Write the report into a build's directory: report.json, report.md and report.html.

        Raises:
            LgcError: the place is not writable.
        """
        from .html import page
        from .render import markdown

        for name, text in (("json", self.to_json()), ("md", markdown(self)), ("html", page(self))):
            write_text(build / f"report.{name}", text)

    def _repr_markdown_(self) -> str:
        """Show as Markdown in notebooks."""
        from .render import markdown

        return markdown(self)

    def _repr_html_(self) -> str:
        """Show the page in notebooks, in a frame of its own so that styles stay apart."""
        from .html import frame

        return frame(self)

    def to_html(self) -> str:
        """Return the report as one page that needs nothing besides, with pictures."""
        from .html import page

        return page(self)


def read(kind: Any, value: Any) -> Any:
    """Rebuild a dataclass from what `asdict` and JSON made of it."""
    if isinstance(kind, types.UnionType):
        if value is None:
            return None
        kind = next(arm for arm in typing.get_args(kind) if arm is not type(None))
    if dataclasses.is_dataclass(kind):
        hints = typing.get_type_hints(kind)
        later = {field.name for field in dataclasses.fields(kind) if field.default is not dataclasses.MISSING}
        names = [name for name in hints if name in value or name not in later]
        return kind(**{name: read(hints[name], value[name]) for name in names})  # type: ignore[operator]
    if typing.get_origin(kind) is tuple:
        return tuple(read(typing.get_args(kind)[0], item) for item in value)
    return value
