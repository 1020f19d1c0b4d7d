"""Recording is tried again while the database is away, and for a bounded time."""

from __future__ import annotations

import pytest

from tests.unit.workers.test_heartbeat import Renewals
from vaeval_core.errors import ServiceUnreachable, StorageFailed, VaevalError
from workers.heartbeat import Heartbeat
from workers.recording import recorded

AWAY = ServiceUnreachable("The database does not answer.")
FULL = StorageFailed("No space is left for the database.")


@pytest.fixture(autouse=True)
def _without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workers.recording.FIRST_PAUSE_SECONDS", 0.0)


def beating() -> Heartbeat:
    return Heartbeat(lambda: True, every=600.0)


@pytest.mark.parametrize("answer", [True, False])
def test_what_the_database_says_in_the_end_counts(answer: bool) -> None:
    action = Renewals(AWAY, FULL, AWAY, answer)
    assert recorded(action, beating()) is answer
    assert action.count == 4


@pytest.mark.parametrize("error", [AWAY, FULL])
def test_patience_has_an_end(monkeypatch: pytest.MonkeyPatch, error: VaevalError) -> None:
    monkeypatch.setattr("workers.recording.PATIENCE_SECONDS", -1.0)
    with pytest.raises(type(error)):
        recorded(Renewals(error), beating())


def test_another_error_is_not_tried_again() -> None:
    action = Renewals(VaevalError("No."))
    with pytest.raises(VaevalError, match=r"No\."):
        recorded(action, beating())
    assert action.count == 1


def test_each_try_is_a_sign_of_life() -> None:
    heartbeat = Heartbeat(lambda: True, every=600.0)
    heartbeat._alive_at = float("-inf")
    recorded(lambda: True, heartbeat)
    assert heartbeat._alive_at > 0
