"""`vaeval submit`: hand checkpoints to the service, whose workers run elsewhere or later."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from cli import options, rendering
from cli.exit_codes import ExitCode
from cli.gathering import Wish
from cli.number_formats import count
from cli.wish_options import takes_wish

if TYPE_CHECKING:
    from cli.gathering import Gathered
    from scheduler.composition import Application
    from scheduler.settings import Settings
    from scheduler.store.base import SubmissionReceipt


@takes_wish(protocol="standard")
def submit(
    wish: Wish,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until these evaluations are over.")] = False,
    timeout: Annotated[
        float | None,
        typer.Option(
            "--timeout", metavar="SECONDS", min=0, help="With --wait: give up waiting after this. Default: never."
        ),
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Hand checkpoints to the service.

    They are registered and announced; workers (`vaeval worker`) do the rest, now or later.

    Submitting twice is submitting once: an evaluation that exists is reported as it is, one that failed is queued again.
    If the broker is down the evaluations are registered all the same and the exit code is 5 (with --json the error follows
    the receipt). The work is announced as soon as broker and a worker or `vaeval scheduler` are back.

    The protocol is `standard` unless told otherwise: 10,000 images a stream.

    \b
    Examples:
      vaeval submit 'runs/*/step-*/' --data photos/ --wait
      vaeval submit runs/beta4 --data photos/ --seeds 0,1,2 --tag beta=4
    """
    from cli.checkpoint_arguments import known_names
    from cli.gathering import gather
    from scheduler.composition import open_application
    from scheduler.settings import Settings
    from scheduler.submission import register

    if timeout is not None and not wait:
        rendering.note("--timeout has no effect without --wait.")
    settings = Settings.from_environment()
    with open_application(settings) as application:
        gathered = gather(wish, settings, references=application.references.imported)
        for sentence in gathered.notes:
            rendering.note(sentence)
        receipt = register(
            application, gathered.images, gathered.requests, noise_floor_images=gathered.noise_floor_images
        )
        if not (wait and as_json):
            _print_receipt(receipt, gathered, wish, as_json=as_json)
        for sentence in known_names(gathered.requests, receipt, application.reads):
            rendering.note(sentence)
        _announce(settings, receipt)
        _say_how_long(application, receipt, gathered)
        if wait:
            _wait(application, receipt, timeout, as_json=as_json)
        else:
            rendering.note("Next: vaeval status --watch")


def _announce(settings: Settings, receipt: SubmissionReceipt) -> None:
    """Ring the bell. The embedded broker is started for it if no worker has; its file keeps the ringing until one comes."""
    from scheduler.queue.celery_queue import CeleryWorkQueue
    from scheduler.queue.embedded_broker import broker
    from scheduler.submission import announce

    if receipt.new_shards:
        with broker(settings) as broker_url:
            announce(CeleryWorkQueue(broker_url), receipt)


def _say_how_long(application: Application, receipt: SubmissionReceipt, gathered: Gathered) -> None:
    from cli.forecast import forecast_of_service

    reads = application.reads
    progress = reads.progress([entry.evaluation_id for entry in receipt.evaluations])
    if not progress.is_over:
        extractor = gathered.request.extractor
        alive = sum(worker.is_alive for worker in reads.workers())
        rendering.note(forecast_of_service(progress, reads.images_per_second(extractor), extractor, alive=alive))


def _print_receipt(receipt: SubmissionReceipt, gathered: Gathered, wish: Wish, *, as_json: bool) -> None:
    created = sum(entry.created for entry in receipt.evaluations)
    if as_json:
        rendering.document(
            "submit",
            {
                "created": created,
                "existing": len(receipt.evaluations) - created,
                "evaluations": [
                    {
                        "id": entry.evaluation_id,
                        "checkpoint": entry.checkpoint_name,
                        "fingerprint": request.protocol.fingerprint,
                        "seed": request.protocol.seed,
                        "noise_floor": request.noise_floor is not None,
                        "created": entry.created,
                        "priority_raised": entry.evaluation_id in receipt.raised,
                        "state": entry.state,
                        "notes": list(request.checkpoint.description.get("notes", [])),
                    }
                    for entry, request in zip(receipt.evaluations, gathered.requests, strict=True)
                ],
            },
        )
        return
    columns = [
        rendering.Column(title="ID", align="right"),
        rendering.Column(title="CHECKPOINT", shrinkable=True),
        rendering.Column(title="SEED", align="right", droppable=2),
        rendering.Column(title="STATE"),
        rendering.Column(title="", droppable=1),
    ]
    rows = [
        (
            str(entry.evaluation_id),
            entry.checkpoint_name,
            str(request.protocol.seed),
            entry.state,
            "new" if entry.created else "known already",
        )
        for entry, request in zip(receipt.evaluations, gathered.requests, strict=True)
    ]
    rendering.table(columns, rows)
    existing = len(receipt.evaluations) - created
    rendering.note(
        f"{count(created, 'evaluation')} created, {existing} known already; protocol {gathered.request.name},"
        f" {count(gathered.forward_passes, 'image')} through the feature network at most."
    )
    if receipt.raised:
        known = count(len(receipt.raised), "evaluation")
        rendering.note(f"{known} known already and not finished: priority raised to {wish.priority}.")


def _wait(application: Application, receipt: SubmissionReceipt, timeout: float | None, *, as_json: bool) -> None:
    """Wait; then say how it ended."""
    from cli.outcome import failures, in_order_of, print_failures, print_outcome
    from cli.progress import progress_display, wait_until_over

    ids = [entry.evaluation_id for entry in receipt.evaluations]
    try:
        with progress_display("waiting") as show:
            wait_until_over(application.reads, ids, show, timeout_seconds=timeout)
    except KeyboardInterrupt:
        rendering.note("Stopped waiting; the work goes on. Next: vaeval status --watch")
        raise typer.Exit(ExitCode.INTERRUPTED) from None
    records = in_order_of(receipt, application.reads)
    print_outcome(application, receipt, records, "submit", as_json=as_json)
    print_failures(records)
    if failures(records):
        raise typer.Exit(ExitCode.SOME_FAILED)
