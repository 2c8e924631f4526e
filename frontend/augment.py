"""Random distortions of training images: shift, rotation, shear, scale, mirroring, elastic displacement.

The mix is that of LILogicNet's MNIST runs (arXiv 2511.12340), drawn anew every epoch.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lgc.errors import UsageError

from ._typing import Array, F32x2, F32x4
from .config import DataConfig
from .kernels.threads import share
from .kernels.warp import warp

_CONTROL = 5
"""Control points of the elastic displacement per side."""


@dataclass(frozen=True, eq=False)
class Distortion:
    """One epoch's distortions, a row per sample.

    Attributes:
        affine: float32 `[samples, 6]`, see `lgc.frontend.kernels.warp.warp`.
        grids: float32 `[samples, g, g, 2]`, displacement of control points in pixels.
    """

    affine: F32x2
    grids: F32x4

    def apply(self, images: Array, rows: Array) -> Array:
        """Distort `images[rows]`; same type, integers rounded."""
        shape = (len(rows), *images.shape[1:3], -1)
        chosen = images[rows].reshape(shape).astype(np.float32)
        out = np.empty_like(chosen)
        share(warp, len(rows), chosen, self.affine[rows], self.grids[rows], out)
        if images.dtype.kind != "f":
            out = np.rint(out)
        return np.asarray(out, images.dtype).reshape(len(rows), *images.shape[1:])


def _crop(config: DataConfig, samples: int, rng: np.random.Generator) -> Distortion:
    """Shift by whole pixels: a random window of the image padded by zeros, as on CIFAR-10."""
    most = int(config.shift)
    affine = np.zeros((samples, 6), np.float32)
    affine[:, 0] = affine[:, 4] = 1
    affine[:, 2] = rng.integers(-most, most + 1, samples)
    affine[:, 5] = rng.integers(-most, most + 1, samples)
    if config.flip:
        affine[rng.random(samples) < 0.5, 3:5] *= -1
    return Distortion(affine, np.zeros((samples, _CONTROL, _CONTROL, 2), np.float32))


def draw(config: DataConfig, shape: tuple[int, ...], rng: np.random.Generator) -> Distortion:
    """Draw distortions for data of `shape` `[samples, height, width(, channels)]`.

    Raises:
        UsageError: the samples are not images.
    """
    if len(shape) not in {3, 4} or min(shape[1:3]) < 2:
        raise UsageError(f"data.augment = {config.augment} needs images.", hint="Use data.augment = none.")
    samples = shape[0]
    if config.augment == "crop":
        return _crop(config, samples, rng)
    angle = np.deg2rad(config.rotate) * rng.uniform(-1, 1, samples)
    shear = np.tan(np.deg2rad(config.shear)) * rng.uniform(-1, 1, samples)
    size = 1 + config.scale * rng.uniform(-1, 1, (2, samples))
    shift = config.shift * rng.uniform(-1, 1, (2, samples))
    cos, sin = np.cos(angle), np.sin(angle)
    down = [cos * size[0], (cos * shear - sin) * size[0], shift[0]]
    across = [sin * size[1], (sin * shear + cos) * size[1], shift[1]]
    affine = np.stack([*down, *across], axis=1)
    grids = config.elastic * rng.standard_normal((samples, _CONTROL, _CONTROL, 2), np.float32)
    if config.flip:
        affine[rng.random(samples) < 0.5, 3:5] *= -1
    return Distortion(affine.astype(np.float32), grids.astype(np.float32))
