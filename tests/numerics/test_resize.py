"""Resizing as two matrix products against TensorFlow's own operations and against Pillow."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from vaeval_core.features.resize import resize_matrix
from vaeval_core.types import Float32

SIZES = [(8, 8), (28, 28), (32, 32), (64, 48), (178, 218), (299, 299), (480, 640)]
"""(height, width)."""

EXTREMES = [(1, 1), (1, 1000), (1000, 1), (300, 298), (1024, 768)]

TOLERANCE = 1e-5 * 255


def noise(height: int, width: int) -> Float32:
    """White noise has the steepest edges there are, so a misplaced pixel shows."""
    return np.random.default_rng(height * width).integers(0, 256, (1, height, width, 3)).astype(np.float32)


def resized(kind: str, images: Float32, height: int, width: int) -> Float32:
    rows = resize_matrix(kind, images.shape[1], height)
    columns = resize_matrix(kind, images.shape[2], width)
    return np.einsum("ah,nhwc,bw->nabc", rows, images, columns, optimize=True)


@pytest.mark.tensorflow
@pytest.mark.parametrize(("height", "width"), SIZES + EXTREMES)
def test_tf1_bilinear_is_the_resize_of_the_published_graph(height: int, width: int) -> None:
    import tensorflow as tf

    images = noise(height, width)
    expected = tf.compat.v1.image.resize_bilinear(
        images, (299, 299), align_corners=False, half_pixel_centers=False
    ).numpy()
    np.testing.assert_allclose(resized("tf1-bilinear", images, 299, 299), expected, rtol=0, atol=TOLERANCE)


@pytest.mark.tensorflow
@pytest.mark.parametrize(("height", "width"), SIZES + EXTREMES)
def test_half_pixel_is_what_keras_users_call(height: int, width: int) -> None:
    import tensorflow as tf

    images = noise(height, width)
    expected = tf.image.resize(images, (299, 299)).numpy()
    np.testing.assert_allclose(resized("half-pixel", images, 299, 299), expected, rtol=0, atol=TOLERANCE)


@pytest.mark.tensorflow
@pytest.mark.parametrize(("height", "width"), [(8, 8), (16, 24), (64, 128)])
def test_area_is_tensorflows_area_where_sizes_divide(height: int, width: int) -> None:
    import tensorflow as tf

    images = noise(height, width)
    expected = tf.compat.v1.image.resize_area(images, (8, 8)).numpy()
    np.testing.assert_allclose(resized("area", images, 8, 8), expected, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize(
    ("height", "width", "side"),
    [
        *((height, width, 299) for height, width in SIZES + EXTREMES),
        (299, 299, 32),
    ],
)
def test_clean_is_pillows_bicubic_in_floats(height: int, width: int, side: int) -> None:
    images = noise(height, width)
    channels = [
        np.asarray(Image.fromarray(images[0, :, :, channel]).resize((side, side), Image.Resampling.BICUBIC))
        for channel in range(3)
    ]
    np.testing.assert_allclose(
        resized("clean", images, side, side)[0], np.stack(channels, axis=-1), rtol=0, atol=TOLERANCE
    )
