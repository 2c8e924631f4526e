"""Corner cases of the readout as stimulus: ties, extreme scores, all features low or high.

Which inputs give a tie or a class's highest score depends on the network, so they are searched
among random codes around given samples.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lgc.ir.classifier import Classifier

TRIES = 4096
"""Random codes searched."""


@dataclass(frozen=True, eq=False)
class Corners:
    """Stimulus for the readout's corner cases.

    Attributes:
        codes: feature codes int32 `[cases, features]`.
        names: what each case is for, `[cases]`.
        covered: how many classes win somewhere and how many tie for the first place somewhere.
    """

    codes: npt.NDArray[np.int32]
    names: tuple[str, ...]
    covered: dict[str, int]


def find(network: Classifier, samples: npt.NDArray[np.int32], *, seed: int, tries: int = TRIES) -> Corners:
    """Search inputs that bring the readout into its corners.

    Args:
        network: the classifier.
        samples: codes int32 `[samples, features]` that are searched too, and varied.
        seed: of the random codes.
        tries: random codes.

    Returns:
        All features lowest and highest; for each class the input with its highest and its lowest
        score, an input it wins, and one where it ties for the first place with another class, the
        winner being the lower number. Cases that no input tried shows are left out.
    """
    rng = np.random.default_rng(seed)
    form, features = network.encoder.format, network.encoder.features
    ends = np.repeat(np.array([[form.low], [form.high]], np.int32), features, axis=1)
    drawn = rng.integers(form.low, form.high + 1, (tries, features), dtype=np.int32)
    if len(samples):
        kept = samples[rng.integers(len(samples), size=tries)]
        drawn = np.where(rng.random((tries, features)) < rng.random((tries, 1)), drawn, kept)
    codes = np.concatenate([ends, samples, drawn]).astype(np.int32)
    score = network.scores_of_codes(codes)
    classes = score.shape[1]
    best = score.max(axis=1)
    at_top = score == best[:, None]
    winner = at_top.argmax(axis=1)
    chosen = [(0, "all features lowest"), (1, "all features highest")]
    covered = {"classes that win": 0, "classes tied for the first place": 0}
    for c in range(classes):
        chosen += [(int(score[:, c].argmax()), f"highest score of class {c}")]
        chosen += [(int(score[:, c].argmin()), f"lowest score of class {c}")]
        wins, ties = np.flatnonzero(winner == c), np.flatnonzero(at_top[:, c] & (at_top.sum(axis=1) > 1))
        if wins.size:
            chosen.append((int(wins[0]), f"class {c} wins"))
        if ties.size:
            chosen.append((int(ties[0]), f"class {c} ties for the first place"))
        covered["classes that win"] += bool(wins.size)
        covered["classes tied for the first place"] += bool(ties.size)
    of_row: dict[int, list[str]] = {}
    for row, name in chosen:
        of_row.setdefault(row, []).append(name)
    return Corners(codes[list(of_row)], tuple("; ".join(names) for names in of_row.values()), covered)
