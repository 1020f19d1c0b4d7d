"""What every network extractor does around its network: the clean resize as clean-FID has it, and lower precision."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image

from vaeval_core.accumulators.feature_rows import FeatureRows
from vaeval_core.features.inception_v3 import build_network, scale_to_graph_range
from vaeval_core.features.network_extractor import MOST_SIZES, NetworkExtractor
from vaeval_core.features.random_weights import random_weights
from vaeval_core.features.resize import INCEPTION_RESIZES
from vaeval_core.images.digits import digits_split
from vaeval_core.metrics.frechet import fit_gaussian, squared_frechet_distance
from vaeval_core.protocol import ExtractorSpec, Precision
from vaeval_core.types import Float32, Uint8

pytestmark = pytest.mark.tensorflow

SIDE = 24

MakeExtractor = Callable[..., NetworkExtractor]


def spec(dimension: int, resize: str = "tf1-bilinear", precision: Precision = "float32") -> ExtractorSpec:
    return ExtractorSpec(
        name="any", version=1, weights_digest="a" * 64, resize=resize, precision=precision, dimension=dimension
    )


def flattening_network() -> Any:
    """Its features are the pixels that reach the network."""
    import keras

    return keras.Sequential([keras.Input((SIDE, SIDE, 3)), keras.layers.Flatten()])


def convolving_network() -> Any:
    """A convolution with a normalisation and a mean, as in both Inception networks; weights need all bits of float32."""
    import keras

    layers = keras.layers
    inputs = keras.Input((SIDE, SIDE, 3))
    convolution, normalisation = layers.Conv2D(8, 3, use_bias=False), layers.BatchNormalization(scale=False)
    tensor = layers.Activation("relu")(normalisation(convolution(inputs)))
    network = keras.Model(inputs, layers.GlobalAveragePooling2D()(layers.Concatenate()([tensor, tensor])))
    random = np.random.default_rng(0)
    convolution.set_weights([random.normal(0, 0.2, (3, 3, 3, 8)).astype(np.float32)])
    normalisation.set_weights([random.uniform(0.1, 1, 8).astype(np.float32) for _ in range(3)])
    return network


def noise(num_images: int, height: int = 20, width: int = 28) -> Uint8:
    return np.random.default_rng(num_images).integers(0, 256, (num_images, height, width, 3), dtype=np.uint8)


def clean_fid_resize(image: Uint8) -> Float32:
    """As clean-FID does it: each channel as a float image through Pillow's bicubic, then clipped, never rounded."""
    channels = [
        np.asarray(
            Image.fromarray(image[..., channel].astype(np.float32)).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
        )
        for channel in range(3)
    ]
    return np.stack(channels, axis=-1).clip(0, 255)


@pytest.mark.parametrize(("height", "width"), [(8, 8), (20, 28), (90, 50)])
def test_clean_reaches_the_network_as_clean_fid_resizes(height: int, width: int) -> None:
    images = noise(2, height, width)
    extractor = NetworkExtractor(spec(SIDE * SIDE * 3, "clean"), flattening_network(), lambda pixels: pixels, batch=2)
    pixels = extractor.extract(images).reshape(2, SIDE, SIDE, 3)
    expected = np.stack([clean_fid_resize(image) for image in images])
    np.testing.assert_allclose(pixels, expected, rtol=0, atol=1e-5 * 255)
    assert (pixels == 0).any() == (expected == 0).any()


EXTREMES = [(1, 1), (1, 1000), (1000, 1), (SIDE, SIDE), (SIDE + 1, 700), (3, 299)]
"""(height, width)."""


@pytest.mark.parametrize("resize", INCEPTION_RESIZES)
@pytest.mark.parametrize(("height", "width"), EXTREMES)
@pytest.mark.parametrize("channels", [1, 3])
def test_one_colour_stays_that_colour_at_any_size(height: int, width: int, channels: int, resize: str) -> None:
    colour = np.array([200, 7, 255], np.uint8)[:channels]
    images = np.broadcast_to(colour, (3, height, width, channels))
    extractor = NetworkExtractor(spec(SIDE * SIDE * 3, resize), flattening_network(), lambda pixels: pixels, batch=2)
    pixels = extractor.extract(images).reshape(3, SIDE, SIDE, 3)
    np.testing.assert_allclose(pixels, np.broadcast_to(colour, pixels.shape), rtol=1e-5)


def test_how_an_array_lies_in_memory_does_not_matter() -> None:
    extractor = NetworkExtractor(spec(SIDE * SIDE * 3), flattening_network(), lambda pixels: pixels, batch=2)
    images = noise(3)
    expected = extractor.extract(images)
    with_gaps = images.repeat(2, axis=0).repeat(2, axis=2)[::2, :, ::2]
    planes_first = np.ascontiguousarray(images.transpose(0, 3, 1, 2)).transpose(0, 2, 3, 1)
    read_only = images.copy()
    read_only.setflags(write=False)
    for same in (with_gaps, planes_first, read_only):
        np.testing.assert_array_equal(extractor.extract(same), expected)
    np.testing.assert_array_equal(extractor.extract(images[::-1]), expected[::-1])


def test_images_of_many_sizes_do_not_fill_the_memory_with_programs() -> None:
    import keras

    extractor = NetworkExtractor(spec(SIDE * SIDE * 3), flattening_network(), lambda pixels: pixels, batch=1)
    gc.collect()
    before = weakref.WeakSet(thing for thing in gc.get_objects() if isinstance(thing, keras.Model))
    sizes = range(5, 5 + 3 * MOST_SIZES)
    features = {size: extractor.extract(noise(1, size, 9)) for size in sizes}
    gc.collect()
    programs = [thing for thing in gc.get_objects() if isinstance(thing, keras.Model) and thing not in before]
    assert len(programs) == MOST_SIZES
    np.testing.assert_array_equal(extractor.extract(noise(1, sizes[0], 9)), features[sizes[0]])


def rounded(values: Float32) -> Float32:
    """To bfloat16: half the last of eight significant bits at most, ties to even."""
    bits = values.astype(np.float32).view(np.uint32)
    up = ((bits >> np.uint32(16)) & np.uint32(1)) + np.uint32(0x7FFF)
    return ((bits + up) & np.uint32(0xFFFF0000)).view(np.float32)


def test_bfloat16_rounds_weights_and_activations_but_neither_statistics_nor_the_mean() -> None:
    import tensorflow as tf

    images = noise(2, SIDE, SIDE)
    network = convolving_network()
    (kernel,) = network.layers[1].get_weights()
    beta, mean, variance = network.layers[2].get_weights()
    before_rounding = tf.nn.conv2d(rounded(images / np.float32(255)), rounded(kernel), 1, "VALID").numpy()
    normalised = (rounded(before_rounding) - mean) / np.sqrt(variance + 1e-3) + beta
    activations = np.maximum(rounded(normalised), 0)
    expected = np.concatenate([activations, activations], axis=-1).mean(axis=(1, 2))
    extractor = NetworkExtractor(spec(16, precision="bfloat16"), network, lambda pixels: pixels / 255, batch=2)
    features = extractor.extract(images)
    assert features.dtype == np.float32
    # Sums of 27 products in another order may fall on the other side of a rounding, here and there.
    np.testing.assert_allclose(features, expected, rtol=0, atol=1e-4 * expected.max())
    in_float32 = NetworkExtractor(spec(16), network, lambda pixels: pixels / 255, batch=2).extract(images)
    assert np.abs(features - in_float32).max() > 3e-4 * expected.max()


def test_the_given_network_stays_float32() -> None:
    network = convolving_network()
    before = network.get_weights()
    NetworkExtractor(spec(16, precision="bfloat16"), network, lambda pixels: pixels, batch=2).extract(noise(2))
    assert {layer.compute_dtype for layer in network.layers} == {"float32"}
    for weight, same in zip(network.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, same)


@pytest.fixture(scope="module")
def inception() -> Any:
    return build_network(random_weights())


@pytest.fixture(scope="module")
def in_bfloat16(inception: Any) -> NetworkExtractor:
    return NetworkExtractor(spec(2048, precision="bfloat16"), inception, scale_to_graph_range, batch=8)


def test_in_bfloat16_too_a_feature_depends_on_its_own_image_alone(in_bfloat16: NetworkExtractor) -> None:
    images = noise(8)
    together = in_bfloat16.extract(images)
    np.testing.assert_array_equal(in_bfloat16.extract(images[::-1]), together[::-1])
    np.testing.assert_array_equal(in_bfloat16.extract(images[5:6]), together[5:6])


def test_bfloat16_shifts_fid_by_no_more_than_declared(inception: Any, in_bfloat16: NetworkExtractor) -> None:
    """docs/precision.md declares two per cent, from a measurement with more images: this guards it at three levels."""
    digits = digits_split("train")[0]
    random = np.random.default_rng(0)
    levels = [random.normal(digits[24:48], noise).clip(0, 255).astype(np.uint8) for noise in (0, 5, 40)]
    in_float32 = NetworkExtractor(spec(2048), inception, scale_to_graph_range, batch=8)
    distances: list[list[float]] = []
    for extractor in (in_float32, in_bfloat16):
        reference = fit_gaussian(FeatureRows.from_rows(extractor.extract(digits[:24])))
        features = [extractor.extract(images) for images in levels]
        distances.append([squared_frechet_distance(FeatureRows.from_rows(rows), reference) for rows in features])
    assert distances[1] == pytest.approx(distances[0], rel=0.02)
    assert all(full != rounded for full, rounded in zip(*distances, strict=True))
