"""Errors are sentences with four parts, and survive the trip between processes."""

from __future__ import annotations

import copy

import pytest

from vaeval_core.errors import FileLost, ImagesRejected, InvalidInput, StorageFailed, VaevalError
from vaeval_core.evaluation_result import MetricValue
from vaeval_core.shard_plan import NETWORK_BATCH, plan_shards
from vaeval_core.types import IndexRange


def test_the_text_has_the_four_parts_in_reading_order() -> None:
    error = ImagesRejected("No.", received=3, expected="4", next_step="add one")
    assert str(error) == "No. Received: 3 Expected: 4 Next: add one"
    assert error.parts() == {"what": "No.", "received": "3", "expected": "4", "next": "add one"}


def test_parts_that_are_unknown_are_left_out() -> None:
    assert str(VaevalError("No.")) == "No."


def test_a_copy_is_the_same_error() -> None:
    error = copy.copy(ImagesRejected("No.", received=3))
    assert (type(error), str(error)) == (ImagesRejected, "No. Received: 3")


def test_a_lost_file_is_a_failure_of_the_storage_wherever_those_are_caught() -> None:
    with pytest.raises(StorageFailed, match="Received: a/b Expected: a file"):
        raise FileLost("It is gone.", received="a/b", expected="a file")


@pytest.mark.parametrize(("start", "stop"), [(3, 3), (-1, 2), (5, 2)])
def test_an_empty_or_negative_range_is_refused(start: int, stop: int) -> None:
    with pytest.raises(InvalidInput, match=f"Received: start={start}, stop={stop} Expected: 0 ≤ start < stop"):
        IndexRange(start, stop)


@pytest.mark.parametrize("num_images", [1, 31, 32, 33, 1000])
@pytest.mark.parametrize("shard_size", [1, 32, 100, 5000])
def test_shards_cover_every_image_once_and_cut_between_batches(num_images: int, shard_size: int) -> None:
    shards = plan_shards(num_images, shard_size)
    covered = [image for shard in shards for image in range(shard.start, shard.stop)]
    assert covered == list(range(num_images))
    assert all(shard.start % NETWORK_BATCH == 0 for shard in shards)


def test_nothing_to_plan_is_refused() -> None:
    with pytest.raises(InvalidInput, match="Received: num_images=0, shard_size=5"):
        plan_shards(0, 5)


@pytest.mark.parametrize(("value", "kind"), [(float("nan"), "nan"), (float("inf"), "inf"), (-float("inf"), "inf")])
def test_a_value_that_is_no_number_becomes_a_kind_with_a_reason(value: float, kind: str) -> None:
    result = MetricValue.of(value, num_images=5)
    assert (result.value, result.kind) == (None, kind)
    assert str(value) in str(result.reason)
