"""What is repeated goes on whatever happens to it once."""

from __future__ import annotations

import threading

import pytest

from vaeval_core.errors import ServiceUnreachable
from workers.repeat import repeat

WAIT_SECONDS = 20.0


@pytest.mark.parametrize("error", [ServiceUnreachable("The database is away."), RuntimeError("The database is odd.")])
def test_an_action_that_fails_once_is_done_again_and_the_reason_is_logged(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    calls: list[None] = []
    stop = threading.Event()

    def action() -> None:
        calls.append(None)
        if len(calls) == 1:
            raise error
        stop.set()

    repeat(action, every=0.001, stop=stop).join(WAIT_SECONDS)
    assert len(calls) == 2
    (record,) = caplog.records
    assert record.__dict__["action"] == "action"
    assert str(error) in str(record.__dict__.get("reason", record.exc_info))
