"""Samplers of OptunaHub, by name: `hub:samplers/auto_sampler`, or with a class `hub:samplers/x:ClassName`.

A package is fetched once, into OptunaHub's own cache. Without a network, name a folder: either the package's own
(`hub:/shared/registry/samplers/x`), or in the environment variable ERADIO_HUB one in which names are looked up.
"""

import inspect
import os
from pathlib import Path
from types import ModuleType

from optuna.samplers import BaseSampler

from eradio.errors import EradioError

HUB = "hub:"
REGISTRY = "ERADIO_HUB"


class _RefusedError(Exception):
    """Why a package cannot be had, and what to do."""


def hub_sampler(kind: str) -> type[BaseSampler]:
    """The class of a sampler of OptunaHub, which can be made from a seed alone.

    Args:
        kind: `hub:`, the package's name or folder, and after another colon the class where a package has several.

    Raises:
        EradioError: OptunaHub is not installed or cannot be reached, or it has no such package or class.
    """
    package, _, name = kind.removeprefix(HUB).partition(":")
    try:
        found = _chosen(_module(package), package, name)
        _try(found)
    except _RefusedError as refusal:
        raise EradioError(f"The sampler '{kind}' cannot be used: {refusal}") from None
    return found


def _module(package: str) -> ModuleType:
    try:
        import optunahub
    except ImportError as error:
        raise _RefusedError(f"OptunaHub is missing ({error}). Install it with `pip install 'eradio[hub]'`.") from None
    registry = os.environ.get(REGISTRY)
    if package.startswith(("/", ".", "~")):
        folder = Path(package).expanduser().resolve()
        package, registry = folder.name, str(folder.parent)
    try:
        if registry:
            return optunahub.load_local_module(package, registry_root=str(Path(registry).expanduser()))
        return optunahub.load_module(package)
    except ModuleNotFoundError as error:
        raise _RefusedError(f"its package needs {error.name}. Install it with `pip install {error.name}`.") from None
    except FileNotFoundError:
        where = f"the folder {registry}" if registry else "OptunaHub"
        raise _RefusedError(f"{where} has no package '{package}'. Correct the name.") from None
    except Exception as error:  # whatever git, the network or the package's own code may raise
        if getattr(error, "status", None) == 404:
            raise _RefusedError(f"OptunaHub has no package '{package}'. Correct the name.") from None
        reason = next((line.strip() for line in reversed(str(error).splitlines()) if line.strip()), repr(error))
        raise _RefusedError(
            f"its package cannot be loaded ({reason.rstrip('.')}). "
            f"Check the network, or name a folder of packages in {REGISTRY}."
        ) from None


def _chosen(module: ModuleType, package: str, name: str) -> type[BaseSampler]:
    """The class that is asked for, or the only one."""
    names = getattr(module, "__all__", None) or [key for key in vars(module) if not key.startswith("_")]
    offered: dict[str, type[BaseSampler]] = {key: vars(module)[key] for key in names if _is_sampler(module, key)}
    if name in offered:
        return offered[name]
    if not offered:
        raise _RefusedError(f"the package '{package}' holds no sampler. Name another package.")
    if name or len(offered) > 1:
        some = ", ".join(f"{HUB}{package}:{key}" for key in sorted(offered))
        raise _RefusedError(f"the package '{package}' offers {some}. Use one of these.")
    return next(iter(offered.values()))


def _is_sampler(module: ModuleType, key: str) -> bool:
    """Whether a name means a sampler of the package's own, and not one it imports."""
    value = vars(module).get(key)
    return isinstance(value, type) and issubclass(value, BaseSampler) and value.__module__.startswith(module.__name__)


def _try(found: type[BaseSampler]) -> None:
    """Make one, to learn now and not at the first trial whether a seed is enough."""
    taken = inspect.signature(found).parameters.values()
    if not any(one.name == "seed" or one.kind is one.VAR_KEYWORD for one in taken):
        raise _RefusedError(f"{found.__name__} takes no seed, so its draws could not be repeated. Use another sampler.")
    try:
        found(seed=0)  # type: ignore[call-arg]
    except Exception as error:  # whatever the package's own code may raise
        raise _RefusedError(
            f"{found.__name__} cannot be made from a seed alone ({error}). Use another sampler."
        ) from None
