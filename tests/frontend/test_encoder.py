import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lgc.errors import LgcError
from lgc.frontend import data, encoder
from lgc.frontend.config import EncoderConfig
from lgc.ir.encoder import FixedPoint

PIXELS = FixedPoint(8)


@pytest.mark.parametrize("kind", ["quantile", "uniform"])
@pytest.mark.parametrize("scope", ["feature", "global"])
def test_digits_thresholds_are_useful(kind: str, scope: str) -> None:
    digits = data.load("digits")
    fitted = encoder.fit(EncoderConfig(kind, 4, scope), digits.train_x, digits.format)
    assert fitted.threshold.shape == (64, 4)
    assert fitted.threshold.dtype == np.int32
    useful = encoder.informative(fitted, digits.train_x)
    bits = fitted.encode(digits.train_x)
    varies = bits.any(axis=0) & ~bits.all(axis=0)
    assert (useful <= varies).all()
    # what varies and is not listed repeats a listed neighbour
    assert set(map(bytes, bits[:, varies].T)) == set(map(bytes, bits[:, useful].T))


@given(
    st.lists(st.integers(0, 30), min_size=1, max_size=60),
    st.integers(1, 12),
    st.sampled_from(["quantile", "uniform"]),
)
def test_thresholds_ascend_and_are_distinct_where_possible(values: list[int], levels: int, kind: str) -> None:
    x = np.array(values)[:, None]
    row = encoder.fit(EncoderConfig(kind, levels), x, PIXELS).threshold[0]
    real = row[row > PIXELS.low]
    assert (np.diff(real) > 0).all()
    assert (np.diff(row) >= 0).all()
    assert ((real > x.min()) & (real <= x.max())).all()
    if kind == "quantile":
        assert len(real) == min(levels, len(np.unique(x)) - 1)


def test_quantiles_split_evenly() -> None:
    x = np.arange(100)[:, None]
    row = encoder.fit(EncoderConfig("quantile", 3), x, PIXELS).threshold[0]
    assert np.abs(row - [25, 50, 75]).max() <= 1


def test_background_does_not_attract_all_thresholds() -> None:
    x = np.concatenate([np.zeros(900, int), np.arange(1, 101)])[:, None]
    row = encoder.fit(EncoderConfig("quantile", 3), x, PIXELS).threshold[0]
    assert row[0] <= 10
    assert row[1] > 20
    assert row[2] > 50


def test_uniform_steps() -> None:
    x = np.array([0, 16])[:, None]
    assert encoder.fit(EncoderConfig("uniform", 3), x, PIXELS).threshold.tolist() == [[4, 8, 12]]


def test_constant_features_give_constant_bits_not_fewer() -> None:
    x = np.stack([np.full(8, 7), np.arange(8)], axis=1)
    fitted = encoder.fit(EncoderConfig("quantile", 2), x, PIXELS)
    assert fitted.bits == 4
    assert encoder.informative(fitted, x).tolist() == [False, False, True, True]
    assert fitted.encode(x)[:, :2].all()


def test_explicit_thresholds_are_in_the_features_unit() -> None:
    form = FixedPoint(8, fraction=4)
    fitted = encoder.fit(EncoderConfig("thresholds", thresholds=(0.3, 2.0)), np.zeros((3, 2)), form)
    assert fitted.threshold.tolist() == [[5, 32], [5, 32]]
    x = np.linspace(0, 4, 50)[:, None] * [1, 1]
    on_grid = np.floor(x * 16) / 16
    assert np.array_equal(fitted.encode(x).reshape(50, 2, 2)[:, :, 1], on_grid >= 2.0)


@pytest.mark.parametrize("thresholds", [(), (3.0, 3.0), (5.0, 2.0), (0.0,), (256.0,)])
def test_bad_thresholds(thresholds: tuple[float, ...]) -> None:
    with pytest.raises(LgcError, match="are not ascending values inside the features' format"):
        encoder.fit(EncoderConfig("thresholds", thresholds=thresholds), np.zeros((3, 2), np.uint8), PIXELS)


def test_bits_know_their_pixel() -> None:
    x = np.random.default_rng(0).integers(0, 256, (40, 3, 5)).astype(np.uint8)
    fitted = encoder.fit(EncoderConfig("quantile", 2), x, PIXELS)
    sources = encoder.sources(fitted, x, (3, 5))
    assert sources.position is not None
    rows, columns = sources.position.T.astype(int)
    assert np.array_equal(rows * 5 + columns, sources.index // 2)
    assert encoder.sources(fitted, x, None).position is None
