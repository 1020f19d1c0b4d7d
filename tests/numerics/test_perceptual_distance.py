"""LPIPS against an implementation in NumPy that shares no line with it, and against the package of its authors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view

from tests.lpips_tensors import lpips_state
from tests.numerics.parity import parity
from vaeval_core.checkpoints.linear_gaussian import fit_linear_gaussian
from vaeval_core.errors import ImagesRejected
from vaeval_core.evaluate import measure_reference_shard, measure_shard, merge_reference, merge_shards, score
from vaeval_core.evaluation_result import MetricValue
from vaeval_core.features.lpips_weights import convert_state_dict
from vaeval_core.features.perceptual_distance import PerceptualDistance
from vaeval_core.metrics.catalogue import metric_versions
from vaeval_core.protocol import PerceptualNetwork, PerceptualSpec
from vaeval_core.quantisation import to_float, to_uint8
from vaeval_core.shard_plan import plan_shards
from vaeval_core.testing import ImagesInMemory, PixelExtractor, protocol_for
from vaeval_core.types import Float64, Uint8

pytestmark = pytest.mark.tensorflow


_, TENSORS = convert_state_dict(lpips_state("alex"), Path("any.pth"))


def distance(network: PerceptualNetwork, batch: int = 2) -> PerceptualDistance:
    _, tensors = convert_state_dict(lpips_state(network), Path("any.pth"))
    return PerceptualDistance(PerceptualSpec(network=network, weights_digest="a" * 64), tensors, batch=batch)


@pytest.fixture(scope="module")
def with_alex() -> PerceptualDistance:
    return distance("alex")


def pair(count: int, height: int, width: int, channels: int = 3) -> tuple[Uint8, Uint8]:
    """Images, and others that are nearer to them the later they come."""
    random = np.random.default_rng(count + height)
    images, noise = random.integers(0, 256, (2, count, height, width, channels))
    share = np.linspace(1, 0.1, count).reshape(-1, 1, 1, 1)
    return images.astype(np.uint8), np.rint((1 - share) * images + share * noise).astype(np.uint8)


def convolved(images: Float64, kernel: Float64, bias: Float64, stride: int, padding: int) -> Float64:
    """(n, c, h, w), as a sum over windows."""
    padded = np.pad(images, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    windows = sliding_window_view(padded, kernel.shape[2:], axis=(2, 3))[:, :, ::stride, ::stride]
    return np.maximum(np.einsum("ncijhw,ochw->noij", windows, kernel, optimize=True) + bias.reshape(-1, 1, 1), 0)


def pooled(images: Float64, side: int) -> Float64:
    return sliding_window_view(images, (side, side), axis=(2, 3))[:, :, ::2, ::2].max(axis=(4, 5))


LAYERS: dict[PerceptualNetwork, list[list[tuple[str, int, int] | int]]] = {
    "alex": [
        [("net.slice1.0", 4, 2)],
        [3, ("net.slice2.3", 1, 2)],
        [3, ("net.slice3.6", 1, 1)],
        [("net.slice4.8", 1, 1)],
        [("net.slice5.10", 1, 1)],
    ],
    "vgg": [
        [("net.slice1.0", 1, 1), ("net.slice1.2", 1, 1)],
        [2, ("net.slice2.5", 1, 1), ("net.slice2.7", 1, 1)],
        [2, *((f"net.slice3.{number}", 1, 1) for number in (10, 12, 14))],
        [2, *((f"net.slice4.{number}", 1, 1) for number in (17, 19, 21))],
        [2, *((f"net.slice5.{number}", 1, 1) for number in (24, 26, 28))],
    ],
}
"""Slice by slice: side of a maximum, or module, stride and padding of a convolution; from the package, not from our table."""


def by_definition(network: PerceptualNetwork, images: Uint8, others: Uint8) -> Float64:
    state = {name: value.astype(np.float64) for name, value in lpips_state(network).items()}
    current = []
    for each in (images, others):
        in_planes = each.transpose(0, 3, 1, 2) / 255.0
        current.append((2 * in_planes - 1 - state["scaling_layer.shift"]) / state["scaling_layer.scale"])
    total = np.zeros(len(images))
    for number, layers in enumerate(LAYERS[network]):
        for layer in layers:
            if isinstance(layer, int):
                current = [pooled(each, layer) for each in current]
            else:
                module, stride, padding = layer
                weights = state[f"{module}.weight"], state[f"{module}.bias"]
                current = [convolved(each, *weights, stride, padding) for each in current]
        unit = [each / (np.sqrt(np.square(each).sum(axis=1, keepdims=True)) + 1e-10) for each in current]
        weighted = np.square(unit[0] - unit[1]) * state[f"lin{number}.model.1.weight"]
        total += weighted.sum(axis=1).mean(axis=(1, 2))
    return total


@pytest.mark.parametrize(("network", "height", "width"), [("alex", 31, 50), ("alex", 64, 37), ("vgg", 16, 21)])
def test_it_is_the_published_formula(network: PerceptualNetwork, height: int, width: int) -> None:
    images, others = pair(3, height, width)
    expected = by_definition(network, images, others)
    found = distance(network).between(images, others)
    assert found.dtype == np.float64
    assert (np.diff(found) < 0).all(), "the others come nearer"
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_equal_images_are_at_distance_0_and_order_does_not_matter(with_alex: PerceptualDistance) -> None:
    images, others = pair(2, 40, 40)
    np.testing.assert_array_equal(with_alex.between(images, images), 0)
    np.testing.assert_array_equal(with_alex.between(images, others), with_alex.between(others, images))


def test_a_distance_depends_on_its_own_pair_alone() -> None:
    in_fours = distance("alex", batch=4)
    images, others = pair(6, 40, 33)
    together = in_fours.between(images, others)
    order = np.array([5, 0, 3, 2, 4, 1])
    np.testing.assert_array_equal(in_fours.between(images[order], others[order]), together[order])
    np.testing.assert_array_equal(in_fours.between(images[2:3], others[2:3]), together[2:3])


def test_grey_is_taken_as_rgb(with_alex: PerceptualDistance) -> None:
    images, others = pair(2, 36, 36, channels=1)
    as_rgb = (each.repeat(3, axis=-1) for each in (images, others))
    np.testing.assert_array_equal(with_alex.between(images, others), with_alex.between(*as_rgb))


def test_black_images_have_a_distance(with_alex: PerceptualDistance) -> None:
    """A place of which all channels give nothing has no direction; it must not become NaN."""
    black = np.zeros((1, 40, 40, 3), np.uint8)
    assert np.isfinite(with_alex.between(black, pair(1, 40, 40)[0])).all()


def test_images_that_are_too_small_or_no_pairs_are_refused(with_alex: PerceptualDistance) -> None:
    small, large = np.zeros((1, 30, 64, 3), np.uint8), np.zeros((1, 64, 64, 3), np.uint8)
    with pytest.raises(
        ImagesRejected, match=r"too small for LPIPS with alex. Received: 30 × 64 pixels Expected: at least 31"
    ):
        with_alex.between(small, small)
    with pytest.raises(ImagesRejected, match=r"no pairs. Received: \(1, 64, 64, 3\) uint8 and \(1, 30, 64, 3\) uint8"):
        with_alex.between(large, small)


def test_the_metric_is_its_mean_however_the_work_is_cut(with_alex: PerceptualDistance) -> None:
    noise = np.random.default_rng(5)
    levels = 127 + 12 * np.cumsum(noise.normal(size=(34, 32, 32, 1)), axis=1)
    images = ImagesInMemory(np.rint(levels.clip(0, 255)).astype(np.uint8))
    vae, extractor = fit_linear_gaussian(images.array, 4), PixelExtractor(32 * 32)
    protocol = protocol_for(images, extractor, metric_versions(["lpips", "mse"]), num_samples=0)
    protocol = protocol.model_copy(update={"lpips": with_alex.spec})

    def scored(size: int) -> dict[str, MetricValue]:
        distance = PerceptualDistance(with_alex.spec, TENSORS, batch=protocol.network_batch)
        shards = [
            measure_shard(vae, images, extractor, protocol, part, perceptual=distance)
            for part in plan_shards(protocol.num_images, size)
        ]
        real = [measure_reference_shard(images, extractor, protocol, part) for part in plan_shards(34, 64)]
        scores = score(merge_shards(shards, protocol), merge_reference(real, protocol), protocol)
        return {each.metric: each.value for each in scores}

    whole, cut = scored(64)["lpips"], scored(32)["lpips"]
    assert (cut.value, cut.std_error, cut.num_images) == (whole.value, whole.std_error, 34)
    reconstructions = to_uint8(vae.decode(vae.encode(to_float(images.array)).mean))
    expected = with_alex.between(images.array, reconstructions)
    assert whole.value == pytest.approx(expected.mean(), rel=1e-6)
    assert whole.std_error == pytest.approx(expected.std(ddof=1) / np.sqrt(34), rel=1e-6)


@pytest.mark.backend
def test_it_is_what_the_package_of_the_authors_gives() -> None:
    """Within 1e-5 of each distance."""
    assert parity("benchmarks.parity_lpips", ("torch", "torchvision", "lpips")).count("×") == 6
