import numpy as np
import pytest

from lgc.errors import LgcError
from lgc.ir.encoder import FixedPoint, Thermometer


def test_bits_are_feature_major_and_compare_at_or_above() -> None:
    encoder = Thermometer(np.array([[1, 3], [2, 2]], np.int32), FixedPoint(4))
    assert encoder.encode([[0, 2], [1, 1], [3, 15]]).tolist() == [
        [False, False, True, True],
        [True, False, False, False],
        [True, True, True, True],
    ]


@pytest.mark.parametrize(
    ("form", "low", "high"), [(FixedPoint(8), 0, 255), (FixedPoint(8, 3, signed=True), -128, 127)]
)
def test_formats_saturate(form: FixedPoint, low: int, high: int) -> None:
    assert (form.low, form.high) == (low, high)
    assert form.quantise(np.array([-1e9, 1e9])).tolist() == [low, high]


def test_comparing_codes_is_comparing_numbers() -> None:
    form = FixedPoint(10, 4, signed=True)
    x = np.random.default_rng(0).normal(0, 8, 1000)
    for threshold in (-7, 0, 33):
        assert np.array_equal(form.quantise(x) >= threshold, np.clip(x, -32, 31.9) >= threshold / 16)


def test_nan_is_refused() -> None:
    with pytest.raises(LgcError, match="^The features hold NaN or infinite values"):
        FixedPoint(8).quantise(np.array([1.0, np.nan]))


def test_wrong_feature_count_is_refused() -> None:
    encoder = Thermometer(np.zeros((4, 1), np.int32))
    with pytest.raises(LgcError, match="^The data has 3 features per sample, the model expects 4"):
        encoder.encode(np.zeros((2, 3)))


def test_features_of_their_own_points() -> None:
    form = FixedPoint(8, -2, shift=(0, 5, 9))
    assert form.fractions.tolist() == [-2, 3, 7]
    assert [form.of(i) for i in range(3)] == [FixedPoint(8, -2), FixedPoint(8, 3), FixedPoint(8, 7)]
    x = np.random.default_rng(0).uniform(0, [1020, 31, 1.9], (200, 3))
    columns = [form.of(i).quantise(x[:, i]) for i in range(3)]
    assert np.array_equal(form.quantise(x), np.stack(columns, axis=1))
    whole = np.array([[1000, 3, 1], [7, 40, 2]])
    assert form.quantise(whole).tolist() == [[250, 24, 128], [1, 255, 255]]
    assert FixedPoint(**{"width": 8, "fraction": -2, "signed": False, "shift": [0, 5, 9]}) == form
    assert FixedPoint(8, -1).quantise(np.array([7])).tolist() == [3]
