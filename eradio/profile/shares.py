"""Where the time of a call goes: stage by stage, and kind by kind of block, with PyTorch calling one at a time."""

import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from eradio.description import Description
from eradio.profile.engines.eager import torch_threads

_ROUNDS = 7
_LEAST = 0.0005
"""Smaller shares are those of modules that do nothing in eval mode."""

_CONTAINERS = ("Sequential", "ModuleList", "Level", "Stage", "Layer", "FeatureListNet", "FeatureHooksNet")
"""Ends of the names of classes that only hold blocks."""


class Share(Description):
    """A part of a network and its share of one call."""

    name: str
    share: float
    """Of 1, over one call in eager PyTorch."""


class Shares(Description):
    """Two accounts of the same calls; each adds up to 1 but for what is too little to tell."""

    stages: tuple[Share, ...]
    """In the order of the network; what lies between the parts is called so."""
    kinds: tuple[Share, ...]
    """By kind of block, the largest first."""


def shares(module: nn.Module, pictures: Tensor, threads: int) -> Shares:
    """Time the parts of a network: the medians of a few calls, each part's share taken call by call.

    An engine that merges operations spends its time otherwise; this says what the network asks for.

    Args:
        module: in eval mode, on the device of the pictures.
        pictures: [B, 3, H, W].
        threads: CPU threads of a call.
    """
    root = _inner(module)
    parts = _fired(module, pictures, _parts(root))
    blocks = _fired(module, pictures, [(_kind(part), part) for part in _blocks(parts)])
    with torch_threads(threads):
        stages = _timed(module, pictures, parts, threads)
        kinds = _timed(module, pictures, blocks, threads)
    return Shares(
        stages=tuple(Share(name=name, share=share) for name, share in stages.items()),
        kinds=tuple(Share(name=name, share=share) for name, share in sorted(kinds.items(), key=lambda one: -one[1])),
    )


Named = tuple[str, nn.Module]


def _inner(module: nn.Module) -> nn.Module:
    """The network inside what only wraps it: descend while one child holds every parameter."""
    while True:
        holding = [child for child in module.children() if any(True for _ in child.parameters())]
        if len(holding) != 1 or any(True for _ in module.parameters(recurse=False)):
            return module
        if isinstance(module, nn.Sequential | nn.ModuleList):
            return module
        module = holding[0]


def _parts(root: nn.Module) -> list[Named]:
    """Children by name; lists are opened, as nobody calls them."""
    found: list[Named] = []
    for name, child in root.named_children():
        if isinstance(child, nn.ModuleList):
            what = "stage" if name == "levels" else name
            found += [(f"{what} {place}", part) for place, part in enumerate(child)]
        else:
            found.append((name, child))
    return found or [(type(root).__name__, root)]


def _blocks(parts: Sequence[Named]) -> list[nn.Module]:
    """What the parts are built of: containers are opened until something computes."""
    found: list[nn.Module] = []
    for _, part in parts:
        inside = list(part.children())
        found += _blocks([("", child) for child in inside]) if inside and _holds(part) else [part]
    return found


def _holds(part: nn.Module) -> bool:
    return type(part).__name__.endswith(_CONTAINERS)


def _kind(part: nn.Module) -> str:
    """What a block calls itself, else its class."""
    kind = getattr(part, "kind", None)
    return kind if isinstance(kind, str) else type(part).__name__


@torch.inference_mode()
def _fired(module: nn.Module, pictures: Tensor, parts: Iterable[Named]) -> list[Named]:
    """The parts that are called; one that is looped over instead gives way to its children."""
    called: set[int] = set()
    with ExitStack() as hooks:
        for part in module.modules():
            hooks.callback(part.register_forward_hook(lambda part, *_: called.add(id(part))).remove)
        module(pictures[:1])

    def opened(name: str, part: nn.Module) -> list[Named]:
        if id(part) in called:
            return [(name, part)]
        return [one for child_name, child in part.named_children() for one in opened(f"{name}.{child_name}", child)]

    return [one for name, part in parts for one in opened(name, part)]


@torch.inference_mode()
def _timed(module: nn.Module, pictures: Tensor, parts: Sequence[Named], threads: int) -> dict[str, float]:
    """Median share of each name over a few calls, brought to a sum of 1."""
    stopwatch = time.process_time if threads == 1 and not pictures.is_cuda else time.perf_counter

    def now() -> float:
        if pictures.is_cuda:
            torch.cuda.synchronize()
        return stopwatch()

    began: dict[int, float] = {}
    spent: dict[str, float] = defaultdict(float)

    def enter(part: nn.Module, _: object) -> None:
        began[id(part)] = now()

    def leave(name: str, part: nn.Module, _: object, __: object) -> None:
        spent[name] += now() - began[id(part)]

    rounds: list[dict[str, float]] = []
    with ExitStack() as hooks:
        for name, part in parts:
            hooks.callback(part.register_forward_pre_hook(enter).remove)
            hooks.callback(part.register_forward_hook(partial(leave, name)).remove)
        module(pictures)
        for _ in range(_ROUNDS):
            spent.clear()
            start = now()
            module(pictures)
            whole = now() - start
            rounds.append({name: seconds / whole for name, seconds in spent.items()})
    names = dict.fromkeys(name for name, _ in parts)
    middles = {name: float(np.median([one.get(name, 0.0) for one in rounds])) for name in names}
    middles["between"] = max(0.0, 1 - sum(middles.values()))
    total = sum(middles.values())
    return {name: share / total for name, share in middles.items() if share >= _LEAST}
