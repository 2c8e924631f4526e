"""Encoder, kernels and the store behind them: features in, inputs of the tail out, held still."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from amaranth import Cat, Module, ResetInserter, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from lgc.ir.encoder import Thermometer
from lgc.ir.kernels import Folded

from .pixels import Pixels
from .plan import Layer
from .pool import Pool
from .text import chunks
from .unpack import Unpack
from .window import Window


@dataclass(frozen=True, eq=False)
class Stored:
    """Which bits of the last image are kept.

    Attributes:
        encoder: of the features.
        used: int64 `[bits]`, ascending; a bit is `channel * places + place`.
        last: the layer that gives the image.
    """

    encoder: Thermometer
    used: npt.NDArray[np.int64]
    last: Layer

    @property
    def words(self) -> list[list[int]]:
        """Places in each word of the image."""
        rows, columns = self.last.kernel.window.positions
        count = self.last.results
        return [
            list(range(row * columns + start, row * columns + min(start + count, columns)))
            for row in range(rows)
            for start in range(0, columns, count)
        ]

    @property
    def chunks(self) -> list[int]:
        """Widths of the vectors that carry the bits."""
        return chunks(self.used.size)


class Store(wiring.Component):  # type: ignore[misc]
    """Keep the places of an image.

    Args:
        plan: which bits.
        ahead: frames that can be on their way at once, if an image may be complete before its frame; it
            is given when the frame is, too. 0 if that cannot be.

    Ports:
        restart: forget places of an image that is not complete.
        image: stream of words of places; taken while `hold` is low.
        hold: the bits are looked at.
        whole: high for one clock with the last feature of a frame.
        frame: high for one clock when the bits of a whole frame are there.
        x<n>: bits kept, `CHUNK` per vector.
    """

    def __init__(self, plan: Stored, *, ahead: int) -> None:
        self.plan, self.ahead = plan, ahead
        width = plan.last.kernel.channels * plan.last.results
        ports = {"image": In(stream.Signature(width)), "frame": Out(1)}
        ports |= dict.fromkeys(("hold", "whole", "restart"), In(1))
        super().__init__(ports | {f"x{n}": Out(width) for n, width in enumerate(plan.chunks)})

    def elaborate(self, platform: object) -> Module:
        """Build the module."""
        del platform
        m = Module()
        used, words, channels = self.plan.used, self.plan.words, self.plan.last.kernel.channels
        places = sum(map(len, words))
        take, at, complete = Signal(), Signal(len(words), init=1), Signal()
        m.d.comb += [
            self.image.ready.eq(~self.hold & ~complete),
            take.eq(self.image.valid & self.image.ready),
            self.frame.eq(complete),
        ]
        m.d.sync += complete.eq(take & at[-1] | complete & ~self.frame)
        if self.ahead:
            owed = Signal(range(self.ahead + 1))
            m.d.comb += self.frame.eq(complete & (owed != 0))
            m.d.sync += owed.eq(owed + self.whole - self.frame)
        with m.If(take):
            m.d.sync += at.eq(at.rotate_left(1))
        with m.If(self.restart):
            m.d.sync += [at.eq(at.init), complete.eq(0)]
        bit: dict[int, Value] = {}
        for word, members in enumerate(words):
            for lane, place in enumerate(members):
                mine = used[used % places == place]
                kept = Signal(len(mine), name=f"place{place}", reset_less=True)
                from_word = lane * channels + mine // places
                with m.If(take & at[word]):
                    m.d.sync += kept.eq(Cat(self.image.payload[c] for c in from_word.tolist()))
                bit |= {number: kept[n] for n, number in enumerate(mine.tolist())}
        start = 0
        for n, width in enumerate(self.plan.chunks):
            numbers = used[start : start + width].tolist()
            m.d.comb += getattr(self, f"x{n}").eq(Cat(bit[number] for number in numbers))
            start += width
        return m


class Chain(wiring.Component):  # type: ignore[misc]
    """Encoder and kernels, one after the other.

    With `core` frames may break off: then a frame waits until the one before has left the layers, which
    may thus be reset without losing it.

    Args:
        encoder: thresholds.
        folded: the network.
        layers: its kernels as they are built.
        whole_words: features enter in words of all places that the first layer takes per clock, not one by
            one.
        apart: words of the last image are taken apart.
        core: see above.

    Ports:
        features: stream of codes.
        image: stream of words of the last image.
        whole: high for one clock with the last feature of a frame, where `ahead` is not 0, or with `core`.
        started: the tail has the image of the last whole frame; with `core`.
        restart: the next feature is feature 0. Only while `empty`.
        empty: no whole frame is in the layers.
    """

    def __init__(
        self,
        encoder: Thermometer,
        folded: Folded,
        layers: tuple[Layer, ...],
        *,
        whole_words: bool = False,
        apart: bool = False,
        core: bool = False,
    ) -> None:
        self.core = core
        endless = layers[0].endless  # then nothing is held back that is known
        early = any(layer.ends_early for layer in layers) and not endless
        # each layer may hold the last place of a frame, the encoder another
        self.ahead = len(layers) + 2 if early else 0
        lanes = layers[0].lanes if whole_words else 0
        self.pixels = Pixels(encoder, folded, counted=early or core, lanes=lanes, endless=endless)
        self.layers = layers
        self.unpack = Unpack(layers[-1]) if apart and layers[-1].results > 1 else None
        width = folded.kernels[-1].channels * (1 if self.unpack else layers[-1].results)
        super().__init__(
            {
                "features": In(stream.Signature(self.pixels.features.payload.shape())),
                "image": Out(stream.Signature(width)),
                "whole": Out(1),
                "started": In(1),
                "restart": In(1),
                "empty": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Build the module."""
        del platform
        m = Module()
        again = ResetInserter(self.restart) if self.core else (lambda part: part)
        m.submodules.pixels = again(self.pixels)
        self._feed(m)
        before = self.pixels.image
        for n, layer in enumerate(self.layers):
            built = (Pool if layer.accumulates else Window)(layer)
            m.submodules[f"layer{n}"] = again(built)
            wiring.connect(m, before, built.image)
            before = built.result
        if self.unpack is not None:
            m.submodules.unpack = self.unpack
            wiring.connect(m, before, self.unpack.image)
            before = self.unpack.result
        wiring.connect(m, before, wiring.flipped(self.image))
        m.d.comb += self.whole.eq(self.pixels.whole)
        return m

    def _feed(self, m: Module) -> None:
        """Hand features to the encoder; with `core` not before the last frame is out."""
        taken = self.pixels.features
        if not self.core:
            wiring.connect(m, wiring.flipped(self.features), taken)
            return
        whole = Signal()  # a whole frame is in the layers
        with m.If(self.whole | self.started):
            m.d.sync += whole.eq(self.whole)
        m.d.comb += [
            self.empty.eq(~whole),
            taken.payload.eq(self.features.payload),
            taken.valid.eq(self.features.valid & ~whole),
            self.features.ready.eq(taken.ready & ~whole),
        ]


class Front(wiring.Component):  # type: ignore[misc]
    """Everything before the tail, with the ports of `Encoder` in its place.

    Args:
        chain: encoder and kernels.
        plan: which bits are kept.
        store: what keeps them.
    """

    held = True

    def __init__(self, chain: Chain, plan: Stored, store: wiring.Component) -> None:
        self.chain, self.plan, self.store = chain, plan, store
        ports = {
            "features": In(stream.Signature(chain.features.payload.shape())),
            "hold": In(1),
            "taken": Out(1),
            "frame": Out(1),
            "restart": In(1),
            "empty": Out(1),
        }
        super().__init__(ports | {f"x{n}": Out(width) for n, width in enumerate(plan.chunks)})

    def elaborate(self, platform: object) -> Module:
        """Build the module."""
        del platform
        m = Module()
        m.submodules.chain, m.submodules.store = chain, store = self.chain, self.store
        wiring.connect(m, wiring.flipped(self.features), chain.features)
        wiring.connect(m, chain.image, store.image)
        m.d.comb += [
            store.hold.eq(self.hold),
            store.whole.eq(chain.whole),
            chain.restart.eq(self.restart),
            chain.started.eq(store.frame),
            self.empty.eq(chain.empty),
            self.taken.eq(store.frame),
            self.frame.eq(store.frame),
        ]
        if chain.core:
            m.d.comb += store.restart.eq(self.restart)
        m.d.comb += [getattr(self, f"x{n}").eq(getattr(store, f"x{n}")) for n in range(len(self.plan.chunks))]
        return m
