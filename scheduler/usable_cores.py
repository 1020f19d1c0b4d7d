"""Processor cores that this process may use: containers and `taskset` often allow fewer than there are."""

from __future__ import annotations

import os


def usable_cores() -> frozenset[int]:
    """Their numbers."""
    if hasattr(os, "sched_getaffinity"):
        return frozenset(os.sched_getaffinity(0))
    return frozenset(range(os.cpu_count() or 1))
