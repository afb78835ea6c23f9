"""What a network costs: throughput as an interval with a verdict, and why it is what it is."""

from eradio.profile.command import profile_command
from eradio.profile.complexity import Complexity, complexity
from eradio.profile.measuring import Watch, calibrate, measure, measure_all
from eradio.profile.profile import Profile, Profiled
from eradio.profile.record import Measurement, identity
from eradio.profile.subject import Subject, subject_of
from eradio.profile.target import Protocol, Target, protocol_named

__all__ = [
    "Complexity",
    "Measurement",
    "Profile",
    "Profiled",
    "Protocol",
    "Subject",
    "Target",
    "Watch",
    "calibrate",
    "complexity",
    "identity",
    "measure",
    "measure_all",
    "profile_command",
    "protocol_named",
    "subject_of",
]
