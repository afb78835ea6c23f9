"""Machines that exist only as clocks: what disturbs a measurement, drawn at random from a documented family.

A machine has two networks, a candidate and a canary, and a clock that only their calls move. All it does to a call
it does in proportion to the time the call takes, since interruptions do not know whose calls they hit; only white and
private noise are a network's own, and those are symmetric in the logarithm. One kind is different: its slow state slows
the two networks down unequally, as a neighbour on the same core does. The truth is the ratio of the undisturbed calls.
Every machine has white noise; its kind says what else.
"""

import math
from dataclasses import dataclass, field

import numpy as np

from eradio.profile.target import Protocol
from eradio.profile.throughput import Reading, Watch, compare

KINDS = ("white", "skewed", "drift", "spikes", "throttling", "shared wander", "private wander", "everything", "states")


@dataclass
class Wander:
    """Log-slowness that is autocorrelated in time: a stationary Ornstein-Uhlenbeck process, AR(1) at equal steps."""

    random: np.random.Generator
    deviation: float
    """Standard deviation of the logarithm."""
    memory: float
    """Seconds after which the autocorrelation has fallen to 1/e."""
    level: float = 0.0

    def __post_init__(self) -> None:
        self.level = self.deviation * float(self.random.standard_normal())

    def over(self, seconds: float) -> float:
        """Mean over the next `seconds`, drawn jointly with where it ends (Gillespie, Phys. Rev. E 54, 1996)."""
        steps = seconds / self.memory
        left = math.exp(-steps)
        end_variance = -math.expm1(-2 * steps)
        both = (1 - left) ** 2
        area_variance = max(0.0, 2 * steps - 3 + 4 * left - left * left)
        first, second = self.random.standard_normal(2)
        end = math.sqrt(end_variance) * first
        area = both / math.sqrt(end_variance) * first
        area += math.sqrt(max(0.0, area_variance - both * both / end_variance)) * second
        mean = self.level * (1 - left) / steps + self.deviation * area / steps
        self.level = self.level * left + self.deviation * end
        return float(mean)


@dataclass
class Machine:
    """A clock and two networks. Times in seconds, noise as standard deviation of the logarithm."""

    random: np.random.Generator
    candidate_seconds: float
    canary_seconds: float
    white: float = 0.0
    """Of one block of the canary."""
    louder: float = 1.0
    """The same of the candidate, over that."""
    extra: float = 0.0
    """Skewed noise: every `quantum` of work costs an exponential extra, on average this share of it."""
    quantum: float = 0.001
    drift: float = 0.0
    """Amplitude of a slow wave of the logarithm of the slowness, of `period` seconds."""
    period: float = 10.0
    spikes: float = 0.0
    """Interruptions a second, exponential with a mean of `spike_seconds`."""
    spike_seconds: float = 0.01
    throttle: float = 1.0
    """Slowness while throttled; throttling comes and goes after exponential times with a mean of `hold` seconds."""
    hold: float = 1.0
    slow_share: float = 0.5
    """Of the time that is throttled; unthrottled stretches are then shorter or longer than `hold`."""
    unlike: float = 1.0
    """Slowness of the canary while throttled over that of the candidate."""
    shared: Wander | None = None
    private: tuple[Wander, Wander] | None = None
    neighbours: float = 0.0
    """Seconds that other processes take on average around every block: they elapse, but nobody is charged."""
    usual: float = math.nan
    """Seconds of one undisturbed call of the canary as a store has them, a little off."""
    now: float = 0.0
    stolen: float = 0.0
    _throttled: bool = field(default=False, init=False)
    _turn: float = field(default=0.0, init=False)
    _phase: float = field(default=0.0, init=False)
    _seen: list[float] = field(default_factory=lambda: [0.0, 0.0], init=False)

    def __post_init__(self) -> None:
        self._phase = float(self.random.uniform(0, 2 * math.pi))
        self._turn = float(self.random.exponential(self.hold))

    @property
    def truth(self) -> float:
        """Throughput of the undisturbed candidate over the undisturbed canary's."""
        return self.canary_seconds / self.candidate_seconds

    def clock(self) -> float:
        """Elapsed seconds."""
        return self.now

    def stopwatch(self) -> float:
        """Seconds that are charged."""
        return self.now - self.stolen

    def candidate(self, calls: int) -> None:
        """Calls of the candidate in a row."""
        self._run(0, calls * self.candidate_seconds)

    def canary(self, calls: int) -> None:
        """Calls of the canary in a row."""
        self._run(1, calls * self.canary_seconds)

    def _run(self, who: int, work: float) -> None:
        random = self.random
        slowness = self.white * (1.0 if who else self.louder) * float(random.standard_normal())
        if self.drift:
            slowness += self.drift * math.sin(self._phase + 2 * math.pi * (self.now + work / 2) / self.period)
        if self.shared is not None:
            slowness += self.shared.over(work)
        if self.private is not None:
            own = self.private[who]
            if self.now > self._seen[who]:
                own.over(self.now - self._seen[who])
            slowness += own.over(work)
        taken = work * math.exp(slowness) * self._throttling(work, self.throttle * (self.unlike if who else 1.0))
        if self.extra:
            taken += self.extra * self.quantum * float(random.gamma(work / self.quantum))
        if self.spikes:
            hits = int(random.poisson(self.spikes * taken))
            taken += self.spike_seconds * float(random.gamma(hits)) if hits else 0.0
        if self.neighbours:
            turn = float(random.exponential(self.neighbours))
            self.stolen += turn
            taken += turn
        self.now += taken
        self._seen[who] = self.now

    def _throttling(self, work: float, throttle: float) -> float:
        """Mean slowness over the next `work` seconds, given that while throttled."""
        if self.throttle == 1.0:
            return 1.0
        slow, at, end = 0.0, self.now, self.now + work
        while at < end:
            while self._turn <= at:
                self._throttled = not self._throttled
                mean = self.hold if self._throttled else self.hold * (1 - self.slow_share) / self.slow_share
                self._turn += float(self.random.exponential(mean))
            until = min(end, self._turn)
            slow += (until - at) * (throttle if self._throttled else 1.0)
            at = until
        return slow / work


def measured(machine: Machine, protocol: Protocol, watch: Watch | None = None) -> Reading:
    """The protocol's reading of a machine's candidate."""
    (reading,) = compare(
        [machine.candidate],
        machine.canary,
        protocol,
        clock=machine.clock,
        stopwatch=machine.stopwatch,
        usual=machine.usual,
        watch=watch,
    )
    return reading


def draw(kind: str, seed: int) -> Machine:
    """A machine of one of `KINDS`; everything about it is a function of the kind and the seed."""
    random = np.random.default_rng([KINDS.index(kind), seed])

    def between(low: float, high: float) -> float:
        return float(np.exp(random.uniform(np.log(low), np.log(high))))

    def has(which: str) -> bool:
        return kind == which or (kind == "everything" and bool(random.random() < 0.5))

    candidate = canary = 0.0
    while not 2e-4 <= canary <= 1.0:
        candidate = between(2e-4, 1.0)
        canary = candidate * between(0.05, 20.0)
    machine = Machine(random, candidate, canary, white=between(0.002, 0.1))
    if has("skewed"):
        machine.extra, machine.quantum = between(0.02, 0.3), between(1e-4, 0.02)
    if has("drift"):
        machine.drift, machine.period = float(random.uniform(0, math.log(1.5))), between(0.5, 100.0)
    if has("spikes"):
        machine.spikes, machine.spike_seconds = between(0.1, 5.0), between(0.001, 0.03)
    if has("throttling"):
        machine.throttle, machine.hold = between(1.2, 2.0), between(0.3, 10.0)
    if has("shared wander"):
        machine.shared = Wander(random, between(0.01, 0.2), between(0.002, 1.0))
    if has("private wander"):
        memory = between(0.002, 0.1)
        machine.private = (Wander(random, between(0.005, 0.05), memory), Wander(random, between(0.005, 0.05), memory))
    if kind == "states":
        machine.throttle, machine.hold, machine.unlike = between(1.2, 1.7), between(0.01, 2.0), between(0.75, 1.35)
        machine.slow_share, machine.louder = float(random.uniform(0.1, 0.9)), between(0.5, 2.0)
        machine.white = between(0.002, 0.03)
    machine.usual = machine.canary_seconds * (1 + machine.extra) * float(random.lognormal(0, 0.02))
    return machine
