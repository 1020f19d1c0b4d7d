"""Whatever the catalogue holds: how the work is cut changes no part of any value. A metric that is added is tested here.

Two evaluations give every metric a number between them: small images with factors, of a model with a posterior, a codebook and
a likelihood, under an extractor that classifies and has spatial features; and images large enough for five scales.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from tests.wrapped_model import WrappedModel
from vaeval_core.checkpoints.base import Posterior
from vaeval_core.checkpoints.linear_gaussian import fit_linear_gaussian, linear_gaussian_vae
from vaeval_core.evaluate import measure_reference_shard, measure_shard, merge_reference, merge_shards, score
from vaeval_core.evaluation_result import MetricValue
from vaeval_core.features.base import AllFeatures
from vaeval_core.images.factor_labels import FactorLabels
from vaeval_core.metrics.catalogue import METRICS, metric_versions
from vaeval_core.protocol import Protocol
from vaeval_core.shard_plan import plan_shards
from vaeval_core.testing import ImagesInMemory, PixelExtractor, protocol_for
from vaeval_core.types import Float32, Uint8

OF_LARGE_IMAGES = ("ms_ssim", "ms_ssim_drawn")
"""Metrics that need more pixels than a test of all others can afford."""

OF_NETWORKS = ("lpips",)
"""Metrics that need a network of their own: tests/numerics/test_perceptual_distance.py holds them to the same."""

COUNT, SIDE = 150, 12


@dataclass(frozen=True)
class FourPlaces(PixelExtractor):
    """Mean greys of four quarters of an image; three classes by the first of them, and squares for spatial features."""

    dimension: int = 4

    @property
    def num_classes(self) -> int:
        return 3

    @property
    def num_spatial_features(self) -> int:
        return 4

    def extract(self, images: Uint8) -> Float32:
        half = images.shape[1] // 2
        quarters = [images[:, top : top + half, left : left + half] for top in (0, half) for left in (0, half)]
        return np.stack([part.mean(axis=(1, 2, 3)) / 255 for part in quarters], axis=1).astype(np.float32)

    def all_features(self, images: Uint8, *, logits: bool = False, spatial: bool = False) -> AllFeatures:
        features = self.extract(images)
        classes = features[:, :1] * np.array([[9, -5, 2]], np.float32)
        return AllFeatures(features, classes if logits else None, np.square(features) if spatial else None)


@dataclass
class WithCodes(WrappedModel):
    """A linear model that also quantises the mean grey of each image, into one of four codes."""

    def encode(self, images: Float32) -> Posterior:
        own = self.model.encode(images)
        codes = np.minimum(images.mean(axis=(1, 2, 3)) * 4, 3).astype(np.int64)[:, np.newaxis]
        return Posterior(own.mean, own.log_variance, codes=codes, codebook_size=4)


def images_with_factors() -> ImagesInMemory:
    """Ramps across and down, of five and six steepnesses, with noise."""
    classes = np.stack([np.arange(COUNT) % 5, np.arange(COUNT) // 5 % 6], axis=1)
    places = np.arange(SIDE) - (SIDE - 1) / 2
    across, down = classes[:, :1] * places, classes[:, 1:] * places
    noise = np.random.default_rng(3).normal(0, 6, (COUNT, SIDE, SIDE))
    levels = np.clip(128 + 3 * across[:, np.newaxis, :] + 2 * down[:, :, np.newaxis] + noise, 0, 255)
    return ImagesInMemory(levels.astype(np.uint8)[..., np.newaxis], factors=FactorLabels(("across", "down"), classes))


def scored(vae: object, images: ImagesInMemory, protocol: Protocol, size: int) -> dict[str, MetricValue]:
    extractor = FourPlaces()
    shards = [
        measure_shard(vae, images, extractor, protocol, part)  # type: ignore[arg-type]
        for part in plan_shards(protocol.num_images, size)
    ]
    real = [
        measure_reference_shard(images, extractor, protocol, part) for part in plan_shards(protocol.num_reference, size)
    ]
    reference = merge_reference(real, protocol)
    scores = score(merge_shards(shards, protocol), reference, protocol, reference_shards=real)
    return {each.metric: each.value for each in scores}


def require_equal(name: str, cut: MetricValue, whole: MetricValue) -> None:
    """To 1e-12 in every number, and word for word."""
    words = [(value.kind, value.reason, value.num_images, value.warnings) for value in (cut, whole)]
    assert words[0] == words[1], name
    for part, (numbers, expected) in {
        "value": ([cut.value], [whole.value]),
        "standard error": ([cut.std_error], [whole.std_error]),
        "bias": ([cut.bias], [whole.bias]),
        "components": (cut.components, whole.components),
        "influence": (cut.influence, whole.influence),
    }.items():
        # What is missing is NaN as an array, which equals itself here.
        arrays = (np.array(numbers, np.float64), np.array(expected, np.float64))
        np.testing.assert_allclose(*arrays, rtol=1e-12, atol=1e-12, strict=True, err_msg=f"{part} of {name}")


def names_with_a_number(values: Iterable[tuple[str, MetricValue]]) -> set[str]:
    return {name for name, value in values if value.kind == "finite"}


def test_how_the_work_is_cut_changes_no_part_of_any_metric() -> None:
    images = images_with_factors()
    vae = WithCodes(fit_linear_gaussian(images.array, 3))
    lengths = {"num_samples": 140, "num_reconstructions": 145, "num_interpolations": 110, "num_fitted": 100}
    protocol = protocol_for(images, FourPlaces(), metric_versions(METRICS), num_draws=3, seed=5, **lengths)
    whole, cut = (scored(vae, images, protocol, size) for size in (256, 32))
    assert set(METRICS) - names_with_a_number(whole.items()) == {*OF_LARGE_IMAGES, *OF_NETWORKS}, (
        "all others have a number"
    )
    for name in METRICS:
        require_equal(name, cut[name], whole[name])


def test_how_the_work_is_cut_changes_no_part_of_metrics_that_need_large_images() -> None:
    noise = np.random.default_rng(4)
    levels = np.rint(127 + 40 * np.cumsum(noise.normal(size=(34, 176, 176, 1)), axis=1) / 13).clip(0, 255)
    images = ImagesInMemory(levels.astype(np.uint8))
    weights = noise.normal(0, 0.1, (176 * 176, 3))
    vae = linear_gaussian_vae(np.linalg.qr(weights)[0] * 20, np.full(176 * 176, 0.5), 0.04, (176, 176, 1))
    protocol = protocol_for(images, FourPlaces(), metric_versions(OF_LARGE_IMAGES), num_samples=0, num_reference=3)
    whole, cut = (scored(vae, images, protocol, size) for size in (64, 32))
    assert names_with_a_number(whole.items()) == set(OF_LARGE_IMAGES)
    for name in OF_LARGE_IMAGES:
        assert whole[name].num_images == 34
        require_equal(name, cut[name], whole[name])
