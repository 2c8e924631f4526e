"""lgc, the logic-gate compiler: trained logic-gate networks to FPGA bitstreams, with open tools."""
