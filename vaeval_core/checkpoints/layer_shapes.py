"""Output shapes of Keras layers, computed from their settings alone.

A saved model records the shape of every tensor that goes into a layer, but not the shapes that come out at the end. The
rules here close that gap for the layers that encoders and decoders end in, so that a latent size that does not fit is
found when a checkpoint is submitted, not when a worker has loaded it. None means: no rule, ask the loaded network.

Shapes have no batch axis: (28, 28, 1). A None inside is a size that the model leaves open.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

Shape = tuple[int | None, ...]

_SHAPE_KEEPING = frozenset(
    [
        *(
            "Activation",
            "ActivityRegularization",
            "AlphaDropout",
            "BatchNormalization",
            "Clip",
            "Dropout",
            "ELU",
            "Exp",
        ),
        *("GaussianDropout", "GaussianNoise", "GroupNormalization", "Identity", "LayerNormalization", "LeakyReLU"),
        *("Normalization", "PReLU", "RMSNormalization", "ReLU", "Relu", "Rescaling", "Sigmoid", "Softmax", "Softplus"),
        *("SpatialDropout2D", "SpectralNormalization", "Tanh", "UnitNormalization"),
    ]
)
_MERGES = frozenset(["Add", "Average", "Maximum", "Minimum", "Multiply", "Subtract"])


def output_shape(class_name: str, settings: Mapping[str, Any], inputs: Sequence[Shape | None]) -> Shape | None:
    """Shape of a layer's output.

    Args:
        class_name: Keras class, such as `Conv2DTranspose`.
        settings: The layer's `config` as saved.
        inputs: Shapes of its inputs, None where unknown.

    Returns:
        The shape, or None if no rule gives it.
    """
    known = [shape for shape in inputs if shape is not None]
    if not known or len(known) != len(inputs) or settings.get("data_format", "channels_last") != "channels_last":
        return None
    if class_name in _SHAPE_KEEPING:
        return known[0]
    if class_name in _MERGES:
        return known[0] if all(shape == known[0] for shape in known) else None
    if class_name == "Concatenate":
        return _concatenated(known, settings)
    rule = _RULES.get(class_name)
    return rule(known[0], settings) if rule and len(known) == 1 else None


def size_of(shape: Shape | None) -> int | None:
    """Numbers in an array of this shape; None if it or one of its sizes is unknown."""
    return None if shape is None or None in shape else math.prod(size for size in shape if size is not None)


def _dense(shape: Shape, settings: Mapping[str, Any]) -> Shape | None:
    return (*shape[:-1], settings["units"])


def _flatten(shape: Shape, settings: Mapping[str, Any]) -> Shape | None:
    return (size_of(shape),)


def _reshape(shape: Shape, settings: Mapping[str, Any]) -> Shape | None:
    # The layer has target_shape; keras.ops.reshape has newshape, which counts the batch axis.
    target = list(settings["target_shape"] if "target_shape" in settings else settings["newshape"][1:])
    if -1 not in target:
        return tuple(target)
    total, rest = size_of(shape), math.prod(size for size in target if size != -1)
    if total is None or rest == 0 or target.count(-1) > 1:
        return None
    return tuple(total // rest if size == -1 else size for size in target)


def _convolution(shape: Shape, settings: Mapping[str, Any]) -> Shape | None:
    spatial = _over_space(shape, settings, "kernel_size", _windowed)
    channels = settings.get("filters")
    if channels is None:  # depthwise
        last = shape[-1]
        channels = None if last is None else last * settings["depth_multiplier"]
    return None if spatial is None else (*spatial, channels)


def _pooling(shape: Shape, settings: Mapping[str, Any]) -> Shape | None:
    spatial = _over_space(shape, settings, "pool_size", _windowed)
    return None if spatial is None else (*spatial, shape[-1])


def _transposed_convolution(shape: Shape, settings: Mapping[str, Any]) -> Shape | None:
    if settings.get("output_padding") is not None:
        return None
    spatial = _over_space(shape, settings, "kernel_size", _spread)
    return None if spatial is None else (*spatial, settings["filters"])


def _upsampling(shape: Shape, settings: Mapping[str, Any]) -> Shape | None:
    return (*(None if n is None else n * factor for n, factor in zip(shape, settings["size"], strict=False)), shape[-1])


def _global_pooling(shape: Shape, settings: Mapping[str, Any]) -> Shape | None:
    return (1, 1, shape[-1]) if settings.get("keepdims") else (shape[-1],)


def _cropping(shape: Shape, settings: Mapping[str, Any]) -> Shape | None:
    cuts = settings["cropping"]
    return (*(None if n is None else n - sum(cut) for n, cut in zip(shape, cuts, strict=False)), shape[-1])


def _padding(shape: Shape, settings: Mapping[str, Any]) -> Shape | None:
    pads = settings["padding"]
    return (*(None if n is None else n + sum(pad) for n, pad in zip(shape, pads, strict=False)), shape[-1])


def _permuted(shape: Shape, settings: Mapping[str, Any]) -> Shape | None:
    return tuple(shape[axis - 1] for axis in settings["dims"])


def _concatenated(shapes: Sequence[Shape], settings: Mapping[str, Any]) -> Shape | None:
    rank = len(shapes[0])
    axis = settings.get("axis", -1)
    place = axis + rank if axis < 0 else axis - 1  # a positive axis counts the batch
    if any(len(shape) != rank for shape in shapes) or not 0 <= place < rank:
        return None
    sizes = [shape[place] for shape in shapes]
    total = None if None in sizes else sum(size for size in sizes if size is not None)
    return (*shapes[0][:place], total, *shapes[0][place + 1 :])


def _over_space(
    shape: Shape,
    settings: Mapping[str, Any],
    window: str,
    rule: Callable[[int, int, int, int, str], int],
) -> Shape | None:
    """Apply a rule of (size, window, stride, dilation, padding) to each axis but the channels."""
    windows = settings[window]
    strides = settings.get("strides") or windows
    dilations = settings.get("dilation_rate", [1] * len(windows))
    if len(shape) != len(windows) + 1:
        return None
    return tuple(
        None if n is None else rule(n, k, stride, dilation, settings["padding"])
        for n, k, stride, dilation in zip(shape, windows, strides, dilations, strict=False)
    )


def _windowed(size: int, window: int, stride: int, dilation: int, padding: str) -> int:
    return -(-size // stride) if padding == "same" else (size - (window - 1) * dilation - 1) // stride + 1


def _spread(size: int, window: int, stride: int, dilation: int, padding: str) -> int:
    reach = (window - 1) * dilation + 1
    return size * stride if padding == "same" else size * stride + max(reach - stride, 0)


_RULES: dict[str, Callable[[Shape, Mapping[str, Any]], Shape | None]] = {
    "AveragePooling2D": _pooling,
    "Conv1D": _convolution,
    "Conv2D": _convolution,
    "Conv2DTranspose": _transposed_convolution,
    "Cropping2D": _cropping,
    "Dense": _dense,
    "DepthwiseConv2D": _convolution,
    "Flatten": _flatten,
    "GlobalAveragePooling2D": _global_pooling,
    "GlobalMaxPooling2D": _global_pooling,
    "MaxPooling2D": _pooling,
    "Permute": _permuted,
    "Reshape": _reshape,
    "SeparableConv2D": _convolution,
    "UpSampling2D": _upsampling,
    "ZeroPadding2D": _padding,
}
