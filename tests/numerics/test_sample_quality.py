"""Metrics of single samples in an evaluation: the numbers of the library, or a reason; what is known of a reference, once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import pytest

from cli.compare import COMPARED
from tests.feature_pieces import Pieces
from vaeval_core.errors import InvalidInput
from vaeval_core.evaluate import (
    measure_reference_shard,
    measure_shard,
    merge_reference,
    merge_shards,
    score,
)
from vaeval_core.evaluation_result import MetricValue
from vaeval_core.features.base import AllFeatures
from vaeval_core.metrics.catalogue import METRICS, ONLY_ON_REQUEST, default_metrics, is_of_samples, metric_versions
from vaeval_core.metrics.fidelity import frechet_distance
from vaeval_core.metrics.frechet_infinity import frechet_distance_infinity
from vaeval_core.metrics.inception_score import inception_score
from vaeval_core.metrics.kernel_distance import kernel_distance
from vaeval_core.metrics.latent_space_catalogue import inapplicable
from vaeval_core.metrics.manifold import manifold_scores
from vaeval_core.metrics.memorisation import authenticity
from vaeval_core.metrics.ndb import number_of_different_bins
from vaeval_core.metrics.reference_rows import ReferenceRows, statistics_arrays
from vaeval_core.metrics.vendi_score import vendi_score
from vaeval_core.protocol import REFERENCE_STATISTICS, Protocol
from vaeval_core.shard_plan import plan_shards
from vaeval_core.streams.base import ShardArrays
from vaeval_core.testing import ImagesInMemory, PixelExtractor, TwoPixelVae, protocol_for
from vaeval_core.types import Float32, IndexRange, Uint8

NUM_SAMPLES, NUM_REAL = 80, 130
OF_SAMPLES = tuple(name for name in METRICS if is_of_samples(name) and name not in {"fid", "inception_score"})


@dataclass(frozen=True)
class ClassifyingPixels(PixelExtractor):
    """Three classes, told by the first pixel."""

    @property
    def num_classes(self) -> int:
        return 3

    def features_and_logits(self, images: Uint8) -> tuple[Float32, Float32]:
        features = self.extract(images)
        return features, features[:, :1] * np.array([[4, -2, 1]], np.float32)

    def all_features(self, images: Uint8, *, logits: bool = False, spatial: bool = False) -> AllFeatures:
        features, found = self.features_and_logits(images)
        return AllFeatures(features, found if logits else None, features**2 if spatial else None)


class ColourfulVae(TwoPixelVae):
    """Samples without two alike: the second pixel, too, follows the latent."""

    def decode(self, latents: Float32) -> Float32:
        pixels = super().decode(latents * np.float32(0.2))
        pixels[:, 0, 1, 0] = 0.5 + np.sin(7 * latents[:, 0]) / 3
        return pixels


def real_images() -> ImagesInMemory:
    return ImagesInMemory(np.random.default_rng(2).integers(0, 256, (NUM_REAL, 1, 2, 1), dtype=np.uint8))


@cache
def measured(
    extractor: PixelExtractor, metrics: tuple[str, ...] = tuple(METRICS), num_samples: int = NUM_SAMPLES
) -> tuple[Protocol, list[ShardArrays], list[ShardArrays]]:
    """The protocol, the shards of an evaluation and those of its reference."""
    images = real_images()
    counts = {"num_samples": num_samples, "num_reconstructions": 40, "seed": 1}
    protocol = protocol_for(images, extractor, metric_versions(metrics), **counts)
    shards = [measure_shard(ColourfulVae(), images, extractor, protocol, part) for part in plan_shards(80, 32)]
    real = [measure_reference_shard(images, extractor, protocol, part) for part in plan_shards(NUM_REAL, 32)]
    return protocol, shards, real


def scored(protocol: Protocol, shards: list[ShardArrays], real: list[ShardArrays]) -> dict[str, MetricValue]:
    reference = merge_reference(real, protocol)
    scores = score(merge_shards(shards, protocol), reference, protocol, reference_shards=real)
    return {each.metric: each.value for each in scores}


def rows_of(shards: list[ShardArrays], name: str) -> np.ndarray:
    return np.concatenate([shard[name] for shard in shards if name in shard])


def test_the_scores_are_those_of_the_library_on_the_same_features() -> None:
    protocol, shards, real = measured(ClassifyingPixels(2))
    samples, reference = rows_of(shards, "samples/features"), rows_of(real, "features")
    manifold = manifold_scores(samples, reference)
    expected = {
        "kid": kernel_distance(samples, reference, fixed_reference=True),
        "precision": manifold.precision,
        "recall": manifold.recall,
        "density": manifold.density,
        "coverage": manifold.coverage,
        "authenticity": authenticity(samples, reference),
        "ndb": number_of_different_bins(samples, reference),
        "vendi": vendi_score(samples),
        "inception_score": inception_score(samples[:, :1] * np.array([[4, -2, 1]], np.float32)),
        "fid_infinity": frechet_distance_infinity(samples, reference),
        "sfid": frechet_distance(samples**2, reference**2),
    }
    result = scored(protocol, shards, real)
    for name, value in expected.items():
        assert value.kind == "finite"
        assert result[name] == value, name


def test_whatever_keeps_what_each_image_does_to_it_is_compared() -> None:
    protocol, shards, real = measured(ClassifyingPixels(2))
    kept = {name for name, value in scored(protocol, shards, real).items() if value.influence is not None}
    assert kept == {"fid", "rfid", "sfid"}
    assert set(COMPARED) == kept | {"fid_fitted", "fid_interpolations"}, "of streams that are not there"


@pytest.mark.parametrize("sizes", [[80], [1, 79], [33, 20, 27]])
def test_logits_are_the_same_however_the_work_is_cut(sizes: list[int]) -> None:
    protocol, shards, real = measured(ClassifyingPixels(2), ("inception_score",))
    stops = np.cumsum(sizes)
    parts = [IndexRange(int(stop) - size, int(stop)) for stop, size in zip(stops, sizes, strict=True)]
    cut = [measure_shard(ColourfulVae(), real_images(), ClassifyingPixels(2), protocol, part) for part in parts]
    assert rows_of(cut, "samples/logits").shape == (NUM_SAMPLES, 3)
    assert scored(protocol, cut, real) == scored(protocol, shards, real)


def test_logits_are_kept_only_if_the_protocol_asks_for_their_score() -> None:
    _, asked, _ = measured(ClassifyingPixels(2), ("fid", "inception_score"))
    _, unasked, _ = measured(ClassifyingPixels(2), ("fid",))
    assert "samples/logits" in asked[0]
    assert "samples/logits" not in unasked[0]


def test_an_extractor_that_does_not_classify_has_no_inception_score() -> None:
    value = scored(*measured(PixelExtractor(2)))["inception_score"]
    assert value.kind == "not_applicable"
    assert "extractor gives no logits" in (value.reason or "")
    assert "inception-v3-fid" in (value.reason or "")


def test_a_protocol_computes_what_it_names_and_nothing_else() -> None:
    assert set(scored(*measured(PixelExtractor(2), ("kid", "mse")))) == {"kid", "mse"}


@pytest.mark.parametrize(
    ("metrics", "kinds"),
    [(("fid", "vendi"), set()), (("recall",), {"pairs"}), (("ndb",), {"bins"}), (("kid", "ndb"), {"bins", "pairs"})],
)
def test_a_reference_keeps_what_the_metrics_of_the_protocol_need(metrics: tuple[str, ...], kinds: set[str]) -> None:
    protocol, _, real = measured(PixelExtractor(2), metrics)
    assert {name.partition("/")[0] for name in merge_reference(real, protocol) if "/" in name} == kinds


def test_what_a_reference_keeps_changes_no_number() -> None:
    protocol, shards, real = measured(PixelExtractor(2))
    reference = merge_reference(real, protocol)
    bare = {name: array for name, array in reference.items() if "/" not in name}
    summary = merge_shards(shards, protocol)
    with_and_without = [score(summary, known, protocol, reference_shards=real) for known in (reference, bare)]
    assert with_and_without[0] == with_and_without[1]


def test_pairs_are_looked_at_once_however_many_metrics_ask() -> None:
    rng = np.random.default_rng(3)
    real, generated = Pieces(rng.normal(size=(40, 3)), [7]), Pieces(rng.normal(size=(30, 3)), [9])
    rows = ReferenceRows(real, statistics_arrays(real, ["pairs"]))
    first, times = rows.pairs_with(generated), (real.times_read, generated.times_read)
    assert rows.pairs_with(generated) is first
    assert (real.times_read, generated.times_read) == times
    assert rows.pairs_with(Pieces(rng.normal(size=(30, 3)))) is not first


def test_a_reference_of_too_few_images_is_merged_and_its_metrics_say_why_there_is_no_number() -> None:
    images = real_images()
    protocol = protocol_for(images, PixelExtractor(2), metric_versions(), num_reference=5, num_samples=40)
    real = [measure_reference_shard(images, PixelExtractor(2), protocol, IndexRange(0, 5))]
    shards = [measure_shard(ColourfulVae(), images, PixelExtractor(2), protocol, IndexRange(0, NUM_REAL))]
    result = scored(protocol, shards, real)
    assert {result[name].kind for name in ("kid", "coverage", "ndb")} == {"not_applicable"}
    assert "Received: num_images=5, neighbours=5 Expected: 6 images or more" in (result["kid"].reason or "")
    assert "Received: num_images=5, bins=100" in (result["ndb"].reason or "")
    assert result["fid"].kind == result["vendi"].kind == "finite"


def test_without_the_shards_of_the_reference_metrics_of_single_images_say_so() -> None:
    protocol, shards, real = measured(PixelExtractor(2))
    scores = score(merge_shards(shards, protocol), merge_reference(real, protocol), protocol)
    result = {each.metric: each.value for each in scores}
    for name in ("kid", "precision", "authenticity", "ndb"):
        assert result[name].kind == "not_applicable"
        assert "was not given the shards of the reference" in (result[name].reason or "")
    assert result["vendi"].kind == "finite", "it looks at no real image"


def test_features_that_are_not_finite_are_a_kind_and_a_place_not_a_failure() -> None:
    protocol, shards, real = measured(PixelExtractor(2))
    broken = [dict(shard) for shard in shards]
    broken[1]["samples/features"] = broken[1]["samples/features"].copy()
    broken[1]["samples/features"][3, 1] = np.nan
    result = scored(protocol, broken, real)
    for name in ("fid", *OF_SAMPLES):
        assert (result[name].kind, result[name].value, result[name].num_images) == ("nan", None, NUM_SAMPLES), name
        assert "1 values that are NaN or infinite, in 1 of 80 rows; first in row 35" in (result[name].reason or "")
    assert result["rfid"].kind == "finite"


def test_samples_that_are_not_finite_have_no_number_of_any_metric() -> None:
    protocol, shards, real = measured(PixelExtractor(2))
    broken = [dict(shard) for shard in shards]
    broken[0]["samples/finite"] = np.zeros(32, np.uint8)
    result = scored(protocol, broken, real)
    assert {result[name].reason for name in OF_SAMPLES} == {"32 of 80 samples hold values that are not finite."}


def test_black_samples_have_no_vendi_score_and_the_reason_says_which() -> None:
    protocol, shards, real = measured(PixelExtractor(2))
    dark = [dict(shard) for shard in shards]
    dark[1]["samples/features"] = np.zeros_like(dark[1]["samples/features"])
    result = scored(protocol, dark, real)
    assert (result["vendi"].kind, result["kid"].kind) == ("not_applicable", "finite")
    assert "Received: row 32, all 0" in (result["vendi"].reason or "")


def test_values_outside_the_range_are_a_warning_on_metrics_of_samples() -> None:
    protocol, shards, real = measured(PixelExtractor(2))
    wild = [shard | {"samples/outside": np.full(len(shard["samples/features"]), 0.25)} for shard in shards[:2]]
    result = scored(protocol, [*wild, shards[2]], real)
    assert "lie outside [0, 1]" in result["kid"].warnings[0]
    assert not any("outside" in warning for warning in result["rfid"].warnings)


# --- which metrics a protocol has -------------------------------------------------------------------------------------


def test_by_default_all_is_computed_that_the_numbers_of_images_make_cheap_and_meaningful() -> None:
    pairs, bins = REFERENCE_STATISTICS["pairs"][1], REFERENCE_STATISTICS["bins"][1]
    others = inapplicable(num_interpolations=0, num_fitted=0, has_factors=False)  # they need streams or factors
    expected = METRICS.keys() - ONLY_ON_REQUEST - others - {"sfid"}
    assert set(default_metrics(10_000, 10_000, 64)) == expected
    assert set(default_metrics(500, 500, 64)) == expected - bins, "bins of five images fit nothing else"
    assert set(default_metrics(50_000, 50_000, 64)) == (expected - pairs) | {"sfid"}
    assert set(default_metrics(20_000, 20_001, 64)) == expected - pairs
    without_samples = set(default_metrics(0, 10_000, 64))
    assert not without_samples & (pairs | bins | {"vendi"})
    assert {"fid", "rfid", "mse", "cross_entropy", "psnr", "kl"} <= without_samples
    assert without_samples - set(default_metrics(0, 10_000, 10)) == {"ssim"}, "which has windows of 11 pixels"


def test_every_metric_that_a_reference_is_prepared_for_exists() -> None:
    assert {name for _, names in REFERENCE_STATISTICS.values() for name in names} <= METRICS.keys()


def test_a_metric_that_does_not_exist_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(
        InvalidInput, match=r"Received: fdi, presision Expected: some of fid, .* Next: perhaps fid, precision"
    ):
        metric_versions(["kid", "presision", "fdi"])
    with pytest.raises(InvalidInput, match=r"names no metrics\. Received: metrics: \[\]"):
        metric_versions([])


def test_the_order_in_which_metrics_are_named_does_not_matter() -> None:
    assert list(metric_versions(["vendi", "fid"])) == ["fid", "vendi"]
