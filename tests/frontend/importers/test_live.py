"""`lgc.from_torch`: modules built by the original packages."""

import numpy as np
import pytest
import torch

import lgc
from lgc.errors import LgcError, MismatchError, UsageError
from lgc.frontend.graph import ConvLayer, Layer, OrPool
from lgc.frontend.lower import lower

from . import packages

RANKS = [("raw", 2), ("warp", 2), ("warp", 4), ("warp", 6), ("light", 2), ("light", 4), ("light", 6)]


@pytest.mark.parametrize(("kind", "k"), RANKS)
@pytest.mark.parametrize("connections", ["fixed", "learnable"])
def test_dense(kind, k, connections):
    layers = packages.torchlogix()
    common = {"parametrization": kind, "lut_rank": k, "connections": connections}
    model = torch.nn.Sequential(
        layers.LogicDense(12, 30, **common),
        layers.LogicDense(30, 24, **common),
        layers.GroupSum(3, tau=2.0, beta=1.5),
    )
    found = packages.agree(model, (12,), tau=2.0, beta=1.5)
    assert found.checkpoint.metadata["beta"] == 1.5
    assert found.checkpoint.tau == 2


@pytest.mark.parametrize("k", [2, 4, 6])
def test_rank_one_and_few_candidates(k):
    layers = packages.torchlogix()
    model = torch.nn.Sequential(
        layers.LogicDense(
            36, 20, lut_rank=k, parametrization="light", connections="learnable",
            connections_kwargs={"num_candidates": 5},
        ),
        layers.LogicDense(20, 30, lut_rank=1, parametrization="warp"),
        layers.GroupSum(2),
    )  # fmt: skip
    found = packages.agree(model, (36,))
    assert [layer.k for layer in found.checkpoint.layers] == [k, 1]


GEOMETRY = [(1, 0, 1), (2, 1, 2), (1, 1, 1)]


@pytest.mark.parametrize(("kind", "k"), RANKS)
@pytest.mark.parametrize(("stride", "padding", "depth"), GEOMETRY)
def test_conv2d_and_pools(kind, k, stride, padding, depth):
    layers = packages.torchlogix()
    conv = layers.LogicConv2d(
        (6, 5), channels=2, num_kernels=4, tree_depth=depth, receptive_field_size=(3, 2), stride=stride,
        padding=padding, lut_rank=k, parametrization=kind,
    )  # fmt: skip
    pool = layers.OrPooling2d(kernel_size=2, stride=1, padding=padding)
    with torch.no_grad():
        width = pool(conv(torch.zeros(1, 2, 6, 5))).numel()
    model = torch.nn.Sequential(
        conv, pool, torch.nn.Flatten(),
        layers.LogicDense(width, 2 * (width // 2 + 2), lut_rank=k, parametrization=kind), layers.GroupSum(2),
    )  # fmt: skip
    found = packages.agree(model, (2, 6, 5))
    assert [type(layer) for layer in found.checkpoint.layers] == [ConvLayer, OrPool, Layer]
    assert found.checkpoint.metadata["image_shape"] == [6, 5, 2]


@pytest.mark.parametrize(("kind", "k"), RANKS)
def test_conv3d_and_pools(kind, k):
    layers = packages.torchlogix()
    model = torch.nn.Sequential(
        layers.LogicConv3d(
            (4, 5, 4), channels=2, num_kernels=3, tree_depth=1, receptive_field_size=3, padding=1,
            lut_rank=k, parametrization=kind,
        ),
        layers.OrPooling3d(2, 2),
        torch.nn.Flatten(),
        layers.LogicDense(24, 20, lut_rank=k, parametrization=kind),
        layers.GroupSum(2),
    )  # fmt: skip
    assert type(packages.agree(model, (2, 4, 5, 4)).checkpoint.layers[0]) is ConvLayer


@pytest.mark.parametrize("kind", ["raw", "warp", "light"])
def test_channel_groups_and_a_pool_first(kind):
    layers = packages.torchlogix()
    model = torch.nn.Sequential(
        layers.OrPooling2d(2, 2),
        layers.LogicConv2d(
            (3, 3), channels=3, num_kernels=4, tree_depth=2, receptive_field_size=2, parametrization=kind,
            connections_kwargs={"init_method": "random-unique", "channel_group_size": 2},
        ),
        torch.nn.Flatten(),
        layers.LogicDense(16, 20, parametrization=kind),
        layers.GroupSum(2),
    )  # fmt: skip
    packages.agree(model, (3, 6, 6), inputs=(6, 6, 3))


@pytest.mark.parametrize(("kind", "k"), RANKS)
def test_residual_blocks(kind, k):
    layers = packages.torchlogix()
    block = packages.torchlogix_part("modules.resblock").ResidualLogicBlock
    model = torch.nn.Sequential(
        layers.LogicConv2d(
            5, channels=1, num_kernels=3, tree_depth=1, receptive_field_size=3, padding=1, lut_rank=k,
            parametrization=kind,
        ),
        block(5, 3, 3, tree_depth=1, lut_rank=k, parametrization=kind),
        block(5, 3, 3, tree_depth=1, lut_rank=k, parametrization=kind),
        layers.OrPooling2d(2, 2, padding=1),
        torch.nn.Flatten(),
        layers.LogicDense(27, 18, lut_rank=k, parametrization=kind),
        layers.GroupSum(3),
    )  # fmt: skip
    found = packages.agree(model, (1, 5, 5))
    assert all(type(layer) is Layer for layer in found.checkpoint.layers)


def test_projecting_residual_blocks_cannot_be_built_by_torchlogix_itself():
    """Their shortcut is a convolution without a tree, so there is nothing to import."""
    block = packages.torchlogix_part("modules.resblock").ResidualLogicBlock
    with pytest.raises(TypeError):
        block(4, 1, 2, tree_depth=1, parametrization="warp")


@pytest.mark.parametrize(("kind", "k"), [("raw", 2), ("warp", 4), ("light", 6)])
@pytest.mark.parametrize(("stride", "padding", "after"), [(1, 0, 0), (2, 1, 1), (2, 0, 0)])
def test_transposed_convolutions(kind, k, stride, padding, after):
    layers = packages.torchlogix()
    conv = layers.LogicConvTranspose2d(
        (3, 4), channels=2, num_kernels=3, tree_depth=1, receptive_field_size=3, stride=stride,
        padding=padding, output_padding=after, lut_rank=k, parametrization=kind,
    )  # fmt: skip
    with torch.no_grad():
        width = conv(torch.zeros(1, 2, 3, 4)).numel()
    model = torch.nn.Sequential(
        conv, torch.nn.Flatten(), layers.LogicDense(width, width + width % 2), layers.GroupSum(2)
    )
    packages.agree(model, (2, 3, 4))


THRESHOLDS = torch.tensor([[0.1, 0.2, 0.7], [0.3, 0.5, 0.6]])


@pytest.mark.parametrize("kind", ["FixedBinarization", "SoftBinarization", "LearnableBinarization"])
@pytest.mark.parametrize("image", [False, True])
def test_binarization(kind, image):
    layers = packages.torchlogix()
    bits = getattr(layers, kind)(THRESHOLDS, feature_dim=1 if image else -2)
    if image:
        inner = [
            layers.LogicConv2d((4, 5), channels=6, num_kernels=8, tree_depth=2, receptive_field_size=2),
            torch.nn.Flatten(),
        ]
        rest = [layers.LogicDense(96, 60), layers.GroupSum(2)]
    else:
        inner, rest = [], [layers.LogicDense(6, 20), layers.GroupSum(2)]
    model = packages.random_weights(torch.nn.Sequential(*inner, *rest))
    if kind == "LearnableBinarization":
        with torch.no_grad():
            bits.raw_diffs += torch.tensor([[0.02, -0.3, 0.1], [0.01, 0.05, -0.01]])
    model = torch.nn.Sequential(bits, *model).eval()
    found = lgc.from_torch(model, scale=255.0)
    rng = np.random.default_rng(2)
    x = rng.integers(0, 256, (500, 4, 5, 2) if image else (500, 2)).astype(np.uint8)
    scaled = x.astype(np.float32) / np.float32(255)
    given = scaled.transpose(0, 3, 1, 2).copy() if image else scaled
    assert np.array_equal(lower(found.checkpoint).scores(x), packages.counts(model, given))


def test_thresholds_in_any_order():
    layers = packages.torchlogix()
    bits = layers.FixedBinarization(torch.tensor([[0.7, 0.1, 0.4], [0.2, 0.9, 0.5]]))
    inner = packages.random_weights(torch.nn.Sequential(layers.LogicDense(6, 20), layers.GroupSum(2)))
    model = torch.nn.Sequential(bits, *inner).eval()
    x = np.random.default_rng(0).integers(0, 256, (300, 2)).astype(np.uint8)
    found = lgc.from_torch(model, scale=255.0)
    expected = packages.counts(model, x.astype(np.float32) / np.float32(255))
    assert np.array_equal(lower(found.checkpoint).scores(x), expected)


def test_models_of_its_zoo():
    packages.torchlogix()
    made = packages.torchlogix_part("models.nn").RandomlyConnectedNN(
        in_dim=20, k=24, layers=3, class_count=4, tau=3.0, parametrization="warp", lut_rank=4
    )
    packages.agree(made, (20,), tau=3.0)


@pytest.mark.parametrize("connections", ["random", "unique"])
def test_difflogic(connections):
    package = packages.difflogic()
    common = {"device": "cpu", "connections": connections}
    model = torch.nn.Sequential(
        torch.nn.Flatten(),
        package.LogicLayer(12, 20, **common),
        package.LogicLayer(20, 18, **common),
        package.GroupSum(3, 5.0, device="cpu"),
    )
    found = packages.agree(model, (12,), tau=5.0)
    assert found.format == "difflogic"


def test_the_module_is_left_as_it_was():
    layers = packages.torchlogix()
    model = torch.nn.Sequential(layers.LogicDense(12, 30), layers.GroupSum(3)).train()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    lgc.from_torch(model)
    assert model.training
    assert all(module.training for module in model)
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())


def test_something_between_the_layers_is_found():
    layers = packages.torchlogix()

    class Odd(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.model = packages.random_weights(
                torch.nn.Sequential(layers.LogicDense(12, 30), layers.GroupSum(3))
            )

        def forward(self, x):
            return self.model(1 - x)

    with pytest.raises(MismatchError, match="Random sample 0, class"):
        lgc.from_torch(Odd())


def test_what_is_not_known_is_refused():
    layers = packages.torchlogix()
    with pytest.raises(LgcError, match="A layer of the class Linear is not known"):
        lgc.from_torch(torch.nn.Sequential(torch.nn.Linear(4, 4), layers.GroupSum(2)))
    with pytest.raises(LgcError, match="has no logic layers"):
        lgc.from_torch(torch.nn.Sequential(torch.nn.Flatten()))
    with pytest.raises(UsageError, match="The module has no group sum"):
        lgc.from_torch(torch.nn.Sequential(layers.LogicDense(4, 4)))
    broken = torch.nn.Sequential(layers.LogicDense(4, 4), layers.GroupSum(2))
    with torch.no_grad():
        broken[0].weight[1, 2] = float("nan")
    with pytest.raises(LgcError, match="NaN or infinite"):
        lgc.from_torch(broken)
    with pytest.raises(LgcError, match="A dense layer of 5 inputs reads"):
        lgc.from_torch(
            torch.nn.Sequential(layers.LogicDense(4, 4), layers.LogicDense(5, 4), layers.GroupSum(2))
        )
