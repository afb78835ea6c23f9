"""Which network a user means: a name, a file, a trial, a checkpoint, a teacher, or a function of their own."""

from eradio.subjects.find import find
from eradio.subjects.pictures import calibration_pictures

__all__ = ["calibration_pictures", "find"]
