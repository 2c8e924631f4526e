"""The command `lgc import`: its options are many, its work is in `lgc.importing`."""

from __future__ import annotations

from pathlib import Path

import click

from lgc import console

_PATH = click.Path(path_type=Path)


def _complete_format(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    from lgc.frontend.importers import FORMATS

    return [name for name in ["auto", *FORMATS, "netlist"] if name.startswith(incomplete)]


@click.command(name="import")
@click.argument("file", type=_PATH)
@click.option(
    "-o",
    "--out",
    type=_PATH,
    default=Path("model.safetensors"),
    show_default=True,
    help="Checkpoint to write.",
)
@click.option(
    "--format", "kind", default="auto", show_default=True, metavar="NAME",
    shell_complete=_complete_format, help="Of FILE, as above.",
)  # fmt: skip
@click.option("--connections", type=_PATH, help="difflogic: .npz file of a0, b0, a1, b1, ...")
@click.option("--wiring", default="", metavar="MODE", help="difflogic: draw unique or random wiring again.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of that draw.")
@click.option(
    "--device", type=click.Choice(["cpu", "cuda"]), default="cuda", show_default=True,
    help="What difflogic's layers were built for; it changes the draw.",
)  # fmt: skip
@click.option("--parametrization", default="", metavar="KIND", help="torchlogix: raw, warp or light.")
@click.option("--config", type=_PATH, help="torchlogix: TOML file of the layers of a state dict.")
@click.option(
    "--classes", "--group-sum", type=click.IntRange(1), metavar="N",
    help="Classes, where FILE does not say; the last outputs are counted in so many equal groups.",
)  # fmt: skip
@click.option(
    "--skip", type=click.Choice(["", "input", "residual", "both"]), default="", metavar="KIND",
    help="LILogicNet: layers read the input as well, residual (the layer before the last), or both.",
)  # fmt: skip
@click.option(
    "--learned-thresholds", "learned", default="", metavar="RULE",
    help="torchlogix: softplus (0.2.2), softplus=TEMPERATURE or cumsum (0.2.1).",
)  # fmt: skip
@click.option("--class-names", default="", metavar="A,B,...", help="Names of the classes, in order.")
@click.option("--inputs", default="", metavar="SHAPE", help="Features of a sample: 784, 28x28, 32x32x3.")
@click.option(
    "--thresholds", default="", metavar="T,T,...",
    help="A bit is 1 where the feature is greater; or an .npy file [features, levels].",
)  # fmt: skip
@click.option(
    "--scale", type=float, metavar="S", help="Features are divided by it first; 255 for 8-bit pixels."
)
@click.option("--bits", default="", metavar="FORMAT", help="Of the features: 8, 12.8, s12.8.")
@click.option(
    "--order",
    type=click.Choice(["feature", "plane", "channel"]),
    help="Of the input bits: levels of a feature together, whole levels, or levels of a channel.",
)
@click.option("--channels-first", is_flag=True, help="The network counts pixels channel by channel.")
@click.option("--tau", type=float, help="Logits are the counts divided by it.")
@click.option(
    "--check", "scores", type=_PATH, help=".npz of samples and the original's scores to compare with."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")
def import_(file: Path, out: Path, kind: str, scores: Path | None, as_json: bool, **given: object) -> None:
    """Turn somebody else's trained network, a FILE, into a checkpoint.

    Nothing in FILE is run. What it leaves out, options give; an error says which is needed.

    \b
    --format            FILE                       to be given
    module              .pth of torch.save(model)  nothing (torchlogix, difflogic, DWN)
    torchlogix          .pth, .safetensors         --parametrization, --inputs, --classes;
                                                   with convolutions --config
    torchlogix-circuit  .json of write_json        nothing
    difflogic           .pth                       --connections or --wiring; --inputs, --classes
    dwn                 .pth                       --inputs, --classes, --thresholds
    lilogicnet          .pth, .npz                 --inputs, --classes
    ddlgn               NAME_gates.csv             nothing
    netlist             .blif .aig .aag .v .lgc    --group-sum
    lgc-json            .json, .npz                nothing (any other framework)

    \b
    lgc import model.pth
    lgc import state.pth --parametrization warp --inputs 28x28 --thresholds 0.5 --scale 255 --classes 10
    lgc import state.pth --config layers.toml --inputs 32x32x3
    lgc import state.pth --connections wiring.npz --inputs 28x28 --classes 10
    lgc import dwn.pth --thresholds t.npy --inputs 16 --bits s12.8 --classes 5
    lgc import network.npz --inputs 16x16 --classes 10
    lgc import best_gates.csv
    lgc import gates.blif --group-sum 10

    Where the original package is installed, it is asked whether the scores agree; --check asks a file.
    """
    from lgc import commands, importing

    facts = importing.run(file, out, kind, scores, **given)
    console.show(facts, as_json, lambda: commands.summary_table("Imported", facts))
