"""The 2015-12-05 Inception v3 network in Keras, whose 2,048 pooled numbers are what FID is defined on.

The architecture is a table in `inception_v3_architecture`; here it becomes layers. Inference only: the batch
normalisation after each of the 94 convolutions is folded into it by `fold_batch_norm`, so that the network is
convolution + bias + rectifier throughout. Input is (n, 299, 299, 3) in [-1, 1], output (n, 2048).
`network_extractor` puts resizing and scaling in front of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from vaeval_core.errors import InvalidInput
from vaeval_core.features.inception_v3_architecture import INPUT_SIZE, Convolution, Pool, follow, kernel_shapes
from vaeval_core.types import Float32

BATCH_NORM_EPSILON = 1e-3


class ConvolutionWeights(NamedTuple):
    """What one folded convolution needs: kernel (rows, columns, in, out) and bias (out,), float32."""

    kernel: Float32
    bias: Float32


def fold_batch_norm(
    kernel: Float32, *, gamma: Float32, beta: Float32, mean: Float32, variance: Float32
) -> ConvolutionWeights:
    """Put a batch normalisation at inference into the convolution before it, which has no bias.

        γ · (k ∗ x - μ) / √(σ² + ε) + β  =  (γ / √(σ² + ε)) · k ∗ x  +  (β - γ μ / √(σ² + ε)),    ε = 0.001

    Args:
        kernel: (rows, columns, in, out).
        gamma: Scale γ, (out,); ones where a network has none.
        beta: Shift β, (out,).
        mean: Moving mean μ, (out,).
        variance: Moving variance σ², (out,), ≥ 0.

    Returns:
        Kernel and bias, computed in float64 and rounded once.
    """
    scale = gamma.astype(np.float64) / np.sqrt(variance.astype(np.float64) + BATCH_NORM_EPSILON)
    bias = beta.astype(np.float64) - mean.astype(np.float64) * scale
    return ConvolutionWeights((kernel * scale).astype(np.float32), bias.astype(np.float32))


def scale_to_graph_range(pixels: Any) -> Any:
    """0 … 255 to [-1, 1) as the 2015 graph does it: (x - 128) / 128."""
    return (pixels - 128.0) * 0.0078125


def layer_name(scope: str) -> str:
    """Name of the Keras layer of a graph scope: Keras allows no slash, and PyTorch below it no full stop.

    >>> layer_name("mixed_6/tower/conv")
    'mixed_6-tower-conv'
    """
    return scope.replace("/", "-")


def build_network(weights: Mapping[str, ConvolutionWeights]) -> Any:
    """The Keras model, weights set.

    Args:
        weights: Scope → weights of every convolution of `kernel_shapes`.

    Returns:
        `keras.Model`, (n, 299, 299, 3) float32 in [-1, 1] → (n, 2048) float32. Each block and convolution is a layer
        named by `layer_name`, so that its output can be tapped.

    Raises:
        InvalidInput: A scope is missing or one too many, or a kernel or bias has another shape.
    """
    _check_weights(weights)
    import keras

    # Said for every layer, so that a user's keras.json (channels_first, float16) changes nothing.
    explicit = {"data_format": "channels_last", "dtype": "float32"}
    convolutions: dict[str, Any] = {}

    def convolve(scope: str, step: Convolution, tensor: Any) -> Any:
        convolutions[scope] = keras.layers.Conv2D(
            step.filters,
            step.size,
            strides=step.stride,
            padding=step.padding,
            activation="relu",
            kernel_initializer="zeros",
            name=layer_name(scope),
            **explicit,
        )
        return convolutions[scope](tensor)

    def pool(scope: str, step: Pool, tensor: Any) -> Any:
        kind = keras.layers.MaxPooling2D if step.kind == "max" else keras.layers.AveragePooling2D
        return kind(3, strides=step.stride, padding=step.padding, name=layer_name(scope), **explicit)(tensor)

    def join(scope: str, tensors: Sequence[Any]) -> Any:
        return keras.layers.Concatenate(name=layer_name(scope), dtype="float32")(tensors)

    inputs = keras.Input((INPUT_SIZE, INPUT_SIZE, 3), dtype="float32")
    features = keras.layers.GlobalAveragePooling2D(name="pool_3", **explicit)(follow(inputs, convolve, pool, join))
    network = keras.Model(inputs, features, name="inception_v3")
    network.trainable = False
    for scope, layer in convolutions.items():
        layer.set_weights(list(weights[scope]))
    return network


def _check_weights(weights: Mapping[str, ConvolutionWeights]) -> None:
    expected = kernel_shapes()
    different = sorted(expected.keys() ^ weights.keys())
    if different:
        raise InvalidInput(
            "These are not the weights of an Inception v3 network.",
            received=f"{len(weights)} convolutions; missing or unknown: {', '.join(different[:5])}",
            expected=f"the {len(expected)} convolutions from `conv` to `mixed_10/tower_2/conv`",
            next_step="vaeval weights list shows which files can be used",
        )
    for scope, shape in expected.items():
        kernel, bias = weights[scope]
        if kernel.shape != shape or bias.shape != shape[-1:]:
            raise InvalidInput(
                f"The weights of the convolution {scope} do not fit an Inception v3 network.",
                received=f"kernel {kernel.shape}, bias {bias.shape}",
                expected=f"kernel {shape}, bias {shape[-1:]}",
                next_step="vaeval weights list shows which files can be used",
            )
