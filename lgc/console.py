"""The terminal: tables and JSON on stdout, talk and progress on stderr, errors as one sentence."""

from __future__ import annotations

import gc
import json
import logging
import re
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import click

from lgc.errors import LgcError

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")
"""Option of every command that prints results."""
data_option = click.option(
    "--data",
    default="",
    metavar="SOURCE",
    help="Data set: digits, openml:NAME, a file or a folder; see docs/data.md.",
)
"""Option of commands that run samples."""
_OBJECTS = 100_000
"""New objects between two searches for garbage: commands make many objects, and few cycles."""


def complete_target(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """Names of targets that go on from what was typed."""
    from lgc.backend import target

    return [name for name in target.names() if name.startswith(incomplete)]


class Group(click.Group):
    """A group whose errors are one sentence and an exit code, and which suggests near commands."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command, or fail with the nearest names."""
        from lgc.errors import nearest

        command = super().get_command(ctx, cmd_name)
        if command is None and cmd_name:
            ctx.fail(f"There is no command {cmd_name!r}. {nearest(cmd_name, self.list_commands(ctx))}")
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; turn `LgcError` into a message and its exit code.

        Being told to end is the same as Ctrl-C: what a command started ends with it.
        """
        gc.set_threshold(_OBJECTS)
        if threading.current_thread() is threading.main_thread():
            before = signal.signal(signal.SIGTERM, signal.default_int_handler)
            ctx.call_on_close(lambda: signal.signal(signal.SIGTERM, before))
        try:
            return super().invoke(ctx)
        except click.BadParameter as error:
            if near := _near(error):
                raise click.BadParameter(error.message + near, error.ctx, error.param) from error
            raise
        except LgcError as error:
            click.echo(f"lgc: {error}", err=True)
            for note in getattr(error, "__notes__", ()):
                click.echo(note, err=True)
            ctx.exit(error.exit_code)
        except KeyboardInterrupt:
            click.echo("lgc: interrupted; finished steps and epochs are kept.", err=True)
            ctx.exit(130)


def _near(error: click.BadParameter) -> str:
    """Return the nearest choices of an option that was given none of them."""
    from lgc.errors import nearest

    choices = error.param.type if error.param is not None else None
    given = re.match(r"'(.*?)' is not one of", error.message)
    if not isinstance(choices, click.Choice) or given is None:
        return ""
    return f" {nearest(given[1], choices.choices)}"


def show(value: Any, as_json: bool, render: Callable[[], object]) -> None:
    """Print `value` as JSON, or what `render` returns as rich text, on stdout."""
    if as_json:
        click.echo(json.dumps(value, indent=2))
    else:
        from rich.console import Console

        Console().print(render())


def rows(title: str, head: tuple[str, ...], cells: Sequence[tuple[str, ...]]) -> object:
    """Return a table for `show`."""
    from lgc.report.render import table

    return table(title, head, cells)


def set_up_logging(verbosity: int) -> None:
    """Send log records to stderr: warnings, with -v information, with -vv everything; -q errors only."""
    from rich.console import Console
    from rich.logging import RichHandler

    level = {-1: logging.ERROR, 0: logging.WARNING, 1: logging.INFO}.get(verbosity, logging.DEBUG)
    handler = RichHandler(level, console=Console(stderr=True), show_time=False, show_path=False)
    logging.basicConfig(level=logging.WARNING, format="%(message)s", handlers=[handler], force=True)
    logging.getLogger("lgc").setLevel(level)


@contextmanager
def training_bar(quiet: bool) -> Iterator[Callable[[Any], None]]:
    """Yield a progress callback for training: a bar on a terminal, a line per epoch elsewhere."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    console = Console(stderr=True, quiet=quiet)
    columns = (TextColumn("training"), BarColumn(), TextColumn("{task.description}"))
    live = console.is_terminal and not quiet
    with Progress(
        *columns, TimeElapsedColumn(), TimeRemainingColumn(), console=console, disable=not live
    ) as bar:
        task = bar.add_task("", total=None)

        def update(now: Any) -> None:
            text = f"epoch {now.epoch}/{now.epochs}, loss {now.loss:.3f}"
            if now.hard_val_acc is not None:
                text += f", validation {now.hard_val_acc:.2%}, gap {100 * now.gap:+.1f}"
                text += f", logic {now.usage['logic']:.0%}" if now.usage else ""
                if not live:
                    spent = f"{now.seconds:.0f} s, {now.seconds_left:.0f} s left"
                    console.print(f"{text}, {spent}", soft_wrap=True)
                bar.update(task, description=text)
            done = (now.epoch - 1) * now.steps + now.step
            bar.update(task, total=now.epochs * now.steps, completed=done)

        yield update


@contextmanager
def records(show: Callable[[str], None]) -> Iterator[None]:
    """Give `show` the text of every log record of lgc while the context lasts, however little is printed."""

    class Shown(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            show(record.getMessage())

    logger, handler = logging.getLogger("lgc"), Shown()
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


@contextmanager
def step_lines(quiet: bool) -> Iterator[Callable[[str, float | None, bool], None]]:
    """Yield a callback for build steps: a spinner while one runs, with what it logs, a line when it is done.

    Called with no seconds and `cached`, it prints the name as a line of its own.
    """
    from rich.console import Console
    from rich.text import Text

    console = Console(stderr=True, quiet=quiet)
    running = ""
    with console.status("") as status, records(lambda said: status.update(Text(f"{running}  {said}"))):

        def update(name: str, seconds: float | None, cached: bool) -> None:
            nonlocal running
            if seconds is None and cached:
                console.print(name, highlight=False, markup=False, soft_wrap=True)
            elif seconds is None:
                running = name
                status.update(name)
            else:
                console.print(f"{name:<14} {'kept' if cached else f'{seconds:.1f} s'}", highlight=False)

        yield update
