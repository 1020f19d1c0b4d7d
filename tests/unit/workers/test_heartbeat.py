"""A heartbeat renews until it is told to stop, survives a database that is away, and notices that a claim is lost."""

from __future__ import annotations

import threading

import pytest
import structlog

from vaeval_core.errors import ServiceUnreachable
from workers.heartbeat import ClaimLost, Heartbeat

SOON = 0.001
WAIT_SECONDS = 20.0


class Renewals:
    """Answers of a store, in order, the last one for ever; says when enough questions were asked."""

    def __init__(self, *answers: bool | Exception) -> None:
        self._answers = list(answers)
        self._asked = threading.Semaphore(0)
        self.count = 0

    def __call__(self) -> bool:
        self.count += 1
        self._asked.release()
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def wait_for(self, times: int) -> None:
        for _ in range(times):
            assert self._asked.acquire(timeout=WAIT_SECONDS)


def test_a_claim_is_renewed_again_and_again() -> None:
    renew = Renewals(True)
    with Heartbeat(renew, every=SOON) as heartbeat:
        renew.wait_for(5)
        heartbeat.check()
    assert not heartbeat.is_lost


def test_renewing_ends_with_the_context() -> None:
    renew = Renewals(True)
    with Heartbeat(renew, every=SOON):
        renew.wait_for(1)
    count = renew.count
    assert not [thread for thread in threading.enumerate() if thread.name == "heartbeat"]
    assert renew.count == count


def test_a_refused_renewal_is_told_to_the_one_who_computes() -> None:
    renew = Renewals(True, False)
    with Heartbeat(renew, every=SOON) as heartbeat:
        renew.wait_for(2)
    with pytest.raises(
        ClaimLost, match=r"it was cancelled, or its lease ended .* Expected: a lease that is renewed in time"
    ):
        heartbeat.check()


def test_nobody_asks_again_for_a_lost_claim() -> None:
    renew = Renewals(False)
    with Heartbeat(renew, every=SOON) as heartbeat:
        renew.wait_for(1)
        heartbeat._thread.join(WAIT_SECONDS)
    assert renew.count == 1


def test_a_database_that_is_away_for_a_moment_costs_nothing() -> None:
    renew = Renewals(ServiceUnreachable("The database does not answer."), True)
    with Heartbeat(renew, every=SOON) as heartbeat:
        renew.wait_for(3)
        heartbeat.check()


def test_an_error_that_nobody_foresaw_does_not_end_the_heartbeat(caplog: pytest.LogCaptureFixture) -> None:
    renew = Renewals(RuntimeError("connection pool is confused"), True)
    with Heartbeat(renew, every=SOON) as heartbeat:
        renew.wait_for(3)
        heartbeat.check()
    assert "connection pool is confused" in caplog.text


def test_a_lease_is_not_renewed_before_a_beat_has_passed() -> None:
    renew = Renewals(True)
    with Heartbeat(renew, every=600.0):
        pass
    assert renew.count == 0


def test_a_computation_without_a_sign_of_life_is_given_up(caplog: pytest.LogCaptureFixture) -> None:
    renew, gave_up = Renewals(True), threading.Event()
    with Heartbeat(renew, every=SOON, stall_seconds=0.0, on_stall=gave_up.set) as heartbeat:
        assert gave_up.wait(WAIT_SECONDS)
        with pytest.raises(ClaimLost, match="batches that end"):
            heartbeat.check()
    assert renew.count == 0
    assert "work_stalled" in caplog.messages


def test_signs_of_life_keep_the_claim() -> None:
    renew, gave_up = Renewals(True), threading.Event()
    with Heartbeat(renew, every=SOON, stall_seconds=WAIT_SECONDS, on_stall=gave_up.set) as heartbeat:
        heartbeat.check()
        renew.wait_for(5)
    assert not gave_up.is_set()


def test_giving_up_is_tried_again_while_the_database_is_away_and_the_claim_is_never_renewed() -> None:
    renew, give_up = Renewals(True), Renewals(ServiceUnreachable("The database does not answer."), True)
    with Heartbeat(renew, every=SOON, stall_seconds=0.0, on_stall=give_up) as heartbeat:
        give_up.wait_for(2)
        heartbeat._thread.join(WAIT_SECONDS)
    assert (renew.count, give_up.count) == (0, 2)


def test_lines_logged_by_the_heartbeat_name_the_shard() -> None:
    seen: list[dict[str, object]] = []

    def renew() -> bool:
        seen.append(structlog.contextvars.get_contextvars())
        return False

    with structlog.contextvars.bound_contextvars(evaluation=7, shard=3):
        heartbeat = Heartbeat(renew, every=SOON)
    with heartbeat:
        heartbeat._thread.join(WAIT_SECONDS)
    assert seen == [{"evaluation": 7, "shard": 3}]


def test_a_computation_that_never_comes_back_is_told_after_its_claim_was_given_up() -> None:
    happened: list[str] = []
    hung = threading.Event()

    def give_up() -> None:
        happened.append("given up")

    def on_hang() -> None:
        happened.append("hangs")
        hung.set()

    with Heartbeat(lambda: True, every=SOON, stall_seconds=SOON, on_stall=give_up, on_hang=on_hang):
        assert hung.wait(WAIT_SECONDS)
    assert happened == ["given up", "hangs"]


def test_a_computation_that_comes_back_after_its_claim_is_lost_does_not_hang() -> None:
    renew, hung = Renewals(False), threading.Event()
    with Heartbeat(renew, every=SOON, stall_seconds=WAIT_SECONDS, on_hang=hung.set):
        renew.wait_for(1)
    assert not hung.is_set()
