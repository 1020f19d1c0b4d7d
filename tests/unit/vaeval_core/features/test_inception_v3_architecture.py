"""The architecture table against what is known of the published network."""

from __future__ import annotations

import pytest

from vaeval_core.features.inception_v3_architecture import kernel_shapes


def test_there_are_94_convolutions() -> None:
    assert len(kernel_shapes()) == 94


@pytest.mark.parametrize(
    ("scope", "shape"),
    [
        ("conv", (3, 3, 3, 32)),
        ("conv_1", (3, 3, 32, 32)),
        ("conv_2", (3, 3, 32, 64)),
        ("conv_3", (1, 1, 64, 80)),
        ("conv_4", (3, 3, 80, 192)),
        ("mixed/tower/conv_1", (5, 5, 48, 64)),
        ("mixed/tower_2/conv", (1, 1, 192, 32)),
        ("mixed_1/conv", (1, 1, 256, 64)),
        ("mixed_2/tower_2/conv", (1, 1, 288, 64)),
        ("mixed_3/conv", (3, 3, 288, 384)),
        ("mixed_4/tower/conv_1", (1, 7, 128, 128)),
        ("mixed_4/tower_1/conv_1", (7, 1, 128, 128)),
        ("mixed_5/tower/conv_2", (7, 1, 160, 192)),
        ("mixed_6/tower_1/conv_4", (1, 7, 160, 192)),
        ("mixed_7/tower_1/conv_3", (7, 1, 192, 192)),
        ("mixed_8/tower/conv_1", (3, 3, 192, 320)),
        ("mixed_8/tower_1/conv_1", (1, 7, 192, 192)),
        ("mixed_9/tower_1/conv", (1, 1, 1280, 448)),
        ("mixed_9/tower/mixed/conv", (1, 3, 384, 384)),
        ("mixed_10/tower_1/mixed/conv_1", (3, 1, 384, 384)),
        ("mixed_10/conv", (1, 1, 2048, 320)),
    ],
)
def test_kernels_have_the_published_shapes(scope: str, shape: tuple[int, ...]) -> None:
    assert kernel_shapes()[scope] == shape


def test_the_kernels_of_keras_applications_without_normalisation_count_as_many_numbers() -> None:
    # Keras documents 21,802,784 parameters without the top; three per channel belong to batch normalisation.
    shapes = kernel_shapes().values()
    kernels = sum(rows * columns * inputs * outputs for rows, columns, inputs, outputs in shapes)
    assert kernels + sum(3 * shape[-1] for shape in shapes) == 21_802_784
