"""LPIPS: how far apart two images are for a network that was trained on what people see.

    d(x, y) = Σ_slices  mean over places of  Σ_channels w_c (x̂_c - ŷ_c)²

where x̂ are the outputs of a slice, each place divided by its norm over channels, and w ≥ 0 were fitted to what people found
more alike. Pixels go in as published: [-1, 1], minus a shift, over a scale.

Source: Zhang et al. 2018, arXiv:1801.03924, equation 1; the package of the authors, release 0.1.4 (`version='0.1'`).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vaeval_core.errors import ImagesRejected
from vaeval_core.features.accepted_images import check_images
from vaeval_core.features.full_precision import require_full_float32
from vaeval_core.features.lpips_architecture import ARCHITECTURES, SCALE, SHIFT, Architecture
from vaeval_core.features.lpips_weights import load_lpips_weights
from vaeval_core.protocol import PerceptualSpec
from vaeval_core.shard_plan import NETWORK_BATCH
from vaeval_core.types import Float64, Uint8

if TYPE_CHECKING:
    from vaeval_core.features.tensor_files import Tensors

_LEAST_NORM = 1e-10
"""Added to norms, as published: where a slice gives nothing, its output stays nothing."""


class PerceptualDistance:
    """LPIPS between pairs of images. The network is built for the size that it is asked for last.

    Args:
        spec: Which network, and the digest of its weights.
        tensors: The weights, of `lpips_weights`.
        batch: Pairs per network call. Another size may change the last bits of a distance.
    """

    def __init__(self, spec: PerceptualSpec, tensors: Tensors, *, batch: int = NETWORK_BATCH) -> None:
        self.spec = spec
        self._architecture = ARCHITECTURES[spec.network]
        self._tensors = tensors
        self._batch = batch
        self._shape: tuple[int, ...] | None = None
        self._model: Any = None

    @property
    def smallest_side(self) -> int:
        """Pixels on a side that an image must have."""
        return self._architecture.smallest_side

    def between(self, images: Uint8, others: Uint8) -> Float64:
        """Distance of each image to its other.

        Args:
            images: (n, h, w, c) uint8, c of 1 or 3; h and w at least `smallest_side`. Costs whole batches: n is padded up.
            others: The same shape.

        Returns:
            (n,) float64, ≥ 0; 0 for equal images.

        Raises:
            ImagesRejected: Another dtype or shape, or the images are too small.
        """
        check_images(images)
        if others.shape != images.shape or others.dtype != images.dtype:
            raise ImagesRejected(
                "Images and their others are no pairs.",
                received=f"{images.shape} {images.dtype} and {others.shape} {others.dtype}",
                expected="two arrays of one shape, uint8",
            )
        shape = images.shape[1:]
        if min(shape[:2]) < self.smallest_side:
            raise ImagesRejected(
                f"The images are too small for LPIPS with {self.spec.network}.",
                received=f"{shape[0]} × {shape[1]} pixels",
                expected=f"at least {self.smallest_side} × {self.smallest_side}",
            )
        if shape != self._shape:
            self._model, self._shape = _build(self._architecture, self._tensors, shape, self._batch), shape
        distances = np.empty(len(images), np.float64)
        for start in range(0, len(images), self._batch):
            pair = [_padded(each[start : start + self._batch], self._batch) for each in (images, others)]
            found = np.asarray(self._model.predict_on_batch(pair), np.float64)
            distances[start : start + self._batch] = found[: len(images) - start]
        return distances


def load_perceptual_distance(spec: PerceptualSpec, weights_folder: Path) -> PerceptualDistance:
    """The distance of a spec, ready to run.

    Raises:
        WeightsUnavailable: Its weights are not on this machine.
        StorageFailed: The folder cannot be read.
    """
    return PerceptualDistance(spec, load_lpips_weights(spec, weights_folder))


def _padded(images: Uint8, batch: int) -> Uint8:
    missing = batch - len(images)
    if not missing:
        return np.ascontiguousarray(images)
    return np.concatenate([images, np.zeros((missing, *images.shape[1:]), np.uint8)])


def _build(architecture: Architecture, tensors: Tensors, shape: tuple[int, ...], batch: int) -> Any:
    import keras

    require_full_float32()
    ops = keras.ops
    backbone = _backbone(architecture, tensors, shape)
    inputs = [keras.Input(shape, batch_size=batch, dtype="uint8") for _ in range(2)]
    both = [backbone(_scaled(each)) for each in inputs]
    distance = 0.0
    for number, (first, second) in enumerate(zip(*both, strict=True)):
        difference = ops.square(_normalised(first) - _normalised(second))
        # Channels first, then places: sums of positive numbers, the same whatever stands beside an image in the batch.
        weighted = ops.sum(difference * tensors[f"lin{number}"], axis=-1)
        distance = distance + ops.mean(weighted, axis=(1, 2))
    model = keras.Model(inputs, distance)
    model.compile(jit_compile=False if keras.backend.backend() == "tensorflow" else "auto")
    return model


def _backbone(architecture: Architecture, tensors: Tensors, shape: tuple[int, ...]) -> Any:
    """Scaled pixels (n, h, w, 3) → the outputs of all slices."""
    import keras

    layers = keras.layers
    pixels = keras.Input((*shape[:2], 3))
    outputs, current = [], pixels
    for each in architecture.slices:
        if each.pool is not None:
            current = layers.MaxPooling2D(each.pool, strides=2, data_format="channels_last", dtype="float32")(current)
        for convolution in each.convolutions:
            padded = layers.ZeroPadding2D(convolution.padding, data_format="channels_last", dtype="float32")(current)
            layer = layers.Conv2D(
                convolution.outputs,
                convolution.size,
                strides=convolution.stride,
                activation="relu",
                data_format="channels_last",
                dtype="float32",
            )
            current = layer(padded)
            layer.set_weights([tensors[f"{convolution.module}/kernel"], tensors[f"{convolution.module}/bias"]])
        outputs.append(current)
    network = keras.Model(pixels, outputs)
    network.trainable = False
    return network


def _scaled(images: Any) -> Any:
    import keras

    ops = keras.ops
    pixels = ops.cast(images, "float32")
    if pixels.shape[-1] == 1:
        pixels = ops.repeat(pixels, 3, axis=-1)
    return (pixels / 127.5 - 1.0 - np.asarray(SHIFT, np.float32)) / np.asarray(SCALE, np.float32)


def _normalised(outputs: Any) -> Any:
    import keras

    ops = keras.ops
    return outputs / (ops.sqrt(ops.sum(ops.square(outputs), axis=-1, keepdims=True)) + _LEAST_NORM)
