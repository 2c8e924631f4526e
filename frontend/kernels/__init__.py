"""Compiled loops of training; activations are `[block, feature, lane]`, 64 samples to a block."""
