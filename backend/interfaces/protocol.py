"""What travels over UART and SPI: commands, answers and the checksum, for hardware and host alike."""

from __future__ import annotations

from enum import IntEnum, IntFlag

import numpy as np

POLYNOMIAL = 0x8C
"""CRC-8/MAXIM-DOW, bit-reversed: x**8 + x**5 + x**4 + 1, lowest bit first, from 0."""


DRIVEN = ("flash_cs_n", "flash_sck", "flash_mosi")
"""Pins to a flash that the design drives."""

SAMPLED = "flash_miso"
"""The pin that the flash drives."""


class Command(IntEnum):
    """First byte of a request."""

    CLASS = 0x01
    SCORES = 0x02


class SpiCommand(IntEnum):
    """First byte of a transaction over SPI."""

    STATUS = 0x00
    CLASS = 0x01
    SCORES = 0x02
    LOAD = 0x10


class SpiStatus(IntFlag):
    """What comes back while the command is sent."""

    RESULT = 1
    FAILED = 2
    BUSY = 4


class Answer(IntEnum):
    """First byte of an answer: the command that it answers, or what was wrong with a request."""

    CLASS = 0x01
    SCORES = 0x02
    BAD_COMMAND = 0xE0
    BAD_CHECKSUM = 0xE1
    TRUNCATED = 0xE2
    OVERRUN = 0xE3
    BAD_BYTE = 0xE4


REASON = {
    Answer.BAD_COMMAND: "it knows no such command",
    Answer.BAD_CHECKSUM: "the checksum was wrong",
    Answer.TRUNCATED: "the frame broke off",
    Answer.OVERRUN: "bytes came faster than it could take them",
    Answer.BAD_BYTE: "a byte had no stop bit",
}
"""What the answers that report an error mean."""


def _table() -> bytes:
    values = np.arange(256)
    for _ in range(8):
        values = (values >> 1) ^ np.where(values & 1, POLYNOMIAL, 0)
    return bytes(values.tolist())


_TABLE = _table()


def crc8(data: bytes) -> int:
    """CRC-8/MAXIM-DOW of some bytes; 0 over bytes that end with their own checksum."""
    crc = 0
    for byte in data:
        crc = _TABLE[crc ^ byte]
    return crc
