"""From uint8 images to features in one compiled Keras model: convert, resize, grey to RGB, scale, network.

What differs between extractors is given: the network, the kind of resizing, the scaling of pixel values. What must not
differ between two calls is held here: the batch always has one size, so the device runs one program and a feature does
not depend on how many neighbours it had; and arithmetic is what the spec says: float32 proper, never TensorFloat-32, or
bfloat16 from the first convolution to the last, with resizing, scaling and the final mean in float32.

Nothing here is TensorFlow's alone: KERAS_BACKEND=jax or torch runs the same extractor.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from vaeval_core.features.accepted_images import check_images
from vaeval_core.features.base import FeatureExtractor
from vaeval_core.features.full_precision import require_full_float32
from vaeval_core.features.resize import OVERSHOOTS, resize_matrix
from vaeval_core.protocol import ExtractorSpec, Precision
from vaeval_core.shard_plan import NETWORK_BATCH
from vaeval_core.types import Float32, Uint8

MOST_SIZES = 4
"""Image sizes with a compiled program in memory, about 13 MB each: a folder may have a thousand sizes."""


class NetworkExtractor(FeatureExtractor):
    """Runs a Keras network.

    A program is compiled for each image size that comes, which takes a second or two; the last `MOST_SIZES` are kept.

    Args:
        spec: What identifies the features; its `resize` and `precision` are obeyed here.
        network: `keras.Model`, (n, side, side, 3) float32 → (n, spec.dimension) float32, built in float32.
        scale_pixels: Values 0 … 255 to what the network expects, in operations that Keras tensors have.
        batch: Images per network call. Another size may change the last bits of a feature.
    """

    def __init__(
        self,
        spec: ExtractorSpec,
        network: Any,
        scale_pixels: Callable[[Any], Any],
        *,
        batch: int = NETWORK_BATCH,
    ) -> None:
        require_full_float32()
        self._spec = spec
        self._network = network if spec.precision == "float32" else _in_precision(network, spec.precision)
        self._scale_pixels = scale_pixels
        self._batch = batch
        self._compiled: dict[tuple[int, ...], Any] = {}

    @property
    def spec(self) -> ExtractorSpec:
        """What identifies these features in a protocol."""
        return self._spec

    def extract(self, images: Uint8) -> Float32:
        """Features of images.

        Args:
            images: (n, h, w, c) uint8, any h and w, c of 1 or 3. Costs whole batches: n is padded up.

        Returns:
            (n, d) float32.

        Raises:
            ImagesRejected: Another dtype or shape.
        """
        check_images(images)
        shape = images.shape[1:]
        model = self._program(shape)
        features = np.empty((len(images), self._spec.dimension), np.float32)
        for start in range(0, len(images), self._batch):
            # PyTorch takes no view that runs backwards, and all of them copy one that has gaps.
            part = np.ascontiguousarray(images[start : start + self._batch])
            missing = self._batch - len(part)
            if missing:
                part = np.concatenate([part, np.zeros((missing, *shape), np.uint8)])
            features[start : start + self._batch] = model.predict_on_batch(part)[: self._batch - missing]
        return features

    def _program(self, shape: tuple[int, ...]) -> Any:
        program = self._compiled.pop(shape, None)
        if program is None:
            while len(self._compiled) >= MOST_SIZES:
                del self._compiled[next(iter(self._compiled))]  # the one that was not used for longest
            program = self._compile(shape)
        self._compiled[shape] = program
        return program

    def _compile(self, shape: tuple[int, ...]) -> Any:
        import keras

        height, width, _ = shape
        side = self._network.input_shape[1]
        inputs = keras.Input(shape, batch_size=self._batch, dtype="uint8")
        # Channels before the matrix products: then each is one plain product per image and channel, the same whatever
        # its place in the batch, and a grey image is resized once. Moved while they are bytes, a quarter of the floats.
        planes = keras.ops.cast(keras.ops.transpose(inputs, (0, 3, 1, 2)), "float32")
        planes = keras.ops.matmul(resize_matrix(self._spec.resize, height, side), planes)
        planes = keras.ops.matmul(planes, np.ascontiguousarray(resize_matrix(self._spec.resize, width, side).T))
        if self._spec.resize in OVERSHOOTS:
            planes = keras.ops.clip(planes, 0.0, 255.0)
        pixels = keras.ops.transpose(planes, (0, 2, 3, 1))
        if shape[-1] == 1:
            pixels = keras.ops.repeat(pixels, 3, axis=-1)
        features = self._network(self._scale_pixels(pixels), training=False)
        model = keras.Model(inputs, keras.ops.cast(features, "float32"))
        # TensorFlow's own CPU kernels ran this twice as fast as XLA did; the other backends need their compiler.
        model.compile(jit_compile=False if keras.backend.backend() == "tensorflow" else "auto")
        return model


def _in_precision(network: Any, precision: Precision) -> Any:
    """The network once more, its layers that work place by place in another precision; a mean over places stays float32.

    Weights are stored in that precision, so that no call has to convert them. Normalisations stay float32: a variance
    of eight bits would scale whole channels wrongly.
    """
    import keras

    place_by_place = (
        keras.layers.Activation,
        keras.layers.AveragePooling2D,
        keras.layers.Concatenate,
        keras.layers.Conv2D,
        keras.layers.MaxPooling2D,
    )

    def converted(layer: Any) -> Any:
        settings = layer.get_config()
        if isinstance(layer, place_by_place):
            settings["dtype"] = precision
        return type(layer).from_config(settings)

    copy = keras.models.clone_model(network, clone_function=converted)
    copy.set_weights(network.get_weights())
    copy.trainable = False
    return copy
