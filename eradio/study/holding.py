"""The trials that this worker holds: it beats for them, and notices when one is not its own any more."""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from optuna.study import Study
from optuna.trial import FrozenTrial, Trial

from eradio.search_space import Network
from eradio.study.lease import Clock, Lease, Owner, elapsed
from eradio.study.trials import LEASE, SECONDS, EndedError, note

Kind = Literal["candidate", "baseline", "finalist"]
Key = tuple[str, int]


@dataclass(frozen=True, eq=False)
class Claim:
    """One trial in this worker's hands.

    Attributes:
        number: the candidate's own, that of its first trial.
        attempt: 1 for the first.
        alone: whether it must not share the memory with others.
        folder: for its files.
    """

    kind: Kind
    study: Study
    trial: Trial
    number: int
    attempt: int
    name: str
    network: Network
    folder: Path
    alone: bool = False

    @property
    def key(self) -> Key:
        """Its trial, by study and number."""
        return self.study.study_name, self.trial.number


@dataclass
class _Hold:
    study: Study
    trial: FrozenTrial | Trial
    lease: Lease
    confirmed: float
    since: tuple[int, int] | None = None
    step: int = 0
    seconds: float = 0.0
    gone: bool = False


class Holding:
    """Trials in this worker's hands.

    Args:
        lease: seconds without a beat after which others may take a trial over.
        clock: in seconds; goes on while the process is paused.

    Attributes:
        owner: the name under which it holds them.
    """

    def __init__(self, lease: float, clock: Clock = elapsed) -> None:
        self.owner = Owner.this()
        self._lease = lease
        self._clock = clock
        self._held: dict[Key, _Hold] = {}

    def keys(self) -> set[Key]:
        """Of all that it holds."""
        return set(self._held)

    def take(self, study: Study, trial: FrozenTrial | Trial, attempt: int) -> None:
        """Write this worker's name into a trial that the storage has given it.

        Raises:
            EndedError: it has ended meanwhile.
        """
        key = study.study_name, trial.number
        first = Lease(owner=self.owner, attempt=attempt, beat=0)
        self._held[key] = _Hold(study, trial, first, self._clock())
        try:
            self._beat(key)
        except BaseException:
            self.drop(key)  # or it would be held for ever by a worker that does not know of it
            raise

    def drop(self, key: Key) -> None:
        """Hold a trial no more."""
        self._held.pop(key, None)

    def progress(self, key: Key, step: int, rung: int) -> None:
        """Note how far a trial is on its way to a rung; told with the next beat, but for where it was taken up."""
        hold = self._held.get(key)
        if hold is not None:
            hold.step = step
            if hold.since is None:
                hold.since = rung, step - 1
                with suppress(Exception):  # as for any beat
                    self._beat(key)

    def cost(self, key: Key, seconds: float) -> None:
        """Note what this attempt at a trial has cost; told with the next beat, so that a kill loses little."""
        hold = self._held.get(key)
        if hold is not None:
            hold.seconds = seconds

    def beat(self) -> None:
        """Give a sign of life in every trial; what the storage does not take now, it takes the next time."""
        for key in self.keys():
            with suppress(Exception):
                self._beat(key)

    def check(self, key: Key) -> None:
        """See to it that a trial is still this worker's.

        A worker that was paused for longer than its lease asks before it goes on. While the storage does not answer,
        nobody can take the trial over either.

        Raises:
            EndedError: somebody else has ended it.
        """
        hold = self._held.get(key)
        if hold is None or hold.gone:
            raise EndedError
        if self._clock() - hold.confirmed > self._lease:
            try:
                self._beat(key)
            except EndedError:
                raise
            except Exception:  # of whatever library the storage is reached by
                return

    def _beat(self, key: Key) -> None:
        hold = self._held.get(key)
        if hold is None:
            return
        rung, since = hold.since or (0, 0)
        now = {"beat": hold.lease.beat + 1, "step": hold.step, "rung": rung, "since": since}
        lease = hold.lease.model_copy(update=now)
        try:
            cost = {SECONDS: round(hold.seconds, 3)} if hold.seconds else {}
            note(hold.study, hold.trial, cost | {LEASE: lease.model_dump(mode="json")})
        except EndedError:
            hold.gone = True
            raise
        hold.lease = lease
        hold.confirmed = self._clock()
