"""The hard memory limit of a worker: the kernel's, because DuckDB's own does not bound every allocation."""

from __future__ import annotations

import resource
from pathlib import Path


def limit_growth(growth_bytes: int) -> None:
    """Let this process' private memory grow by at most so much from now on.

    RLIMIT_DATA, not the address space: a heap is counted, a mapped file is not. At the bound an allocation fails with
    MemoryError, which ends the execution as `engine.out_of_memory` and no other.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    wanted = _data_bytes() + growth_bytes
    soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def _data_bytes() -> int:
    # Field 6 of statm: data and stack, in pages. Source: proc(5).
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[5])
    return pages * resource.getpagesize()
