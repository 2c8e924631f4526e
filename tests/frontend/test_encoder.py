from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lgc import commands
from lgc.errors import LgcError
from lgc.frontend import checkpoint, config, data, encoder
from lgc.frontend.config import EncoderConfig
from lgc.frontend.lower import lower
from lgc.frontend.train import train
from lgc.ir.encoder import FixedPoint, Thermometer

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


@example([1, 68, 93, 129, 159, 184], 8, "distributive", 0.0)  # repeats a threshold
@given(
    st.lists(st.integers(0, 255), min_size=2, max_size=80),
    st.integers(1, 8),
    st.sampled_from(["quantile", "uniform", "distributive"]),
    st.floats(0, 0.3),
)
def test_snapping_changes_few_bits_and_costs_no_more(
    values: list[int], levels: int, kind: str, tolerance: float
) -> None:
    x = np.array(values)[:, None]
    plain = encoder.fit(EncoderConfig(kind, levels), x, PIXELS)
    snapped = encoder.fit(EncoderConfig(kind, levels, snap=True, tolerance=tolerance), x, PIXELS)
    changed = (plain.encode(x) != snapped.encode(x)).mean(axis=0)
    assert changed.max() <= tolerance
    assert (encoder.compared_bits(snapped) <= encoder.compared_bits(plain)).all()
    old, new = plain.threshold[0], snapped.threshold[0]
    assert (np.diff(new) >= 0).all()
    # what split the samples still does, and what differed still differs
    varies = (old > x.min()) & (old <= x.max())
    assert np.array_equal(varies, (new > x.min()) & (new <= x.max()))
    assert len(np.unique(new)) >= len(np.unique(old))


@given(st.lists(st.integers(-8, 7), min_size=2, max_size=40), st.floats(0, 0.5))
def test_snapping_finds_the_cheapest_constant(values: list[int], tolerance: float) -> None:
    form = FixedPoint(4, signed=True)
    x = np.array(values)[:, None]
    plain = encoder.fit(EncoderConfig("quantile", 1), x, form)
    snapped = encoder.fit(EncoderConfig("quantile", 1, snap=True, tolerance=tolerance), x, form)
    if not encoder.informative(plain, x)[0]:
        assert np.array_equal(plain.threshold, snapped.threshold)
        return
    slack = int(tolerance * len(x))
    below = (x < plain.threshold[0]).sum()
    allowed = [
        c
        for c in range(form.low + 1, form.high + 1)
        if abs((x < c).sum() - below) <= slack and 0 < (x < c).sum() < len(x)
    ]
    cost = [int(encoder.compared_bits(Thermometer(np.array([[c]], np.int32), form))[0, 0]) for c in allowed]
    assert encoder.compared_bits(snapped)[0, 0] == min(cost)


@given(st.integers(1, 6), st.booleans(), st.data())
def test_compared_bits_are_what_the_comparison_depends_on(
    width: int, signed: bool, draw: st.DataObject
) -> None:
    form = FixedPoint(width, signed=signed)
    threshold = draw.draw(st.integers(form.low, form.high))
    model = Thermometer(np.array([[threshold]], np.int32), form)
    codes = np.arange(form.low, form.high + 1)
    bit = model.compare(codes[:, None].astype(np.int32))[:, 0]
    at = {int(c) & ((1 << width) - 1): value for c, value in zip(codes, bit, strict=True)}
    depends = [any(at[c] != at[c ^ (1 << i)] for c in at) for i in range(width)]
    assert int(encoder.compared_bits(model)[0, 0]) == sum(depends)


def test_distributive_is_the_plain_quantile() -> None:
    x = np.arange(100)[:, None]
    assert encoder.fit(EncoderConfig("distributive", 3), x, PIXELS).threshold.tolist() == [[26, 51, 76]]
    # a value that fills several bins repeats its threshold, which then is one bit
    x = np.concatenate([np.zeros(60, int), np.arange(40)])[:, None]
    fitted = encoder.fit(EncoderConfig("distributive", 4), x, PIXELS)
    assert fitted.threshold.tolist() == [[1, 1, 1, 21]]
    assert encoder.informative(fitted, x).tolist() == [True, False, False, True]
    # beyond the largest value there is nothing to compare with
    x = np.array([0, 1, 1, 1])[:, None]
    assert encoder.fit(EncoderConfig("distributive", 1), x, FixedPoint(1)).threshold.tolist() == [[0]]


def test_shared_thresholds_stay_shared_when_snapped() -> None:
    digits = data.load("digits")
    for settings in (
        EncoderConfig("quantile", 4, "global", snap=True),
        EncoderConfig("thresholds", thresholds=(3, 7.5, 13), snap=True),
    ):
        fitted = encoder.fit(settings, digits.train_x, digits.format)
        assert (fitted.threshold == fitted.threshold[0]).all()


def test_snapping_pays_on_real_features() -> None:
    table = data.load("breast_cancer")
    plain = encoder.fit(EncoderConfig("quantile", 4), table.train_x, table.format)
    snapped = encoder.fit(EncoderConfig("quantile", 4, snap=True), table.train_x, table.format)
    useful = encoder.informative(plain, table.train_x)
    assert np.array_equal(useful, encoder.informative(snapped, table.train_x))
    bits = [encoder.compared_bits(model).ravel()[useful].mean() for model in (plain, snapped)]
    assert bits[1] < 0.7 * bits[0]
    changed = plain.encode(table.train_x) != snapped.encode(table.train_x)
    assert changed.mean(axis=0).max() <= 0.02


@pytest.mark.parametrize(("name", "shared"), [("breast_cancer", 27), ("wine", 21)])
def test_real_features_get_their_own_points(name: str, shared: int) -> None:
    """Sixteen bits do where one point for all features takes more; every feature keeps its resolution."""
    table = data.load(name)
    assert table.format.width == shared
    for kind in ("quantile", "uniform", "learned"):
        fitted = encoder.fit(EncoderConfig(kind, 6), table.train_x, table.format)
        form = fitted.format
        assert form.width == 16
        steps = np.ptp(form.quantise(table.train_x), axis=0)
        assert steps.min() >= data.RESOLUTION - 1
        assert form.quantise(table.train_x).max() < form.high  # no training sample saturates
        plain = encoder.informative(fitted, table.train_x)
        assert plain.mean() > 0.95
    # thresholds in one unit need one point
    for settings in (EncoderConfig("quantile", 6, "global"), EncoderConfig("thresholds", thresholds=(1.5,))):
        assert encoder.fit(settings, table.train_x, table.format).format == table.format


@given(seed=st.integers(0, 2**32), samples=st.integers(2, 30))
def test_own_points_decide_as_the_numbers_do(seed: int, samples: int) -> None:
    rng = np.random.default_rng(seed)
    x = rng.normal(0, 1, (samples, 4)) * 10.0 ** rng.integers(-6, 7, 4) + rng.normal(0, 1, 4)
    form = encoder.separate(x, data.fixed_point(x))
    codes = form.quantise(x).astype(np.float64)
    assert 16 <= form.width <= 31
    if form.shift:
        back = np.ldexp(codes, -form.fractions)
        assert (back <= x).all()
        assert (x - back < np.ldexp(1.0, -form.fractions) * (1 + 1e-9)).all()


def test_a_checkpoint_keeps_the_points(tmp_path: Path) -> None:
    table = data.load("breast_cancer")
    settings = config.TrainConfig.from_dict(
        {
            "data": {"source": "breast_cancer", "validation": 60},
            "encoder": {"levels": 4},
            "model": {"layers": [{"width": 60, "connections": "learned"}, {"width": 20}], "tau": 2.0},
            "train": {"epochs": 3, "batch": 32, "lr": 0.05},
        }
    )
    path = tmp_path / "m.safetensors"
    trained = train(settings, table, out=path)
    loaded = checkpoint.load(path)
    assert loaded.encoder.format == trained.encoder.format
    assert len(loaded.encoder.format.shift) == 30
    model = lower(loaded)
    assert (model.predict(table.test_x) == table.test_y).mean() == trained.metadata["test_accuracy"]
    assert np.array_equal(
        model.scores(table.test_x), model.scores_of_codes(loaded.encoder.codes(table.test_x))
    )
    told = commands.describe(path)  # what somebody who feeds the hardware must know
    assert told["features"] == "30 of 16 bits"
    assert told["bits after the point"].split(", ") == list(map(str, loaded.encoder.format.fractions))
    tensors, header = checkpoint.read_tensors(path)
    assert header["format"] == 3
    for shift in ([1, 2], [-1] * 30, [200] * 30):
        header["encoder"]["shift"] = shift
        checkpoint.write_tensors(path, tensors, header)
        with pytest.raises(LgcError, match="formats of features are not those of 30, or out of range"):
            checkpoint.load(path)
    del header["encoder"]["shift"]  # as older files have it
    checkpoint.write_tensors(path, tensors, header)
    assert not checkpoint.load(path).encoder.format.shift
