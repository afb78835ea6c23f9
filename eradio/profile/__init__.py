"""What a network costs: throughput as an interval with a verdict, and its complexity on paper."""

from eradio.profile.command import default_canary_folder, profile_command
from eradio.profile.complexity import Complexity, complexity
from eradio.profile.measuring import calibrate, measure, measure_module
from eradio.profile.record import Measurement, identity
from eradio.profile.table import as_json, table
from eradio.profile.target import Protocol, Target

__all__ = [
    "Complexity",
    "Measurement",
    "Protocol",
    "Target",
    "as_json",
    "calibrate",
    "complexity",
    "default_canary_folder",
    "identity",
    "measure",
    "measure_module",
    "profile_command",
    "table",
]
