"""Layers in torch: what a network is trained with, and what it hardens to."""

from __future__ import annotations

from .dense import LutLayer

__all__ = ["LutLayer"]
