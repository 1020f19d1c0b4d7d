"""`vaeval status`: what is queued, running and done, once or until it is over."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli import rendering
from cli.number_formats import count, duration, rate, size
from cli.options import Json
from cli.waits import told_waits

if TYPE_CHECKING:
    from scheduler.composition import Application
    from scheduler.store.answers import Waiting
    from scheduler.store.base import EvaluationRecord, Progress, ReadStore, WorkerRecord

WATCH_SECONDS = 1.0


def status(
    evaluations: Annotated[
        list[int] | None, typer.Argument(metavar="EVALUATION", help="Ids. Default: the latest.", show_default=False)
    ] = None,
    watch: Annotated[
        bool,
        typer.Option("--watch", help="Show live progress until everything is over; with --json one document a line."),
    ] = False,
    workers: Annotated[bool, typer.Option("--workers", help="Also show who works.")] = False,
    limit: Annotated[
        int, typer.Option("--limit", metavar="N", min=1, help="Most evaluations to list, without ids.")
    ] = 20,
    as_json: Json = False,
) -> None:
    """Show evaluations and their progress.

    The latest first.

    \b
    Examples:
      vaeval status
      vaeval status 12 13 --watch
      vaeval status --workers --json
    """
    from scheduler.composition import open_application
    from scheduler.settings import Settings

    with open_application(Settings.from_environment()) as application:
        ids = list(dict.fromkeys(evaluations)) if evaluations else None
        if ids is not None:
            _require_known(application.reads, ids)
        if watch and as_json:
            _watch_lines(application, ids, limit, with_workers=workers)
        elif as_json:
            rendering.document("status", _document(application, ids, limit, with_workers=workers))
        else:
            if watch:
                _watch_bar(application.reads, ids)
            _print(application, ids, limit, with_workers=workers)


def _require_known(reads: ReadStore, ids: Sequence[int]) -> None:
    known = {record.evaluation_id for record in reads.evaluations(ids)}
    for number in ids:
        if number not in known:
            reads.evaluation(number)  # raises NotFound with the store's own message


def _watch_bar(reads: ReadStore, ids: Sequence[int] | None) -> None:
    from cli.progress import progress_display

    with progress_display("all work" if ids is None else "evaluations") as show:
        while True:
            progress = reads.progress(ids)
            show(progress)
            if progress.is_over:
                return
            time.sleep(WATCH_SECONDS)


def _watch_lines(application: Application, ids: Sequence[int] | None, limit: int, *, with_workers: bool) -> None:
    while True:
        is_over = application.reads.progress(ids).is_over  # before the line, so that the last line is a final one
        rendering.document_line("status", _document(application, ids, limit, with_workers=with_workers))
        if is_over:
            return
        time.sleep(WATCH_SECONDS)


def _document(application: Application, ids: Sequence[int] | None, limit: int, *, with_workers: bool) -> dict[str, Any]:
    reads = application.reads
    progress = reads.progress(ids)
    document: dict[str, Any] = {
        "at": datetime.now(UTC),
        "is_over": progress.is_over,
        "progress": {
            "evaluations": {state: number for state, number in progress.evaluations.items() if number},
            "shards": {state: number for state, number in progress.shards.items() if number},
            "images_done": progress.images_done,
            "images_total": progress.images_total,
        },
    }
    records = reads.evaluations(ids, limit=limit)
    waits = reads.waiting([record.evaluation_id for record in records])
    document["evaluations"] = [as_document(record, waits.get(record.evaluation_id)) for record in records]
    if with_workers:
        document["workers"] = [_worker_document(worker) for worker in reads.workers()]
    return document


def as_document(record: EvaluationRecord, waiting: Waiting | None) -> dict[str, Any]:
    """An evaluation for JSON, as `status` and `show` give it."""
    return {
        "id": record.evaluation_id,
        "checkpoint": record.checkpoint_name,
        "step": record.step,
        "tags": record.tags,
        "protocol": record.protocol_name,
        "fingerprint": record.fingerprint,
        "dataset": record.dataset_name,
        "noise_floor": record.is_noise_floor,
        "state": record.state,
        "error": record.error,
        "waiting": None
        if waiting is None
        else {
            "reason": waiting.reason,
            "next_attempt_at": waiting.next_attempt_at,
            "gives_up_at": waiting.gives_up_at,
            "refused_by": waiting.refused_by,
        },
        "shards_finished": record.shards_finished,
        "shards_total": record.shards_total,
        "submitted_at": record.submitted_at,
        "started_at": record.started_at,
        "finished_at": record.finished_at,
    }


def _worker_document(worker: WorkerRecord) -> dict[str, Any]:
    return {
        "worker": worker.worker,
        "host": worker.host,
        "pid": worker.pid,
        "device": worker.device,
        "memory_bytes": worker.memory_bytes,
        "threads": worker.threads,
        "versions": worker.versions,
        "is_alive": worker.is_alive,
        "started_at": worker.started_at,
        "heartbeat_at": worker.heartbeat_at,
        "images_done": worker.images_done,
        "images_per_second": worker.images_per_second,
    }


def _print(application: Application, ids: Sequence[int] | None, limit: int, *, with_workers: bool) -> None:
    records = application.reads.evaluations(ids, limit=limit)
    if not records:
        rendering.note("No evaluations yet. Next: vaeval demo, or vaeval run CHECKPOINT --data FOLDER")
    else:
        _print_evaluations(records, application.reads.waiting([record.evaluation_id for record in records]))
    progress = application.reads.progress(ids)
    total = sum(progress.evaluations.values())
    if ids is None and total > len(records):
        rendering.note(
            f"The latest {len(records)} of {count(total, 'evaluation')}; --limit shows more. In all: {_states(progress)}."
        )
    if with_workers:
        rendering.data("")
        _print_workers(application.reads.workers())


def _print_evaluations(records: Sequence[EvaluationRecord], waits: Mapping[int, Waiting]) -> None:
    columns = [
        rendering.Column(title="ID", align="right"),
        rendering.Column(title="CHECKPOINT", shrinkable=True),
        rendering.Column(title="PROTOCOL", shrinkable=True, droppable=1),
        rendering.Column(title="DATA", shrinkable=True, droppable=3),
        rendering.Column(title="STATE"),
        rendering.Column(title="SHARDS", align="right"),
        rendering.Column(title="AGE", align="right", droppable=2),
    ]
    rows = [
        (
            str(record.evaluation_id),
            record.checkpoint_name,
            record.protocol_name,
            record.dataset_name,
            record.state,
            f"{record.shards_finished}/{record.shards_total}",
            _ago(record.submitted_at),
        )
        for record in records
    ]
    rendering.table(columns, rows)
    for record in records:
        if record.error:
            rendering.note(f"{record.evaluation_id} {record.state}: {record.error}")
    for sentence, numbers in told_waits(waits).items():
        rendering.note(f"{', '.join(map(str, numbers))} waits: {sentence}")


def _print_workers(workers: Sequence[WorkerRecord]) -> None:
    if not workers:
        rendering.note("No worker has reported within a day. Next: vaeval worker")
        return
    columns = [
        rendering.Column(title="WORKER", shrinkable=True),
        rendering.Column(title="HOST", shrinkable=True, droppable=2),
        rendering.Column(title="PID", align="right", droppable=3),
        rendering.Column(title="DEVICE"),
        rendering.Column(title="MEMORY", align="right", droppable=5),
        rendering.Column(title="THREADS", align="right", droppable=4),
        rendering.Column(title="LAST SEEN", align="right"),
        rendering.Column(title="IMAGES", align="right", droppable=1),
        rendering.Column(title="RATE", align="right"),
    ]
    rows = [
        (
            worker.worker,
            worker.host,
            str(worker.pid),
            worker.device,
            size(worker.memory_bytes) if worker.memory_bytes is not None else "",
            str(worker.threads),
            _ago(worker.heartbeat_at) if worker.is_alive else f"gone {_ago(worker.heartbeat_at)}",
            f"{worker.images_done:,}",
            rate(worker.images_per_second) if worker.images_per_second else "",
        )
        for worker in workers
    ]
    rendering.table(columns, rows, marked=[number for number, worker in enumerate(workers) if worker.is_alive])
    for sentence in different_versions(workers):
        rendering.note(sentence)


def different_versions(workers: Sequence[WorkerRecord]) -> list[str]:
    """A sentence for each library that living workers have in different versions: the last digits of scores may differ."""
    where: dict[str, dict[str, list[str]]] = {}
    for worker in workers:
        if worker.is_alive:
            for library, version in worker.versions.items():
                where.setdefault(library, {}).setdefault(version, []).append(worker.worker)
    return [
        f"Workers have different versions of {library}: "
        + ", ".join(
            f"{version} ({count(len(names), 'worker')}, such as {names[0]})" for version, names in found.items()
        )
        + ". The last digits of scores may differ between them."
        for library, found in sorted(where.items())
        if len(found) > 1
    ]


def _states(progress: Progress) -> str:
    return ", ".join(f"{number:,} {state}" for state, number in progress.evaluations.items() if number)


def _ago(moment: datetime) -> str:
    return duration(max((datetime.now(UTC) - moment).total_seconds(), 0.0))
