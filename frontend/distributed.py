"""Training in several processes, on one machine or more, as `torchrun` starts them.

Every process holds the whole network and the whole data set and computes the gradient of its share of
each batch; gradients are summed and every process takes the same step. gloo's sum has a fixed order
for a given number of processes, so a run is as repeatable as on one. Only the first process writes.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeVar, cast

import torch
import torch.distributed as dist
from torch import Tensor

from lgc.errors import LgcError

_T = TypeVar("_T")


@dataclass(frozen=True)
class Team:
    """The processes of a run.

    Attributes:
        rank: of this process, from 0.
        size: processes; 1 needs nobody.
    """

    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        """Whether this process writes files and talks."""
        return self.rank == 0

    def share(self, samples: int) -> slice:
        """Return this process' part of a batch."""
        return slice(samples * self.rank // self.size, samples * (self.rank + 1) // self.size)

    def add(self, tensors: Sequence[Tensor]) -> None:
        """Replace each tensor by its sum over all processes."""
        if self.size == 1 or not tensors:
            return
        flat = torch.cat([tensor.detach().reshape(-1).to(torch.float32) for tensor in tensors])
        dist.all_reduce(flat)
        at = 0
        for tensor in tensors:
            tensor.copy_(flat[at : at + tensor.numel()].view_as(tensor))
            at += tensor.numel()

    def from_leader(self, work: Callable[[], _T]) -> _T:
        """Do `work` in the first process alone and return its result, or raise its error, in all."""
        if self.size == 1:
            return work()
        box: list[Any] = [None, None]
        if self.leads:
            try:
                box[0] = work()
            except LgcError as error:
                box[1] = error
        dist.broadcast_object_list(box)
        if box[1] is not None:
            raise box[1]
        return cast(_T, box[0])


def rank() -> int:
    """Return this process' number among those that `torchrun` started, 0 if it did not."""
    return int(os.environ.get("RANK", "0"))


@contextmanager
def team() -> Iterator[Team]:
    """Join the processes that `torchrun` started (WORLD_SIZE, RANK and so on), if any.

    Processes on one machine divide its cores, since the kernels of each use all they may.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield Team()
        return
    _divide_cores(int(os.environ.get("LOCAL_RANK", "0")), int(os.environ.get("LOCAL_WORLD_SIZE", "1")))
    joined = dist.is_initialized()
    if not joined:
        # Its functions keep the group of the moment as a default: imported later (by the optimizers) they
        # would keep gloo's threads alive to the end, where one that frees a tensor aborts the process.
        importlib.import_module("torch.distributed.nn.functional")
        dist.init_process_group("gloo")
    try:
        yield Team(dist.get_rank(), dist.get_world_size())
    finally:
        if not joined:
            dist.destroy_process_group()


@cache
def _divide_cores(local: int, processes: int) -> None:
    if hasattr(os, "sched_setaffinity"):
        mine = sorted(os.sched_getaffinity(0))[local::processes]
        if mine and processes > 1:
            os.sched_setaffinity(0, mine)
