"""The rate of one network by itself, which nothing protects from the machine's drift: good for a unit only."""

import numpy as np

from eradio.interval import Interval
from eradio.profile.series import series_interval
from eradio.profile.target import Protocol
from eradio.profile.throughput import EARLY_LOOK, FEWEST_ROUNDS
from eradio.profile.undisturbed import logarithms, middle
from eradio.profile.warming import Clock, Run, timed, warm_up


def rate(run: Run, protocol: Protocol, *, clock: Clock, stopwatch: Clock) -> Interval:
    """Calls a second on the undisturbed machine, with their 95 % interval.

    Args:
        run: calls of the network.
        protocol: its bounds, and the half-width at which to stop.
        clock: elapsed seconds.
        stopwatch: seconds that a call is charged.
    """
    (seconds,), _ = warm_up([run], protocol.warm_up_seconds, protocol.block_seconds, clock=clock, stopwatch=stopwatch)
    calls = max(1, round(protocol.block_seconds / seconds))
    times: list[float] = []
    start = clock()
    for look in protocol.look_times():
        while clock() - start < look or len(times) < FEWEST_ROUNDS:
            times.append(timed(run, calls, stopwatch))
        last = clock() - start >= protocol.max_seconds
        taken, widening = np.array(times), 1.0 if last else EARLY_LOOK
        found = series_interval(logarithms(taken), middle(taken), widening).scaled(-1).exponential()
        if last or found.half_width() <= protocol.half_width:
            break
    return found
