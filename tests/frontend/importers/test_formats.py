"""Every format on small networks whose original semantics are written out in `foreign`."""

import numpy as np
import pytest
import torch

from lgc import importing
from lgc.errors import LgcError, UsageError
from lgc.frontend.importers import Options, difflogic, torchlogix
from lgc.frontend.importers.network import codes, gates
from lgc.frontend.lower import lower
from lgc.ir.encoder import FixedPoint

from . import foreign

OPTIONS = Options(inputs=(12,), classes=3)


@pytest.mark.parametrize("number", range(16))
def test_a_gate_is_its_function(number):
    tables = gates(np.array([0]), np.array([1]), np.array([number]), "Layer 1")
    for row in range(4):
        pins = [bool(row & 1), bool(row & 2)]
        a, b = (np.bool_(pins[list(tables.fanin[0]).index(source)]) for source in (0, 1))
        assert tables.rows[0, row] == foreign.GATES[number](a, b)


@pytest.mark.parametrize("stored", [False, True])
def test_difflogic(tmp_path, stored):
    rng = np.random.default_rng(1)
    layers = foreign.network(rng)
    file = foreign.save_difflogic(tmp_path, rng, layers, stored=stored)
    options = OPTIONS if stored else Options(inputs=(12,), classes=3, connections=tmp_path / "wiring.npz")
    found = importing.read(file, options=options)
    x = foreign.every_pattern(12)
    assert found.format == "difflogic"
    assert np.array_equal(found.scores(x), foreign.run(layers, x, 3))


@pytest.mark.parametrize("kind", ["npz", "old", "indices", "c", "top"])
def test_lilogicnet(tmp_path, kind):
    rng = np.random.default_rng(2)
    layers = foreign.network(rng, widths=(9, 9, 6))
    layers[-1][2][-1] = 6  # the last gate differs from padding
    file = foreign.save_lilogicnet(tmp_path / ("n.npz" if kind == "npz" else "n.pth"), rng, layers, kind)
    found = importing.read(file, options=OPTIONS)
    x = foreign.every_pattern(12)
    assert found.format == "lilogicnet"
    assert np.array_equal(found.scores(x), foreign.run(layers, x, 3))


def test_ddlgn_orders_levels_by_plane(tmp_path):
    rng = np.random.default_rng(3)
    layers = foreign.network(rng, bits=27, widths=(40, 12))
    thresholds = (0.2, 0.5, 0.8)  # 51 / 255 is 0.2 in float32: not greater
    file = foreign.save_ddlgn(tmp_path, layers, bits=27, thresholds=thresholds, side=3)
    found = importing.read(file)
    images = rng.integers(0, 256, (500, 3, 3)).astype(np.uint8)
    images.flat[:9] = [51, 52, 127, 128, 204, 205, 0, 255, 50]
    real = torch.from_numpy(images).float() / 255
    bits = torch.cat([(real > t).reshape(len(real), -1) for t in thresholds], dim=1).numpy()
    expected = foreign.run(layers, bits, 3)
    assert np.array_equal(lower(found.checkpoint).scores(images), expected)
    assert np.array_equal(found.scores(bits), expected)
    assert found.checkpoint.tau == 5.0
    assert found.checkpoint.metadata["image_shape"] == [3, 3]


@pytest.mark.parametrize("order", ["feature", "plane", "channel"])
@pytest.mark.parametrize("channels_first", [False, True])
def test_orders_of_input_bits(tmp_path, order, channels_first):
    """The original's bits, computed by transposing its image tensor, meet the encoder's."""
    rng = np.random.default_rng(4)
    layers = foreign.network(rng, bits=2 * 3 * 3 * 2, widths=(60, 12))
    file = foreign.save_ddlgn(tmp_path, layers)
    options = Options(
        inputs=(2, 3, 3), classes=3, thresholds=((64.0, 128.0),), order=order, channels_first=channels_first
    )
    found = importing.read(file, options=options)
    images = rng.integers(0, 256, (300, 2, 3, 3)).astype(np.uint8)
    levels = np.stack([images > 64, images > 128], axis=-1)  # sample, row, column, channel, level
    if order == "channel":
        bits = levels.transpose(0, 3, 4, 1, 2)
    else:
        pixels = levels.transpose(0, 3, 1, 2, 4) if channels_first else levels
        bits = pixels if order == "feature" else np.moveaxis(pixels, -1, 1)
    expected = foreign.run(layers, bits.reshape(len(images), -1), 3)
    assert np.array_equal(lower(found.checkpoint).scores(images), expected)


def save_torchlogix(file, rng, kind, k, learned, *, bits=10, widths=(8, 6)):
    """Returns a function from bool `[samples, bits]` to scores: the formulas of methods.md 1.3."""
    state, hard, sources = {}, [], bits
    for i, width in enumerate(widths):
        count = 16 if kind == "raw" else 1 << k
        weight = rng.standard_normal((width, count)).astype(np.float32)
        state[f"{i}.weight"] = torch.from_numpy(weight)
        if learned:
            candidates = 3
            indices = rng.integers(0, sources, (candidates, k, width))
            choice = rng.random((candidates, k, width)).astype(np.float32)
            state[f"{i}.connections.weights"] = torch.from_numpy(choice)
            pins = np.take_along_axis(indices, choice.argmax(axis=0)[None], axis=0)[0]
        else:
            indices = pins = rng.integers(0, sources, (k, width))
        state[f"{i}.connections.indices"] = torch.from_numpy(indices)
        hard.append((pins, weight))
        sources = width
    torch.save(state, file)

    def scores(x, classes=2):
        for pins, weight in hard:
            columns = [x[:, pins[r]] for r in range(k)]  # [samples, width] each; pin 0 first
            if kind == "warp":  # z = sum over subsets of w times a product of signs
                signs = [1.0 - 2.0 * c for c in columns]
                z = sum(
                    weight[:, s].astype(np.float64)
                    * np.prod(
                        [signs[r] for r in range(k) if s >> (k - 1 - r) & 1]
                        or [np.ones(x.shape[0])[:, None]],
                        axis=0,
                    )
                    for s in range(1 << k)
                )
                x = z < 0
            elif kind == "light":
                address = sum(c.astype(int) << (k - 1 - r) for r, c in enumerate(columns))
                x = np.take_along_axis(weight.T, address, axis=0) > 0
            else:
                gate = weight.argmax(axis=1)
                x = np.stack(
                    [foreign.GATES[g](columns[0][:, n], columns[1][:, n]) for n, g in enumerate(gate)], axis=1
                )
        return x.reshape(len(x), classes, -1).sum(axis=2)

    return scores


@pytest.mark.parametrize("learned", [False, True])
@pytest.mark.parametrize(
    ("kind", "k"), [("raw", 2)] + [(p, k) for p in ("warp", "light") for k in (1, 2, 4, 6)]
)
def test_torchlogix(tmp_path, kind, k, learned):
    expected = save_torchlogix(tmp_path / "t.pth", np.random.default_rng(5), kind, k, learned)
    options = Options(inputs=(10,), classes=2, parametrization=kind)
    found = importing.read(tmp_path / "t.pth", options=options)
    x = foreign.every_pattern(10)
    assert found.format == "torchlogix"
    assert np.array_equal(found.scores(x), expected(x))


def test_torchlogix_must_be_told_warp_from_light(tmp_path):
    save_torchlogix(tmp_path / "t.pth", np.random.default_rng(6), "warp", 4, False)
    with pytest.raises(UsageError, match="WARP and Light look alike. Give --parametrization"):
        importing.read(tmp_path / "t.pth", options=Options(inputs=(10,), classes=2))
    with pytest.raises(UsageError, match="which is not raw"):
        importing.read(tmp_path / "t.pth", options=Options(inputs=(10,), classes=2, parametrization="raw"))


def test_torchlogix_of_old_saves_no_wiring(tmp_path):
    torch.save({"0.weight": torch.zeros(4, 16)}, tmp_path / "t.pth")
    with pytest.raises(LgcError, match=r"0\.connections\.indices is missing: torchlogix before 0\.2\.1"):
        importing.read(tmp_path / "t.pth", "torchlogix", Options(inputs=(10,), classes=2))


def test_walsh_transform_is_the_matrix():
    """Sylvester's matrix by Kronecker products, against the butterflies."""
    weight = np.random.default_rng(7).standard_normal((50, 64)).astype(np.float32)
    h = np.ones((1, 1))
    for _ in range(6):
        h = np.kron(h, [[1, 1], [1, -1]])
    assert np.array_equal(torchlogix.warp(weight, 6), weight.astype(np.float64) @ h < 0)


def test_unique_pairs_are_difflogics():
    a, b = difflogic.unique_pairs(6, 15)
    pairs = list(zip(a.tolist(), b.tolist(), strict=True))
    assert pairs[:5] == [(0, 1), (2, 3), (4, 5), (1, 2), (3, 4)]
    assert pairs[5:9] == [(0, 2), (1, 3), (2, 4), (3, 5)]
    assert len(set(pairs)) == 15
    a, b = difflogic.unique_pairs(5, 10)
    assert list(zip(a.tolist(), b.tolist(), strict=True))[:4] == [(0, 1), (2, 3), (1, 2), (3, 4)]
    for sources, width in ((6, 16), (6, 2)):
        with pytest.raises(LgcError, match="in unique pairs"):
            difflogic.unique_pairs(sources, width)


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_random_wiring_is_drawn_again(device):
    """As `LogicLayer.__init__` draws: weights (on the CPU only), then two permutations."""
    torch.manual_seed(11)
    expected, sources = [], 12
    for width in (9, 8):
        if device == "cpu":
            torch.randn(width, 16)
        c = torch.randperm(2 * width) % sources
        drawn = torch.randperm(sources)[c].reshape(2, width)
        expected.append(drawn.numpy())
        sources = width
    found = difflogic.replay(Options(wiring="random", seed=11, device=device, inputs=(12,)), [9, 8])
    for (a, b), pair in zip(found, expected, strict=True):
        assert np.array_equal(np.stack([a, b]), pair)


def test_codes_compare_in_float32():
    every = torch.arange(256).float() / 255
    for t in np.linspace(0.01, 0.99, 99):
        first = int((every > t).nonzero()[0, 0])
        assert codes((t,), FixedPoint(8), 255.0).tolist() == [first]
    assert codes((-1.0, 0.5), FixedPoint(4, 2, True), 1.0).tolist() == [-3, 3]
    with pytest.raises(UsageError, match="No feature of 8 bits, divided by 255, is greater than 1"):
        codes((1.0,), FixedPoint(8), 255.0)
    with pytest.raises(UsageError, match="not ascending"):
        codes((0.5, 0.25), FixedPoint(8), 255.0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (Options(), "does not hold the wiring. Give --connections"),
        (Options(wiring="uniqe", inputs=(12,)), "There is no wiring 'uniqe'. Did you mean unique"),
        (Options(wiring="unique"), "depends on the number of inputs. Give --inputs"),
    ],
)
def test_difflogic_says_what_to_supply(tmp_path, options, message):
    rng = np.random.default_rng(8)
    file = foreign.save_difflogic(tmp_path, rng, foreign.network(rng))
    with pytest.raises(UsageError) as caught:
        importing.read(file, options=options)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (Options(inputs=(12,)), "how many classes there are. Give --classes N."),
        (Options(classes=3), "how many inputs the network has. Give their number"),
        (Options(inputs=(5,), classes=3), "there are 5. Check --inputs"),
        (Options(inputs=(12,), classes=4), "4 classes cannot share the last layer's 6 outputs"),
        (Options(inputs=(12,), classes=3, class_names=("a", "b")), "There are 3 classes, but 2 names"),
        (Options(inputs=(12,), classes=3, tau=-1.0), "The scale tau is -1.0"),
    ],
)
def test_options_that_do_not_fit(tmp_path, options, message):
    file = foreign.save_ddlgn(tmp_path, foreign.network(np.random.default_rng(9)))
    with pytest.raises(LgcError) as caught:
        importing.read(file, options=options)
    assert message in str(caught.value)


def test_thresholds_of_each_channel(tmp_path):
    rng = np.random.default_rng(10)
    layers = foreign.network(rng, bits=2 * 2 * 3, widths=(20, 12))
    file = foreign.save_ddlgn(tmp_path, layers)
    options = Options(inputs=(2, 2, 3), classes=3, thresholds=((50.0,), (100.0,), (150.0,)))
    found = importing.read(file, options=options)
    images = rng.integers(0, 256, (300, 2, 2, 3)).astype(np.uint8)
    bits = (images > [50, 100, 150]).reshape(len(images), -1)
    assert np.array_equal(lower(found.checkpoint).scores(images), foreign.run(layers, bits, 3))


def skipping(layers, bits, skip):
    """The authors' forward, cat by cat (`Model.forward` of their mnist.py, gates in place of modules)."""
    x = inputs = bits.astype(bool)
    kept = [inputs]
    for i, layer in enumerate(layers):
        x = np.stack([foreign.GATES[g](x[:, a], x[:, b]) for a, b, g in zip(*layer, strict=True)], axis=1)
        kept.append(x)
        if i < len(layers) - 1:
            module = 2 * i + 1  # they count interconnects too
            if skip != "residual":
                x = np.concatenate([x, inputs], axis=1)
            if skip != "input" and (module > 1 or skip != "both"):
                x = np.concatenate([x, kept[-2]], axis=1)
    return x.reshape(len(x), 3, -1).sum(axis=2)


@pytest.mark.parametrize("kind", ["indices", "c", "top"])
@pytest.mark.parametrize("skip", ["input", "residual", "both"])
def test_lilogicnet_with_skips(tmp_path, kind, skip):
    rng = np.random.default_rng(5)
    widths, sources = (9, 8, 7, 6), 12
    layers, state = [], {}
    for i, width in enumerate(widths):
        layer = (rng.integers(0, sources, width), rng.integers(0, sources, width), rng.integers(0, 16, width))
        layers.append(layer)
        file = foreign.save_lilogicnet(tmp_path / "one.pth", rng, [layer], kind, bits=sources)
        one = torch.load(file, weights_only=True)
        state |= {
            key.replace(f"layers.{j}.", f"layers.{2 * i + j}."): one[key]
            for key in one
            for j in (0, 1)
            if f"layers.{j}." in key
        }
        before = 12 if i == 0 else widths[i - 1]
        sources = width + {"input": 12, "residual": before, "both": 12 + (before if i else 0)}[skip]
    torch.save(state, tmp_path / "s.pth")
    options = Options(inputs=(12,), classes=3, skip=skip)
    x = foreign.every_pattern(12)
    assert np.array_equal(
        importing.read(tmp_path / "s.pth", options=options).scores(x), skipping(layers, x, skip)
    )
    if kind == "c":
        with pytest.raises(LgcError, match="say so with --skip"):
            importing.read(tmp_path / "s.pth", options=Options(inputs=(12,), classes=3))


@pytest.mark.parametrize(("inputs", "gates", "granularity"), [(12, 6, 3), (12, 12, 4), (16, 8, 2)])
def test_lilogicnet_block_sparse(tmp_path, inputs, gates, granularity):
    """Their forward with one-hot connections: `einsum("bni,nim,mno->bmo")`."""
    rng = np.random.default_rng(6)
    count = inputs // granularity
    between = 2 * gates // count
    c1 = rng.standard_normal((count, granularity, between)).astype(np.float32)
    c2 = rng.standard_normal((between, count, 2 * gates // between)).astype(np.float32)
    gate = rng.integers(0, 16, gates)
    state = {
        "layers.0.c_sub_layer_1": torch.from_numpy(c1),
        "layers.0.c_sub_layer_2": torch.from_numpy(c2),
        "layers.1.w": torch.from_numpy(foreign.logits(rng, gate).T.copy()),
    }
    torch.save(state, tmp_path / "b.pth")
    x = foreign.every_pattern(inputs)[:: 1 if inputs < 13 else 7]
    hot = [
        torch.nn.functional.one_hot(torch.from_numpy(c).argmax(1), c.shape[1]).transpose(1, 2).float()
        for c in (c1, c2)
    ]
    blocks = torch.from_numpy(x).float().view(-1, count, granularity)
    wires = torch.einsum("bni,nim,mno->bmo", blocks, *hot).reshape(len(x), -1).numpy().astype(bool)
    ones = np.stack(
        [foreign.GATES[g](wires[:, 2 * i], wires[:, 2 * i + 1]) for i, g in enumerate(gate)], axis=1
    )
    found = importing.read(tmp_path / "b.pth", options=Options(classes=2))
    assert np.array_equal(found.scores(x), ones.reshape(len(x), 2, -1).sum(axis=2))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"layers.0.c_sub_layer_2": torch.zeros(3, 5, 4)}, "do not fit each other"),
        ({"layers.0.c_sub_layer_2": torch.zeros(3, 4)}, "is not one of numbers [blocks, inputs, outputs]"),
        ({"layers.0.c_sub_layer_1": torch.full((4, 3, 3), float("nan"))}, "has NaN or infinite values"),
        ({"layers.1.w": torch.zeros(16, 5)}, "Layer 1 has 5 gates, but 12 wires"),
    ],
)
def test_damaged_blocks(tmp_path, changes, message):
    state = {
        "layers.0.c_sub_layer_1": torch.zeros(4, 3, 3),
        "layers.0.c_sub_layer_2": torch.zeros(3, 4, 4),
        "layers.1.w": torch.zeros(16, 6),
    }
    torch.save(state | changes, tmp_path / "b.pth")
    with pytest.raises(LgcError) as caught:
        importing.read(tmp_path / "b.pth", options=Options(classes=2))
    assert message in str(caught.value)
