"""The Inception v3 network and extractor against independent implementations.

The published weights are not needed: any weights show whether the architecture is right. Keras's own InceptionV3, with
its batch normalisations in place, computes everything up to the last block; TensorFlow's plain operations compute the
last block, whose pool takes the maximum.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vaeval_core.errors import ImagesRejected, InvalidInput
from vaeval_core.features.base import FeatureExtractor
from vaeval_core.features.catalogue import load_extractor, resolve_extractor
from vaeval_core.features.inception_extractor import InceptionExtractor
from vaeval_core.features.inception_v3 import (
    ConvolutionWeights,
    build_network,
    fold_batch_norm,
    layer_name,
    scale_to_graph_range,
)
from vaeval_core.features.inception_v3_architecture import kernel_shapes
from vaeval_core.features.network_extractor import NetworkExtractor
from vaeval_core.features.random_weights import WEIGHTS_DIGEST, random_kernel, random_weights, weights_digest
from vaeval_core.protocol import ExtractorSpec
from vaeval_core.shard_plan import NETWORK_BATCH
from vaeval_core.types import Float32, Uint8

pytestmark = pytest.mark.tensorflow

Parameters = dict[str, dict[str, Float32]]
"""Scope → kernel, gamma, beta, mean, variance of a convolution and the normalisation after it."""


def random_parameters() -> Parameters:
    random = np.random.default_rng(0)
    parameters: Parameters = {}
    for number, (scope, shape) in enumerate(kernel_shapes().items()):
        width = shape[-1]
        parameters[scope] = {
            "kernel": random_kernel(number, shape),
            # Keras's InceptionV3 has no gamma: it is 1 wherever Keras computes.
            "gamma": np.ones(width, np.float32),
            "beta": random.normal(0, 0.2, width).astype(np.float32),
            "mean": random.normal(0, 0.2, width).astype(np.float32),
            "variance": random.uniform(0.5, 1.5, width).astype(np.float32),
        }
        if scope.startswith("mixed_10/"):
            parameters[scope]["gamma"] = random.uniform(0.5, 1.5, width).astype(np.float32)
    return parameters


def in_order_of_creation(model: Any, kind: str) -> list[Any]:
    """Layers `kind`, `kind_1`, … of Keras's InceptionV3: the order in which its source code makes them."""
    layers = [layer for layer in model.layers if layer.name.rstrip("0123456789").rstrip("_") == kind]
    return sorted(layers, key=lambda layer: int(layer.name.removeprefix(kind).removeprefix("_") or 0))


def keras_up_to_mixed_9(parameters: Parameters, images: Float32) -> Float32:
    """Output of the block mixed_9 by keras.applications."""
    import keras

    model = keras.applications.InceptionV3(include_top=False, weights=None, input_shape=(299, 299, 3))
    convolutions = in_order_of_creation(model, "conv2d")
    normalisations = in_order_of_creation(model, "batch_normalization")
    assert len(convolutions) == len(normalisations) == 94
    for values, convolution, normalisation in zip(parameters.values(), convolutions, normalisations, strict=True):
        convolution.set_weights([values["kernel"]])
        normalisation.set_weights([values["beta"], values["mean"], values["variance"]])
    output: Float32 = keras.Model(model.input, model.get_layer("mixed9").output).predict_on_batch(images)
    return output


def last_block(parameters: Parameters, tensor: Float32) -> Float32:
    """The block mixed_10 and the mean over its 8 × 8 places, in plain TensorFlow operations."""
    import tensorflow as tf

    def convolve(name: str, value: Any) -> Any:
        values = parameters[f"mixed_10/{name}"]
        value = tf.nn.conv2d(value, values["kernel"], strides=1, padding="SAME")
        value = tf.nn.batch_normalization(
            value, values["mean"], values["variance"], values["beta"], values["gamma"], variance_epsilon=0.001
        )
        return tf.nn.relu(value)

    middle = convolve("tower/conv", tensor)
    deep = convolve("tower_1/conv_1", convolve("tower_1/conv", tensor))
    pooled = tf.nn.max_pool2d(tensor, 3, strides=1, padding="SAME")
    branches = [
        convolve("conv", tensor),
        convolve("tower/mixed/conv", middle),
        convolve("tower/mixed/conv_1", middle),
        convolve("tower_1/mixed/conv", deep),
        convolve("tower_1/mixed/conv_1", deep),
        convolve("tower_2/conv", pooled),
    ]
    output: Float32 = tf.reduce_mean(tf.concat(branches, axis=-1), axis=(1, 2)).numpy()
    return output


def test_the_network_is_the_published_architecture() -> None:
    import keras

    parameters = random_parameters()
    network = build_network({scope: fold_batch_norm(**values) for scope, values in parameters.items()})
    tapped = keras.Model(network.input, [network.get_layer(layer_name("mixed_9")).output, network.output])
    images = np.random.default_rng(1).uniform(-1, 1, (2, 299, 299, 3)).astype(np.float32)

    mixed_9, features = tapped.predict_on_batch(images)

    expected_mixed_9 = keras_up_to_mixed_9(parameters, images)
    expected = last_block(parameters, expected_mixed_9)
    assert features.shape == (2, 2048)
    np.testing.assert_allclose(mixed_9, expected_mixed_9, rtol=0, atol=1e-5 * np.abs(expected_mixed_9).max())
    np.testing.assert_allclose(features, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


@pytest.fixture(scope="module")
def random_network() -> Any:
    return build_network(random_weights())


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> ExtractorSpec:
    return resolve_extractor("inception-v3-random", weights=None, weights_folder=tmp_path_factory.mktemp("weights"))


@pytest.fixture(scope="module")
def extractor(spec: ExtractorSpec, random_network: Any) -> FeatureExtractor:
    """As the catalogue makes it, but of batches of four, to be quick."""
    return NetworkExtractor(spec, random_network, scale_to_graph_range, batch=4)


def varied_images(num_images: int, height: int, width: int, channels: int) -> Uint8:
    """Black, white, noise of rising contrast, and edges: no two alike."""
    images = np.random.default_rng(2).integers(0, 256, (num_images, height, width, channels))
    contrast = np.linspace(0, 1, num_images)[:, None, None, None]
    images = np.rint(128 + contrast * (images - 128.0)).astype(np.uint8)
    images[0], images[1], images[2, height // 2 :] = 0, 255, 0
    return images


def test_the_random_weights_have_the_digest_that_stands_in_the_code() -> None:
    weights = random_weights()
    assert weights_digest(weights) == WEIGHTS_DIGEST
    assert all(not tensors.bias.any() for tensors in weights.values())


def test_the_network_has_94_convolutions_with_bias_and_no_normalisation(random_network: Any) -> None:
    import keras

    convolutions = [layer for layer in random_network.layers if isinstance(layer, keras.layers.Conv2D)]
    assert [layer.name for layer in convolutions].count("mixed_9-tower-mixed-conv_1") == 1
    assert len(convolutions) == 94
    assert all(layer.use_bias for layer in convolutions)
    assert not any(isinstance(layer, keras.layers.BatchNormalization) for layer in random_network.layers)


def test_settings_of_keras_do_not_reach_the_network() -> None:
    import keras

    zeros = {
        scope: ConvolutionWeights(np.zeros(shape, np.float32), np.zeros(shape[-1], np.float32))
        for scope, shape in kernel_shapes().items()
    }
    keras.config.set_image_data_format("channels_first")
    keras.config.set_dtype_policy("mixed_float16")
    try:
        network = build_network(zeros)
    finally:
        keras.config.set_image_data_format("channels_last")
        keras.config.set_dtype_policy("float32")
    assert network.get_layer("mixed_7").output.shape == (None, 17, 17, 768)
    assert {layer.output.dtype for layer in network.layers} == {"float32"}
    assert {layer.compute_dtype for layer in network.layers[1:]} == {"float32"}


def test_random_weights_keep_the_signal_alive_and_images_apart(random_network: Any) -> None:
    import keras

    images = (
        np.random.default_rng(3).uniform(-1, 1, (4, 299, 299, 3)) * [[[[0.25]]], [[[0.5]]], [[[1]]], [[[1]]]]
    ).astype(np.float32)
    images[3, :150] = -1
    blocks = ["conv_4", "mixed_2", "mixed_3", "mixed_7", "mixed_8", "mixed_10"]
    tapped = keras.Model(random_network.input, [random_network.get_layer(name).output for name in blocks])
    size_in = np.sqrt(np.mean(images**2))
    for block, output in zip(blocks, tapped.predict_on_batch(images), strict=True):
        gain = np.sqrt(np.mean(output**2)) / size_in
        assert 0.2 < gain < 5, f"after {block} the signal has {gain:.3g} times the size of the input"
    features = output.mean(axis=(1, 2))
    size = np.linalg.norm(features, axis=1).mean()
    distances = [np.linalg.norm(features[i] - features[j]) for i in range(4) for j in range(i)]
    assert min(distances) > 0.01 * size


def test_the_extractor_is_tf1_resize_then_scaling_then_network(
    extractor: FeatureExtractor, random_network: Any
) -> None:
    import tensorflow as tf

    images = varied_images(4, 40, 56, 3)
    resized = tf.compat.v1.image.resize_bilinear(
        images.astype(np.float32), (299, 299), align_corners=False, half_pixel_centers=False
    )
    expected = random_network.predict_on_batch((resized - 128) / 128)
    features = extractor.extract(images)
    assert features.dtype == np.float32
    np.testing.assert_allclose(features, expected, rtol=0, atol=2e-5 * np.abs(expected).max())


def test_a_feature_depends_on_its_own_image_alone(spec: ExtractorSpec, tmp_path: Path) -> None:
    """The same bits alone, in a batch of 3 and of 64, which is two calls of the network, and at any place in them."""
    extractor = load_extractor(spec, tmp_path)
    images = varied_images(2 * NETWORK_BATCH, 24, 32, 3)
    together = extractor.extract(images)
    assert together.shape == (2 * NETWORK_BATCH, 2048)
    order = np.random.default_rng(4).permutation(2 * NETWORK_BATCH)[:NETWORK_BATCH]
    np.testing.assert_array_equal(extractor.extract(images[order]), together[order])
    np.testing.assert_array_equal(extractor.extract(images[[50, 7, 33]]), together[[50, 7, 33]])
    np.testing.assert_array_equal(extractor.extract(images[7:8]), together[7:8])


def test_without_a_classifier_there_are_no_logits(spec: ExtractorSpec, random_network: Any) -> None:
    extractor = InceptionExtractor(spec, random_network, scale_to_graph_range, batch=1)
    with pytest.raises(InvalidInput) as caught:
        extractor.logits(varied_images(3, 24, 32, 3))
    assert caught.value.what == "The extractor inception-v3-random gives no logits."
    assert caught.value.expected == "an extractor whose network classifies"


def test_more_images_than_a_batch_are_taken_in_batches(extractor: FeatureExtractor) -> None:
    images = varied_images(6, 24, 32, 1)
    features = extractor.extract(images)
    np.testing.assert_array_equal(features[4:], extractor.extract(images[4:]))


def test_grey_gives_the_features_of_grey_as_rgb(extractor: FeatureExtractor) -> None:
    images = varied_images(3, 24, 32, 1)
    np.testing.assert_array_equal(extractor.extract(images), extractor.extract(images.repeat(3, axis=-1)))


def test_what_is_no_images_is_refused(extractor: FeatureExtractor) -> None:
    with pytest.raises(ImagesRejected, match=r"float64 of shape \(2, 8, 8, 3\)"):
        extractor.extract(np.zeros((2, 8, 8, 3)))  # type: ignore[arg-type]


def test_tensorfloat_32_is_off(extractor: FeatureExtractor) -> None:
    import tensorflow as tf

    assert extractor.spec.precision == "float32"
    assert not tf.config.experimental.tensor_float_32_execution_enabled()
