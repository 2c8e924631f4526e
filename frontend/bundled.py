"""Data sets that scikit-learn brings along, and those it fetches from OpenML."""

from __future__ import annotations

import logging
import warnings
from typing import Any

import numpy as np

from lgc.errors import LgcError, ToolMissingError
from lgc.ir.encoder import FixedPoint

from .raw import Raw, numbered

_LOG = logging.getLogger(__name__)

NAMES = ("breast_cancer", "digits", "iris", "wine")
"""What comes with scikit-learn."""


def _datasets() -> Any:
    try:
        import sklearn.datasets
        from sklearn.datasets import load_digits  # noqa: F401  (a broken installation shows here)
    except ImportError as error:
        raise ToolMissingError(
            "This data set comes through scikit-learn, which is not installed.",
            hint='pip install "lgc[train]"',
        ) from error
    return sklearn.datasets


def load(name: str) -> Raw:
    """Read one of `NAMES`; none of them has a test set of its own."""
    bunch = getattr(_datasets(), f"load_{name}")()
    if name == "digits":  # pixel codes 0..16 (UCI Optical Recognition of Handwritten Digits)
        return Raw(bunch.images.astype(np.uint8), bunch.target, format=FixedPoint(5))
    return Raw(
        bunch.data,
        bunch.target,
        class_names=tuple(map(str, bunch.target_names)),
        feature_names=tuple(map(str, bunch.feature_names)),
    )


def openml(name: str) -> Raw:
    """Fetch a data set by name, `name@version`, or number; categories become their numbers.

    Raises:
        ToolMissingError: scikit-learn is not installed.
        LgcError: no network, no such data set, or one without classes.
    """
    fetch = _datasets().fetch_openml
    from sklearn.externals._arff import ArffException

    title, _, version = name.partition("@")
    which: dict[str, Any] = {"data_id": int(name)} if name.isdecimal() else {"name": title}
    if version:
        which["version"] = int(version) if version.isdecimal() else version
    try:
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            bunch = fetch(**which, as_frame=False, parser="liac-arff", n_retries=1, delay=0.5)
    except (OSError, ValueError, ArffException) as error:  # URLError and OpenMLError among them
        reason = str(getattr(error, "reason", None) or error).rstrip(".")
        raise LgcError(f"Cannot fetch {name!r} from OpenML: {reason}.", hint=_fetch_hint(error)) from error
    for each in said:  # several versions, problems that OpenML knows of, a second attempt
        _LOG.warning("%s: %s", name, " ".join(str(each.message).split()))
    return from_bunch(bunch, name)


def _fetch_hint(error: Exception) -> str:
    if isinstance(error, OSError):
        return "Check the network, or give the table as a CSV file."
    return "See openml.org for names and versions, as in openml:NAME@1."


def from_bunch(bunch: Any, name: str) -> Raw:
    """Turn what `fetch_openml` returns into features and numbered classes.

    Raises:
        LgcError: there is no target, or it is not a class.
    """
    x, target = bunch.data, bunch.target
    if target is None or target.ndim != 1:
        raise LgcError(f"The OpenML set {name!r} has no single target.", hint="Give the table as a CSV file.")
    if target.dtype.kind == "f" and not np.array_equal(target, np.floor(target)):
        raise LgcError(f"The target of {name!r} is a measure, not a class.", hint="lgc classifies.")
    whole = target.astype(np.int64) if target.dtype.kind == "f" else target
    labels, names = numbered([str(value) for value in whole])
    dense = x.toarray() if hasattr(x, "toarray") else np.asarray(x)
    return Raw(dense, labels, class_names=names, feature_names=tuple(map(str, bunch.feature_names)))
