"""Netlists in other programs' formats: BLIF, AIGER, structural Verilog, C, and arrays in a zip file.

Each module has `dump` and `parse`, or `save` and `load`; `lgc.netlists` chooses one by a file's suffix.
"""

from ._readout import with_group_sum as with_group_sum
