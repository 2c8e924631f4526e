"""Resampling images along an affine map plus a smooth random displacement."""
# mypy: disallow-untyped-decorators=False

from __future__ import annotations

import numpy as np
from numba import njit

from .._typing import F32x2, F32x3, F32x4


@njit(cache=True, nogil=True)
def _between(grid: F32x3, u: float, v: float, axis: int) -> float:
    """Interpolate control points `grid` `[g, g, 2]` at fractions u, v of the image."""
    steps = grid.shape[0] - 1
    i = min(int(u * steps), steps - 1)
    j = min(int(v * steps), steps - 1)
    s, t = u * steps - i, v * steps - j
    top = (1 - t) * grid[i, j, axis] + t * grid[i, j + 1, axis]
    bottom = (1 - t) * grid[i + 1, j, axis] + t * grid[i + 1, j + 1, axis]
    between: float = (1 - s) * top + s * bottom
    return between


@njit(cache=True, nogil=True)
def _sample(image: F32x3, y: float, x: float, channel: int) -> float:
    """Interpolate `image` `[height, width, channels]` at y, x; outside it is 0."""
    height, width, _ = image.shape
    y0, x0 = int(np.floor(y)), int(np.floor(x))
    s, t = y - y0, x - x0
    total = 0.0
    for dy in range(2):
        for dx in range(2):
            row, column = y0 + dy, x0 + dx
            if 0 <= row < height and 0 <= column < width:
                weight = (s if dy else 1 - s) * (t if dx else 1 - t)
                total += weight * image[row, column, channel]
    return total


@njit(cache=True, nogil=True)
def warp(images: F32x4, affine: F32x2, grids: F32x4, out: F32x4, first: int, stop: int) -> None:
    """Fill `out[n]` for n in `first .. stop - 1`.

    Pixel (y, x), measured from the centre, reads `images[n]` `[height, width, channels]` at
    `(a y + b x + c, d y + e x + f)`, `affine[n]` being (a, b, c, d, e, f), displaced by `grids[n]`
    `[g, g, 2]`, pixels at control points spread over the image.
    """
    _, height, width, channels = images.shape
    middle_y, middle_x = (height - 1) / 2, (width - 1) / 2
    for n in range(first, stop):
        a, b, c, d, e, f = affine[n]
        for row in range(height):
            for column in range(width):
                u, v = row / (height - 1), column / (width - 1)
                y, x = row - middle_y, column - middle_x
                from_y = a * y + b * x + c + middle_y + _between(grids[n], u, v, 0)
                from_x = d * y + e * x + f + middle_x + _between(grids[n], u, v, 1)
                for channel in range(channels):
                    out[n, row, column, channel] = _sample(images[n], from_y, from_x, channel)
