"""The inference engine against the definition of a netlist, one LUT and sample at a time."""

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lgc.errors import LgcError
from lgc.ir import _engine
from lgc.ir._lanes import opcodes
from lgc.ir.classifier import Classifier, comparisons, optimised
from lgc.ir.encoder import FixedPoint, Thermometer
from lgc.ir.netlist import Netlist
from lgc.ir.program import prepare
from lgc.ir.readout import Readout
from lgc.ir.simulate import (
    outputs,
    pack,
    pieces,
    planes,
    run_bits,
    scores,
    simulate_roots,
    simulate_words,
    threads_for,
    unpack,
)

from .netlists import difflogic, netlists, random_netlist
from .test_simulate import naive

SAMPLES = (0, 1, 63, 64, 65, 511, 512, 513, 1000)


def bits_for(net: Netlist, samples: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((samples, net.inputs)) < 0.5


@given(netlists(), st.sampled_from(SAMPLES), st.integers(0, 3))
def test_plain_and_optimised_programs_are_the_definition(net: Netlist, samples: int, seed: int) -> None:
    bits = bits_for(net, samples, seed)
    out, score = naive(net, bits)
    for program in (prepare(net), prepare(optimised(net))):
        found_score, found_out = run_bits(program, bits)
        assert np.array_equal(found_score, score)
        assert np.array_equal(found_out, out)


@given(netlists(), st.sampled_from(SAMPLES))
def test_every_signal_is_the_definition(net: Netlist, samples: int) -> None:
    bits = bits_for(net, samples)
    everything = replace(net, outputs=np.arange(net.signals, dtype=np.int32), readout=None)
    words = simulate_words(net, pack(bits))
    assert words.shape == (net.signals, -(-samples // 64))
    expected = outputs(everything, bits)
    assert np.array_equal(unpack(words, samples), expected)
    assert np.array_equal(simulate_roots(net, bits), expected[:, net.roots()])
    assert np.array_equal(expected[:, net.outputs], naive(net, bits)[0])


@pytest.mark.parametrize("table", range(256))
def test_every_function_of_three_pins(table: int) -> None:
    net = Netlist(3, np.array([[2, 3, 4]], np.int32), np.array([table], np.uint8), np.array([5], np.int32))
    bits = (np.arange(8)[:, None] >> np.arange(3) & 1).astype(bool)
    assert outputs(net, bits)[:, 0].tolist() == [bool(table >> row & 1) for row in range(8)]


def test_opcodes_permute_pins_and_nothing_else() -> None:
    canonical, order = opcodes()
    for table in range(256):
        for row in range(8):
            new = sum((row >> order[table, j] & 1) << j for j in range(3))
            assert canonical[table] >> new & 1 == table >> row & 1


@given(
    st.integers(0, 2**32),
    st.integers(1, 90),
    st.sampled_from([1, 3, 1000, 2**31 - 1]),
    st.sampled_from([1, 70, 600]),
)
def test_counters_add_up_any_weights(seed: int, entries: int, top: int, samples: int) -> None:
    rng = np.random.default_rng(seed)
    net = random_netlist(seed, inputs=9, luts=12, outputs=0, classes=0)
    cuts = np.sort(rng.integers(0, entries + 1, 3))
    head = Readout(
        bias=rng.integers(-(2**40), 2**40, 4),
        start=np.concatenate([[0], cuts, [entries]]),
        signal=rng.integers(0, net.signals, entries).astype(np.int32),
        weight=rng.integers(-top, top, entries, endpoint=True).astype(np.int32),
    )
    net = replace(net, readout=head)
    bits = bits_for(net, samples, seed)
    assert np.array_equal(scores(net, bits), naive(net, bits)[1])


def test_more_inputs_and_outputs_than_a_tile() -> None:
    net = random_netlist(5, inputs=_engine.TILE + 531, luts=700, k=4, outputs=_engine.TILE + 52)
    bits = bits_for(net, 777)
    out, score = naive(net, bits)
    assert np.array_equal(outputs(net, bits), out)
    assert np.array_equal(scores(net, bits), score)
    assert np.array_equal(unpack(pack(bits), len(bits)), bits)


def test_more_features_than_a_tile() -> None:
    model = model_of(levels=3, features=_engine.TILE + 13)
    x = np.random.default_rng(0).integers(0, 5, (600, model.encoder.features), dtype=np.uint8)
    assert np.array_equal(model.scores(x), model.scores_of_codes(model.encoder.codes(x)))


@pytest.mark.parametrize("samples", SAMPLES)
def test_packed_words_are_numpys_and_end_in_zeros(samples: int) -> None:
    bits = np.random.default_rng(samples).random((samples, 21)) < 0.5
    padded = np.zeros((-(-samples // 64) * 64, 21), bool)
    padded[:samples] = bits
    expected = np.packbits(np.ascontiguousarray(padded.T), axis=1, bitorder="little").view(np.uint64)
    assert np.array_equal(pack(bits), expected)


def test_bits_may_be_any_array_of_truths() -> None:
    net = random_netlist(2)
    bits = bits_for(net, 200)
    assert np.array_equal(scores(net, np.asfortranarray(bits)), scores(net, bits))
    assert np.array_equal(scores(net, bits[::-1])[::-1], scores(net, bits))
    odd = (bits * np.uint8(200)).view(np.bool_)  # bools that numpy holds true though they are not 1
    assert np.array_equal(scores(net, odd), scores(net, bits))


def test_threads_do_not_change_the_scores() -> None:
    net = difflogic(60, [300, 300], classes=5, seed=1)
    bits = bits_for(net, 20_000)
    program = prepare(net)
    alone, _ = run_bits(program, bits, threads=1)
    for threads in (2, 3, 7):
        assert np.array_equal(run_bits(program, bits, threads=threads)[0], alone)


def test_wide_readouts_are_counted_in_little_memory() -> None:
    inputs, classes = 40_000, 10
    head = Readout.group_sum(np.arange(2, 2 + inputs), classes)
    empty = np.empty((0, 2), np.int32)
    net = Netlist(inputs, empty, np.empty(0, np.uint8), np.empty(0, np.int32), head)
    bits = bits_for(net, 600)
    expected = bits.reshape(600, classes, -1).sum(axis=2)
    tracemalloc.start()
    found = scores(net, bits)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert np.array_equal(found, expected)
    assert (
        peak < 20 << 20
    )  # one weight per entry and class would be 3 MB in bytes, 3,200 MB for 8,000 samples


def test_threads_and_pieces_are_bounded_by_memory() -> None:
    assert threads_for(1 << 20, 8, slots=1000) == 8
    assert threads_for(1 << 20, 8, slots=1 << 24) == 2
    assert threads_for(1 << 20, 8, slots=1 << 30) == 1
    assert threads_for(3, 8) == 1
    for inputs in (1, 784, 1 << 16):
        parts = [(at, part.shape) for at, part in pieces(inputs, 5, 300)]
        assert parts[0][0] == 5
        assert sum(shape[0] for _, shape in parts) == 295
        assert max(shape[0] * shape[1] * 8 for _, shape in parts) <= max(1 << 20, 64 * (inputs + 8))


def test_planes_start_on_a_cache_line() -> None:
    for slots in (2, 3, 100):
        values = planes(slots)
        assert values.ctypes.data % 64 == 0
        assert values[:8].any() == 0
        assert (values[8:16] == ~np.uint64(0)).all()


def test_chains_of_many_levels() -> None:
    """Each LUT reads the one before: as many levels as LUTs."""
    luts = 200_001
    fanin = np.stack([np.arange(3, 3 + luts), np.full(luts, 2)], axis=1).astype(np.int32)
    net = Netlist(2, fanin, np.full(luts, 0b0110, np.uint8), np.array([3 + luts], np.int32))
    program = prepare(net)
    assert program.slots < 20
    assert len(program.tables) == 1
    bits = bits_for(net, 100)
    assert np.array_equal(outputs(net, bits)[:, 0], bits[:, 1] ^ bits[:, 0])  # an odd number of times


def test_slots_are_used_again() -> None:
    net = difflogic(100, [400] * 20, classes=4, seed=2)
    program = prepare(net)
    assert len(program.ops) == 8000
    assert program.slots < 1500


@st.composite
def classifiers(draw: st.DrawFn) -> Classifier:
    signed = draw(st.booleans())
    features, levels = draw(st.integers(1, 20)), draw(st.integers(1, 4))
    shift = draw(st.one_of(st.just([]), st.lists(st.integers(0, 6), min_size=features, max_size=features)))
    form = FixedPoint(draw(st.integers(2, 16)), draw(st.integers(-2, 12)), signed, tuple(shift))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    threshold = np.sort(rng.integers(form.low - 1, form.high + 3, (features, levels)), axis=1)
    net = random_netlist(7, inputs=features * levels, luts=30, k=draw(st.integers(1, 6)), outputs=0)
    return Classifier(Thermometer(threshold.astype(np.int32), form), net, ("a", "b", "c"))


KINDS = ("?", "u1", "i1", "u2", ">i2", "i4", "i8", "u4", "f2", "f4", "f8")


@given(classifiers(), st.sampled_from(KINDS), st.integers(0, 2**32))
def test_features_of_every_type_are_encoded_exactly(model: Classifier, kind: str, seed: int) -> None:
    dtype, form = np.dtype(kind), model.encoder.format
    rng = np.random.default_rng(seed)
    shape = (130, model.encoder.features)
    if dtype.kind == "f":
        # On thresholds, one step beside them, and anywhere.
        near = np.ldexp(
            rng.choice(model.encoder.threshold.ravel(), shape).astype(np.float64), -form.fractions
        )
        x = np.where(rng.random(shape) < 0.3, near, rng.normal(0, 2.0 ** (form.width - form.fraction), shape))
        x = np.clip(x, -60000, 60000).astype(dtype)
        x = np.where(rng.random(shape) < 0.3, np.nextafter(x, dtype.type(-np.inf)), x).astype(dtype)
    elif dtype.kind == "b":
        x = rng.random(shape) < 0.5
    else:
        low, high = max(np.iinfo(dtype).min, -(2**30)), min(np.iinfo(dtype).max, 2**30)
        x = np.where(
            rng.random(shape) < 0.5, rng.integers(low, high, shape), rng.integers(0, 100, shape)
        ).astype(dtype)
    expected = model.scores_of_codes(model.encoder.codes(x))
    assert np.array_equal(model.scores(x), expected)
    assert np.array_equal(model.predict(x), expected.argmax(axis=1))


def test_comparisons_of_bytes() -> None:
    encoder = Thermometer(np.array([[0, 3, 255, 256]], np.int32), FixedPoint(8))
    threshold, within = comparisons(encoder, np.dtype(np.uint8))
    assert threshold.dtype == np.uint8
    assert threshold.ravel().tolist() == [0, 3, 255, 255]
    assert within.ravel().tolist() == [255, 255, 255, 0]


def model_of(levels: int = 2, features: int = 6) -> Classifier:
    threshold = np.arange(1, levels + 1, dtype=np.int32) * np.ones((features, 1), np.int32)
    net = random_netlist(1, inputs=levels * features, outputs=0)
    return Classifier(Thermometer(threshold, FixedPoint(8)), net, ("a", "b", "c"))


def test_pieces_join_up(monkeypatch: pytest.MonkeyPatch) -> None:
    model = model_of()
    x = np.random.default_rng(0).integers(0, 4, (5000, 2, 3), dtype=np.uint8)
    whole = model.scores(x, threads=1)
    monkeypatch.setattr("lgc.ir.classifier._PIECE", 1024)
    monkeypatch.setattr("lgc.ir.simulate._PLANES", 512)
    assert np.array_equal(model.scores(x), whole)
    assert np.array_equal(model.predict(x, threads=3), whole.argmax(axis=1))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("where", [(0, 0), (4000, 3), (8998, 5)])
def test_what_is_not_finite_is_refused(bad: float, kind: type, where: tuple[int, int]) -> None:
    x = np.full((8999, 6), -np.finfo(kind).max, kind)
    x[::2] = np.finfo(kind).max
    model_of().predict(x)
    x[where] = bad
    message = r"^The features hold NaN or infinite values. Clean or impute them first.$"
    with pytest.raises(LgcError, match=message):
        model_of().predict(x)


def test_data_that_does_not_fit_is_refused() -> None:
    with pytest.raises(LgcError, match=r"^The data has 5 features per sample, the model expects 6\. Give"):
        model_of().scores(np.zeros((3, 5)))
    with pytest.raises(
        LgcError, match=r"^The features have shape \[6\]; expected \[samples, features...\].$"
    ):
        model_of().scores(np.zeros(6))
    with pytest.raises(LgcError, match=r"^The features are of type <U1, not numbers.$"):
        model_of().scores(np.array([["a"] * 6]))


def test_no_samples() -> None:
    assert model_of().scores(np.zeros((0, 6))).shape == (0, 3)
    assert model_of().predict(np.zeros((0, 2, 3), np.uint8)).shape == (0,)


def test_ties_go_to_the_lowest_class() -> None:
    out = np.empty(3, np.int64)
    _engine.argmax(np.array([[1, 1, 0], [-5, -4, -4], [2, 3, 3]]), out)
    assert out.tolist() == [0, 1, 1]
