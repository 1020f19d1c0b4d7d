"""Evaluate on this machine: register, ring, start workers, show progress, stop them. What `run` and `demo` share."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import TYPE_CHECKING

from cli import rendering
from cli.checkpoint_arguments import known_names
from cli.forecast import forecast_here
from cli.local_workers import LocalWorkers, handed_over, inline_command, local_workers, worker_command
from cli.number_formats import count, id_list
from cli.outcome import in_order_of
from cli.progress import progress_display, wait_until_over
from vaeval_core.errors import InvalidInput

if TYPE_CHECKING:
    from cli.gathering import Gathered
    from scheduler.composition import Application
    from scheduler.store.base import EvaluationRecord, SubmissionReceipt


@dataclass(frozen=True, kw_only=True)
class Crew:
    """Who works.

    Attributes:
        devices: As `vaeval worker --devices`.
        workers: Worker processes; None for the worker program's own choice.
        threads: CPU threads of each; None likewise.
        inline: One process without a broker.

    Raises:
        InvalidInput: Several workers inline, or words that name no device.
    """

    devices: str = "auto"
    workers: int | None = None
    threads: int | None = None
    inline: bool = False

    def __post_init__(self) -> None:
        unknown = [name for name in _words(self.devices) if not _DEVICE.fullmatch(name)]
        if unknown or not _words(self.devices):
            raise InvalidInput(
                "--devices names what is no device.",
                received=self.devices,
                expected="auto, cpu, or GPUs by index or UUID with commas between: 0,1",
                next_step="vaeval doctor lists the GPUs of this machine",
            )
        if self.inline and (self.workers or 1) > 1:
            raise InvalidInput(
                "--inline is one worker.",
                received=f"--inline --workers {self.workers}",
                expected="--inline alone, or --workers without it",
                next_step="leave --workers out, or --inline",
            )

    @property
    def slots(self) -> int | None:
        """How many will work; None if that depends on the GPUs of the machine, which only the worker program looks up."""
        if self.inline:
            return 1
        if self.workers is not None or self.devices == "auto":
            return self.workers
        return len(_words(self.devices))


_DEVICE = re.compile(r"auto|cpu|((gpu|cuda):)?[0-9]+|(GPU|MIG)-[0-9A-Za-z/-]+")
"""What may name a device; whether there is one, only the worker program looks up."""


def _words(devices: str) -> list[str]:
    return [name.strip() for name in devices.split(",") if name.strip()]


def evaluate_here(
    application: Application, gathered: Gathered, crew: Crew
) -> tuple[SubmissionReceipt, tuple[EvaluationRecord, ...]]:
    """Register the requests and work until they are over. Other work in the same database is left alone: what is
    begun here must not be cut off when this run ends.

    Returns:
        The receipt, and one record per evaluation in the order of the requests, finished, failed or cancelled.

    Raises:
        VaevalError: The workers ended by themselves; what is done is kept.
        KeyboardInterrupt: Ctrl-C or SIGTERM, after the workers have stopped in good order; what is done is kept.
    """
    from scheduler.submission import announce, register

    requests = gathered.requests
    receipt = register(application, gathered.images, requests, noise_floor_images=gathered.noise_floor_images)
    ids = [entry.evaluation_id for entry in receipt.evaluations]
    created = sum(entry.created for entry in receipt.evaluations)
    rendering.note(f"{count(created, 'new evaluation')}, {len(ids) - created} known already (ids {id_list(ids)}).")
    for sentence in known_names(requests, receipt, application.reads):
        rendering.note(sentence)
    progress = application.reads.progress(ids)
    if not progress.is_over:
        extractor = requests[0].protocol.extractor.name  # one for all: they come from one command line
        measured = application.reads.images_per_second(extractor)
        rendering.note(forecast_here(progress, measured, extractor, workers=crew.slots))
        others = application.reads.unfinished(besides=ids)
        if others:
            rendering.note(about_others(others))
        with _terminated_like_interrupted(), ExitStack() as stack:
            own = stack.enter_context(handed_over(ids, application.settings))
            if crew.inline:
                command = inline_command(own, devices=crew.devices, threads=crew.threads)
                workers = stack.enter_context(local_workers(command, application.settings))
            else:
                from scheduler.queue.celery_queue import CeleryWorkQueue
                from scheduler.queue.embedded_broker import broker

                broker_url = stack.enter_context(broker(application.settings))
                announce(CeleryWorkQueue(broker_url), receipt)
                command = worker_command(
                    devices=crew.devices,
                    workers=crew.workers,
                    threads=crew.threads,
                    only=own,
                    until_stdin_closes=True,
                )
                workers = stack.enter_context(local_workers(command, application.settings))
            _watch(application, ids, workers)
    return receipt, in_order_of(receipt, application.reads)


def about_others(others: int) -> str:
    """What becomes of other evaluations in the same database."""
    besides = f"Besides, {count(others, 'evaluation')} {'is' if others == 1 else 'are'} unfinished;"
    return f"{besides} this run leaves {'it' if others == 1 else 'them'} alone. Next for the rest: vaeval worker"


def _watch(application: Application, ids: Sequence[int], workers: LocalWorkers) -> None:
    rendering.note(f"Workers are starting; they write to {workers.log}")
    with progress_display() as show:
        wait_until_over(application.reads, ids, show, ended=workers.ended)


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
