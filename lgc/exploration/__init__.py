"""Exploration: many networks trained and compiled, accuracy against hardware, by multi-objective search."""

from .space import OBJECTIVES, Space
from .study import Finished, explore, pareto

__all__ = ["OBJECTIVES", "Finished", "Space", "explore", "pareto"]
