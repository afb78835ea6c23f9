"""What a network is measured on, and how patiently."""

from typing import Self

from pydantic import Field, field_validator, model_validator

from eradio.description import Description
from eradio.errors import EradioError
from eradio.profile.engines import LISTINGS, engine_names
from eradio.profile.engines.base import Device, Precision


class Protocol(Description):
    """When a measurement may stop. Seconds are those of one network: several in one run take as many times longer."""

    half_width: float = Field(default=0.02, gt=0, lt=1)
    """Half-width of the ratio's 95 % interval, relative to the ratio, at which the measurement is settled."""
    min_seconds: float = Field(default=1.0, gt=0, le=3600)
    """Seconds before the first look at the interval."""
    max_seconds: float = Field(default=2.5, gt=0, le=3600)
    """Seconds after which an interval that is still too wide is reported as unsettled."""
    looks: int = Field(default=3, ge=1, le=32)
    """How many times the interval is looked at; the times are set in advance, evenly on a log scale."""
    warm_up_seconds: float = Field(default=0.5, ge=0, le=600)
    """Longest warm-up before the first call that counts."""
    block_seconds: float = Field(default=0.02, gt=0, le=10)
    """What the calls timed together should take, long beside the refilling of caches when networks take turns.

    A network whose one call takes longer has one call a block.
    """
    min_samples: int = Field(default=1, ge=1)
    """Pictures the candidate must have processed before any look, if there is time; MLPerf's offline scenario asks for
    24,576."""
    latency_calls: int = Field(default=1000, ge=1)
    """Single calls at batch 1 that are timed where latency is asked for, if there is time."""
    latency_seconds: float = Field(default=5.0, gt=0)
    """Longest time for them."""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.min_seconds > self.max_seconds:
            raise ValueError(f"min_seconds {self.min_seconds:g} is above max_seconds {self.max_seconds:g}; lower it")
        return self

    def look_times(self) -> tuple[float, ...]:
        """Seconds of measuring after which the interval is looked at, ascending."""
        if self.looks == 1:
            return (self.max_seconds,)
        growth = self.max_seconds / self.min_seconds
        return tuple(self.min_seconds * growth ** (look / (self.looks - 1)) for look in range(self.looks))


SEARCH = Protocol()
"""For a study, which measures thousands: 2 % asked for, 1 to 2.5 s a network."""

STANDARD = Protocol(half_width=0.01, min_seconds=4.0, max_seconds=20.0, looks=4, warm_up_seconds=2.0)
"""For `eradio profile`: 1 % asked for, 4 to 20 s a network."""

FINAL = Protocol(
    half_width=0.005,
    min_seconds=600.0,
    max_seconds=1200.0,
    looks=2,
    warm_up_seconds=10.0,
    block_seconds=0.05,
    min_samples=24_576,
    latency_calls=270_336,
    latency_seconds=1200.0,
)
"""For the networks of a final front: 0.5 % asked for, 600 to 1200 s a network, and if that time allows the 24,576
pictures of MLPerf Inference's offline scenario, and in single calls the 270,336 of its p99
(mlcommons/inference_policies, inference_rules.adoc)."""

_NAMED = {"search": SEARCH, "standard": STANDARD, "final": FINAL}


def protocol_named(name: str) -> Protocol:
    """SEARCH, STANDARD or FINAL by its name in small letters.

    Raises:
        EradioError: there is no such protocol.
    """
    if name not in _NAMED:
        raise EradioError(f"There is no protocol '{name}'; choose one of {', '.join(_NAMED)}.")
    return _NAMED[name]


MOST_PICTURES = 4096
"""In one call."""


class Target(Description):
    """Engine, device, precision, batch and resolution of a measurement, and its protocol."""

    engine: str = "openvino"
    device: Device = "cpu"
    precision: Precision = "fp32"
    batch: int = Field(default=8, ge=1, le=MOST_PICTURES)
    resolution: int = Field(default=64, ge=16, le=2048)
    threads: int = Field(default=1, ge=1, le=256)
    protocol: Protocol = Protocol()

    @field_validator("engine")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in engine_names():
            raise ValueError(f"no such engine; known engines are {', '.join(engine_names())}")
        return name

    @model_validator(mode="after")
    def _offered(self) -> Self:
        offers = LISTINGS[self.engine].offers
        if self.device not in offers:
            raise ValueError(f"engine '{self.engine}' runs on {' or '.join(offers)}, not on {self.device}")
        if self.precision not in offers[self.device]:
            has = ", ".join(offers[self.device])
            raise ValueError(f"engine '{self.engine}' has no {self.precision} on {self.device}; it has {has}")
        return self
