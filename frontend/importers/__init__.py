"""Other people's trained networks as lgc checkpoints, bit for bit; `docs/import.md` lists the formats.

Every reader turns a file into a `Foreign`: wiring and truth tables layer by layer, and what the file says
of its inputs. `assemble` puts the thermometer in front and gives an ordinary checkpoint.
"""

from __future__ import annotations

from .formats import FORMATS, detect, read
from .network import Foreign, Options, assemble

__all__ = ["FORMATS", "Foreign", "Options", "assemble", "detect", "read"]
