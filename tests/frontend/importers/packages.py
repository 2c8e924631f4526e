"""The original packages, where they are installed or on PYTHONPATH; else the test is skipped and says so."""

import contextlib
import importlib
import importlib.util
import io
import sys
import types

import numpy as np
import pytest
import torch

import lgc


def torchlogix():
    """Its layers; on Python 3.11 its module `circuit` does not parse, and is not needed for layers."""
    if sys.version_info < (3, 12) and "torchlogix.circuit" not in sys.modules:
        circuit = types.ModuleType("torchlogix.circuit")
        circuit.Circuit = object
        sys.modules["torchlogix.circuit"] = circuit
    return pytest.importorskip("torchlogix.layers", reason="torchlogix is not installed")


def torchlogix_part(name):
    torchlogix()
    return importlib.import_module(f"torchlogix.{name}")


def circuits():
    """torchlogix' `Circuit`; on Python 3.11 its C code generator, which that cannot parse, is cut out."""
    torchlogix()
    if sys.version_info >= (3, 12):
        return torchlogix_part("circuit").Circuit
    import torchlogix as package

    path = f"{package.__path__[0]}/circuit.py"
    with open(path, encoding="utf-8") as file:  # noqa: PTH123
        text = file.read()
    begin, end = text.index("    def get_c_code("), text.index("    def to_dict(")
    module = types.ModuleType("torchlogix_circuit")
    sys.modules[module.__name__] = module  # dataclasses look their module up
    exec(compile(text[:begin] + text[end:], path, "exec"), module.__dict__)
    return module.Circuit


def difflogic():
    """Its layers in Python; the CUDA extension that it imports first is not called."""
    sys.modules.setdefault("difflogic_cuda", types.ModuleType("difflogic_cuda"))
    return pytest.importorskip("difflogic", reason="difflogic is not installed")


def random_weights(model, seed=0):
    torch.manual_seed(seed)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter)
    return model.eval()


def counts(model, x, tau=1.0, beta=0.0):
    """Class scores as integers; difflogic prints while it computes."""
    with torch.no_grad(), contextlib.redirect_stdout(io.StringIO()):
        out = model(torch.from_numpy(x).float())
    return (out.double() * tau - beta).round().long().numpy()


def dwn(monkeypatch):
    """DWN's own modules on the CPU: all but the table look-up, which its authors wrote for CUDA only.

    The look-up is that of their `efd_cpu.cpp` where it is built and on PYTHONPATH, else this one.
    """
    package = pytest.importorskip("torch_dwn", reason="torch_dwn is not installed")

    def look_up(x, mapping, luts):
        address = sum((x[:, mapping[:, pin].long()] > 0).long() << pin for pin in range(mapping.shape[1]))
        return luts[torch.arange(len(luts)), address]

    if importlib.util.find_spec("efd_cpu") is not None:
        look_up = importlib.import_module("efd_cpu").forward

    class OnCpu(torch.autograd.Function):
        @staticmethod
        def forward(_, x, mapping, luts, *__):
            return look_up(x.contiguous(), mapping.contiguous(), luts.contiguous())

    monkeypatch.setattr("torch_dwn.lut_layer.EFDFunction", OnCpu)
    return package


def structured(rng, shape, samples=200):
    """Random bits of every density, stripes, single ones and zeros, all and nothing."""
    size = int(np.prod(shape))
    dense = rng.random((samples, size)) < np.linspace(0, 1, samples)[:, None]
    single = np.eye(size, dtype=bool)
    stripes = np.stack([np.arange(size) // step % 2 == phase for step in (1, 2, 3, 7) for phase in (0, 1)])
    return np.concatenate([dense, single, ~single, stripes])


def agree(model, shape, *, tau=1.0, beta=0.0, **given):
    """Import a module and compare every score, of the checkpoint as it is read back too."""
    random_weights(model)
    found = lgc.from_torch(model, **given)
    bits = structured(np.random.default_rng(1), shape)
    expected = counts(model, bits.reshape(-1, *shape), tau, beta)
    assert np.array_equal(found.scores(bits), expected)
    assert found.checkpoint.metadata["imported"]["checked"] == (
        "all scores of 256 random samples equal the module's"
    )
    assert len(np.unique(expected)) > 1
    return found
