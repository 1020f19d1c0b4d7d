"""A noise floor: real images beside the reference, scored as samples are, however the work is cut."""

from __future__ import annotations

import numpy as np
import pytest

from vaeval_core.errors import InvalidInput
from vaeval_core.evaluate import (
    measure_reference_shard,
    merge_reference,
    merge_shards,
    score,
)
from vaeval_core.evaluation_result import MetricValue
from vaeval_core.metrics.catalogue import METRICS, is_of_samples, metric_versions
from vaeval_core.metrics.fidelity import frechet_distance
from vaeval_core.metrics.manifold import manifold_scores
from vaeval_core.protocol import Protocol
from vaeval_core.shard_plan import plan_shards
from vaeval_core.streams.noise_floor import NOISE_FLOOR_STREAMS, measure_noise_floor_shard
from vaeval_core.testing import ImagesInMemory, PixelExtractor, protocol_for
from vaeval_core.types import IndexRange

EXTRACTOR = PixelExtractor(2)
NUM_REFERENCE, NUM_SAMPLES = 50, 40


def images_in(count: int, seed: int) -> ImagesInMemory:
    return ImagesInMemory(np.random.default_rng(seed).integers(0, 256, (count, 1, 2, 1), dtype=np.uint8))


IMAGES = images_in(100, seed=3)
PROTOCOL = protocol_for(
    IMAGES, EXTRACTOR, metric_versions(), num_reference=NUM_REFERENCE, num_samples=NUM_SAMPLES, num_reconstructions=30
)


def scored(images: ImagesInMemory, sizes: list[int], protocol: Protocol = PROTOCOL) -> dict[str, MetricValue]:
    real = [measure_reference_shard(IMAGES, EXTRACTOR, protocol, part) for part in plan_shards(NUM_REFERENCE, 32)]
    stops = np.cumsum(sizes).tolist()
    parts = [IndexRange(stop - size, stop) for stop, size in zip(stops, sizes, strict=True)]
    shards = [measure_noise_floor_shard(images, EXTRACTOR, protocol, part) for part in parts]
    summary = merge_shards(shards, protocol, streams=NOISE_FLOOR_STREAMS)
    scores = score(summary, merge_reference(real, protocol), protocol, reference_shards=real)
    return {each.metric: each.value for each in scores}


def features(images: ImagesInMemory, first: int, last: int) -> np.ndarray:
    return images.array[first:last].reshape(-1, 2).astype(np.float32) / np.float32(255)


def test_of_the_set_of_the_reference_the_images_after_it_count() -> None:
    samples, reference = features(IMAGES, 50, 90), features(IMAGES, 0, 50)
    result = scored(IMAGES, [NUM_SAMPLES])
    assert result["fid"] == frechet_distance(samples, reference)
    assert result["coverage"] == manifold_scores(samples, reference).coverage
    assert result["fid"].num_images == NUM_SAMPLES


def test_of_another_set_the_first_images_count() -> None:
    others = images_in(45, seed=4)
    assert scored(others, [NUM_SAMPLES])["fid"] == frechet_distance(features(others, 0, 40), features(IMAGES, 0, 50))


@pytest.mark.parametrize("sizes", [[32, 8], [1, 38, 1], [7, 33]])
def test_how_the_work_is_cut_changes_no_bit(sizes: list[int]) -> None:
    assert scored(IMAGES, sizes) == scored(IMAGES, [NUM_SAMPLES])


def test_metrics_of_what_is_not_there_say_so() -> None:
    result = scored(IMAGES, [NUM_SAMPLES])
    for name in METRICS:
        if not is_of_samples(name):
            assert result[name].kind == "not_applicable"
            assert "real images in the place of samples" in str(result[name].reason)
    assert {name for name in METRICS if not is_of_samples(name)} >= {"rfid", "mse", "psnr", "cross_entropy", "kl"}
    assert result["kid"].kind == result["vendi"].kind == "finite"


def test_against_imported_statistics_no_image_is_known_to_be_in_the_reference() -> None:
    imported = PROTOCOL.model_copy(update={"imported_reference": "a" * 64, "num_reference": 50_000})
    assert imported.first_image_beside_reference(IMAGES.digest) == 0
    assert PROTOCOL.first_image_beside_reference(IMAGES.digest) == NUM_REFERENCE
    assert PROTOCOL.first_image_beside_reference("b" * 64) == 0


def test_a_missing_shard_is_noticed() -> None:
    shard = measure_noise_floor_shard(IMAGES, EXTRACTOR, PROTOCOL, IndexRange(0, 32))
    with pytest.raises(InvalidInput, match="Received: 32 samples Expected: 40"):
        merge_shards([shard], PROTOCOL, streams=NOISE_FLOOR_STREAMS)


def test_progress_is_told_in_images() -> None:
    told: list[int] = []
    measure_noise_floor_shard(IMAGES, EXTRACTOR, PROTOCOL, IndexRange(0, 40), on_progress=told.append)
    assert told == [32, 40]
