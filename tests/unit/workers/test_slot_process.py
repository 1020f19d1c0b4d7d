"""When a slot is started again, and when not."""

from __future__ import annotations

from workers.slot_process import RestartPolicy


def test_pauses_double_while_a_slot_keeps_dying_quickly() -> None:
    policy = RestartPolicy()
    assert [policy.pause_after(1.0) for _ in range(5)] == [0.5, 1.0, 2.0, 4.0, 8.0]


def test_the_sixth_quick_death_in_a_row_is_the_last() -> None:
    policy = RestartPolicy(quick_deaths=5)
    assert policy.pause_after(1.0) is None


def test_a_slot_that_ran_for_a_while_starts_afresh() -> None:
    policy = RestartPolicy(quick_deaths=5)
    assert policy.pause_after(3600.0) == 0.5
    assert policy.pause_after(1.0) == 1.0
