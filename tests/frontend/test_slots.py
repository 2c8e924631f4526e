from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from lgc.errors import UsageError
from lgc.frontend import config, data
from lgc.frontend.checkpoint import Checkpoint, Layer
from lgc.frontend.config import LayerConfig
from lgc.frontend.connections import SLOTS, Sources, wire
from lgc.frontend.kernels import cpu
from lgc.frontend.kernels import slots as kernel
from lgc.frontend.layers import wired
from lgc.frontend.layers.slots import SlotLayer
from lgc.frontend.lower import lower
from lgc.frontend.progress import Progress
from lgc.frontend.train import train
from lgc.ir.encoder import FixedPoint, Thermometer

from .test_relaxations import DIFFLOGIC

FEATURES, NODES, BLOCKS = 30, 7, 2


def layer(
    *, width: int = NODES, init: str = "gaussian", patience: int = 0, estimator: str = "soft"
) -> SlotLayer:
    settings = LayerConfig(width=width, connections="slots", init=init, patience=patience)
    rng = np.random.default_rng(0)
    built = wired(
        settings,
        wire(settings, Sources(np.arange(FEATURES, dtype=np.int32)), 1, rng),
        rng,
        estimator=estimator,
    )
    assert isinstance(built, SlotLayer)
    return built


def formula(ours: SlotLayer, x: Tensor, logits: Tensor, noise: Tensor, *, hard: bool) -> Tensor:
    """The paper's node in float64; straight-through if hard."""
    nodes = []
    for i in range(NODES):
        a, b = (x[:, ours.source[i, p].long()] for p in range(2))
        gates = torch.stack(
            [DIFFLOGIC[int(op)](a[:, g], b[:, g]) + 0 * a[:, g] for g, op in enumerate(ours.op[i])]  # type: ignore[arg-type]
        )
        z = (logits[i] + noise[i]) / 0.7
        soft = torch.einsum("g,gbl->bl", z.softmax(0), gates)
        nodes.append(soft + (gates[z.argmax()] - soft).detach() if hard else soft)
    return torch.stack(nodes, 1)


@pytest.mark.parametrize("estimator", ["soft", "gumbel", "hard", "gumbel-hard"])
def test_values_and_gradients_are_the_papers_formula(estimator: str) -> None:
    ours = layer(estimator=estimator)
    rng = np.random.default_rng(1)
    ours.op.copy_(torch.from_numpy(rng.integers(0, 16, ours.op.shape)))
    hard, noisy = estimator.endswith("hard"), estimator.startswith("gumbel")
    x = torch.from_numpy(rng.random((BLOCKS, FEATURES, cpu.LANES), np.float32)).requires_grad_()
    upstream = torch.from_numpy(rng.standard_normal((BLOCKS, NODES, cpu.LANES), np.float32))
    y = ours(x, hard, 0.7, np.random.default_rng(3) if noisy else None)
    (y * upstream).sum().backward()
    noise = torch.zeros(NODES, SLOTS)
    if noisy:
        drawn = ours.relaxation.noise((NODES, SLOTS), np.random.default_rng(3))
        assert drawn is not None
        noise = torch.from_numpy(drawn)
    exact_x = x.detach().double().requires_grad_()
    logits = ours.functions.detach().double().requires_grad_()
    expected = formula(ours, exact_x, logits, noise.double(), hard=hard)
    (expected * upstream).sum().backward()  # type: ignore[no-untyped-call]
    assert ours.functions.grad is not None
    assert x.grad is not None
    torch.testing.assert_close(y.double(), expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(ours.functions.grad.double(), logits.grad, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(x.grad.double(), exact_x.grad, rtol=1e-4, atol=1e-4)


def test_a_residual_start_passes_a_source_on() -> None:
    ours = layer(init="residual")
    x = torch.rand(1, FEATURES, cpu.LANES, generator=torch.Generator().manual_seed(0))
    y = ours(x, True)
    assert torch.equal(y[0], x[0][ours.source[:, 0, 3].long()])
    soft = ours.functions.softmax(1)
    torch.testing.assert_close(soft[:, 3], torch.full((NODES,), 0.9))


def test_the_hardened_layer_is_the_hard_forward() -> None:
    ours = layer(width=20)
    ours.op.copy_(torch.from_numpy(np.random.default_rng(2).integers(0, 16, (20, SLOTS))))
    x = np.random.default_rng(3).integers(0, 16, (70, FEATURES))
    encoder = Thermometer(np.full((FEATURES, 1), 8, np.int32), FixedPoint(4))
    bits = np.zeros((2, FEATURES, cpu.LANES), np.float32)
    bits.transpose(0, 2, 1).reshape(-1, FEATURES)[:0] = 0
    flat = encoder.encode(x).astype(np.float32)
    for sample in range(70):
        bits[sample // cpu.LANES, :, sample % cpu.LANES] = flat[sample]
    with torch.no_grad():
        y = ours(torch.from_numpy(bits), True)
    counts = y.view(2, 4, 5, cpu.LANES).sum(2).transpose(1, 2).reshape(-1, 4)[:70].numpy()
    model = Checkpoint(encoder, (ours.hardened(),), tuple("abcd"), 1.0)
    assert np.array_equal(np.rint(counts), lower(model).scores(x))


def settled(ours: SlotLayer) -> torch.optim.Adam:
    """Node 0 is certain, node 1 cannot decide, node 2 is in between, the others move; moments are 1."""
    adam = torch.optim.Adam(ours.parameters())
    ours.functions.grad = torch.ones_like(ours.functions)
    adam.step()
    for name in ("exp_avg", "exp_avg_sq"):
        adam.state[ours.functions][name].fill_(1)
    with torch.no_grad():
        ours.functions.zero_()
        ours.functions[0, 5] = 9
        ours.functions[2, 5] = 3.5
    return adam


def test_settled_nodes_are_drawn_anew() -> None:
    ours = layer(patience=50)
    adam = settled(ours)
    before = {name: getattr(ours, name).clone() for name in ("source", "op", "functions")}
    for step in range(200):
        with torch.no_grad():
            ours.functions[3:] = 5 * (step % 2) * torch.eye(SLOTS)[:1]  # their entropy does not rest
        ours.after_step(adam, (0, 1, step, 1))
        if step < 49:
            assert torch.equal(ours.source, before["source"])
        if not torch.equal(ours.source, before["source"]):
            break
    assert step == 49
    # the winner stays with its gate and pair; all else is new
    assert ours.functions[0].argmax() == 5
    assert torch.equal(ours.source[0, :, 5], before["source"][0, :, 5])
    assert ours.op[0, 5] == before["op"][0, 5]
    torch.testing.assert_close(ours.functions[0].softmax(0)[5].item(), 0.9)
    assert (ours.source[0] != before["source"][0]).sum() > 2 * SLOTS - 8
    # an undecided node starts with random logits
    assert ours.functions[1].std() > 0.5
    assert (ours.source[1] != before["source"][1]).sum() > 2 * SLOTS - 8
    # one in between, and those in motion, go on
    assert torch.equal(ours.source[2:], before["source"][2:])
    assert torch.equal(ours.functions[2], before["functions"][2])
    assert (ours.source[:, 0] != ours.source[:, 1]).all()
    for name in ("exp_avg", "exp_avg_sq"):
        moments = adam.state[ours.functions][name]
        assert (moments[:2] == 0).all()
        assert (moments[2:] == 1).all()


def test_frozen_layers_and_those_without_patience_keep_their_slots() -> None:
    for patience, frozen in ((0, False), (10, True)):
        ours = layer(patience=patience)
        adam = settled(ours)
        source = ours.source.clone()
        ours.requires_grad_(not frozen)
        for step in range(30):
            ours.after_step(adam, (0, 1, step, 1))
        assert torch.equal(ours.source, source)


def test_the_entropy_is_normalised() -> None:
    logits = np.array([[0.0] * 16, [40.0] + [0.0] * 15], np.float32)
    mean, rest, action = np.full(2, -1, np.float32), np.zeros(2, np.int32), np.empty(2, np.int32)
    kernel.settle(logits, mean, rest, 2, 0.95, 0.4, action, 0, 2)
    np.testing.assert_allclose(mean, [1, 0], atol=1e-6)
    assert action.tolist() == [kernel.KEEP, kernel.KEEP]
    kernel.settle(logits, mean, rest, 2, 0.95, 0.4, action, 0, 2)
    assert action.tolist() == [kernel.RESTART, kernel.REFILL]


def test_slots_hold_two_input_gates() -> None:
    settings = LayerConfig(width=10, k=4, relaxation="light", connections="slots")
    rng = np.random.default_rng(0)
    wiring = wire(settings, Sources(np.arange(FEATURES, dtype=np.int32)), 1, rng)
    with pytest.raises(UsageError, match="^Slots hold 2-input gates, not light nodes of 4 inputs"):
        wired(settings, wiring, rng)


class Interrupt:
    """Presses Ctrl-C in the middle of the seventh epoch."""

    def __call__(self, progress: Progress) -> None:
        if (progress.epoch, progress.step) == (7, 5):
            raise KeyboardInterrupt


def test_slots_learn_digits_with_freezing_and_resume(tmp_path: Path) -> None:
    digits = data.load("digits")

    def settings(patience: int) -> config.TrainConfig:
        nodes = f'k=2, connections="slots", init="gaussian", patience={patience}'
        return config.load(
            "digits",
            [f"model.layers=[{{width=300, {nodes}}}, {{width=200, {nodes}}}]", "data.augment=none",
             "train.epochs=8", "train.lr=0.1", "train.batch=32", "model.harden=1", "model.tau=3",
             "train.freeze=[0.7]"],
        )  # fmt: skip

    straight = train(settings(3), digits, out=tmp_path / "straight.safetensors")
    assert straight.metadata["validation_accuracy"] > 0.8  # eight epochs; chance is 0.1
    out = tmp_path / "resumed.safetensors"
    with pytest.raises(KeyboardInterrupt):
        train(settings(3), digits, out=out, progress=Interrupt())
    resumed = train(settings(3), digits, out=out, resume=True)
    still = train(settings(0), digits, out=tmp_path / "still.safetensors")
    differ = 0
    for ours, theirs, others in zip(straight.layers, resumed.layers, still.layers, strict=True):
        assert isinstance(ours, Layer)
        assert isinstance(theirs, Layer)
        assert isinstance(others, Layer)
        assert np.array_equal(ours.parameters, theirs.parameters)
        assert np.array_equal(ours.fanin, theirs.fanin)
        differ += int((ours.fanin != others.fanin).sum())
    assert differ  # slots were drawn anew
