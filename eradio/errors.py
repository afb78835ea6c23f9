"""The one exception whose text is meant for the user."""


class EradioError(Exception):
    """Something the user can mend.

    The text is one sentence or two: what was wrong, where, and what to do. The command line prints it as it
    stands, without a traceback, and exits with a non-zero status.
    """


class NetworkError(EradioError):
    """A network does not take what it is given, or cannot be built: its own failure, and no other network's."""


class MachineError(EradioError):
    """The machine refused (no room, no permission, a lock that is not given back): no network is to blame."""


def networks_own(error: Exception) -> bool:
    """Whether what went wrong while teaching is the network's failure, so that all else goes on without it."""
    return isinstance(error, NetworkError) or not isinstance(error, EradioError | OSError)
