"""The `lgc` command. Commands parse, call, and print; the work is elsewhere."""

from __future__ import annotations

import json
from pathlib import Path

import click

from lgc import console
from lgc.board_commands import boards, complete_board, flash, host, targets
from lgc.console import as_json
from lgc.errors import ToolMissingError
from lgc.eval_command import eval_
from lgc.explore_command import explore
from lgc.import_command import import_
from lgc.report_commands import compare, report

_EXIT_CODES = """\b
Exit codes: 0 fine, 1 error, 2 usage, 3 tool missing, 4 hardware and network differ,
5 the design does not fit or misses its clock.

\b
Completion: eval "$(_LGC_COMPLETE=bash_source lgc)"   (or zsh_source, fish_source)
"""
_PATH = click.Path(path_type=Path)

quiet = click.option("-q", "--quiet", is_flag=True, help="No progress, only results and errors.")


def _complete_passes(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    from lgc.ir.passes import REGISTRY

    before, comma, last = incomplete.rpartition(",")
    names = sorted([*REGISTRY.passes, *REGISTRY.aliases])
    return [before + comma + name for name in names if name.startswith(last)]


def _complete_config(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    from lgc.frontend import config

    return [name for name in config.presets() if name.startswith(incomplete)]


target_option = click.option(
    "-t",
    "--target",
    default="ice40-hx8k",
    show_default=True,
    shell_complete=console.complete_target,
    help="A name that `lgc targets` lists, or a TOML file of your own.",
)
images_option = click.option(
    "--images", type=click.IntRange(1), help="Test samples to simulate; all if not given.", metavar="N"
)
simulator_option = click.option(
    "--simulator", type=click.Choice(["auto", "icarus", "verilator"]), default="auto", show_default=True
)


@click.group(cls=console.Group, epilog=_EXIT_CODES, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("-v", "--verbose", count=True, help="Say more; twice for everything.")
@click.version_option(package_name="lgc", prog_name="lgc")
def main(verbose: int) -> None:
    """Compile trained logic-gate networks to FPGA bitstreams, with open tools.

    \b
    lgc demo                                  handwritten digits to a bitstream, all in one
    lgc train mnist --data DIR -o model.safetensors
    lgc compile model.safetensors -o build    Verilog, simulation, bitstream, report
    lgc report build
    """
    console.set_up_logging(verbose)


def _list_presets(ctx: click.Context, _param: click.Parameter, wanted: bool) -> None:
    if wanted:
        from lgc.frontend import config

        click.echo("\n".join(config.presets()))
        ctx.exit()


def _print_schema(ctx: click.Context, _param: click.Parameter, wanted: bool) -> None:
    if wanted:
        from lgc.frontend.schema import schema

        click.echo(json.dumps(schema(), indent=2))
        ctx.exit()


@main.command()
@click.argument("config", shell_complete=_complete_config)
@click.option(
    "--list",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_list_presets,
    help="List the presets.",
)
@click.option(
    "--schema",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_schema,
    help="Print the JSON Schema of CONFIG, which editors use to complete and check it.",
)
@click.option(
    "-o",
    "--out",
    type=_PATH,
    default=Path("model.safetensors"),
    show_default=True,
    help="Checkpoint to write.",
)
@console.data_option
@click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="KEY=VALUE",
    help="Override a setting: --set train.epochs=30.",
)
@click.option("--seed", type=click.IntRange(0), help="Short for --set train.seed=N.")
@click.option("--resume", is_flag=True, help="Go on after the last finished epoch of an interrupted run.")
@quiet
@as_json
def train(
    config: str,
    out: Path,
    data: str,
    overrides: tuple[str, ...],
    seed: int | None,
    resume: bool,
    quiet: bool,
    as_json: bool,
) -> None:
    """Train a network: CONFIG is a preset (--list names them) or a TOML file.

    The epoch with the best accuracy of the hardened network on a validation split is kept; the
    test split is used once, at the end. Every epoch is saved, and --resume continues exactly.

    \b
    lgc train digits -o digits.safetensors
    lgc train mnist --data path/to/mnist --set train.epochs=5
    torchrun --nproc-per-node 2 -m lgc train mnist --data path/to/mnist
    """
    from lgc import commands

    settings = commands.train_config(config, data, overrides, seed)
    with commands.first_process() as first, console.training_bar(quiet or not first) as progress:
        summary = commands.train(settings, out, resume=resume, progress=progress)
    if first:
        console.show(summary, as_json, lambda: commands.summary_table("Trained", summary))


@main.command(name="compile")
@click.argument("model", type=_PATH)
@click.option("-o", "--out", type=_PATH, help="Build directory; MODEL's name without suffix if not given.")
@target_option
@click.option(
    "-p", "--passes", default="simplify,merge,reduce", show_default=True, shell_complete=_complete_passes,
    help="Optimisation pipeline before mapping, see `lgc passes`.",
)  # fmt: skip
@click.option(
    "--levels", type=click.IntRange(0), default=4, show_default=True,
    help="LUTs between registers; 0 for none, purely combinational.",
)  # fmt: skip
@click.option(
    "--pipeline", default="auto", show_default=True, metavar="auto|none|N",
    help="Register stages, argmax included; auto is as --levels says.",
)  # fmt: skip
@click.option(
    "--clock", default="", metavar="FREQ",
    help="As few stages as reach it by the target's delays, 50MHz for instance; exit 5 if missed.",
)  # fmt: skip
@click.option(
    "--throughput", type=click.Choice(["held", "full"]), default="held", show_default=True,
    help="held: inputs stand still until the class is out; full: the fabric takes new ones every clock.",
)  # fmt: skip
@click.option(
    "--wire-registers", type=click.IntRange(0, 8), default=0, show_default=True, metavar="N",
    help="Registers on the wires between stages, with --throughput full: more clocks, a faster one where "
    "the chip has room.",
)  # fmt: skip
@click.option(
    "--head", default="sites", show_default=True, metavar="sites|luts[:LEVELS]",
    help="Xilinx: the fewest LUT sites or LUTs, in so many levels of LUTs and CARRY4 at most; else exit 5.",
)  # fmt: skip
@click.option(
    "--until", type=click.Choice(["verilog", "simulation", "synthesis", "bitstream"]), default="bitstream",
    show_default=True, help="Last stage to run.",
)  # fmt: skip
@console.data_option
@images_option
@simulator_option
@click.option(
    "-b", "--board", default="", shell_complete=complete_board,
    help="A name that `lgc boards` lists, or a TOML file: its FPGA, pins and clock are used.",
)  # fmt: skip
@click.option(
    "--interface", type=click.Choice(["stream", "parallel", "words", "axi", "uart", "spi"]), default="stream",
    show_default=True, help="What the design is reached by; see docs/interfaces.md.",
)  # fmt: skip
@click.option(
    "--word", type=click.Choice(["8", "16", "32"]), default="8", show_default=True,
    callback=lambda _ctx, _param, value: int(value), help="Bits per word of words and axi.",
)  # fmt: skip
@click.option(
    "--pack", type=click.Choice(["levels", "codes", "bits"]), default="levels", show_default=True,
    help="What an interface takes of a feature: how many thresholds it reaches, its code, or a bit for each "
    "threshold.",
)  # fmt: skip
@click.option("--with-scores", is_flag=True, help="Give scores over the interface, too.")
@click.option("--clock-hz", type=click.FloatRange(1), metavar="HZ", help="Clock of a UART's design.")
@click.option("--baud", type=click.IntRange(1), default=115_200, show_default=True, help="Of the UART.")
@click.option(
    "--timeout", "timeout_ms", type=click.FloatRange(0, min_open=True), default=50, show_default=True,
    metavar="MS", help="Silence that ends a request over the UART.",
)  # fmt: skip
@click.option(
    "--fold", is_flag=True,
    help="Take turns: build kernels of convolutions once and stream images through them, run dense layers as "
    "a program in memory, one LUT per clock.",
)  # fmt: skip
@click.option(
    "--tail", type=click.Choice(["auto", "parallel", "serial"]), default="auto", show_default=True,
    help="With --fold, dense layers behind convolutions in LUTs (auto) or as a program; without "
    "convolutions always a program.",
)  # fmt: skip
@click.option(
    "--continuous", type=click.IntRange(0), default=0, metavar="STEPS",
    help="With --fold, classify a signal without end: a window every so many time steps.",
)  # fmt: skip
@click.option(
    "--fps", type=click.FloatRange(0), default=0, metavar="RATE",
    help="With --fold, choose tail and positions per clock for so many frames per second; exit 5 if missed.",
)  # fmt: skip
@click.option(
    "--positions-per-clock", "positions", type=click.IntRange(0), default=0, metavar="N",
    help="With --fold, neighbouring places of a row that enter per clock; 0 for a feature per clock.",
)  # fmt: skip
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="Of the placer.")
@click.option(
    "--seeds", type=click.IntRange(1), default=1, show_default=True, metavar="N",
    help="Placer seeds to try, from --seed on, in parallel; the fastest is kept.",
)  # fmt: skip
@click.option(
    "--script", "scripts", multiple=True, type=click.Choice(["vivado", "quartus", "radiant", "fusesoc"]),
    help="Write a script for this tool too, with the Verilog beside it.",
)  # fmt: skip
@click.option("--force", is_flag=True, help="Run every step again.")
@quiet
@as_json
def compile_(model: Path, out: Path | None, quiet: bool, as_json: bool, **options: object) -> None:
    """Compile a checkpoint: Verilog, simulation of the test samples, bitstream and report.

    Steps whose inputs and options have not changed since the last run are kept. The hardware must
    give the network's class and scores for every simulated sample, else the exit code is 4.

    \b
    lgc compile model.safetensors -o build
    lgc compile model.safetensors --until verilog        no simulator, no FPGA tools but Yosys
    """
    import lgc
    from lgc.report.render import terminal

    with console.step_lines(quiet) as watch:
        build = lgc.compile(model, out=out, watch=watch, **options)  # type: ignore[arg-type]
    console.show(build.report.to_dict(), as_json, lambda: terminal(build.report))
    if not quiet:
        click.echo(f"The same with pictures: {build.path / 'report.html'}", err=True)


@main.command()
@click.argument("build", type=_PATH)
@console.data_option
@images_option
@simulator_option
@click.option(
    "--seed", type=click.IntRange(0), default=0, show_default=True, help="Of gaps and back-pressure."
)
@click.option("--waves", is_flag=True, help="Write a wave file.")
@quiet
@as_json
def sim(build: Path, quiet: bool, as_json: bool, **options: object) -> None:
    """Simulate the RTL of a BUILD against its network, sample by sample.

    Exits 0 only if every class and every score agrees.

    \b
    lgc sim build --images 500 --waves
    """
    from lgc import commands
    from lgc.build import Build

    with console.step_lines(quiet) as watch:
        result = Build.open(build).simulate(watch=watch, **options)  # type: ignore[arg-type]
    console.show(result, as_json, lambda: commands.summary_table("Simulation", result))


@main.command()
@click.argument("build", type=_PATH)
@click.option(
    "--level", "levels", multiple=True,
    type=click.Choice(["model", "netlist", "rtl", "gates", "bitstream", "timing", "board"]),
    help="Climb only these rungs; may be given more than once. What it needs must be installed.",
)  # fmt: skip
@click.option(
    "--images", default="50", show_default=True, metavar="N|all",
    help="Test samples to simulate in hardware; software compares all in any case.",
)  # fmt: skip
@console.data_option
@click.option("--model", type=_PATH, help="The checkpoint, if it is not next to BUILD.")
@simulator_option
@click.option(
    "--board", "port", default="", metavar="PORT",
    help="Also ask the chip at this serial port; `simulate` for a simulation of the Verilog in its place.",
)  # fmt: skip
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of random stimulus.")
@quiet
@as_json
def verify(
    build: Path, levels: tuple[str, ...], images: str, quiet: bool, as_json: bool, **options: object
) -> None:
    """Compare every stage of a BUILD with the one before, from the model to the decoded bitstream.

    Proves what can be proved and simulates the rest, with random back-pressure. The result is
    kept in the build's report. Exits 4 if two stages differ.

    \b
    lgc verify build
    lgc verify build --level bitstream --images 1000
    lgc verify build --board /dev/ttyUSB1        with the board attached and loaded, over its UART
    """
    from lgc import commands

    with console.step_lines(quiet) as watch:
        ladder = commands.verify(build, levels=levels, images=images, watch=watch, **options)
    console.show(ladder.to_dict(), as_json, lambda: commands.dict_table("Verification", ladder.rows()))
    if not quiet:
        click.echo(f"Seed {ladder.seed}; repeat with --seed {ladder.seed}.", err=True)
    ladder.check(required=bool(levels))


@main.command()
@click.argument("netlist", type=_PATH)
@click.option(
    "-p", "--passes", required=True, shell_complete=_complete_passes, help="Pipeline: simplify,lut-map{k=6}."
)
@click.option("-o", "--out", type=_PATH, help="Write the netlist here instead of stdout.")
@click.option("--stats", is_flag=True, help="Show what each pass did instead of the netlist.")
@click.option(
    "--check", type=click.Choice(["end", "each", "none"]), default="end", show_default=True,
    help="Prove the result equal to the netlist given, at the end or after each pass.",
)  # fmt: skip
@click.option("--print-after", metavar="PASS", help="Print the netlist after this pass (or all) to stderr.")
@click.option("--first", type=click.IntRange(0), metavar="N", help="Run only the first N passes.")
@console.data_option
@as_json
def opt(netlist: Path, out: Path | None, stats: bool, as_json: bool, **options: object) -> None:
    """Run optimisation passes on a NETLIST, or on a checkpoint's netlist, and prove them right.

    Reads and writes lgc's text (.lgc) and arrays (.npz), BLIF, AIGER and structural Verilog, by the
    suffix; C is written only. Exits 4 if a pass changed the function, and names it.

    \b
    lgc opt net.lgc -p simplify,merge,lut-map{k=6} -o mapped.blif
    lgc opt model.safetensors -p simplify --stats
    """
    from lgc import commands, netlists
    from lgc.ir import text

    if out is not None:
        netlists.check_suffix(out)
    net, ran, checks = commands.optimise(netlist, **options)  # type: ignore[arg-type]
    if out is not None:
        netlists.write(out, net)
        if not as_json:
            click.echo(f"Wrote {out}: {net.luts:,} LUTs of up to {net.k} inputs.", err=True)
    if stats or as_json:
        found = {"passes": ran, "checks": checks}
        console.show(found, as_json, lambda: commands.passes_tables(ran, checks))
    elif out is None:
        click.echo(text.dump(net), nl=False)


@main.command()
@click.argument("source", type=_PATH)
@click.argument("out", type=_PATH)
@click.option(
    "--group-sum", type=click.IntRange(1), metavar="CLASSES",
    help="Make the outputs a readout: as many classes of equal, contiguous groups.",
)  # fmt: skip
def convert(source: Path, out: Path, group_sum: int | None) -> None:
    """Convert a netlist file, or a checkpoint's netlist, to another format, by the suffixes.

    \b
    .lgc  lgc's text             .blif        BLIF              .v  structural Verilog
    .npz  arrays, for millions   .aig, .aag   AIGER             .c  C99, written only

    Readouts travel in comments of formats that have none; --group-sum adds one to foreign files.

    \b
    lgc convert model.safetensors network.aig
    lgc convert gates.blif network.npz --group-sum 10
    """
    from lgc import commands, netlists
    from lgc.ir.interop import with_group_sum

    net, _ = commands.read_netlist(source)
    netlists.write(out, net if group_sum is None else with_group_sum(net, group_sum))
    click.echo(f"Wrote {out}: {net.luts:,} LUTs of up to {net.k} inputs.", err=True)


for _command in (boards, eval_, compare, explore, flash, host, import_, report, targets):
    main.add_command(_command)


@main.command()
@click.argument("file", type=_PATH)
@as_json
def inspect(file: Path, as_json: bool) -> None:
    """Describe a FILE: a checkpoint, a netlist in text form, or a build directory.

    \b
    lgc inspect model.safetensors       layers, encoder, classes, training facts
    lgc inspect build                   steps and their times
    """
    from lgc import commands

    facts = commands.describe(file)
    console.show(facts, as_json, lambda: commands.summary_table(str(file), facts))


@main.command()
@click.argument("name", default="", shell_complete=_complete_passes)
@as_json
def passes(name: str, as_json: bool) -> None:
    """List the optimisation passes, or explain the one called NAME and its options.

    \b
    lgc passes lut-map
    lgc opt net.lgc -p "simplify,lut-map{k=6 depth=true}" --stats
    """
    from lgc import commands

    if name and not as_json:
        click.echo(commands.explain_pass(name))
        return
    found = commands.list_passes()
    if name:
        found = [row for row in found if row["name"] == name]
    console.show(found, as_json, lambda: commands.dict_table("Passes", found))


@main.command()
@as_json
def doctor(as_json: bool) -> None:
    """List external tools: version, where found, and the line that installs what is missing.

    Each tool is looked for in an environment variable (LGC_YOSYS, LGC_NEXTPNR_ICE40, ...), on the
    PATH, and among the Python packages next to lgc. One simulator, Icarus or Verilator, is enough;
    Verilator needs a C++ compiler and make. Exits 3 if a compilation would lack something.
    """
    from lgc import commands

    found = commands.list_tools()
    console.show(found, as_json, lambda: commands.dict_table("Tools", found))
    if lacking := commands.lacking(found):
        raise ToolMissingError(lacking)


@main.command()
@click.option(
    "-o", "--out", type=_PATH, default=Path("runs/digits"), show_default=True, help="Folder for everything."
)
@click.option("--force", is_flag=True, help="Train and build again.")
@quiet
@as_json
def demo(out: Path, force: bool, quiet: bool, as_json: bool) -> None:
    """Handwritten digits to a checked bitstream: train, compile, simulate, report.

    Uses scikit-learn's embedded digits, so nothing is downloaded. Takes a few minutes.
    """
    from lgc import commands
    from lgc.report.render import terminal

    model = out / "model.safetensors"
    if force or not model.exists():
        with console.training_bar(quiet) as progress:
            commands.train(
                commands.train_config("digits", "", (), None), model, resume=False, progress=progress
            )
    with console.step_lines(quiet) as watch:
        build = commands.demo_build(model, out / "build", force=force, watch=watch)
    console.show(build.report.to_dict(), as_json, lambda: terminal(build.report))
    click.echo(f"Everything is in {out}; the bitstream is {build.bitstream}.", err=True)
