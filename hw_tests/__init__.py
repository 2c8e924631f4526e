"""Benches that compare the hardware with the network, and the tests of the hardware."""
