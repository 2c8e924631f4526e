"""Marks of tests that need external tools; a skip says which one is missing."""

import pytest

from lgc.backend import tools
from lgc.errors import ToolMissingError
from lgc.hw_tests.runner import choose


def lacking(*names: str, simulator: bool = False) -> str:
    """Say which of the tools is missing, "" if none is."""
    try:
        for name in names:
            tools.find(name)
        if simulator:
            choose("icarus", clocks=1)
    except ToolMissingError as error:
        return str(error)
    return ""


def needs(*names: str, simulator: bool = False) -> pytest.MarkDecorator:
    """Skip a test where one of the tools is missing."""
    reason = lacking(*names, simulator=simulator)
    return pytest.mark.skipif(bool(reason), reason=reason)


needs_yosys = needs("yosys")
needs_tools = needs("yosys", simulator=True)
"""To write Verilog and to simulate it."""
