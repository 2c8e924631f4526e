"""Ways into and out of a design: words, AXI4-Stream, UART, SPI; see docs/interfaces.md.

`packing` and `protocol` need neither Amaranth nor a design, so that `lgc.host` can use them.
"""
