"""Interfaces: packing, settings, and each one in simulation with gaps, errors and resets."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lgc.backend.interfaces.packing import WORDS, Packing, ranked, ranks
from lgc.backend.interfaces.protocol import crc8
from lgc.backend.interfaces.settings import Interface
from lgc.backend.rtl import RtlFiles, write_rtl
from lgc.errors import LgcError, MismatchError, UsageError
from lgc.hw_tests.links import LinkResult, simulate_link
from lgc.hw_tests.runner import simulate
from lgc.hw_tests.samples import Sample, random_sample
from lgc.ir.encoder import FixedPoint, Thermometer

from ..needs import needs_tools

UART = {"clock_hz": 8e6, "baud": 1_000_000, "timeout_s": 1e-4}


def design(out: Path, sample: Sample, *, held: bool = True, **settings: object) -> RtlFiles:
    interface = Interface(**settings)  # type: ignore[arg-type]
    return write_rtl(
        sample.encoder, sample.fabric, out=out, argmax_registers=True, held=held, interface=interface
    )


def stimulus(rtl: RtlFiles, sample: Sample, samples: int) -> dict[str, np.ndarray]:
    codes = sample.codes(samples, seed=2)
    scores = sample.fabric.scores(sample.bits(codes))
    sent = rtl.interface.taken(sample.encoder, codes)
    return {"codes": sent, "expected_class": scores.argmax(axis=1), "expected_scores": scores}


def link(rtl: RtlFiles, sample: Sample, out: Path, *, samples: int = 5, seed: int = 0) -> LinkResult:
    return simulate_link(rtl, out=out, simulator="icarus", seed=seed, **stimulus(rtl, sample, samples))


# packing


@given(
    features=st.integers(1, 40),
    width=st.integers(1, 40),
    word=st.sampled_from(WORDS),
    seed=st.integers(0, 99),
)
def test_what_is_packed_can_be_read_back(features: int, width: int, word: int, seed: int) -> None:
    """Every slot holds its feature's bits and nothing else; bytes are the words, lowest first."""
    packing = Packing(features, width, word)
    codes = np.random.default_rng(seed).integers(-(2**31), 2**31, (3, features)).astype(np.int32)
    words = packing.pack(codes)
    assert words.shape == (3, packing.words)
    bits = (words[:, :, None] >> np.arange(word)) & 1
    assert not bits[:, :, packing.slots * packing.slot :].any()
    per_word = bits[:, :, : packing.slots * packing.slot]
    flat = per_word.reshape(3, -1, packing.slot * packing.parts)
    want = (codes.astype(np.int64)[:, :, None] >> np.arange(width)) & 1
    assert np.array_equal(flat[:, :features, :width], want)
    assert not flat[:, features:].any()
    assert not flat[:, :, width:].any()
    assert (features - 1) % packing.slots + 1 == packing.last
    sent = packing.bytes(codes)
    assert sent[0].tobytes() == b"".join(int(w).to_bytes(word // 8, "little") for w in words[0])


def test_binary_mnist_takes_98_bytes() -> None:
    assert Packing(784, 1, 8).words == 98
    assert (Packing(784, 1, 16).words, Packing(784, 1, 32).words) == (49, 25)


def test_words_of_other_widths() -> None:
    with pytest.raises(UsageError, match=r"^Words have 8, 16 or 32 bits, not 12\.$"):
        Packing(4, 4, 12)
    with pytest.raises(LgcError, match=r"^Got codes of shape \(2, 3\), expected \[samples, 4\]\.$"):
        Packing(4, 4).pack(np.zeros((2, 3), np.int32))


@given(features=st.integers(1, 9), levels=st.integers(1, 9), seed=st.integers(0, 99))
def test_levels_give_the_bits_of_codes(features: int, levels: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    form = FixedPoint(6, signed=bool(seed % 2))
    threshold = np.sort(rng.integers(form.low, form.high + 2, (features, levels)), axis=1).astype(np.int32)
    encoder = Thermometer(threshold, form)
    codes = rng.integers(form.low, form.high + 1, (20, features), np.int32)
    short = ranked(encoder)
    sent = ranks(encoder, codes)
    assert sent.max() <= short.format.high
    assert np.array_equal(short.compare(sent), encoder.compare(codes))


def test_levels_want_ascending_thresholds() -> None:
    with pytest.raises(LgcError, match=r"^The thresholds do not ascend"):
        ranked(Thermometer(np.array([[5, 3]], np.int32)))


# protocol and settings


def test_checksum_is_the_published_one() -> None:
    """Check value of CRC-8/MAXIM-DOW in the catalogue of CRC algorithms."""
    assert crc8(b"123456789") == 0xA1
    assert crc8(b"123456789\xa1") == 0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"name": "usart"}, r"^There is no interface 'usart'\."),
        ({"name": "axi", "pack": "bytes"}, r"^There is no packing 'bytes'\."),
        ({"name": "uart", "word": 16}, r"^uart has no words of 16 bits\."),
        ({"name": "stream", "scores": True}, r"^The plain stream gives classes only\."),
        ({"name": "uart", "baud": 5_000_000}, r"^A clock of 1\.2e\+07 Hz cannot make 5000000 baud"),
        ({"name": "uart", "baud": 2_666_667}, r"a bit would take 4\.50 clocks"),
        ({"name": "uart", "baud": 0}, r"^Clock, baud rate and time-out are numbers above 0\.$"),
    ],
)
def test_settings_that_cannot_be_built(settings: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Interface(**settings)  # type: ignore[arg-type]


# in simulation

SMALL = random_sample(seed=8, features=9, levels=2, layers=(20, 18), classes=3, luts_per_stage=2, offset=-4)
WIDE = random_sample(
    seed=3, features=5, levels=3, width=11, signed=True, shared=False, layers=(90, 80), classes=5
)
ONE = random_sample(seed=4, features=1, levels=2, layers=(9,), classes=2, luts_per_stage=1)


@needs_tools
@pytest.mark.parametrize("held", [True, False])
@pytest.mark.parametrize("scores", [True, pytest.param(False, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", ["words", "axi", "uart", "spi"])
@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_interfaces(seed: int, name: str, scores: bool, held: bool, tmp_path: Path) -> None:
    rtl = design(tmp_path / "rtl", SMALL, held=held, name=name, scores=scores, **UART)
    assert link(rtl, SMALL, tmp_path / "sim", seed=seed).samples == 5


@needs_tools
@pytest.mark.slow
@pytest.mark.parametrize("held", [True, False])
@pytest.mark.parametrize("levels", [0, 1, 3])
@pytest.mark.parametrize("name", ["words", "axi", "uart", "spi", "parallel"])
def test_interfaces_at_other_depths(name: str, levels: int, held: bool, tmp_path: Path) -> None:
    """No registers, one behind every LUT, one behind every third, with gaps, errors and resets."""
    drawn = random_sample(seed=9, features=7, layers=(20, 18), classes=3, luts_per_stage=levels)
    rtl = design(tmp_path / "rtl", drawn, held=held, name=name, scores=True, **UART)
    if name == "parallel":
        found = simulate(
            rtl, out=tmp_path / "sim", simulator="icarus", stress_frames=40, **stimulus(rtl, drawn, 40)
        )
        assert (found.matching_classes, found.matching_scores, found.stress_frames) == (40, 40, 40)
    else:
        assert link(rtl, drawn, tmp_path / "sim", samples=4).samples == 4


@needs_tools
@pytest.mark.parametrize("name", ["axi", "uart", "spi"])
def test_the_first_frame_after_a_reset_may_be_wrong(name: str, tmp_path: Path) -> None:
    rtl = design(tmp_path / "rtl", SMALL, name=name, scores=True, **UART)
    given = stimulus(rtl, SMALL, 3)
    first = "wrong_frames"
    assert simulate_link(rtl, out=tmp_path / "sim", simulator="icarus", tests=(first,), **given).samples == 3


@needs_tools
@pytest.mark.parametrize("word", WORDS)
@pytest.mark.parametrize("name", ["words", "axi"])
def test_codes_of_many_words_and_thresholds_of_their_own(name: str, word: int, tmp_path: Path) -> None:
    """Eleven-bit codes take two bytes; the threshold memory restarts with the frame."""
    rtl = design(tmp_path / "rtl", WIDE, name=name, pack="codes", word=word, scores=True)
    assert rtl.core.packing.words == {8: 10, 16: 5, 32: 3}[word]
    assert rtl.memory[1] > 0
    assert link(rtl, WIDE, tmp_path / "sim").samples == 5


@needs_tools
@pytest.mark.parametrize("name", ["uart", "spi"])
def test_codes_over_bytes(name: str, tmp_path: Path) -> None:
    rtl = design(tmp_path / "rtl", WIDE, name=name, pack="codes", scores=True, **UART)
    assert link(rtl, WIDE, tmp_path / "sim").samples == 5


@needs_tools
@pytest.mark.parametrize("name", ["words", "uart"])
def test_bits_where_the_sender_encodes(name: str, tmp_path: Path) -> None:
    rtl = design(tmp_path / "rtl", WIDE, name=name, pack="bits", scores=True, **UART)
    assert (rtl.features, rtl.feature_width, rtl.memory[1]) == (15, 1, 0)
    assert link(rtl, WIDE, tmp_path / "sim").samples == 5


@needs_tools
@pytest.mark.parametrize(
    ("drawn", "held", "pack", "scores"),
    [
        (SMALL, True, "levels", True),
        (SMALL, False, "levels", False),
        (SMALL, False, "bits", True),
        (WIDE, True, "codes", False),
        (WIDE, False, "codes", True),
        (ONE, False, "bits", False),
    ],
)
def test_all_features_in_one_clock(
    drawn: Sample, held: bool, pack: str, scores: bool, tmp_path: Path
) -> None:
    """A sample per clock unless inputs are held; results that nobody takes wait, and none is lost."""
    rtl = design(tmp_path / "rtl", drawn, held=held, name="parallel", pack=pack, scores=scores)
    assert (rtl.clocks_in, rtl.beat_width) == (1, rtl.features * rtl.feature_width)
    assert rtl.cycles_per_sample == (rtl.latency + 1 if held else 1)
    given = stimulus(rtl, drawn, 60)
    found = simulate(rtl, out=tmp_path / "sim", simulator="icarus", stress_frames=60, **given)
    assert (found.matching_classes, found.matching_scores, found.stress_frames) == (60, 60, 60)


@needs_tools
def test_a_queue_that_is_too_short_is_noticed(tmp_path: Path) -> None:
    rtl = design(tmp_path / "rtl", SMALL, held=False, name="parallel")
    shell = rtl.sources[0]
    text = shell.read_text()
    assert text.count(".hold(hold)") == 1
    (tmp_path / "shell.v").write_text(text.replace(".hold(hold)", ".hold(1'b0)"))
    broken = replace(rtl, sources=(tmp_path / "shell.v", *rtl.sources[1:]))
    given = stimulus(rtl, SMALL, 60)
    with pytest.raises(MismatchError, match="wrong with gaps and back-pressure"):
        simulate(broken, out=tmp_path / "sim", simulator="icarus", stress_frames=60, **given)


@needs_tools
@pytest.mark.parametrize("name", ["words", "axi", "uart", "spi"])
def test_one_feature(name: str, tmp_path: Path) -> None:
    rtl = design(tmp_path / "rtl", ONE, name=name, **(UART | {"baud": 2_000_000}))
    assert link(rtl, ONE, tmp_path / "sim").samples == 5


@needs_tools
@pytest.mark.parametrize(("leds", "inverted"), [(1, False), (2, True)])
def test_leds_show_the_class(leds: int, inverted: bool, tmp_path: Path) -> None:
    rtl = design(tmp_path / "rtl", SMALL, name="uart", scores=True, leds=leds, leds_inverted=inverted, **UART)
    assert link(rtl, SMALL, tmp_path / "sim").samples == 5


@needs_tools
def test_what_is_behind_an_interface_is_simulated_too(tmp_path: Path) -> None:
    rtl = design(tmp_path / "rtl", SMALL, name="uart", **UART)
    found = simulate(rtl, out=tmp_path / "sim", simulator="icarus", **stimulus(rtl, SMALL, 12))
    assert (found.matching_classes, found.matching_scores) == (12, 12)


@needs_tools
@pytest.mark.parametrize("name", ["axi", "spi"])
def test_a_frame_that_does_not_restart_is_noticed(name: str, tmp_path: Path) -> None:
    rtl = design(tmp_path / "rtl", SMALL, name=name)
    text = rtl.sources[-1].read_text()
    assert "restart = 1'h1" in text
    (tmp_path / "interface.v").write_text(text.replace("restart = 1'h1", "restart = 1'h0"))
    broken = replace(rtl, sources=(*rtl.sources[:-1], tmp_path / "interface.v"))
    with pytest.raises(MismatchError, match=r"^1 of 3 tests of the interface failed"):
        link(broken, SMALL, tmp_path / "sim")


@needs_tools
def test_a_wrong_expectation_is_a_mismatch(tmp_path: Path) -> None:
    rtl = design(tmp_path / "rtl", SMALL, name="uart", **UART)
    wrong = stimulus(rtl, SMALL, 3)
    wrong["expected_class"] = (wrong["expected_class"] + 1) % 3
    with pytest.raises(MismatchError, match="tests of the interface failed"):
        simulate_link(rtl, out=tmp_path / "sim", simulator="icarus", **wrong)
