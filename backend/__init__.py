"""Hardware: Verilog around the LUT fabric, and the tools that turn it into a bitstream."""
