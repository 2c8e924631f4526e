"""Knowledge distillation: a teacher's class scores beside the labels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, kl_div

from lgc.errors import LgcError
from lgc.ir.classifier import Classifier

from . import checkpoint
from ._typing import Array, F32x2, I64x1
from .config import DistilConfig
from .lower import lower

_Rows = npt.NDArray[np.floating[Any]]


class Teacher:
    """Scores to imitate: a table of the training samples', or a network that looks at each batch.

    A network sees the distorted images, as the student does; a table knows the plain ones only.
    """

    def __init__(self, config: DistilConfig, rows: I64x1, samples: int, classes: int, features: int) -> None:
        """Load the teacher.

        Args:
            config: which teacher.
            rows: training samples that are left after the validation split, int64 `[n]`.
            samples: training samples of the data set before it.
            classes: of the data set.
            features: of the data set.

        Raises:
            LgcError: an unreadable teacher, or one of other data.
        """
        self.config = config
        self._table: F32x2 | None = None
        self._network: Classifier | None = None
        self._tau = 1.0
        path = Path(config.teacher)
        if path.suffix == ".npy":
            self._table = _scores(path, samples, classes)[rows].astype(np.float32)
            return
        found = checkpoint.load(path)
        self._network, self._tau = lower(found), found.tau
        if len(found.class_names) != classes or found.encoder.features != features:
            raise LgcError(
                f"The teacher {path} knows {found.encoder.features} features and {len(found.class_names)} "
                f"classes; the data has {features} and {classes}.",
                hint="Give a teacher of the same data.",
            )

    def scores(self, order: I64x1, x: Array) -> Tensor:
        """Scores float32 `[n, classes]` of training rows `order`, as the student sees them in `x`."""
        if self._table is not None:
            return torch.from_numpy(self._table[order])
        assert self._network is not None
        return torch.from_numpy((self._network.scores(x) / self._tau).astype(np.float32))

    def loss(self, logits: Tensor, labels: Tensor, scores: Tensor) -> Tensor:
        """`(1 - w) CE + w T^2 KL(teacher / T, student / T)`, summed over the samples (Hinton 2015)."""
        weight, temperature = self.config.weight, self.config.temperature
        log_p = (logits / temperature).log_softmax(1)
        log_q = (scores / temperature).log_softmax(1)
        imitated = kl_div(log_p, log_q, reduction="sum", log_target=True)
        return (1 - weight) * cross_entropy(
            logits, labels, reduction="sum"
        ) + weight * temperature**2 * imitated


def _scores(path: Path, samples: int, classes: int) -> _Rows:
    """Read and check a table of scores."""
    try:
        table = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise LgcError(f"Cannot read the teacher's scores {path}: {error}.") from error
    if (
        not isinstance(table, np.ndarray)
        or table.shape != (samples, classes)
        or table.dtype.kind not in "iuf"
    ):
        shape = list(table.shape) if isinstance(table, np.ndarray) else "no array"
        raise LgcError(
            f"The teacher's scores {path} are {shape}; expected numbers [{samples}, {classes}].",
            hint="One row per training sample of the data set, in its order, validation samples included.",
        )
    if not np.isfinite(table).all():
        raise LgcError(f"The teacher's scores {path} hold NaN or infinite values.")
    return table
