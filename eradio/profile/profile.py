"""The record of `eradio profile`: what was measured, how sure it is, why it is so, and how to do it again."""

from typing import Any, Literal

from eradio.description import Description
from eradio.profile.explanation import Explanation
from eradio.profile.memory import LargestBatch
from eradio.profile.ranking import Rank
from eradio.profile.record import Measurement


class Profiled(Description):
    """One network on one target."""

    name: str
    source: str
    """Where its weights come from."""
    measurement: Measurement
    rank: Rank
    """Among the networks measured in the same run."""
    explanation: Explanation | None


class Profile(Description):
    """Everything one command found. Its JSON schema is docs/profile.schema.json."""

    version: Literal[2] = 2
    """Of this schema; raised when a field changes its meaning or goes."""
    command: str
    """What repeats it."""
    made_at: str
    """UTC, ISO 8601."""
    engine_choice: str
    """Why `auto` picked this engine and device; empty where the user did."""
    environment: dict[str, Any]
    """Hardware, driver and library versions."""
    cpu_mhz: float | None
    """Clock of the processors at the end, where the system tells."""
    calibration: str | None
    """Which pictures int8 was calibrated on; None in other precisions."""
    networks: tuple[Profiled, ...]
    """Target by target, in the order of the command."""
    largest_batch: dict[str, LargestBatch]
    """By network, where it was asked for: the largest batch that really ran in the memory that was free."""
