"""Netlists in other programs' formats: BLIF, AIGER, structural Verilog, C, and arrays in a zip file."""
