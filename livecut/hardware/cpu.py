"""The CPU: its name, the threads that a network gets, and the arithmetic that is fast on it."""

from __future__ import annotations

import os
import platform
from functools import cache
from pathlib import Path

VNNI = ("avx512vnni", "avxvnni", "dotprod")
"""Instructions that sum products of bytes without overflow, by LLVM's names; the last is ARM's."""
BFLOAT16 = ("avx512bf16", "amx-bf16")
"""Instructions that multiply bfloat16."""


@cache
def features() -> frozenset[str]:
    """The instruction sets that the CPU and the system offer, by LLVM's names."""
    from llvmlite.binding import get_host_cpu_features

    return frozenset(name for name, offered in get_host_cpu_features().items() if offered)


def multiplies_bytes() -> bool:
    """Whether the CPU sums products of bytes without overflow (VNNI), as int8 networks need."""
    return not features().isdisjoint(VNNI)


def multiplies_bfloat16() -> bool:
    """Whether the CPU has instructions for bfloat16."""
    return not features().isdisjoint(BFLOAT16)


def default_threads() -> int:
    """Threads for the network: half of the cores, at most 4; the rest is for the picture."""
    return max(1, min(4, (os.cpu_count() or 1) // 2))


@cache
def name() -> str:
    """The CPU's name as its maker writes it, or the system's word for it."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                return value.strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


@cache
def fingerprint() -> str:
    """The CPU's name, number of cores and instruction sets: what compiled networks depend on."""
    return "\n".join([name(), str(os.cpu_count()), *sorted(features())])
