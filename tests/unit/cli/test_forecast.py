"""What is said before a long wait, here and of workers elsewhere."""

from __future__ import annotations

import pytest

from cli.forecast import forecast_here, forecast_of_service
from scheduler.lifecycle import EvaluationState
from scheduler.store.base import Progress


def work(images_left: int) -> Progress:
    return Progress(evaluations={EvaluationState.QUEUED: 1}, shards={}, images_done=100, images_total=100 + images_left)


def test_before_anything_is_measured_the_time_is_called_an_assumption() -> None:
    sentence = forecast_here(work(9600), None, "inception-v3-random", workers=None, cores=2)
    # 9,600 images at 8 images/s on each of two cores are 600 s.
    assert "9,600 images" in sentence
    assert "about 10 min on 2 CPU cores" in sentence
    assert "An assumption (8.0 images/s on a core)" in sentence


def test_a_measured_rate_counts_for_every_worker() -> None:
    sentence = forecast_here(work(1200), 5.0, "inception-v3-random", workers=4)
    assert sentence.endswith("about 1 min, at 5.0 images/s per worker as in recent shards here.")


def test_where_the_number_of_workers_is_not_known_the_time_is_that_of_one() -> None:
    sentence = forecast_here(work(1200), 5.0, "inception-v3-random", workers=None)
    assert "about 4 min for one worker, at 5.0 images/s per worker" in sentence


def test_a_moment_is_not_called_about_a_moment() -> None:
    assert ": under 1 s, at 500.0 images/s" in forecast_here(work(12), 500.0, "pixels-8x8", workers=1)


def test_nothing_is_assumed_of_a_small_feature_network() -> None:
    sentence = forecast_here(work(1200), None, "pixels-8x8", workers=None)
    assert sentence == "1,200 images to go through the feature network."


def test_workers_of_the_service_share_the_work() -> None:
    sentence = forecast_of_service(work(1200), 5.0, "inception-v3-random", alive=2)
    assert "1,200 images to go through the feature network: about 2 min if nothing else" in sentence
    assert "2 workers are running, at 5.0 images/s each" in sentence


@pytest.mark.parametrize(("measured", "words"), [(None, "feature network."), (5.0, "about 4 min for one worker.")])
def test_without_a_worker_it_says_how_to_start_one(measured: float | None, words: str) -> None:
    sentence = forecast_of_service(work(1200), measured, "inception-v3-random", alive=0)
    assert f"{words} No worker is running; start one: vaeval worker" in sentence


def test_without_a_measured_rate_the_service_s_time_is_not_known() -> None:
    sentence = forecast_of_service(work(1200), None, "inception-v3-random", alive=1)
    assert "1 worker is running" in sentence
    assert "not known: no shard with inception-v3-random is finished yet" in sentence
