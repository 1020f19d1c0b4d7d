"""What there is to do and how long it will take, said before a long wait, with the ground on which it is said."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cli.number_formats import count, duration, rate
from scheduler.usable_cores import usable_cores

if TYPE_CHECKING:
    from scheduler.store.base import Progress

CPU_IMAGES_PER_SECOND = 8.0
"""InceptionV3 at 299 × 299 in float32 on one CPU core, measured on a 2-core x86 machine: what is assumed before this
installation has measured its own rate."""


def forecast_here(
    progress: Progress, measured: float | None, extractor: str, *, workers: int | None, cores: int | None = None
) -> str:
    """A sentence about work on this machine, for workers that are about to start.

    Args:
        progress: Of the evaluations to be done.
        measured: Images per second and worker of recent shards with this feature network; None before any.
        extractor: Name of the feature network; a rate is assumed for InceptionV3 only.
        workers: How many will work; None where only the worker program will find out.
        cores: CPU cores; by default those that this process may use.
    """
    left = _left(progress)
    if measured is not None:
        ground = f"at {rate(measured)} per worker as in recent shards here"
        if workers is None:
            return f"{_work(left)}: {_about(left / measured)} for one worker, {ground}; workers share the work."
        return f"{_work(left)}: {_about(left / (measured * workers))}, {ground}."
    if not extractor.startswith("inception-v3"):
        return f"{_work(left)}."
    cores = cores or len(usable_cores())
    return (
        f"{_work(left)}: {_about(left / (CPU_IMAGES_PER_SECOND * cores))} on {count(cores, 'CPU core')}, much less with a"
        f" GPU. An assumption ({rate(CPU_IMAGES_PER_SECOND)} on a core): nothing has been measured here yet."
    )


def forecast_of_service(progress: Progress, measured: float | None, extractor: str, *, alive: int) -> str:
    """A sentence about work that is handed to workers elsewhere.

    Args:
        progress: Of the evaluations to be done.
        measured: Images per second and worker of recent shards with this feature network; None before any.
        extractor: Name of the feature network.
        alive: How many workers are running.
    """
    left = _left(progress)
    if not alive:
        by_one = "" if measured is None else f", {_about(left / measured)} for one worker"
        return f"{_work(left)}{by_one}. No worker is running; start one: vaeval worker"
    running = f"{count(alive, 'worker')} {'is' if alive == 1 else 'are'} running"
    if measured is None:
        return (
            f"{_work(left)}; {running}. How long it will take is not known: no shard with {extractor} is finished yet."
        )
    return (
        f"{_work(left)}: {_about(left / (measured * alive))} if nothing else is to be done; {running}, at {rate(measured)}"
        " each as in recent shards."
    )


def _left(progress: Progress) -> int:
    return progress.images_total - progress.images_done


def _work(left: int) -> str:
    return f"{count(left, 'image')} to go through the feature network"


def _about(seconds: float) -> str:
    return f"about {duration(seconds)}" if seconds >= 1 else duration(seconds)
