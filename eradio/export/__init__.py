"""Trained networks leave here: found on the disk, and written for other programs."""

from eradio.export.formats import FORMATS, export
from eradio.export.trained import Trained, find_trained

__all__ = ["FORMATS", "Trained", "export", "find_trained"]
