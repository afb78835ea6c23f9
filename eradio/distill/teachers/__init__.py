"""Teachers: open_clip, timm and segment_anything models behind one frozen interface."""

from eradio.distill.teachers.base import Teacher
from eradio.distill.teachers.clip import ClipTeacher
from eradio.distill.teachers.dino import DinoTeacher
from eradio.distill.teachers.load import load_teacher
from eradio.distill.teachers.sam import SamTeacher
from eradio.distill.teachers.spec import KINDS, TeacherSpec, shipped

__all__ = [
    "KINDS",
    "ClipTeacher",
    "DinoTeacher",
    "SamTeacher",
    "Teacher",
    "TeacherSpec",
    "load_teacher",
    "shipped",
]
