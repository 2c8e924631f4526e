"""What `lgc import` does: read a foreign network, check it against its scores, write a checkpoint."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from lgc.errors import LgcError, MismatchError, UsageError

if TYPE_CHECKING:
    from lgc.frontend.checkpoint import Checkpoint
    from lgc.frontend.importers import Options
    from lgc.ir.encoder import FixedPoint

UNCHECKED = "agreement with the original package was not checked"
_PIECE = 1 << 22
_SAMPLES = 256


@dataclass(frozen=True, eq=False)
class Imported:
    """A foreign network as a checkpoint.

    Attributes:
        checkpoint: ready to be saved and compiled.
        format: what it was read as.
        place: the encoder's bit for each input bit of the original, int64 `[bits]`.
    """

    checkpoint: Checkpoint
    format: str
    place: npt.NDArray[np.int64]

    def save(self, path: str | Path) -> None:
        """Write the checkpoint."""
        from lgc.frontend import checkpoint

        checkpoint.save(Path(path), self.checkpoint)

    def scores(self, bits: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
        """Scores int64 `[samples, classes]` of samples in the original's bits, `[samples, bits]`.

        Raises:
            LgcError: another number of bits.
        """
        from lgc.frontend.lower import lower
        from lgc.ir.simulate import scores

        if bits.ndim != 2 or bits.shape[1] != len(self.place):
            raise LgcError(
                f"The samples are {list(bits.shape)}; the network has {len(self.place)} input bits."
            )
        own = np.empty(bits.shape, np.bool_)
        own[:, self.place] = bits
        return scores(lower(self.checkpoint).netlist, own)


def read(path: Path, kind: str = "auto", options: Options | None = None) -> Imported:
    """Read a foreign network.

    Args:
        path: the file.
        kind: one of `lgc.frontend.importers.FORMATS`, or "auto".
        options: what the file leaves out.

    Raises:
        UsageError: an option is missing or wrong; names it.
        LgcError: the file is damaged, inconsistent, or of no known format.
    """
    from lgc.frontend import importers

    options = options or importers.Options()
    if not path.is_file():
        raise LgcError(f"There is no file {path}.", hint="Check its name.")
    kind = _kind(path) if kind == "auto" else kind
    if kind == "netlist":
        from lgc.frontend.importers import netlists as cut
        from lgc.netlists import read as read_netlist

        foreign = cut.take(read_netlist(path), options)
    else:
        foreign = importers.read(path, kind, options)
    found, place = importers.assemble(foreign, options)
    facts = {
        "file": path.name,
        "sha256": _digest(path),
        "format": kind,
        "checked": UNCHECKED,
        **{key: found.metadata[key] for key in ("wiring", "parametrization") if key in found.metadata},
    }
    if options.connections is not None:
        facts |= {"connections": options.connections.name, "connections sha256": _digest(options.connections)}
    return Imported(with_facts(found, facts), kind, place)


def _kind(path: Path) -> str:
    """Tell the format; netlists go by their suffix, but for arrays, which may be either."""
    from lgc.frontend import importers
    from lgc.netlists import SUFFIXES

    return "netlist" if path.suffix.lower() in SUFFIXES.keys() - {".npz"} else importers.detect(path)


def with_facts(found: Checkpoint, facts: Mapping[str, Any]) -> Checkpoint:
    """Return the checkpoint with more known about where it comes from."""
    before = found.metadata.get("imported")
    known = dict(before) if isinstance(before, Mapping) else {}
    rest = {key: value for key, value in found.metadata.items() if key not in facts}
    return replace(found, metadata=rest | {"imported": known | dict(facts)})


def check(imported: Imported, path: Path) -> Imported:
    """Compare with what the original computed on the samples of an .npz file.

    The file has `scores` `[samples, classes]`, and the samples either as `x` `[samples, features]`, in the
    data's numbers, or as `bits` `[samples, bits]`, the network's own inputs; with `n_bits` they are packed
    as `numpy.packbits(bits, axis=1)`.

    Returns:
        The same, with the agreement in its metadata.

    Raises:
        MismatchError: a score differs; names sample and class.
        LgcError: the file lacks something, or does not fit.
    """
    from lgc.frontend.importers.files import arrays
    from lgc.frontend.lower import lower

    found = arrays(path)
    expected = found.get("scores")
    if expected is None or ("x" in found) == ("bits" in found):
        raise LgcError(f"{path} must hold scores, and either x or bits.", hint="See docs/import.md.")
    if "x" in found:
        scores = lower(imported.checkpoint).scores(found["x"])
    else:
        scores = imported.scores(_unpacked(found, len(imported.place)))
    if expected.shape != scores.shape or not len(scores):
        raise LgcError(f"{path} has scores {list(expected.shape)}; the network gives {list(scores.shape)}.")
    if (wrong := np.argwhere(scores != expected)).size:
        sample, label = wrong[0]
        differ = len(np.unique(wrong[:, 0]))
        raise MismatchError(
            f"Sample {sample}, class {label}: the imported network scores {scores[sample, label]}, "
            f"the original {expected[sample, label]}; {differ:,} of {len(scores):,} samples differ.",
            hint="Check --order, --thresholds and the connections.",
        )
    done = f"all scores of {len(scores):,} samples equal those in {path.name}"
    return replace(imported, checkpoint=with_facts(imported.checkpoint, {"checked": done}))


def ask_original(imported: Imported, path: Path, options: Options) -> Imported:
    """Compare with the original package on random samples, where it is installed.

    Returns:
        The same, with the agreement in its metadata if there was one to ask.

    Raises:
        MismatchError: a score differs.
    """
    from lgc.frontend.importers import files

    try:
        if imported.format == "module":
            name, samples = _of_module(imported, path, options), _SAMPLES
        else:
            name, samples = _of_tensors(imported, path, options)
    except files.DAMAGE as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        facts = {"checked": f"{UNCHECKED}, which fails: {reason[:120]}"}
        return replace(imported, checkpoint=with_facts(imported.checkpoint, facts))
    if not name:
        return imported
    facts = {"checked": f"all scores of {samples} random samples equal those of {name}"}
    return replace(imported, checkpoint=with_facts(imported.checkpoint, facts))


def _of_tensors(imported: Imported, path: Path, options: Options) -> tuple[str, int]:
    """Ask the layers that the package makes of a file; returns the package, "" if none, and the samples."""
    from lgc.frontend.importers import originals

    rng = np.random.default_rng(0)
    bits = rng.random((_SAMPLES, len(imported.place))) < rng.random((_SAMPLES, 1))
    if imported.format == "torchlogix-circuit" and imported.checkpoint.metadata.get("beta"):
        return "", 0  # its evaluator rounds fractions, and has no numbers below zero
    found = originals.scores(path, imported.format, options, bits, len(imported.checkpoint.class_names))
    if found is None:
        return "", 0
    expected, name = found
    _demand_equal(imported.scores(bits[: len(expected)]), expected, name)
    return name, len(expected)


def _of_module(imported: Imported, path: Path, options: Options) -> str:
    """Ask a whole module opened by its package; returns the package, "" where it is not installed."""
    from lgc import torch_models
    from lgc.frontend.importers import live, originals

    found = originals.module(path)
    if found is None:
        return ""
    model, name = found
    taken = live.take(model, options)
    torch_models.compare(model, taken, imported, _SAMPLES, options.scale or 1.0)
    return name


def _demand_equal(own: npt.NDArray[np.int64], expected: npt.NDArray[Any], name: str) -> None:
    if (wrong := np.argwhere(own != expected)).size:
        sample, label = wrong[0]
        raise MismatchError(
            f"Random sample {sample}, class {label}: the imported network scores {own[sample, label]}, "
            f"{name} {expected[sample, label]}.",
            hint="Check --parametrization.",
        )


def _unpacked(found: Mapping[str, npt.NDArray[Any]], count: int) -> npt.NDArray[np.bool_]:
    bits = found["bits"]
    if bits.ndim != 2 or bits.dtype.kind not in "bui":
        raise LgcError(f"The bits are {bits.dtype} {list(bits.shape)}; expected [samples, bits].")
    if "n_bits" in found:
        if bits.dtype != np.uint8 or bits.shape[1] * 8 < count:
            raise LgcError(f"The packed bits are {bits.dtype} {list(bits.shape)}; {count} are needed.")
        bits = np.unpackbits(bits, axis=1)[:, :count]
    return bits.astype(np.bool_)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def run(file: Path, out: Path, kind: str, scores: Path | None, **given: Any) -> dict[str, Any]:
    """Import a file and write the checkpoint; returns what was found."""
    from lgc.frontend import checkpoint

    known = options(**given)
    imported = read(file, kind, known)
    imported = check(imported, scores) if scores is not None else ask_original(imported, file, known)
    checkpoint.save(out, imported.checkpoint)
    return {"checkpoint": str(out)} | summary(imported)


def summary(imported: Imported) -> dict[str, Any]:
    """Facts for the user; JSON values."""
    from lgc.frontend.checkpoint import Layer

    found, facts = imported.checkpoint, imported.checkpoint.metadata["imported"]
    encoder = found.encoder
    form = encoder.format
    kind = "ready bits" if (form.width, encoder.levels) == (1, 1) else _count(encoder.levels, "threshold")
    widths = [
        f"{layer.nodes:,} of {layer.k} inputs" if isinstance(layer, Layer) else layer.text
        for layer in found.layers
    ]
    return {
        "format": imported.format,
        "layers": len(found.layers),
        "nodes": sum(layer.nodes for layer in found.layers),
        "widths": "; ".join(dict.fromkeys(widths)),
        "inputs": f"{encoder.features:,} features of {_count(form.width, 'bit')}, {kind}: "
        f"{encoder.bits:,} input bits",
        "classes": len(found.class_names),
        "wiring": facts.get("wiring", "in the file"),
        "checked": facts["checked"],
    }


def options(
    *,
    inputs: str = "",
    thresholds: str = "",
    bits: str = "",
    class_names: str = "",
    **rest: Any,
) -> Options:
    """Turn the texts of the command line into options.

    Raises:
        UsageError: one of them cannot be read.
    """
    from lgc.frontend.importers import Options

    return Options(
        inputs=_shape(inputs),
        thresholds=_thresholds(thresholds),
        form=_form(bits),
        class_names=tuple(name.strip() for name in class_names.split(",")) if class_names else (),
        **rest,
    )


def _shape(text: str) -> tuple[int, ...]:
    parts = text.lower().split("x") if text else []
    if not all(part.isdecimal() and 0 < int(part) < 1 << 31 for part in parts) or len(parts) > 4:
        raise UsageError(f"Cannot read the shape {text!r}.", hint="Write it as 784, 28x28 or 32x32x3.")
    return tuple(map(int, parts))


def _thresholds(text: str) -> tuple[tuple[float, ...], ...]:
    if not text:
        return ()
    if text.endswith(".npy"):
        try:
            values = np.atleast_2d(np.load(text, allow_pickle=False, mmap_mode="r")).astype(np.float64)
        except (OSError, ValueError, EOFError) as error:
            raise LgcError(f"Cannot read the thresholds {text}: {error}.") from None
        if values.ndim != 2 or values.size > _PIECE:
            raise LgcError(f"The thresholds are {list(values.shape)}; expected [features, levels].")
        return tuple(tuple(map(float, row)) for row in values)
    try:
        return (tuple(float(part) for part in text.split(",")),)
    except ValueError:
        raise UsageError(
            f"Cannot read the thresholds {text!r}.", hint="Write them as 0.25,0.5,0.75, or name an .npy file."
        ) from None


def _form(text: str) -> FixedPoint | None:
    from lgc.ir.encoder import FixedPoint

    if not text:
        return None
    width, _, fraction = text.removeprefix("s").partition(".")
    if not width.isdecimal() or not 1 <= int(width) <= 16 or (fraction and not fraction.isdecimal()):
        raise UsageError(
            f"Cannot read the feature format {text!r}.",
            hint="Write 8 for pixels, 12.8 for 12 bits of which 8 after the point, s12.8 for signed ones.",
        )
    if int(fraction or 0) > 64:
        raise UsageError(
            f"The feature format {text!r} has too many bits after the point.", hint="Use 64 or less."
        )
    return FixedPoint(int(width), int(fraction or 0), text.startswith("s"))


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"
