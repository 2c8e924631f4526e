"""Netlists as networks: whatever their structure, cut into layers."""

from __future__ import annotations

from lgc.errors import UsageError
from lgc.ir.interop import with_group_sum
from lgc.ir.netlist import Netlist

from .network import Foreign, Options
from .wires import layered


def take(net: Netlist, options: Options) -> Foreign:
    """Turn a netlist into a network; its own readout, or its outputs in equal groups.

    Raises:
        UsageError: there is no readout, and no number of classes.
        LgcError: outputs that do not split into groups, or too many layers.
    """
    if net.readout is None:
        if options.classes is None:
            raise UsageError("The netlist has no readout.", hint="Count its outputs: --group-sum CLASSES.")
        net = with_group_sum(net, options.classes)
    layers, offset = layered(net)
    notes = {"wiring": "in the file"} | ({"beta": offset} if offset else {})
    return Foreign(layers, bits=net.inputs, classes=net.readout.classes if net.readout else None, notes=notes)
