"""Layers in torch: what a network is trained with, and what it hardens to."""

from __future__ import annotations

from .conv import TreeLayer
from .dense import LutLayer
from .full import FullLayer
from .pool import PoolLayer
from .slot_conv import SlotConvLayer
from .stack import build
from .wired import wired

__all__ = ["FullLayer", "LutLayer", "PoolLayer", "SlotConvLayer", "TreeLayer", "build", "wired"]
