"""The engines by name. An engine's library is imported only when the engine is asked for."""

from collections.abc import Callable

from eradio.errors import EradioError
from eradio.profile.engines.base import Engine


def _eager() -> Engine:
    from eradio.profile.engines.eager import Eager

    return Eager()


def _openvino() -> Engine:
    from eradio.profile.engines.openvino import OpenVino

    return OpenVino()


_ENGINES: dict[str, tuple[Callable[[], Engine], str]] = {
    "eager": (_eager, "pip install torch"),
    "openvino": (_openvino, "pip install openvino"),
}


def engine_names() -> tuple[str, ...]:
    """Every engine's name, in alphabetical order."""
    return tuple(sorted(_ENGINES))


def load_engine(name: str) -> Engine:
    """The engine of that name.

    Raises:
        EradioError: there is no such engine, or its library is not installed.
    """
    if name not in _ENGINES:
        raise EradioError(f"There is no engine '{name}'. Choose one of {', '.join(engine_names())}.")
    load, install = _ENGINES[name]
    try:
        return load()
    except ImportError as error:
        raise EradioError(
            f"Engine '{name}' needs a library that cannot be imported ({error}). Run: {install}"
        ) from None
