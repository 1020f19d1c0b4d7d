"""`inception-v3-keras` against the textbook code, on a weights file as Keras publishes it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest

from vaeval_core.features.base import FeatureExtractor
from vaeval_core.features.catalogue import load_extractor, resolve_extractor
from vaeval_core.features.keras_applications import find_keras_weights, load_keras_inception
from vaeval_core.types import Float32, Uint8

pytestmark = pytest.mark.tensorflow


@pytest.fixture(scope="module")
def weights_path(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The published format with random values; removed afterwards, for it is large."""
    import keras

    model = keras.applications.InceptionV3(include_top=False, weights=None, input_shape=(299, 299, 3))
    random = np.random.default_rng(0)
    path = tmp_path_factory.mktemp("textbook") / "inception_v3_weights_tf_dim_ordering_tf_kernels_notop.h5"
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [layer.name.encode() for layer in model.layers]
        file.attrs["backend"] = b"tensorflow"
        file.attrs["keras_version"] = b"2.0.8"
        for layer in model.layers:
            group = file.create_group(layer.name)
            names = [f"{layer.name}/{weight.name}:0" for weight in layer.weights]
            group.attrs["weight_names"] = [name.encode() for name in names]
            for name, weight in zip(names, layer.weights, strict=True):
                group[name] = values_for(weight.name, tuple(weight.shape), random)
    yield path
    path.unlink()


def values_for(kind: str, shape: tuple[int, ...], random: np.random.Generator) -> Float32:
    if kind == "kernel":
        return random.standard_normal(shape, np.float32) * np.float32(np.sqrt(2 / np.prod(shape[:-1])))
    if kind == "moving_variance":
        return random.uniform(0.5, 1.5, shape).astype(np.float32)
    return 0.2 * random.standard_normal(shape, np.float32)


@pytest.fixture(scope="module")
def weights_folder(weights_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("weights")
    digest = find_keras_weights(weights_path, folder, allow_unverified=True)
    yield folder
    (folder / f"{digest}.h5").unlink()


@pytest.fixture(scope="module")
def extractor(weights_path: Path, weights_folder: Path) -> FeatureExtractor:
    """Takes two images at once: fewer than the service does, so that a test of two costs no more."""
    spec = resolve_extractor("inception-v3-keras", weights=weights_path, weights_folder=weights_folder)
    return load_keras_inception(spec, weights_folder, batch=2)


Textbook = Callable[[Uint8], Float32]


@pytest.fixture(scope="module")
def textbook(weights_path: Path) -> Textbook:
    """What every tutorial does."""
    import tensorflow as tf
    from keras.applications.inception_v3 import InceptionV3, preprocess_input

    model = InceptionV3(include_top=False, pooling="avg", weights=str(weights_path))

    def features(images: Uint8) -> Float32:
        resized = tf.image.resize(images, (299, 299))
        predicted: Float32 = model.predict(preprocess_input(resized), verbose=0)
        return predicted

    return features


def test_features_are_those_of_the_textbook(
    extractor: FeatureExtractor, weights_folder: Path, textbook: Textbook
) -> None:
    images = np.random.default_rng(1).integers(0, 256, (2, 40, 56, 3), dtype=np.uint8)
    images[1, :20] = 0
    expected = textbook(images)
    assert np.abs(expected[0] - expected[1]).max() > 0.01 * np.abs(expected).max()
    features = load_extractor(extractor.spec, weights_folder).extract(images)
    np.testing.assert_allclose(features, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


def test_grey_images_are_those_of_the_textbook_as_rgb(extractor: FeatureExtractor, textbook: Textbook) -> None:
    images = np.random.default_rng(2).integers(0, 256, (2, 28, 28, 1), dtype=np.uint8)
    expected = textbook(images.repeat(3, axis=-1))
    np.testing.assert_allclose(extractor.extract(images), expected, rtol=0, atol=1e-5 * np.abs(expected).max())


def test_settings_of_keras_are_left_as_they_were_and_do_not_matter(
    extractor: FeatureExtractor, weights_folder: Path
) -> None:
    import keras

    images = np.random.default_rng(3).integers(0, 256, (1, 28, 28, 1), dtype=np.uint8)
    keras.config.set_image_data_format("channels_first")
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        other = load_keras_inception(extractor.spec, weights_folder, batch=2).extract(images)
        assert keras.config.image_data_format() == "channels_first"
        assert keras.config.dtype_policy().name == "mixed_bfloat16"
    finally:
        keras.config.set_image_data_format("channels_last")
        keras.config.set_dtype_policy("float32")
    np.testing.assert_array_equal(other, extractor.extract(images))
