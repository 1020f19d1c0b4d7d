"""Progress as it is told, and waiting for the end."""

from __future__ import annotations

import io
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

import pytest

from cli import progress as progress_module
from cli import waits
from cli.pace import Pace
from cli.progress import beside_bar, described, progress_display, wait_until_over
from scheduler.lifecycle import EvaluationState, ShardState
from scheduler.store.answers import Waiting
from scheduler.store.base import Progress
from vaeval_core.errors import VaevalError, WaitTimedOut

TEN_PER_SECOND = Pace(images_per_second=10.0)


def reading(done: int = 0, total: int = 1000, **states: int) -> Progress:
    evaluations = {EvaluationState(name): number for name, number in (states or {"running": 1}).items()}
    return Progress(evaluations=evaluations, shards={ShardState.QUEUED: 1}, images_done=done, images_total=total)


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


class Readings:
    """The part of a read store that waiting uses: one reading after the other, the last one for ever."""

    def __init__(self, *readings: Progress) -> None:
        self._left = list(readings)

    def progress(self, evaluation_ids: Sequence[int] | None = None) -> Progress:
        return self._left.pop(0) if len(self._left) > 1 else self._left[0]

    def waiting(self, evaluation_ids: Sequence[int]) -> Mapping[int, Waiting]:
        return {}


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress_module, "POLL_SECONDS", 0)


def test_what_is_left_follows_from_the_rate() -> None:
    line = described(reading(400, 1000, running=2, finished=1), TEN_PER_SECOND)
    assert line == "1 of 3 evaluations · 400 of 1,000 images · 10.0 images/s · 1 min left"


def test_at_the_end_there_is_nothing_left_to_tell() -> None:
    assert (
        described(reading(1000, 1000, finished=2, failed=1), TEN_PER_SECOND)
        == "3 of 3 evaluations · 1,000 of 1,000 images"
    )


def test_beside_a_bar_what_is_left_comes_first() -> None:
    line = beside_bar(reading(400, 1000, running=2, finished=1), TEN_PER_SECOND)
    assert line == "1 min left · 10.0 images/s · 1/3 evaluations · 400/1,000 images"


def test_with_all_images_done_the_scores_are_still_to_come() -> None:
    assert "finishing" in described(reading(1000, 1000, finalising=1), TEN_PER_SECOND)


def test_on_a_terminal_progress_is_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "80")
    with progress_display() as show:
        show(reading(500))
    assert "━" in stream.getvalue()
    assert "50%" in stream.getvalue()
    assert "500/1,000 images" in stream.getvalue()


def test_a_line_that_says_nothing_new_waits(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress_module, "PLAIN_LINE_SECONDS", 0)
    with progress_display() as show:
        for _ in range(5):
            show(reading(7))
        show(reading(8))
    assert len(capsys.readouterr().err.splitlines()) == 2


def test_how_long_nothing_has_moved_is_no_news(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress_module, "PLAIN_LINE_SECONDS", 0)
    clock = iter([0.0, 29.0, 30.0, 35.0, 89.0, 90.0, 91.0])
    monkeypatch.setattr(progress_module.time, "monotonic", lambda: next(clock))
    with progress_display() as show:
        for _ in range(7):
            show(reading(7))
    lines = [line.rpartition(" · ")[2] for line in capsys.readouterr().err.splitlines()]
    assert lines == ["estimating", "no progress for 30 s", "no progress for 1 min 30 s"]


def test_without_a_terminal_progress_is_plain_lines(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_display("evaluating") as show:
        show(reading(0))
        show(reading(1))
        show(reading(1000, finished=1))
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines() == [
        "evaluating: 0 of 1 evaluation · 0 of 1,000 images · estimating",
        "evaluating: 1 of 1 evaluation · 1,000 of 1,000 images",
    ]


def test_waiting_ends_with_the_last_evaluation() -> None:
    shown: list[int] = []
    readings = Readings(reading(0), reading(500), reading(1000, finished=1))
    last = wait_until_over(readings, [1], lambda progress: shown.append(progress.images_done))  # type: ignore[arg-type]
    assert last.is_over
    assert shown == [0, 500, 1000]


def test_failed_and_cancelled_are_over_too() -> None:
    assert wait_until_over(Readings(reading(failed=1, cancelled=1)), [1, 2], lambda progress: None).is_over  # type: ignore[arg-type]


def test_the_time_for_waiting_ends_and_says_what_goes_on() -> None:
    with pytest.raises(WaitTimedOut) as caught:
        wait_until_over(Readings(reading(10)), [4, 5], lambda progress: None, timeout_seconds=0)  # type: ignore[arg-type]
    assert "the work goes on" in caught.value.what
    assert "10 of 1,000 images" in str(caught.value.received)
    assert caught.value.next_step == "vaeval status 4 5 --watch"


def test_workers_that_end_early_end_the_waiting() -> None:
    reason = VaevalError("The workers ended.")
    with pytest.raises(VaevalError, match="The workers ended"):
        wait_until_over(Readings(reading()), [1], lambda progress: None, ended=lambda: reason)  # type: ignore[arg-type]


def test_workers_that_end_with_the_last_evaluation_are_no_failure() -> None:
    reason = VaevalError("The workers ended.")
    readings = Readings(reading(1000, finished=1))
    assert wait_until_over(readings, [1], lambda progress: None, ended=lambda: reason).is_over  # type: ignore[arg-type]


def pausing(reason: str, *, seconds: float = 30.0) -> Waiting:
    then = datetime.now(UTC) + timedelta(seconds=seconds)
    return Waiting(owner="evaluation", reason=reason, next_attempt_at=then, gives_up_at=None, refused_by={})


def test_evaluations_that_wait_for_the_same_are_told_together_with_what_comes_first() -> None:
    told = waits.told_waits({1: pausing("No space.", seconds=3600), 2: pausing("No space."), 3: pausing("Away.")})
    (space, numbers), (away, _) = told.items()
    assert numbers == [1, 2]
    assert space.startswith("No space. Next attempt at ")
    assert space.endswith((" in 30 s.", " in 29 s."))
    assert away.startswith("Away. Next attempt at ")


def test_who_waits_for_an_evaluation_is_told_once_what_that_waits_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(waits, "LOOK_SECONDS", 0.0)

    class Paused(Readings):
        def waiting(self, evaluation_ids: Sequence[int]) -> Mapping[int, Waiting]:
            assert evaluation_ids == [7]
            return {7: pausing("The folder is not mounted.")}

    readings = Paused(reading(running=1), reading(running=1), reading(running=1), reading(finished=1))
    wait_until_over(readings, [7], lambda _: None)  # type: ignore[arg-type]
    assert capsys.readouterr().err.count("waiting: The folder is not mounted. Next attempt at") == 1
