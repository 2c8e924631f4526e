"""Where a program lies: block RAM that the bitstream fills, SPRAM that is filled from flash, or LUTs."""

from __future__ import annotations

from dataclasses import dataclass

Shapes = tuple[tuple[int, int], ...]
"""Words and bits per word that a block RAM can have."""

ROM_BITS = 24
"""Bits of a program in LUTs that one of them holds at most, reckoned well."""

SPRAM = 16384, 16
"""Words and bits of a single-port RAM of iCE40 UltraPlus."""

_SPRAM = """\
module {name} (
  input clk, input [13:0] at, output [{width}:0] q,
  input write, input [13:0] to, input [{column}:0] column, input [15:0] d
);
  wire [13:0] address = write ? to : at;
"""

_ONE = """\
  wire [15:0] q_{column};
  lgc_spram part_{column} (
    .clk(clk), .address(address), .d(d), .q(q_{column}), .write(write & column == {column})
  );
"""


@dataclass(frozen=True)
class Store:
    """How the words of a program are kept.

    Attributes:
        words: number of words.
        bits: bits per word.
        inside: words in block RAM.
        sprams: SPRAMs, which hold all words, or 0. Words in neither are logic.
        streamed: whether all words stay in flash and come from there again for each sample.
    """

    words: int
    bits: int
    inside: int
    sprams: int = 0
    streamed: bool = False

    @classmethod
    def choose(
        cls, words: int, bits: int, *, shapes: Shapes, blocks: int, sprams: int = 0, luts: int | None = None
    ) -> Store:
        """Take block RAM if all words fit, then SPRAM, then block RAM and LUTs, then flash.

        Args:
            words: of the program.
            bits: per word.
            shapes: of block RAMs, none if there are none.
            blocks: block RAMs that are left.
            sprams: SPRAMs.
            luts: LUTs that there are for words, where the flash can be read; else None.
        """
        if shapes and fewest(words, bits, shapes) <= blocks:
            return cls(words, bits, words)
        if words <= SPRAM[0] and -(-bits // SPRAM[1]) <= sprams:
            return cls(words, bits, 0, -(-bits // SPRAM[1]))
        step = min((depth for depth, _ in shapes), default=1)
        fitting = (n for n in range(0, words, step) if shapes and fewest(n, bits, shapes) <= blocks)
        found = cls(words, bits, max(fitting, default=0))
        if luts is not None and found.luts > luts:
            return cls(words, bits, 0, streamed=True)
        return found

    @property
    def flash(self) -> bool:
        """Whether the words come from flash."""
        return self.sprams > 0 or self.streamed

    @property
    def columns(self) -> int:
        """Words of 16 bits that make one of the program's, in SPRAM and in flash."""
        return -(-self.bits // SPRAM[1])

    @property
    def outside(self) -> int:
        """Words in LUTs."""
        return 0 if self.flash else self.words - self.inside

    @property
    def luts(self) -> int:
        """LUTs at least, about, that hold words."""
        return self.outside * self.bits // ROM_BITS

    @property
    def address(self) -> int:
        """Bits of an address."""
        return max(1, (self.words - 1).bit_length())

    @property
    def column_width(self) -> int:
        """Bits of a number of a column."""
        return max(1, (self.columns - 1).bit_length())

    def blocks(self, shapes: Shapes) -> int:
        """Block RAMs."""
        return fewest(self.inside, self.bits, shapes)

    def text(self, name: str, words: list[int]) -> str:
        """Write the Verilog of the memory `name`; none if the words stay in flash."""
        if self.streamed:
            return ""
        return self._spram_text(name) if self.sprams else rom_text(name, words, self.bits, self.inside)

    def image(self, words: list[int]) -> bytes:
        """Return what the flash has to hold: one big-endian number after the other."""
        return b"".join(word.to_bytes(2 * self.columns, "big") for word in words)

    def _spram_text(self, name: str) -> str:
        lines = [_SPRAM.format(name=name, width=self.bits - 1, column=self.column_width - 1)]
        lines += [_ONE.format(column=column) for column in range(self.columns)]
        whole = ", ".join(f"q_{column}" for column in reversed(range(self.columns)))
        lines.append(
            f"  wire [{16 * self.columns - 1}:0] all = {{{whole}}};\n  assign q = all[{self.bits - 1}:0];\n"
        )
        return "".join([*lines, "endmodule\n"])


def fewest(words: int, bits: int, shapes: Shapes) -> int:
    """Block RAMs of a memory."""
    return min((-(-words // depth) * -(-bits // width) for depth, width in shapes), default=0)


def rom_text(name: str, words: list[int], width: int, inside: int) -> str:
    """Write a memory that is read a clock later, its first `inside` words in block RAM, the rest in LUTs."""
    address = max(1, (len(words) - 1).bit_length())
    lines = [
        f"module {name} (input clk, input [{address - 1}:0] at, output [{width - 1}:0] q);",
    ]
    parts = [("block", 0, inside), ("logic", inside, len(words))]
    parts = [part for part in parts if part[1] < part[2]]
    for style, first, last in parts:
        lines += [
            f'  (* rom_style = "{style}" *)',
            f"  reg [{width - 1}:0] in_{style} [0:{last - first - 1}];",
            f"  reg [{width - 1}:0] q_{style} = 0;",
            f"  wire [{address - 1}:0] at_{style} = at - {address}'d{first};",
            "  initial begin",
            *(f"    in_{style}[{n}] = {width}'h{word:x};" for n, word in enumerate(words[first:last])),
            "  end",
            f"  always @(posedge clk) q_{style} <= in_{style}[at_{style}];",
        ]
    if len(parts) == 1:
        lines.append(f"  assign q = q_{parts[0][0]};")
    else:
        lines += [
            "  reg behind = 0;",
            f"  always @(posedge clk) behind <= at >= {address}'d{inside};",
            "  assign q = behind ? q_logic : q_block;",
        ]
    return "\n".join([*lines, "endmodule", ""])
