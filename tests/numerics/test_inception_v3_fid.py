"""`inception-v3-fid` against TensorFlow running the published graph, with random weights under the published names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.inception_tensors import random_tensors
from tests.numerics.inception_graph import graph_definition, run_graph
from vaeval_core.features import load_extractor
from vaeval_core.features.catalogue import resolve_extractor
from vaeval_core.features.converted_weights import fold, load_converted
from vaeval_core.features.fid_weights import import_fid_weights
from vaeval_core.features.inception_extractor import InceptionExtractor
from vaeval_core.features.inception_v3 import build_network, scale_to_graph_range
from vaeval_core.features.tensor_files import Tensors
from vaeval_core.features.verified_weights import WeightsFolder
from vaeval_core.protocol import ExtractorSpec
from vaeval_core.types import Float32, Uint8

pytestmark = pytest.mark.tensorflow

FETCHES = ["pool_3:0", "softmax/logits/MatMul:0", "mixed_6/conv:0"]


@pytest.fixture(scope="module")
def definition() -> Any:
    return graph_definition(random_tensors())


@pytest.fixture(scope="module")
def weights_folder(definition: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With the weights of the graph file, as a user imports it."""
    folder = tmp_path_factory.mktemp("home")
    path = folder / "graph.pb"
    path.write_bytes(definition.SerializeToString())
    import_fid_weights(path, folder / "weights", allow_unverified=True)
    return folder / "weights"


@pytest.fixture(scope="module")
def spec(weights_folder: Path) -> ExtractorSpec:
    return resolve_extractor(
        "inception-v3-fid", weights=weights_folder.parent / "graph.pb", weights_folder=weights_folder
    )


@pytest.fixture(scope="module")
def tensors(weights_folder: Path, spec: ExtractorSpec) -> Tensors:
    return load_converted(WeightsFolder(weights_folder), spec.weights_digest)


@pytest.fixture(scope="module")
def extractor(spec: ExtractorSpec, tensors: Tensors) -> InceptionExtractor:
    """As the catalogue makes it, but of batches of two, to be quick."""
    return InceptionExtractor(
        spec, build_network(fold(tensors)), scale_to_graph_range, classifier=tensors["softmax/weights"], batch=2
    )


def varied_images(num_images: int, height: int, width: int) -> Uint8:
    """Noise of rising contrast with a black edge, no two alike."""
    noise = np.random.default_rng(height).integers(0, 256, (num_images, height, width, 3))
    contrast = np.linspace(0.2, 1, num_images)[:, None, None, None]
    images = np.rint(128 + contrast * (noise - 128.0)).astype(np.uint8)
    images[:, height // 2 :, : width // 2] = 0
    return images


def largest_difference(found: Float32, expected: Float32) -> float:
    """As a share of the largest value."""
    assert found.shape == expected.shape
    assert found.dtype == expected.dtype == np.float32
    return float(np.abs(found - expected).max() / np.abs(expected).max())


def test_the_tensors_are_the_constants_of_the_graph_bit_for_bit(tensors: Tensors) -> None:
    assert list(tensors) == list(random_tensors())
    for name, value in random_tensors().items():
        np.testing.assert_array_equal(tensors[name], value)


@pytest.mark.parametrize(("height", "width"), [(40, 56), (320, 300)])
def test_features_and_logits_are_those_of_the_graph_run_by_tensorflow(
    extractor: InceptionExtractor, definition: Any, height: int, width: int
) -> None:
    images = varied_images(2, height, width)
    pooled, logits, spatial = run_graph(definition, images, FETCHES)
    assert largest_difference(extractor.extract(images), pooled) <= 2e-5
    assert largest_difference(extractor.logits(images), logits) <= 2e-5
    seven_channels = spatial.reshape(2, 17, 17, 192)[..., :7].reshape(2, 2023)
    assert largest_difference(extractor.spatial_features(images), seven_channels) <= 2e-5


def test_logits_leave_the_bias_out(extractor: InceptionExtractor, definition: Any) -> None:
    images = varied_images(1, 24, 24)
    (with_bias,) = run_graph(definition, images, ["softmax/logits:0"])
    difference = with_bias - extractor.logits(images)
    np.testing.assert_allclose(difference[0], random_tensors()["softmax/biases"], rtol=0, atol=1e-3)


def test_what_is_taken_of_an_image_depends_on_it_alone(extractor: InceptionExtractor) -> None:
    images = varied_images(5, 24, 32)
    order = np.random.default_rng(4).permutation(5)
    for take in (
        extractor.extract,
        extractor.logits,
        extractor.spatial_features,
        lambda images: extractor.all_features(images, spatial=True).spatial,
        lambda images: extractor.all_features(images, spatial=True).features,
    ):
        together = take(images)
        np.testing.assert_array_equal(take(images[order]), together[order])
        np.testing.assert_array_equal(take(images[3:4]), together[3:4])


def test_features_and_logits_come_from_one_pass(extractor: InceptionExtractor, monkeypatch: pytest.MonkeyPatch) -> None:
    images = varied_images(3, 24, 32)
    expected, logits = extractor.extract(images), extractor.logits(images)
    taken: list[int] = []
    extract = extractor.extract
    monkeypatch.setattr(extractor, "extract", lambda images: taken.append(len(images)) or extract(images))
    both = extractor.features_and_logits(images)
    assert taken == [3]
    np.testing.assert_array_equal(both[0], expected)
    np.testing.assert_array_equal(both[1], logits)
    assert both[1].shape == (3, extractor.num_classes) == (3, 1008)


def test_spatial_features_come_with_the_pooled_ones_from_one_pass(extractor: InceptionExtractor) -> None:
    images = varied_images(3, 24, 32)
    found = extractor.all_features(images, logits=True, spatial=True)
    assert found.logits is not None
    assert found.spatial is not None
    for array, alone in (
        (found.features, extractor.extract(images)),
        (found.logits, extractor.logits(images)),
        (found.spatial, extractor.spatial_features(images)),
    ):
        assert array.shape == alone.shape
        # Another program of the same network: the compiler may fuse other steps.
        assert largest_difference(array, alone) <= 2e-6
    assert found.spatial.shape == (3, extractor.num_spatial_features) == (3, 2023)


def test_what_nobody_asks_for_is_not_computed(extractor: InceptionExtractor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(InceptionExtractor, "_pooled_and_spatial", None)
    images = varied_images(1, 24, 32)
    found = extractor.all_features(images)
    assert (found.logits, found.spatial) == (None, None)
    np.testing.assert_array_equal(found.features, extractor.extract(images))


def test_in_bfloat16_everything_is_taken_from_the_same_layers(
    spec: ExtractorSpec, tensors: Tensors, extractor: InceptionExtractor
) -> None:
    """Eight significant bits, so a layer beside the right one would show."""
    in_bfloat16 = InceptionExtractor(
        spec.model_copy(update={"precision": "bfloat16"}),
        build_network(fold(tensors)),
        scale_to_graph_range,
        classifier=tensors["softmax/weights"],
        batch=2,
    )
    images = varied_images(2, 24, 32)
    for take, same in (
        (in_bfloat16.extract, extractor.extract),
        (in_bfloat16.logits, extractor.logits),
        (in_bfloat16.spatial_features, extractor.spatial_features),
        (lambda images: in_bfloat16.all_features(images, spatial=True).spatial, extractor.spatial_features),
        (lambda images: in_bfloat16.all_features(images, spatial=True).features, extractor.extract),
    ):
        difference = largest_difference(take(images), same(images))
        assert 1e-4 < difference < 0.05


def test_a_notebook_gets_the_same_by_the_name_and_the_file(
    weights_folder: Path, spec: ExtractorSpec, extractor: InceptionExtractor
) -> None:
    loaded = load_extractor("inception-v3-fid", weights_folder.parent / "graph.pb", weights_folder=weights_folder)
    assert (loaded.spec, loaded.dimension, loaded.digest) == (spec, 2048, spec.weights_digest)
    assert (spec.resize, spec.precision) == ("tf1-bilinear", "float32")
    images = varied_images(1, 24, 32)
    assert largest_difference(loaded.logits(images), extractor.logits(images)) <= 1e-5
