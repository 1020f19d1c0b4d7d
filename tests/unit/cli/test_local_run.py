"""What is said before a run, and what a crew may be."""

from __future__ import annotations

import pytest

from cli.local_run import Crew, forecast
from scheduler.lifecycle import EvaluationState
from scheduler.store.base import Progress
from vaeval_core.errors import InvalidInput


def work(images_left: int) -> Progress:
    return Progress(evaluations={EvaluationState.QUEUED: 1}, shards={}, images_done=100, images_total=100 + images_left)


def test_before_anything_is_measured_the_time_is_called_an_assumption() -> None:
    sentence = forecast(work(9600), None, Crew(), {"inception-v3-random"}, cores=2)
    # 9,600 images at 8 images/s on each of two cores are 600 s.
    assert "9,600 images" in sentence
    assert "about 10 min on 2 CPU cores" in sentence
    assert "An assumption (8.0 images/s on a core)" in sentence


def test_a_measured_rate_counts_for_every_worker() -> None:
    sentence = forecast(work(1200), 5.0, Crew(workers=4), {"inception-v3-random"})
    assert sentence.endswith("about 1 min, at 5.0 images/s per worker as in recent shards here.")


def test_a_moment_is_not_called_about_a_moment() -> None:
    assert ": under 1 s, at 5000 images/s" in forecast(work(12), 5000.0, Crew(), {"pixels-8x8"}).replace(",000", "000")


def test_nothing_is_assumed_of_a_small_feature_network() -> None:
    assert forecast(work(1200), None, Crew(), {"pixels-8x8"}) == "1,200 images to go through the feature network."


def test_inline_is_one_worker() -> None:
    with pytest.raises(InvalidInput) as caught:
        Crew(inline=True, workers=2)
    assert caught.value.received == "--inline --workers 2"
