"""`lgc eval`: parse, call, print."""

from __future__ import annotations

from pathlib import Path

import click

from lgc import console

_PATH = click.Path(path_type=Path)


@click.command(name="eval")
@click.argument("model", type=_PATH)
@console.data_option
@click.option(
    "--split", type=click.Choice(["test", "validation"]), default="test", show_default=True,
    help="Samples to classify; validation is the part of the training set that chose the epoch.",
)  # fmt: skip
@click.option("-o", "--out", type=_PATH, help="Write scores, classes and labels to this .npz file.")
@click.option("--threads", type=click.IntRange(1), help="Threads to use; one per core if not given.")
@console.as_json
def eval_(model: Path, data: str, split: str, out: Path | None, threads: int | None, as_json: bool) -> None:
    """Classify a data set with a checkpoint in software: accuracy, confusions, images per second.

    Scores are those of the hardware, bit for bit. Without --data, takes what the model was trained on.

    \b
    lgc eval model.safetensors
    lgc eval model.safetensors --data path/to/mnist --split validation -o scores.npz
    """
    from lgc import evaluate

    found = evaluate.evaluate(model, data, split=split, threads=threads)
    if out is not None:
        found.save(out)
    console.show(found.to_dict(), as_json, lambda: evaluate.table(found))
