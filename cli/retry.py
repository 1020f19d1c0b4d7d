"""`vaeval retry`: queue failed and cancelled evaluations again, by their ids alone."""

from __future__ import annotations

from cli import rendering
from cli.cancel import Evaluations, as_documents, print_changes
from cli.number_formats import count
from cli.options import Json


def retry(evaluations: Evaluations, as_json: Json = False) -> None:
    """Queue failed or cancelled evaluations again.

    Only what is missing is computed: finished shards are kept. Checkpoint and images are looked for where they were
    submitted; from another place, submit them again.

    An evaluation that is queued, running or finished stays as it is. An id that does not exist is an error, and nothing is
    queued. If the broker is down they are queued all the same and the exit code is 5; workers hear of them once it is back.

    \b
    Examples:
      vaeval retry 12
      vaeval retry 12 13 --json
    """
    from scheduler.composition import open_application
    from scheduler.queue.celery_queue import CeleryWorkQueue
    from scheduler.queue.embedded_broker import broker
    from scheduler.settings import Settings
    from scheduler.submission import announce

    settings = Settings.from_environment()
    with open_application(settings) as application:
        receipt = application.submissions.retry(list(dict.fromkeys(evaluations)))
    queued = sum(change.is_changed for change in receipt.evaluations)
    if as_json:
        rendering.document("retry", {"queued": queued, "evaluations": as_documents(receipt.evaluations)})
    else:
        print_changes(receipt.evaluations)
        rest = len(receipt.evaluations) - queued
        rendering.note(
            f"{count(queued, 'evaluation')} queued again."
            + (f" {count(rest, 'evaluation')} had neither failed nor been cancelled." if rest else "")
        )
    if receipt.new_shards:
        with broker(settings) as broker_url:
            announce(CeleryWorkQueue(broker_url), receipt)
    if queued:
        rendering.note("Next: vaeval status --watch")
