"""Verification of a finished build: a ladder from the trained model to the decoded bitstream.

Each rung compares two stages of the build by proof or by simulation; `verify` climbs it.
"""

from .ladder import verify as verify
from .rungs import LEVELS as LEVELS
from .rungs import Ladder as Ladder
from .rungs import Rung as Rung
