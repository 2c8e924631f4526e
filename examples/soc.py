"""An lgc classifier inside a design of your own: a memory of images, a sequencer, a counter per class.

    python examples/soc.py

Trains a small network on scikit-learn's digits, takes its build as an Amaranth component, wires it to a block
RAM with forty test images, and runs the whole in Icarus Verilog: the counters end where the network
says.
"""

import subprocess
from pathlib import Path

import numpy as np
from amaranth import Array, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import Out

import lgc
from lgc.backend import rtl, tools
from lgc.frontend import config, data
from lgc.frontend.train import train

IMAGES = 40


class Sorter(wiring.Component):
    """Classify the images of a memory, one after the other, and count how often each class was found."""

    def __init__(self, classifier, codes):
        super().__init__({"counts": Out(8).array(10), "done": Out(1)})
        self.classifier = classifier
        self.codes = codes

    def elaborate(self, platform):
        del platform
        m = Module()
        m.submodules.classifier = classifier = self.classifier
        m.submodules.memory = memory = Memory(
            shape=classifier.features.payload.shape(), depth=self.codes.size, init=self.codes.ravel().tolist()
        )
        read = memory.read_port(domain="comb")
        place = Signal(range(self.codes.size + 1))
        found = Signal(range(len(self.codes) + 1))
        m.d.comb += [
            read.addr.eq(place),
            classifier.features.payload.eq(read.data),
            classifier.features.valid.eq(place < self.codes.size),
            classifier.result.ready.eq(1),
            self.done.eq(found == len(self.codes)),
        ]
        with m.If(classifier.features.valid & classifier.features.ready):
            m.d.sync += place.eq(place + 1)
        with m.If(classifier.result.valid):
            counter = Array(self.counts)[classifier.result.payload]
            m.d.sync += [counter.eq(counter + 1), found.eq(found + 1)]
        return m


BENCH = """\
module bench;
  reg clk = 0, rst = 1;
  wire done;
  {wires}
  soc dut (.clk(clk), .rst(rst), .done(done){ports});
  always #5 clk = ~clk;
  initial begin
    repeat (4) @(posedge clk);
    rst = 0;
    wait (done);
    @(posedge clk);
    $display("{format}", {values});
    $finish;
  end
endmodule
"""


def simulate(folder, sources):
    """Run the design in Icarus Verilog and return its counters."""
    names = [f"counts__{i}" for i in range(10)]
    text = BENCH.format(
        wires="\n  ".join(f"wire [7:0] {name};" for name in names),
        ports="".join(f", .{name}({name})" for name in names),
        format=" ".join(["%0d"] * 10),
        values=", ".join(names),
    )
    (folder / "bench.v").write_text(text)
    program = folder / "soc.vvp"
    subprocess.run(["iverilog", "-g2005", "-o", program, folder / "bench.v", *sources], check=True)
    ran = subprocess.run(["vvp", "-n", program], check=True, capture_output=True, text=True)
    return np.array(ran.stdout.split(), int)


def main():
    folder = Path("runs/soc")
    folder.mkdir(parents=True, exist_ok=True)
    digits = data.load("digits")
    model = folder / "digits.safetensors"
    train(config.load("digits", ["train.epochs=8"]), digits, out=model)
    build = lgc.compile(model, out=folder / "build", until="verilog")

    component = build.component()
    network = lgc.load(model)
    images = digits.test_x[:IMAGES]
    soc = Sorter(component, network.encoder.codes(images))
    rtl.write_shell(soc, "soc", folder / "soc.v", "// The whole design.\n", tools.find("yosys"), 300)

    files = component.files
    counted = simulate(folder, [folder / "soc.v", *files.sources, files.cells])
    expected = np.bincount(network.predict(images), minlength=10)
    print("counted by the hardware", *counted)
    print("expected by the network", *expected)
    if not np.array_equal(counted, expected):
        raise SystemExit("They differ.")


if __name__ == "__main__":
    main()
