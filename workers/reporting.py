"""What a worker says about itself in the table that `vaeval status` shows: who, where, on what, alive or gone."""

from __future__ import annotations

import importlib.metadata
import logging
import platform
import socket
from collections.abc import Iterable

import psutil

from scheduler.store.base import WorkStore
from vaeval_core.errors import ServiceUnreachable
from workers.device_pinning import Device, SlotPlan

_LOG = logging.getLogger(__name__)

_PACKAGES = ("vaeval", "keras", "tensorflow", "numpy")


def report_alive(work: WorkStore, worker: str, *, pid: int, plan: SlotPlan) -> None:
    """Register the worker, or say that it is still there.

    Raises:
        ServiceUnreachable: The database does not answer.
    """
    work.report_worker(
        worker,
        host=socket.gethostname(),
        pid=pid,
        device=plan.device.label,
        threads=plan.threads,
        versions=_versions(),
        memory_bytes=_memory_of(plan.device),
    )


def retire(work: WorkStore, workers: Iterable[str]) -> None:
    """Say that the workers have stopped in good order; if nobody listens, their silence will say so soon."""
    try:
        for worker in workers:
            work.retire_worker(worker)
    except ServiceUnreachable as error:
        _LOG.warning("workers_not_retired", extra={"reason": str(error)})


def _memory_of(device: Device) -> int | None:
    """Of the GPU, or of the machine; that of a container may be less."""
    return device.memory_bytes if device.uuid is not None else int(psutil.virtual_memory().total)


def _versions() -> dict[str, str]:
    """Versions of what computes, read without importing it."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
