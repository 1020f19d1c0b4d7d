"""The smoke-test extractor, by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from vaeval_core.errors import ImagesRejected
from vaeval_core.features.catalogue import load_extractor, resolve_extractor
from vaeval_core.features.pixels import PixelExtractor


@pytest.fixture
def extractor(tmp_path: Path) -> PixelExtractor:
    spec = resolve_extractor("pixels-8x8", weights=None, weights_folder=tmp_path)
    loaded = load_extractor(spec, tmp_path)
    assert isinstance(loaded, PixelExtractor)
    return loaded


def test_an_8_by_8_image_is_its_own_features(extractor: PixelExtractor) -> None:
    images = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3), dtype=np.uint8)
    features = extractor.extract(images)
    assert features.dtype == np.float32
    np.testing.assert_array_equal(features, (images.reshape(2, 192) / 255).astype(np.float32))


def test_a_16_by_24_image_is_averaged_over_blocks(extractor: PixelExtractor) -> None:
    images = np.random.default_rng(1).integers(0, 256, (3, 16, 24, 3), dtype=np.uint8)
    blocks = images.reshape(3, 8, 2, 8, 3, 3).mean(axis=(2, 4))
    np.testing.assert_allclose(extractor.extract(images), blocks.reshape(3, 192) / 255, rtol=1e-6)


def test_an_image_smaller_than_8_repeats_its_pixels(extractor: PixelExtractor) -> None:
    images = np.array([[0, 255], [51, 102]], np.uint8).reshape(1, 2, 2, 1)
    features = extractor.extract(images).reshape(8, 8, 3)
    np.testing.assert_array_equal(
        features, np.repeat(np.repeat(images[0] / 255, 4, 0), 4, 1).repeat(3, -1).astype("f4")
    )


def test_grey_gives_the_features_of_grey_as_rgb(extractor: PixelExtractor) -> None:
    images = np.random.default_rng(2).integers(0, 256, (4, 13, 17, 1), dtype=np.uint8)
    np.testing.assert_array_equal(extractor.extract(images), extractor.extract(images.repeat(3, axis=-1)))


def test_features_do_not_depend_on_the_neighbours(extractor: PixelExtractor) -> None:
    images = np.random.default_rng(3).integers(0, 256, (32, 13, 17, 3), dtype=np.uint8)
    together = extractor.extract(images)
    np.testing.assert_array_equal(extractor.extract(images[5:6]), together[5:6])
    np.testing.assert_array_equal(extractor.extract(images[::-1]), together[::-1])


def test_what_is_no_images_is_refused(extractor: PixelExtractor) -> None:
    with pytest.raises(ImagesRejected, match=r"float32 of shape \(2, 8, 8, 3\)"):
        extractor.extract(np.zeros((2, 8, 8, 3), np.float32))  # type: ignore[arg-type]
