import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lgc.errors import UsageError
from lgc.frontend import encoder
from lgc.frontend.config import EncoderConfig
from lgc.frontend.kernels import cpu
from lgc.frontend.thermometer import LearnedThermometer
from lgc.ir.encoder import FixedPoint, Thermometer

FORM = FixedPoint(8)


def learned(x: np.ndarray, **more: object) -> LearnedThermometer:
    config = EncoderConfig(kind="learned", levels=3, **more)  # type: ignore[arg-type]
    return LearnedThermometer(config, encoder.fit(config, x, FORM), x)


def data(samples: int = 100, features: int = 5) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 200, (samples, features)).astype(np.uint8)


@pytest.mark.parametrize("scope", ["feature", "global"])
def test_starts_as_the_fitted_thermometer(scope: str) -> None:
    x = data()
    x[:, 2] = 7  # constant: bits that are always 1
    config = EncoderConfig(kind="learned", levels=3, scope=scope)
    fitted = encoder.fit(config, x, FORM)
    assert np.array_equal(LearnedThermometer(config, fitted, x).encoder().threshold, fitted.threshold)
    plain = encoder.fit(EncoderConfig(kind="quantile", levels=3, scope=scope), x, FORM)
    assert np.array_equal(fitted.threshold, plain.threshold)


def test_learned_thresholds_do_not_snap() -> None:
    with pytest.raises(UsageError, match="^Learned thresholds end where training leaves them"):
        learned(data(), snap=True)


@given(st.integers(0, 2**32 - 1), st.sampled_from(["feature", "global"]))
@settings(deadline=None, max_examples=30)
def test_a_hard_forward_is_the_hardware(seed: int, scope: str) -> None:
    rng = np.random.default_rng(seed)
    x = data(cpu.LANES + 9)
    model = learned(x, scope=scope)
    with torch.no_grad():
        model.thresholds += torch.from_numpy(rng.normal(0, 0.5, model.thresholds.shape).astype(np.float32))
    built = model.encoder()
    assert (np.diff(built.threshold, axis=1) >= 0).all()
    assert FORM.low <= built.threshold.min()
    assert built.threshold.max() <= FORM.high
    bits = model(built.codes(x), True).detach().numpy()
    flat = bits.transpose(0, 2, 1).reshape(-1, built.bits)
    assert np.array_equal(flat[: len(x)] > 0, built.encode(x))
    assert (flat[len(x) :] == flat[len(x) - 1]).all()


@pytest.mark.parametrize("scope", ["feature", "global"])
@pytest.mark.parametrize("hard", [False, True])
def test_gradients_are_those_of_the_formula(scope: str, hard: bool) -> None:
    x = data(cpu.LANES + 9)
    model = learned(x, scope=scope, softness=0.1)
    codes = model.start.codes(x)
    weights = torch.randn(2, 15, cpu.LANES)
    weights[1, :, 9:] = 0
    (model(codes, hard) * weights).sum().backward()
    raw = model.thresholds.detach().double().requires_grad_()
    t = torch.cat([raw[:, :1], 0.03 * torch.nn.functional.softplus(raw[:, 1:] / 0.03)], 1).cumsum(1)
    scaled = (torch.from_numpy(codes).double() - model.low) / model.span
    bits = torch.sigmoid((scaled[:, :, None] - t) / 0.1).flatten(1)
    lanes = weights.transpose(1, 2).reshape(-1, 15)[: len(x)].double()
    (bits * lanes).sum().backward()
    assert model.thresholds.grad is not None
    assert raw.grad is not None
    np.testing.assert_allclose(model.thresholds.grad.numpy(), raw.grad.numpy(), rtol=2e-3, atol=2e-4)
    if not hard:
        soft = model(codes, False).detach().transpose(1, 2).reshape(-1, 15)[: len(x)]
        np.testing.assert_allclose(soft.numpy(), bits.detach().numpy(), atol=1e-5)


def test_thresholds_move_to_where_they_tell_classes_apart() -> None:
    x = np.random.default_rng(1).integers(0, 256, (512, 1)).astype(np.uint8)
    target = torch.from_numpy((x[:, 0] > 90).astype(np.float32))
    config = EncoderConfig(kind="learned", levels=1, softness=0.05)
    model = LearnedThermometer(config, Thermometer(np.array([[180]], np.int32), FORM), x)
    adam = torch.optim.Adam(model.parameters(), lr=0.02)
    for _ in range(100):
        adam.zero_grad()
        y = model(model.start.codes(x), True)[:, 0].reshape(-1)[: len(x)]
        (y - target).square().sum().backward()
        adam.step()
    assert abs(int(model.encoder().threshold[0, 0]) - 91) < 6
