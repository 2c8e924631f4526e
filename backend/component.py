"""A finished design as a component of somebody else's Amaranth design."""

from __future__ import annotations

from typing import Any

from amaranth import ClockSignal, Instance, Module, ResetSignal, Shape
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from lgc.errors import UsageError

from .rtl import TOP, RtlFiles


class Classifier(wiring.Component):  # type: ignore[misc]
    """The Verilog of a build between two streams, in the domain `sync`.

    The platform, if there is one, is given the Verilog files; who writes Verilog without a platform adds
    `RtlFiles.sources` to the synthesis.

    Ports:
        features: stream of feature codes, in order, what the encoder's fixed-point format makes of a sample;
            where several enter per clock, all of them with the parallel interface, words of `RtlFiles.beats`.
        result: stream of class indices, one per sample; the parallel interface may have scores above them.

    Raises:
        UsageError: the design has another interface than these.
    """

    def __init__(self, files: RtlFiles) -> None:
        if files.interface.wraps:
            raise UsageError(
                f"The design speaks {files.interface.name}, a component wants plain streams.",
                hint="Compile it with --interface stream or parallel.",
            )
        self.files = files
        code = Shape(files.beat_width, signed=files.signed and files.lanes == 1)
        super().__init__(
            {"features": In(stream.Signature(code)), "result": Out(stream.Signature(files.result_width))}
        )

    def elaborate(self, platform: Any) -> Module:
        """Instantiate the design and hand its files to the platform."""
        m = Module()
        if platform is not None:
            for path in self.files.sources:
                platform.add_file(path.name, path.read_text())
        m.submodules.design = Instance(
            TOP,
            i_clk=ClockSignal(),
            i_rst=ResetSignal(),
            i_features__payload=self.features.payload,
            i_features__valid=self.features.valid,
            o_features__ready=self.features.ready,
            o_result__payload=self.result.payload,
            o_result__valid=self.result.valid,
            i_result__ready=self.result.ready,
        )
        return m
