"""Several processes that train one student, as torchrun starts them."""

import os
from collections.abc import Iterator, Mapping, Set
from contextlib import contextmanager
from datetime import timedelta

import torch
from torch import distributed

from eradio.distill.setting import Setting
from eradio.errors import EradioError

_PATIENCE = timedelta(hours=2)
"""Before the first step one process may ask the teachers much longer than another; one that died torchrun ends."""


@contextmanager
def joined(setting: Setting) -> Iterator[Setting]:
    """The setting of this process in its group; outside torchrun it is alone.

    On GPUs each process takes the one of its number on its host, and they speak by NCCL, elsewhere by gloo.
    """
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        yield setting
        return
    on_gpus = setting.device.startswith("cuda")
    if on_gpus:
        own, there = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
        if own >= there:
            raise EradioError(f"This host has {there} GPUs, too few for its process {own}. Start as many processes.")
        torch.cuda.set_device(own)
    distributed.init_process_group("nccl" if on_gpus else "gloo", timeout=_PATIENCE)
    try:
        yield Setting(setting.device, setting.micro_batch, setting.checkpointing, distributed.get_rank(), count)
    finally:
        distributed.destroy_process_group()


def sums_of(values: Mapping[str, float], names: list[str], device: str) -> dict[str, float]:
    """Sums over all processes, each of which may know some of the names; those that none knows are left out."""
    if not together():
        return dict(values)
    table = torch.zeros(2, len(names), dtype=torch.float64)
    for name, value in values.items():
        table[:, names.index(name)] = torch.tensor([value, 1.0])
    table = table.to(device)
    distributed.all_reduce(table)
    sums, known = table.tolist()
    return {name: value for name, value, count in zip(names, sums, known, strict=True) if count}


def union_of(names: Set[str]) -> set[str]:
    """What any of the processes knows; all of them must ask."""
    if not together():
        return set(names)
    known: list[Set[str]] = [set()] * distributed.get_world_size()
    distributed.all_gather_object(known, names)
    return set().union(*known)


def any_of(flag: bool, device: str) -> bool:
    """Whether it is set in any process; all of them must ask."""
    if not together():
        return flag
    table = torch.tensor([float(flag)], device=device)
    distributed.all_reduce(table)
    return bool(table.item())


def wait_for_all() -> None:
    """Go on when every process has come here."""
    if together():
        distributed.barrier()


def together() -> bool:
    """Whether this process is one of several."""
    return distributed.is_available() and distributed.is_initialized()
