"""Folding and the refusal of wrong weights. The network itself: tests/numerics/test_inception_v3.py."""

from __future__ import annotations

import numpy as np
import pytest

from vaeval_core.errors import InvalidInput
from vaeval_core.features.inception_v3 import ConvolutionWeights, build_network, fold_batch_norm, layer_name
from vaeval_core.features.inception_v3_architecture import kernel_shapes


def float32(*values: float) -> np.ndarray:
    return np.array(values, np.float32)


def test_folding_one_number_by_hand() -> None:
    # σ² + ε = 0.249 + 0.001 = ¼, so the scale is 3 / ½ = 6; 2 · 6 = 12 and 1 - 5 · 6 = -29.
    folded = fold_batch_norm(
        np.full((1, 1, 1, 1), 2, np.float32),
        gamma=float32(3),
        beta=float32(1),
        mean=float32(5),
        variance=float32(0.249),
    )
    np.testing.assert_allclose(folded.kernel, [[[[12]]]], rtol=1e-6)
    np.testing.assert_allclose(folded.bias, [-29], rtol=1e-6)


def test_folding_scales_output_channels_not_input_channels() -> None:
    folded = fold_batch_norm(
        np.ones((1, 1, 2, 2), np.float32),
        gamma=float32(1, 10),
        beta=float32(0, 0),
        mean=float32(0, 0),
        variance=float32(0.999, 0.999),
    )
    np.testing.assert_allclose(folded.kernel[0, 0], [[1, 10], [1, 10]], rtol=1e-6)
    assert folded.kernel.dtype == folded.bias.dtype == np.float32


def test_a_layer_name_has_no_slash() -> None:
    assert layer_name("mixed_9/tower_1/mixed/conv") == "mixed_9-tower_1-mixed-conv"


def no_weights() -> dict[str, ConvolutionWeights]:
    """Zeros that take no memory."""
    return {
        scope: ConvolutionWeights(np.broadcast_to(np.float32(0), shape), np.zeros(shape[-1], np.float32))
        for scope, shape in kernel_shapes().items()
    }


def test_a_missing_convolution_is_named() -> None:
    weights = no_weights()
    del weights["mixed_4/tower/conv_1"]
    with pytest.raises(InvalidInput, match=r"93 convolutions; missing or unknown: mixed_4/tower/conv_1 Expected.* 94"):
        build_network(weights)


def test_an_unknown_convolution_is_named() -> None:
    with pytest.raises(InvalidInput, match="95 convolutions; missing or unknown: softmax"):
        build_network(no_weights() | {"softmax": ConvolutionWeights(float32(0), float32(0))})


def test_a_kernel_of_another_shape_is_named() -> None:
    weights = no_weights() | {"conv": ConvolutionWeights(np.zeros((3, 3, 1, 32), np.float32), float32(0))}
    with pytest.raises(InvalidInput) as caught:
        build_network(weights)
    assert "convolution conv " in caught.value.what
    assert caught.value.received == "kernel (3, 3, 1, 32), bias (1,)"
    assert caught.value.expected == "kernel (3, 3, 3, 32), bias (32,)"
