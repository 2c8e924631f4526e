"""Folded designs in Icarus Verilog: every class and score, then gaps, back-pressure and a reset mid-frame."""

import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from lgc.backend.interfaces.settings import STREAM, Interface
from lgc.backend.streaming.rtl import Design, design, serial_design, write_folded
from lgc.backend.streaming.serial import Shapes
from lgc.errors import LgcError, UsageError
from lgc.frontend.checkpoint import Checkpoint, OrPool
from lgc.frontend.fold import fold
from lgc.frontend.graph import Shape, Window
from lgc.frontend.lower import lower
from lgc.hw_tests.links import simulate_link
from lgc.hw_tests.runner import simulate
from lgc.ir.kernels import Folded
from lgc.ir.passes import LutMap, Pipeline
from lgc.ir.passes.expand_argmax import add_argmax
from lgc.ir.passes.expand_readout import expand

from .networks import conv, dense, dense_network, network, signal

BLOCKS = ((256, 16),)


def mapped(model: Checkpoint) -> Folded:
    folded = fold(model)
    kernels = (
        kernel if kernel.pool else replace(kernel, netlist=LutMap(k=4)(kernel.netlist))
        for kernel in folded.kernels
    )
    return replace(folded, kernels=tuple(kernels))


def made(
    model: Checkpoint,
    *,
    levels: int = 2,
    blocks: int = 100,
    positions: int = 0,
    hop: int = 0,
    interface: Interface = STREAM,
) -> Design:
    folded = mapped(model)
    tail = expand(folded.tail)
    tail = replace(tail, netlist=Pipeline(levels=levels)(tail.netlist))
    tail, _ = add_argmax(tail, carry=True)
    return design(
        model.encoder, folded, tail, shapes=BLOCKS, blocks=blocks,
        positions=positions, hop=hop, interface=interface,
    )  # fmt: skip


def check(model: Checkpoint, laid_out: Design, out: Path, *, samples: int = 6) -> None:
    """Compare classes, scores and clocks; behind an interface, what comes over it as well."""
    if shutil.which("iverilog") is None:
        pytest.skip("Icarus Verilog is not installed")
    files = write_folded(laid_out, out=out / "rtl")
    rng = np.random.default_rng(1)
    codes = files.windows(rng.integers(0, 16, (samples, model.encoder.features), dtype=np.int32))
    samples = len(codes)
    scores = lower(model).scores_of_codes(codes)
    codes = laid_out.interface.taken(model.encoder, codes)
    found = simulate(
        files,
        codes=codes,
        expected_class=scores.argmax(axis=1),
        expected_scores=scores,
        out=out / "sim",
        simulator="icarus",
        stress_frames=3,
    )
    assert (found.matching_classes, found.matching_scores) == (samples, samples)
    assert (found.latency, found.cycles_per_sample) == (files.latency, files.cycles_per_sample)
    if laid_out.interface.wraps:
        simulate_link(
            files,
            codes=codes,
            expected_class=scores.argmax(axis=1),
            expected_scores=scores,
            out=out / "link",
            simulator="icarus",
        )


@pytest.mark.parametrize(
    ("seed", "image"),
    [
        pytest.param(1, (6, 6), marks=pytest.mark.slow),
        *((2, (7, 5)), (3, (12,)), (4, (1, 1)), (5, (9, 4)), (6, (1, 7)), (7, (5, 1)), (8, (3,))),
    ],
)
def test_images_and_signals(seed: int, image: Shape, tmp_path: Path) -> None:
    model = network(seed, image=image)
    check(model, made(model), tmp_path)


@pytest.mark.parametrize("seed", [44, 58])
@pytest.mark.parametrize("blocks", [0, 100])
def test_line_buffers_of_flip_flops_and_of_block_ram(seed: int, blocks: int, tmp_path: Path) -> None:
    model = network(seed, image=(5, 24), levels=4)
    laid_out = made(model, blocks=blocks)
    assert any(layer.in_block for layer in laid_out.layers) == bool(blocks)
    check(model, laid_out, tmp_path)


def test_a_wide_pool(tmp_path: Path) -> None:
    model = network(1, image=(4, 24))
    first = conv(
        np.random.default_rng(0),
        Window((2, 4, 24), (2, 2), (1, 1), (1, 1)),
        channels=9,
        source=model.layers[0].source,  # type: ignore[union-attr]
    )
    pool = OrPool(Window(first.output_shape, (2, 2), (2, 2), (0, 0)))
    model = replace(model, layers=(first, pool, dense(pool.nodes)))
    laid_out = made(model)
    assert [(layer.accumulates, layer.in_block, layer.ends_early) for layer in laid_out.layers] == [
        (False, False, False),
        (True, True, True),
    ]
    check(model, laid_out, tmp_path)


@pytest.mark.parametrize("shared", [False, True])
def test_several_features_per_place(shared: bool, tmp_path: Path) -> None:
    model = network(21, image=(5, 4), per_place=3, shared=shared)
    check(model, made(model), tmp_path)


def test_a_readout_right_behind_the_kernels(tmp_path: Path) -> None:
    model = network(31, image=(5, 5), tail=False)
    check(model, made(model, levels=0), tmp_path)


def serial(
    model: Checkpoint,
    *,
    blocks: int = 100,
    shapes: Shapes = BLOCKS,
    positions: int = 0,
    double: bool | None = None,
    interface: Interface = STREAM,
) -> Design:
    folded = mapped(model)
    folded = replace(folded, tail=LutMap(k=4)(folded.tail))
    return serial_design(
        model.encoder, folded, shapes=shapes, blocks=blocks,
        positions=positions, double=double, interface=interface,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("seed", "image", "tail"), [(1, (6, 6), True), (5, (9, 4), True), (4, (1, 1), True), (31, (5, 5), False)]
)
def test_tails_as_programs(seed: int, image: Shape, tail: bool, tmp_path: Path) -> None:
    model = network(seed, image=image, tail=tail)
    check(model, serial(model), tmp_path)


@pytest.mark.parametrize(("blocks", "inside"), [(0, 0), (8, 8), (100, 14)])
def test_a_program_beyond_block_ram(blocks: int, inside: int, tmp_path: Path) -> None:
    """Instructions that block RAM has no room for lie in LUTs: all, some, none."""
    model = network(1, image=(6, 6))
    laid_out = serial(model, blocks=blocks, shapes=((4, 16),), double=False)
    assert laid_out.serial is not None
    _, store = laid_out.serial
    assert (store.words, store.words - store.outside) == (14, inside)
    check(model, laid_out, tmp_path, samples=3)


@pytest.mark.parametrize(
    ("features", "levels", "widths"), [(1, 1, (3,)), (17, 3, (40, 21)), (64, 1, (150, 99, 60)), (5, 7, (6,))]
)
def test_dense_networks_as_programs(
    features: int, levels: int, widths: tuple[int, ...], tmp_path: Path
) -> None:
    model = dense_network(features, features=features, levels=levels, widths=widths)
    check(model, serial(model), tmp_path)


@pytest.mark.parametrize(
    ("seed", "image", "per_place", "positions", "blocks"),
    [
        (1, (6, 6), 1, 2, 100),
        (5, (9, 7), 1, 4, 0),
        (23, (12,), 2, 3, 100),
        (4, (1, 1), 1, 2, 100),
        (7, (9, 9), 2, 5, 100),
    ],
)
def test_several_places_per_clock(
    seed: int, image: Shape, per_place: int, positions: int, blocks: int, tmp_path: Path
) -> None:
    model = network(seed, image=image, per_place=per_place)
    laid_out = made(model, positions=positions, blocks=blocks)
    assert laid_out.timing.cycles_per_sample < made(model).timing.cycles_per_sample or image == (1, 1)
    check(model, laid_out, tmp_path)


def test_several_places_per_clock_with_thresholds_of_their_own(tmp_path: Path) -> None:
    model = network(21, image=(3, 7), per_place=2, shared=False)
    check(model, made(model, positions=2), tmp_path)


def test_several_places_per_clock_before_a_program(tmp_path: Path) -> None:
    model = network(7, image=(6, 7), per_place=2)
    laid_out = serial(model, positions=3, double=False)
    assert laid_out.layers[-1].results > 1  # so that words are taken apart
    check(model, laid_out, tmp_path)


@pytest.mark.parametrize("positions", [1, 2, 4])
def test_a_pool_takes_rates_down(positions: int) -> None:
    model = network(1, image=(8, 8))
    first = conv(
        np.random.default_rng(0),
        Window((2, 8, 8), (3, 3), (1, 1), (1, 1)),
        channels=3,
        source=model.layers[0].source,  # type: ignore[union-attr]
    )
    pool = OrPool(Window(first.output_shape, (2, 2), (2, 2), (0, 0)))
    model = replace(model, layers=(first, pool, dense(pool.nodes)))
    layers = made(model, positions=positions).layers
    assert [layer.lanes for layer in layers] == [positions, positions]
    assert [layer.results for layer in layers] == [positions, max(positions // 2, 1)]
    assert layers[1].accumulates


@pytest.mark.parametrize(("seed", "image", "positions"), [(1, (5,), 3), (12, (3, 8), 0), (2, (3, 1), 1)])
def test_an_image_is_loaded_while_the_program_runs(
    seed: int, image: Shape, positions: int, tmp_path: Path
) -> None:
    model = network(seed, image=image)
    laid_out, one = (serial(model, positions=positions, double=double) for double in (True, False))
    assert laid_out.timing.cycles_per_sample < one.timing.cycles_per_sample
    assert serial(model, positions=positions).timing == laid_out.timing
    assert serial(model, positions=positions, blocks=0).timing == one.timing
    check(model, laid_out, tmp_path)


@pytest.mark.parametrize(
    ("seed", "length", "per_place", "hop"), [(3, 17, 1, 2), (0, 17, 2, 6), (4, 16, 2, 12)]
)
def test_windows_over_a_signal_without_end(
    seed: int, length: int, per_place: int, hop: int, tmp_path: Path
) -> None:
    model = signal(seed, length=length, per_place=per_place)
    check(model, made(model, hop=hop), tmp_path, samples=4)


@pytest.mark.parametrize(
    ("model", "hop", "message"),
    [
        (network(1, image=(6, 6)), 2, r"^Only signals in time"),
        (network(12, image=(8,)), 2, r"but a convolution pads"),
        (signal(4, length=16), 5, r"^Windows of 16 steps cannot begin every 5"),
        (
            replace(signal(4, length=16), encoder=network(3, image=(16,), shared=False).encoder),
            12,
            r"depend on",
        ),
    ],
)
def test_signals_that_cannot_be_slid_over(model: Checkpoint, hop: int, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        made(model, hop=hop)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 130))
def test_random_networks_and_rates(seed: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(seed)
    image = tuple(rng.integers(1, 14, rng.integers(1, 3)).tolist())
    model = network(
        seed, image=image, per_place=int(rng.integers(1, 3)), shared=bool(rng.integers(2)), tail=seed % 4 > 0
    )
    options = {"positions": int(rng.integers(7)), "blocks": int(rng.choice([0, 100]))}
    check(model, (serial if seed % 2 else made)(model, **options), tmp_path, samples=4)


SLOW = partial(pytest.param, marks=pytest.mark.slow)
FAST = {"clock_hz": 1e6, "baud": 200_000, "timeout_s": 0.001}
"""A UART that does not need many clocks."""


@pytest.mark.parametrize("name", [SLOW("words"), SLOW("axi"), SLOW("uart"), "spi"])
def test_programs_behind_interfaces(name: str, tmp_path: Path) -> None:
    model = dense_network(3, features=17, levels=3, widths=(40, 21))
    interface = Interface(name, scores=name != "words", **(FAST if name == "uart" else {}))
    check(model, serial(model, interface=interface), tmp_path, samples=3)


@pytest.mark.parametrize(("name", "as_program"), [("axi", False), ("axi", True), SLOW("uart", False)])
def test_convolutions_behind_interfaces(name: str, as_program: bool, tmp_path: Path) -> None:
    """A frame that breaks off takes none with it that is still in the layers."""
    model = network(5, image=(9, 4))
    interface = Interface(name, pack="codes", scores=as_program, **(FAST if name == "uart" else {}))
    check(model, (serial if as_program else made)(model, interface=interface), tmp_path, samples=3)


def test_padding_as_wide_as_the_window() -> None:
    model = network(1, image=(6, 6))
    wide = Window((2, 6, 6), (2, 2), (1, 1), (2, 2))
    rng = np.random.default_rng(0)
    first = conv(rng, wide, channels=3, source=model.layers[0].source)  # type: ignore[union-attr]
    model = replace(
        model, layers=(first, conv(rng, Window(first.output_shape, (9, 9), (1, 1), (0, 0)), channels=3))
    )
    with pytest.raises(UsageError, match=r"^A convolution pads as much as its window"):
        made(model)


def test_features_in_another_order() -> None:
    model = network(1, image=(6, 6))
    first = model.layers[0]
    turned = replace(first, source=first.source[::-1].copy())  # type: ignore[union-attr,type-var]
    with pytest.raises(UsageError, match=r"^The features do not arrive row by row"):
        made(replace(model, layers=(turned, *model.layers[1:])))


def test_a_tail_without_argmax() -> None:
    model = network(1, image=(6, 6))
    with pytest.raises(LgcError, match=r"^The tail of a folded design lacks its argmax"):
        design(model.encoder, mapped(model), expand(fold(model).tail))
