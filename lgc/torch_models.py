"""Live torch modules in and out: `lgc.from_torch` and `lgc.to_torch`."""

from __future__ import annotations

import contextlib
import io
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from lgc.errors import LgcError, MismatchError, UsageError, nearest

if TYPE_CHECKING:
    from lgc.frontend.checkpoint import Checkpoint
    from lgc.frontend.importers.live import Taken
    from lgc.importing import Imported

_SAMPLES = 256
PACKAGES = ("lgc", "torchlogix", "difflogic")
"""Whose layers `to_torch` builds."""


def from_torch(
    model: Any,
    *,
    inputs: tuple[int, ...] = (),
    classes: int | None = None,
    class_names: tuple[str, ...] = (),
    scale: float | None = None,
    bits: str = "",
    check: int = _SAMPLES,
) -> Imported:
    """Take a trained module of torchlogix, difflogic or DWN over, bit for bit.

    The module itself is asked for the scores of random samples, and every one must be equal; DWN's
    layers run on CUDA only, so theirs are checked there only. The module is left as it was.

    Args:
        model: a sequence of their layers, group sum included.
        inputs: shape of a sample in the data's order, rows, columns, channels, where it cannot be seen.
        classes: where there is no group sum.
        class_names: their names.
        scale: features are divided by it before the module's thresholds; 255 for 8-bit pixels.
        bits: format of the features, as `lgc import --bits`.
        check: number of random samples; 0 for none.

    Raises:
        UsageError: something must be given by an argument.
        LgcError: a layer that is not known, or does not fit the one before.
        MismatchError: the module gives another score.
    """
    from lgc import importing
    from lgc.frontend.importers import assemble, live

    options = importing.options(bits=bits, classes=classes, scale=scale)
    options = replace(options, inputs=inputs, class_names=class_names)
    taken = live.take(model, options)
    found, place = assemble(taken.foreign, options)
    kind = taken.package or "torch"
    facts = {"format": f"live {kind}", "wiring": "in the module", "checked": importing.UNCHECKED}
    imported = importing.Imported(importing.with_facts(found, facts), kind, place)
    on_cpu = all(parameter.device.type == "cpu" for parameter in model.parameters())
    if not check or (taken.package == "torch_dwn" and on_cpu):
        return imported
    compare(model, taken, imported, check, scale or 1.0)
    done = f"all scores of {check:,} random samples equal the module's"
    return importing.Imported(importing.with_facts(imported.checkpoint, {"checked": done}), kind, place)


def compare(model: Any, taken: Taken, imported: Imported, count: int, scale: float) -> None:
    """Run random samples through the module and through the netlist.

    Raises:
        MismatchError: the module gives another score.
        LgcError: scores of another shape.
    """
    from lgc.frontend.lower import lower

    rng = np.random.default_rng(0)
    encoder = imported.checkpoint.encoder
    features = imported.checkpoint.metadata.get("image_shape") or [encoder.features]
    if not taken.foreign.thresholds:
        samples = rng.random((count, len(imported.place))) < rng.random((count, 1))
        own = imported.scores(samples)
        x = samples.astype(np.float32)
    else:
        form = encoder.format
        codes = rng.integers(form.low, form.high + 1, (count, encoder.features), dtype=np.int32)
        own = lower(imported.checkpoint).scores_of_codes(codes)
        x = (np.ldexp(codes.astype(np.float32), -form.fraction) / np.float32(scale)).astype(np.float32)
        if len(taken.shape) > 1:  # from the data's order to torch's, channels first
            channels = features[-1] if len(features) > 2 or len(taken.shape) == 4 else 1
            x = x.reshape(count, -1, channels).transpose(0, 2, 1)
    expected = _scores(model, np.ascontiguousarray(x.reshape(count, *taken.shape)), taken)
    if expected.shape != own.shape:
        raise LgcError(f"The module gives scores {list(expected.shape)}; the network {list(own.shape)}.")
    if (wrong := np.argwhere(own != expected)).size:
        sample, label = wrong[0]
        raise MismatchError(
            f"Random sample {sample}, class {label}: the network scores {own[sample, label]}, "
            f"the module {expected[sample, label]}.",
            hint="Is there something between its layers?",
        )


def _scores(model: Any, x: npt.NDArray[np.float32], taken: Taken) -> npt.NDArray[np.int64]:
    """Return the counts int64 `[samples, classes]` that the module gives in eval mode."""
    import torch

    modes = [(module, module.training) for module in model.modules()]
    parameter = next(model.parameters(), None)
    device = "cpu" if parameter is None else parameter.device
    boolean = any(getattr(module, "export_mode", False) for module, _ in modes)
    given = torch.from_numpy(x).to(device)
    try:
        model.eval()
        # difflogic prints the type of its indices
        with torch.no_grad(), contextlib.redirect_stdout(io.StringIO()):
            out = model(given.bool() if boolean else given)
    finally:
        for module, training in modes:
            module.training = training
    counts = np.rint(out.double().cpu().numpy() * taken.tau - taken.beta)
    found: npt.NDArray[np.int64] = counts.reshape(len(x), -1).astype(np.int64)
    return found


def to_torch(
    model: str | Path | Checkpoint | Imported,
    *,
    package: str = "lgc",
    parametrization: str = "light",
    confidence: float | None = None,
) -> Any:
    """Build a torch module that computes a checkpoint's network and can be trained further.

    Args:
        model: a checkpoint, or its file.
        package: "lgc" gives `lgc.frontend.network.Network`, with the checkpoint's own parameters unless
            `confidence` is given; "torchlogix" and "difflogic" give a `torch.nn.Sequential` of theirs,
            reading the encoder's bits, those of convolutions as images `[samples, channels, ...]`.
        parametrization: for torchlogix: "raw", "warp" or "light".
        confidence: how sure a soft node is of each row of its table, between 0.5 and 1. 0.9 if needed.

    Raises:
        UsageError: there is no such package or parametrization, or it cannot hold the network.
        ToolMissingError: the package is not installed.
    """
    from lgc.frontend import checkpoint
    from lgc.frontend.importers import rebuild
    from lgc.importing import Imported

    if package not in PACKAGES:
        raise UsageError(f"There is no package {package!r}.", hint=nearest(package, PACKAGES))
    if confidence is not None and not 0.5 < confidence < 1:
        raise UsageError(f"A confidence of {confidence} is out of range.", hint="Give 0.9.")
    if isinstance(model, str | Path):
        model = checkpoint.load(Path(model))
    found = model.checkpoint if isinstance(model, Imported) else model
    if package == "lgc":
        return rebuild.network(found, confidence)
    if package == "difflogic":
        return rebuild.difflogic(found, confidence or 0.9)
    return rebuild.torchlogix(found, parametrization, confidence or 0.9)
