"""sFID in an evaluation: the Fréchet distance of spatial features, or why there is none."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from vaeval_core.evaluate import (
    measure_reference_shard,
    measure_shard,
    merge_reference,
    merge_shards,
    score,
)
from vaeval_core.evaluation_result import MetricValue
from vaeval_core.features.base import AllFeatures
from vaeval_core.metrics.catalogue import default_metrics, metric_versions
from vaeval_core.metrics.fidelity import frechet_distance
from vaeval_core.metrics.imported_reference import ImportedReference, Moments
from vaeval_core.protocol import Protocol
from vaeval_core.shard_plan import plan_shards
from vaeval_core.streams.base import ShardArrays
from vaeval_core.testing import ImagesInMemory, PixelExtractor, TwoPixelVae, protocol_for
from vaeval_core.types import Float32, Uint8


@dataclass(frozen=True)
class Placed(PixelExtractor):
    """Spatial features of three numbers, of which none is a feature."""

    @property
    def num_spatial_features(self) -> int:
        return 3

    def spatial_features(self, images: Uint8) -> Float32:
        first, second = self.extract(images).T
        return np.stack([first * second, first**2, np.sin(5 * second)], axis=1)

    def all_features(self, images: Uint8, *, logits: bool = False, spatial: bool = False) -> AllFeatures:
        return AllFeatures(self.extract(images), None, self.spatial_features(images) if spatial else None)


class Pale(TwoPixelVae):
    """Samples within [0, 1], which nobody has to be warned of; the second pixel follows the first."""

    def decode(self, latents: Float32) -> Float32:
        pixels = super().decode(latents * np.float32(0.1))
        pixels[:, 0, 1, 0] = 0.5 + np.sin(7 * latents[:, 0]) / 3
        return pixels


IMAGES = ImagesInMemory(np.random.default_rng(1).integers(0, 256, (90, 1, 2, 1), dtype=np.uint8))
EXTRACTOR = Placed(2)


def protocol(*metrics: str, extractor: PixelExtractor = EXTRACTOR) -> Protocol:
    return protocol_for(IMAGES, extractor, metric_versions(metrics), num_samples=105)


def measured(chosen: Protocol, extractor: PixelExtractor = EXTRACTOR, size: int = 32) -> tuple[list[ShardArrays], ...]:
    shards = [measure_shard(Pale(), IMAGES, extractor, chosen, part) for part in plan_shards(105, size)]
    real = [measure_reference_shard(IMAGES, extractor, chosen, part) for part in plan_shards(90, size)]
    return shards, real


def scored(chosen: Protocol, shards: list[ShardArrays], real: list[ShardArrays]) -> dict[str, MetricValue]:
    scores = score(merge_shards(shards, chosen), merge_reference(real, chosen), chosen, reference_shards=real)
    return {each.metric: each.value for each in scores}


def rows(shards: list[ShardArrays], name: str) -> np.ndarray:
    return np.concatenate([shard[name] for shard in shards if name in shard])


def test_it_is_the_distance_of_the_spatial_features_with_its_error() -> None:
    chosen = protocol("fid", "sfid")
    shards, real = measured(chosen)
    value = scored(chosen, shards, real)["sfid"]
    expected = frechet_distance(rows(shards, "samples/spatial"), rows(real, "spatial"))
    assert value == expected
    assert value.std_error is not None
    assert value.influence is not None
    np.testing.assert_array_equal(value.influence, expected.influence)


def test_how_the_work_is_cut_changes_no_bit() -> None:
    chosen = protocol("sfid")
    assert scored(chosen, *measured(chosen, size=90)) == scored(chosen, *measured(chosen, size=32))


def test_spatial_features_are_kept_only_where_a_protocol_asks() -> None:
    shards, real = measured(protocol("fid"))
    assert not any("spatial" in name for shard in (*shards, *real) for name in shard)
    assert protocol("fid").reference_key != protocol("fid", "sfid").reference_key


def test_fid_is_the_same_beside_it() -> None:
    with_it, without = (scored(chosen, *measured(chosen)) for chosen in (protocol("fid", "sfid"), protocol("fid")))
    assert with_it["fid"] == without["fid"]


def test_an_extractor_without_spatial_features_has_none() -> None:
    plain = PixelExtractor(2)
    chosen = protocol("fid", "sfid", extractor=plain)
    value = scored(chosen, *measured(chosen, plain))["sfid"]
    assert value.kind == "not_applicable"
    assert "The extractor gives no spatial features" in str(value.reason)


def test_features_that_are_not_finite_are_a_kind_not_a_failure() -> None:
    chosen = protocol("sfid")
    shards, real = measured(chosen)
    shards[0]["samples/spatial"][3, 1] = np.nan
    value = scored(chosen, shards, real)["sfid"]
    assert (value.kind, value.value) == ("nan", None)
    assert "spatial features of samples that are not finite" in str(value.reason)


@pytest.mark.parametrize("known", [True, False])
def test_an_imported_reference_has_it_if_it_has_the_statistics(known: bool) -> None:
    chosen = protocol("fid", "sfid")
    shards, real = measured(chosen)

    def moments(name: str) -> Moments:
        found = rows(real, name).astype(np.float64)
        return Moments(found.mean(axis=0), np.cov(found.T))

    imported = ImportedReference(moments=moments("features"), spatial=moments("spatial") if known else None, count=90)
    against = chosen.model_copy(update={"imported_reference": imported.digest})
    values = {each.metric: each.value for each in score(merge_shards(shards, against), imported.to_arrays(), against)}
    computed = scored(chosen, shards, real)
    assert values["fid"].value == pytest.approx(computed["fid"].value, rel=1e-9)
    if known:
        assert values["sfid"].value == pytest.approx(computed["sfid"].value, rel=1e-9)
    else:
        assert values["sfid"].kind == "not_applicable"
        assert "mu_s" in str(values["sfid"].reason)


def test_unasked_it_is_computed_of_as_many_samples_as_are_published() -> None:
    assert "sfid" in default_metrics(50_000, 50_000, 64)
    assert "sfid" not in default_metrics(10_000, 10_000, 64)
