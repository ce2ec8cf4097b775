"""Processes that train one network together, as torchrun starts them, or the only one.

    torchrun --nproc-per-node 2 --no-python livecut train --data DIR -o DIR

Over several machines DATA and OUT are the same folders on each.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from livecut.errors import ConfigError
from livecut.network.base import torch_device

PATIENCE = timedelta(hours=1)
"""How long the others wait for the first process, which validates alone."""


@dataclass(frozen=True)
class Group:
    """One process among those that train."""

    rank: int
    count: int
    device: torch.device

    @property
    def first(self) -> bool:
        """Whether this one validates, logs and saves."""
        return self.rank == 0

    def share(self, batch: int) -> int:
        """How many pictures of a batch each process takes. Raises ConfigError for under two."""
        each, rest = divmod(batch, self.count)
        if rest or each < 2:
            raise ConfigError(
                f"a batch of {batch} cannot be shared by {self.count} processes; expected a "
                "multiple "
                f"of {self.count}, {2 * self.count} or more"
            )
        return each

    def synchronise_norms(self, network: nn.Module) -> None:
        """Let batch norms take their statistics over all processes, which torch can on CUDA alone.

        On the CPU each process normalises its own share; the first's running statistics are kept.
        """
        if self.count > 1 and self.device.type == "cuda":
            nn.SyncBatchNorm.convert_sync_batchnorm(network)  # type: ignore[no-untyped-call]

    def averaging(self, module: nn.Module) -> nn.Module:
        """The module with its gradients averaged over the processes."""
        if self.count == 1:
            return module
        devices = [self.device] if self.device.type == "cuda" else None
        return DistributedDataParallel(module, device_ids=devices)

    def mean(self, values: Tensor) -> Tensor:
        """The mean over the processes, in place; all of them must call it."""
        if self.count > 1:
            dist.all_reduce(values)
            values /= self.count
        return values

    def wait(self) -> None:
        """Until all processes have come here: what the first saved can then be read."""
        if self.count > 1:
            dist.barrier()


@contextlib.contextmanager
def process_group(device: str) -> Iterator[Group]:
    """Join the processes that torchrun started: gloo on the CPU, NCCL on CUDA, each its own GPU.

    Without torchrun it is a group of one. Raises EngineError where a named GPU cannot be had.
    """
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        yield Group(0, 1, torch_device(device))
        return
    if device in ("auto", "cuda") and torch.cuda.is_available():
        device = f"cuda:{os.environ['LOCAL_RANK']}"
    own = torch_device(device)
    if own.type == "cuda":
        torch.cuda.set_device(own)
    dist.init_process_group("nccl" if own.type == "cuda" else "gloo", timeout=PATIENCE)
    try:
        yield Group(dist.get_rank(), count, own)
    finally:
        dist.destroy_process_group()
