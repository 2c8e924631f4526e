"""Folded convolutions: pixels stream through line buffers, each kernel is evaluated once per position.

See docs/convolution.md.
"""
