"""Published results as rows to compare a build with; what makes rows incomparable are their columns."""

from __future__ import annotations

import dataclasses
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from lgc.errors import UsageError, nearest

from .model import Report


@dataclass(frozen=True)
class Design:
    """A design and how its figures came about.

    Attributes:
        method: its name.
        accuracy: in percent, with as many digits as were given.
        source: where it was published; the build's directory for a build.
        encoder: whether LUTs count the encoder: in, out, none (there is none) or unknown.
        argmax: whether LUTs count the argmax: in, out or unknown.
        stage: routed, out-of-context, synthesised, netlist (no tool), none or unknown.
        latency: what the latency is: clocks (their number times the period), heuristic or unknown.
        device: the FPGA.
        selected_on: split that chose the checkpoint: validation, test or unknown.
        note: what else one should know.
        year: of publication.
        luts: all that were counted.
        lut_inputs: pins of such a LUT.
        ffs: flip-flops.
        fmax_mhz: maximum clock.
        latency_ns: from the features to the class.
        ours: whether it is a build of lgc.
    """

    method: str
    accuracy: str
    source: str
    encoder: str
    argmax: str
    stage: str
    latency: str
    device: str
    selected_on: str
    note: str = ""
    year: int | None = None
    luts: int | None = None
    lut_inputs: int = 6
    ffs: int | None = None
    fmax_mhz: float | None = None
    latency_ns: float | None = None
    ours: bool = False

    @property
    def area_delay(self) -> float | None:
        """LUTs times nanoseconds."""
        return None if self.luts is None or self.latency_ns is None else self.luts * self.latency_ns

    @property
    def percent(self) -> float:
        """Accuracy as a number, -1 where there is none."""
        return float(self.accuracy) if self.accuracy else -1.0


@cache
def _file() -> dict[str, Any]:
    return tomllib.loads((files("lgc.report") / "published.toml").read_text(encoding="utf-8"))


def data_sets() -> tuple[str, ...]:
    """Names of the data sets, with their variant, for which there are rows."""
    return tuple(_file()["rows"])


def rows(data: str) -> tuple[Design, ...]:
    """Return the published rows of a data set.

    Raises:
        UsageError: there are none for it.
    """
    found = _file()
    if data not in found["rows"]:
        raise UsageError(f"There are no published rows for {data!r}.", hint=nearest(data, found["rows"]))
    return tuple(Design(**(found["defaults"] | row)) for row in found["rows"][data])


def data_set_of(report: Report) -> str:
    """Return the data set of `data_sets` that a build was trained on, "" if it is none of them.

    Goes by the name of the data, `mnist` in a path or in `openml:mnist_784` for instance.
    """
    words = report.model.data_source.lower()
    for name, marks in _MARKS.items():
        if any(mark in words for mark in marks) and not any(other in words for other in _OTHERS):
            return name
    return ""


_MARKS = {
    "mnist": ("mnist",),
    "jsc-openml": ("openml:42468", "hls4ml_lhc_jets"),
    "jsc-cernbox": ("cernbox",),
    "nid": ("unsw", "nid_"),
}
"""What the names of data sets contain."""
_OTHERS = ("fashion", "kmnist", "emnist", "qmnist")
"""Names that look like one of them and are not."""


def design_of(report: Report, name: str) -> Design:
    """Return a build as a row among published ones."""
    model, synthesis, route = report.model, report.post_synthesis, report.post_route
    share = model.test_accuracy
    luts = report.netlist.network_luts if synthesis is None else synthesis.luts.total
    whole = "in" if synthesis is not None else "out"
    return Design(
        method=name,
        accuracy="" if share is None else f"{100 * share:.2f}",
        source="this build",
        encoder=whole,
        argmax=whole,
        stage="routed" if route is not None else "synthesised" if synthesis is not None else "netlist",
        latency="clocks" if route is not None else "unknown",
        device=report.target,
        selected_on="unknown" if model.validation_accuracy is None else "validation",
        luts=luts,
        lut_inputs=report.netlist.k,
        ffs=None if synthesis is None else synthesis.ffs.total,
        fmax_mhz=None if route is None else route.fmax_mhz,
        latency_ns=None if route is None else route.latency_ns,
        ours=True,
    )


def to_dict(design: Design) -> dict[str, Any]:
    """Return a row as JSON values, the area-delay product with it."""
    return dataclasses.asdict(design) | {"area_delay": design.area_delay}
