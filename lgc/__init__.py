"""lgc, the logic-gate compiler: trained logic-gate networks to FPGA bitstreams, with open tools.

    import lgc

    build = lgc.compile("model.safetensors", target="ice40-hx8k")
    build.report.post_route.fmax_mhz
    build.verify(images)

Importing lgc loads neither PyTorch nor Amaranth; what needs them loads them when called.
"""

from __future__ import annotations

import typing

if typing.TYPE_CHECKING:
    from lgc.build import Build
    from lgc.flow import compile
    from lgc.models import load
    from lgc.torch_models import from_torch, to_torch

__all__ = ["Build", "__version__", "compile", "from_torch", "load", "to_torch"]

__version__ = "0.1.0"

_HOMES = {
    "Build": "lgc.build",
    "compile": "lgc.flow",
    "from_torch": "lgc.torch_models",
    "load": "lgc.models",
    "to_torch": "lgc.torch_models",
}


def __getattr__(name: str) -> object:
    """Load what is asked for, the first time it is asked for."""
    if name not in _HOMES:
        raise AttributeError(f"module 'lgc' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_HOMES[name]), name)
