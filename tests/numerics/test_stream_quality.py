"""Metrics of samples for other streams: the numbers of the library on their features, and what is said of their errors."""

from __future__ import annotations

import numpy as np
import pytest

from tests.numerics.test_sample_quality import ColourfulVae, real_images, rows_of, scored
from vaeval_core.evaluate import measure_reference_shard, measure_shard
from vaeval_core.evaluation_result import MetricValue
from vaeval_core.metrics.catalogue import METRICS, default_metrics, metric_versions
from vaeval_core.metrics.effective_images import why_withheld
from vaeval_core.metrics.kernel_distance import kernel_distance
from vaeval_core.metrics.manifold import manifold_scores
from vaeval_core.metrics.ndb import number_of_different_bins
from vaeval_core.metrics.stream_quality import OF_OTHER_STREAMS, OTHER_STREAMS
from vaeval_core.metrics.vendi_score import vendi_score
from vaeval_core.protocol import Protocol, StreamName
from vaeval_core.shard_plan import plan_shards
from vaeval_core.streams.base import ShardArrays
from vaeval_core.testing import PixelExtractor, protocol_for

NAMES = tuple(metric.name for metric in OF_OTHER_STREAMS)
EXTRACTOR = PixelExtractor(2)


def protocol(*metrics: str, **counts: int) -> Protocol:
    lengths = {"num_samples": 0, "num_reconstructions": 90, "num_interpolations": 80, "num_fitted": 70, "seed": 1}
    return protocol_for(real_images(), EXTRACTOR, metric_versions(metrics), **(lengths | counts))


def measured(chosen: Protocol) -> tuple[list[ShardArrays], list[ShardArrays]]:
    images = real_images()
    shards = [measure_shard(ColourfulVae(), images, EXTRACTOR, chosen, part) for part in plan_shards(90, 32)]
    return shards, [measure_reference_shard(images, EXTRACTOR, chosen, part) for part in plan_shards(len(images), 64)]


def of_library(rows: np.ndarray, real: np.ndarray) -> dict[str, MetricValue]:
    manifold = manifold_scores(rows, real)
    return {
        "kid": kernel_distance(rows, real, fixed_reference=True),
        "precision": manifold.precision,
        "recall": manifold.recall,
        "density": manifold.density,
        "coverage": manifold.coverage,
        "ndb": number_of_different_bins(rows, real),
        "vendi": vendi_score(rows),
    }


@pytest.mark.parametrize("stream", OTHER_STREAMS)
def test_the_numbers_are_those_of_the_library_on_the_features_of_the_stream(stream: StreamName) -> None:
    chosen = protocol(*NAMES)
    shards, real = measured(chosen)
    result = scored(chosen, shards, real)
    expected = of_library(rows_of(shards, f"{stream}/features"), rows_of(real, "features"))
    assert {f"{name}_{stream}" for name in expected} == {name for name in NAMES if name.endswith(stream)}
    for name, value in expected.items():
        found = result[f"{name}_{stream}"]
        assert value.value is not None
        assert (found.value, found.num_images) == (value.value, value.num_images), name
        if stream != "interpolations":
            assert found.std_error == value.std_error, name


def test_errors_of_interpolations_are_withheld_because_real_images_end_two_paths() -> None:
    chosen = protocol(*(name for name in NAMES if name.endswith("interpolations")))
    shards, real = measured(chosen)
    found = scored(chosen, shards, real)
    independent = of_library(rows_of(shards, "interpolations/features"), rows_of(real, "features"))
    assert {name for name, value in independent.items() if value.std_error is None} >= {"recall", "ndb"}
    for name, value in independent.items():
        of_paths = found[f"{name}_interpolations"]
        assert of_paths.std_error is None
        why = why_withheld(of_paths.warnings)
        if value.std_error is None:
            assert why is None or why in value.warnings, name
        else:
            assert "each real image ends two of the paths" in str(why), name


def test_they_are_computed_where_they_are_named_and_need_the_features_of_their_stream_alone() -> None:
    assert not set(default_metrics(10_000, 10_000, 64, num_interpolations=5_000, num_fitted=5_000)) & set(NAMES)
    (shard, *_), _ = measured(protocol("kid_fitted"))
    assert [name for name in shard if name.endswith("/features")] == ["fitted/features"]
    assert protocol("kid_fitted").reference_statistics == {"pairs": 1}
    assert protocol("ndb_reconstructions").reference_statistics == {"bins": 1}
    assert protocol("vendi_interpolations").reference_statistics == {}


def test_a_protocol_without_the_stream_says_how_to_ask_for_it() -> None:
    chosen = protocol("kid_interpolations", "vendi_fitted", "mse", num_interpolations=0, num_fitted=0)
    result = scored(chosen, *measured(chosen))
    assert "--interpolations 5000" in str(result["kid_interpolations"].reason)
    assert "--fitted 5000" in str(result["vendi_fitted"].reason)


def test_every_one_has_the_unit_and_direction_of_the_metric_of_samples() -> None:
    for metric in OF_OTHER_STREAMS:
        of_samples = METRICS[metric.name.rsplit("_", 1)[0]]
        assert (metric.unit, metric.direction) == (of_samples.unit, of_samples.direction)
