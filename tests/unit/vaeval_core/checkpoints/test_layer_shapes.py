"""Shape rules, against arithmetic by hand and against Keras itself."""

from __future__ import annotations

from typing import Any

import pytest

from vaeval_core.checkpoints.layer_shapes import output_shape, size_of


@pytest.mark.parametrize(
    ("class_name", "settings", "given", "expected"),
    [
        ("Dense", {"units": 7}, (5,), (7,)),
        ("Dense", {"units": 7}, (4, 4, 5), (4, 4, 7)),
        ("Flatten", {}, (4, 4, 5), (80,)),
        ("Flatten", {}, (None, 4, 5), (None,)),
        ("Reshape", {"target_shape": [2, -1]}, (8,), (2, 4)),
        ("Reshape", {"target_shape": [2, -1]}, (None,), None),
        ("Reshape", {"newshape": [-1, 4, 2]}, (8,), (4, 2)),
        ("Unheard", {}, (8,), None),
        ("Conv2D", {"data_format": "channels_first"}, (3, 8, 8), None),
    ],
)
def test_rules_by_hand(
    class_name: str, settings: dict[str, Any], given: tuple[int | None, ...], expected: tuple[int | None, ...] | None
) -> None:
    assert output_shape(class_name, settings, [given]) == expected


def test_merges_need_equal_shapes() -> None:
    assert output_shape("Add", {}, [(3,), (3,)]) == (3,)
    assert output_shape("Add", {}, [(3,), (1,)]) is None
    assert output_shape("Concatenate", {"axis": -1}, [(4, 2), (4, 3)]) == (4, 5)
    assert output_shape("Concatenate", {"axis": 1}, [(4, 2), (1, 2)]) == (5, 2)
    assert output_shape("Add", {}, [(3,), None]) is None


def test_the_size_of_an_open_shape_is_unknown() -> None:
    assert (size_of((2, 3)), size_of(()), size_of((None, 3)), size_of(None)) == (6, 1, None, None)


@pytest.mark.tensorflow
def test_every_rule_agrees_with_keras(real: Any) -> None:
    layers = real.keras.layers
    windows = [{"strides": strides, "padding": padding} for strides in (1, 2, 3) for padding in ("same", "valid")]
    images = [
        *(layers.Conv2D(5, 3, **window) for window in windows),
        *(layers.Conv2DTranspose(5, kernel, **window) for window in windows for kernel in (2, 3)),
        *(layers.DepthwiseConv2D(3, depth_multiplier=2, **window) for window in windows),
        *(layers.MaxPooling2D(2, **window) for window in windows),
        *(layers.AveragePooling2D((2, 3), **window) for window in windows),
        layers.Conv2D(5, 3, dilation_rate=2),
        layers.Conv2DTranspose(5, 3, dilation_rate=2),
        layers.SeparableConv2D(5, 3),
        layers.MaxPooling2D(2),
        layers.UpSampling2D((2, 3)),
        layers.ZeroPadding2D(((1, 2), (3, 4))),
        layers.Cropping2D(((1, 2), (3, 1))),
        layers.Permute((2, 1, 3)),
        layers.GlobalAveragePooling2D(),
        layers.GlobalMaxPooling2D(keepdims=True),
        layers.BatchNormalization(),
        layers.LeakyReLU(),
        layers.Rescaling(2.0),
        layers.SpatialDropout2D(0.5),
        layers.Flatten(),
        layers.Reshape((-1, 4)),
        layers.Dense(6),
    ]
    given = (10, 12, 4)
    for layer in images:
        settings, expected = layer.get_config(), tuple(layer.compute_output_shape((None, *given))[1:])
        assert output_shape(type(layer).__name__, settings, [given]) == expected, (type(layer).__name__, settings)
