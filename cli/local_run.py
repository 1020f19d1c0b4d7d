"""Evaluate on this machine: register, ring, start workers, show progress, stop them. What `run` and `demo` share."""

from __future__ import annotations

import os
import signal
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import TYPE_CHECKING

from cli import rendering
from cli.local_workers import LocalWorkers, inline_command, local_workers, worker_command
from cli.number_formats import count, duration, rate
from cli.progress import progress_display, wait_until_over
from vaeval_core.errors import InvalidInput

if TYPE_CHECKING:
    from scheduler.composition import Application
    from scheduler.store.base import EvaluationRecord, EvaluationRequest, Progress, SubmissionReceipt
    from vaeval_core.images.base import ImageSet

CPU_IMAGES_PER_SECOND = 8.0
"""InceptionV3 at 299 × 299 in float32 on one CPU core, measured on a 2-core x86 machine: what is assumed before this
installation has measured its own rate."""


@dataclass(frozen=True, kw_only=True)
class Crew:
    """Who works.

    Attributes:
        devices: As `vaeval worker --devices`.
        workers: Worker processes; None for the worker program's own choice.
        threads: CPU threads of each; None likewise.
        inline: One process without a broker.

    Raises:
        InvalidInput: Several workers inline.
    """

    devices: str = "auto"
    workers: int | None = None
    threads: int | None = None
    inline: bool = False

    def __post_init__(self) -> None:
        if self.inline and (self.workers or 1) > 1:
            raise InvalidInput(
                "--inline is one worker.",
                received=f"--inline --workers {self.workers}",
                expected="--inline alone, or --workers without it",
            )


def evaluate_here(
    application: Application, images: ImageSet, requests: Sequence[EvaluationRequest], crew: Crew
) -> tuple[SubmissionReceipt, tuple[EvaluationRecord, ...]]:
    """Register the requests and work until they are over; other people's work in the same database is not waited for.

    Returns:
        The receipt, and one record per evaluation in the order of the requests, finished, failed or cancelled.

    Raises:
        VaevalError: The workers ended by themselves; what is done is kept.
        KeyboardInterrupt: Ctrl-C or SIGTERM, after the workers have stopped in good order; what is done is kept.
    """
    from scheduler.submission import announce, register

    receipt = register(application, images, requests)
    ids = [entry.evaluation_id for entry in receipt.evaluations]
    created = sum(entry.created for entry in receipt.evaluations)
    rendering.note(f"{count(created, 'new evaluation')}, {len(ids) - created} known already (ids {_range(ids)}).")
    progress = application.reads.progress(ids)
    if not progress.is_over:
        extractors = {request.protocol.extractor.name for request in requests}
        rendering.note(forecast(progress, application.reads.images_per_second(), crew, extractors))
        with _terminated_like_interrupted(), ExitStack() as stack:
            if crew.inline:
                command = inline_command(ids, devices=crew.devices, threads=crew.threads)
                workers = stack.enter_context(local_workers(command, application.settings))
            else:
                from scheduler.queue.celery_queue import CeleryWorkQueue
                from scheduler.queue.embedded_broker import broker

                broker_url = stack.enter_context(broker(application.settings))
                announce(CeleryWorkQueue(broker_url), receipt)
                command = worker_command(
                    devices=crew.devices, workers=crew.workers, threads=crew.threads, until_stdin_closes=True
                )
                workers = stack.enter_context(local_workers(command, application.settings))
            _watch(application, ids, workers)
    by_id = {record.evaluation_id: record for record in application.reads.evaluations(ids)}
    return receipt, tuple(by_id[number] for number in ids)


def _watch(application: Application, ids: Sequence[int], workers: LocalWorkers) -> None:
    rendering.note(f"Workers are starting; they write to {workers.log}")
    with progress_display() as show:
        wait_until_over(application.reads, ids, show, ended=workers.ended)


def forecast(
    progress: Progress,
    measured_per_worker: float | None,
    crew: Crew,
    extractors: Collection[str],
    cores: int | None = None,
) -> str:
    """What there is to do, how long it will take, and on what ground that is said.

    Args:
        progress: Of the evaluations to be done.
        measured_per_worker: Images per second of recent shards of this installation, None before any.
        crew: Who works.
        extractors: Names of the feature networks; a rate is assumed for InceptionV3 only.
        cores: CPU cores; by default those that this process may use.
    """
    left = progress.images_total - progress.images_done
    work = f"{count(left, 'image')} to go through the feature network"
    if measured_per_worker is not None:
        workers = 1 if crew.inline else crew.workers or 1
        seconds = left / (measured_per_worker * workers)
        return f"{work}: {_about(seconds)}, at {rate(measured_per_worker)} per worker as in recent shards here."
    if not any(name.startswith("inception-v3") for name in extractors):
        return f"{work}."
    cores = cores or usable_cores()
    return (
        f"{work}: {_about(left / (CPU_IMAGES_PER_SECOND * cores))} on {count(cores, 'CPU core')}, much less with a"
        f" GPU. An assumption ({rate(CPU_IMAGES_PER_SECOND)} on a core): nothing has been measured here yet."
    )


def _about(seconds: float) -> str:
    return f"about {duration(seconds)}" if seconds >= 1 else duration(seconds)


def usable_cores() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _range(ids: Sequence[int]) -> str:
    ordered = sorted(ids)
    if len(ordered) > 2 and ordered[-1] - ordered[0] == len(ordered) - 1:
        return f"{ordered[0]}–{ordered[-1]}"
    return ", ".join(map(str, ordered[:10])) + (" …" if len(ordered) > 10 else "")


@contextmanager
def _terminated_like_interrupted() -> Iterator[None]:
    """SIGTERM does what Ctrl-C does, so that a stopped container or job leaves no workers behind."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
