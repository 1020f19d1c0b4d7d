"""How images (height, width, channels) lie in what a network takes and gives.

Networks on small images often see them as (28, 28) or as flat vectors (784,). Everything inside vaeval is (h, w, c), in
row order, so both are a reshape away, as long as the shape is known: a flat vector counts as a square grey image, or as
what `image_shape` in the sidecar says.
"""

from __future__ import annotations

import math

from vaeval_core.checkpoints.layer_shapes import Shape
from vaeval_core.checkpoints.sidecar import SIDECAR_NAME
from vaeval_core.errors import CheckpointRejected
from vaeval_core.types import ImageShape

_CHANNELS = frozenset([1, 3])


def image_shape_of(
    taken: Shape, given: Shape | None, declared: ImageShape | None
) -> tuple[ImageShape, tuple[str, ...]]:
    """The image shape of a VAE, and what was assumed.

    Args:
        taken: Input shape of the encoder; sizes may be open.
        given: Output shape of the decoder where known: decides sizes that the encoder leaves open.
        declared: From the sidecar.

    Raises:
        CheckpointRejected: No image shape follows, or the declared one does not fit.
    """
    if declared is not None:
        if layout_of(taken, declared) is None:
            raise CheckpointRejected(
                f"image_shape in {SIDECAR_NAME} does not fit the encoder.",
                received=f"image_shape {declared}, encoder input {taken}",
                expected="the same number of pixels",
                next_step="correct it, or leave it out where the encoder fixes its shape",
            )
        return declared, (f"Images are {declared}, as {SIDECAR_NAME} says.",) if taken != declared else ()
    if None in taken and given is not None and None not in given and len(given) == len(taken):
        taken = given
    if None in taken:
        raise CheckpointRejected(
            "The encoder leaves the image size open.",
            received=f"encoder input {taken}",
            expected="a fixed size, such as keras.Input((64, 64, 3))",
            next_step=f"write `image_shape: [64, 64, 3]` with the right numbers into {SIDECAR_NAME} beside the checkpoint",
        )
    sizes = tuple(size for size in taken if size is not None)
    if len(sizes) == 3 and sizes[2] in _CHANNELS:
        return (sizes[0], sizes[1], sizes[2]), ()
    if len(sizes) == 3 and sizes[0] in _CHANNELS:
        raise _channels_first(sizes)
    if len(sizes) == 2:
        return (*sizes, 1), (f"The encoder takes {sizes}: images are taken as grey, (h, w, 1).",)
    side = math.isqrt(sizes[0]) if len(sizes) == 1 else 0
    if side and side * side == sizes[0]:
        shape = (side, side, 1)
        return shape, (f"The encoder takes flat vectors of {sizes[0]}: images are taken as {shape}, row by row.",)
    if len(sizes) == 1:
        raise CheckpointRejected(
            "The encoder takes flat vectors that are no square grey image.",
            received=f"encoder input {sizes}",
            expected="the image shape in words",
            next_step=f"write `image_shape: [height, width, channels]` into {SIDECAR_NAME} beside the checkpoint",
        )
    raise CheckpointRejected(
        "The encoder takes no images.",
        received=f"encoder input {sizes}",
        expected="(height, width, channels) with 1 or 3 channels, (height, width), or a flat vector",
        next_step="give the encoder that takes images; a model on other data cannot be evaluated",
    )


def require_decoder_fits(given: Shape | None, image_shape: ImageShape) -> None:
    """Refuse a decoder whose images are not those that the encoder takes.

    Raises:
        CheckpointRejected: The shapes are known and differ in more than layout.
    """
    if given is None or layout_of(given, image_shape) is not None:
        return
    height, width, channels = image_shape
    if given == (channels, height, width):
        raise _channels_first(given)
    raise CheckpointRejected(
        "The decoder gives other images than the encoder takes.",
        received=f"decoder output {given}, encoder input of image shape {image_shape}",
        expected=f"{image_shape}, or its {height * width * channels} numbers as a flat vector",
        next_step="check that encoder.keras and decoder.keras are from the same model",
    )


def layout_of(shape: Shape, image_shape: ImageShape) -> tuple[int, ...] | None:
    """The shape in which a network with this input or output holds one image; None if it does not hold such images.

    >>> layout_of((64,), (8, 8, 1)), layout_of((None, None, 3), (16, 16, 3)), layout_of((10,), (8, 8, 1))
    ((64,), (16, 16, 3), None)
    """
    height, width, channels = image_shape
    layouts: list[tuple[int, ...]] = [image_shape, (height * width * channels,)]
    if channels == 1:
        layouts.append((height, width))
    return next((layout for layout in layouts if _agree(shape, layout)), None)


def _agree(shape: Shape, layout: tuple[int, ...]) -> bool:
    return len(shape) == len(layout) and all(a in {None, b} for a, b in zip(shape, layout, strict=True))


def _channels_first(shape: Shape) -> CheckpointRejected:
    return CheckpointRejected(
        "The networks hold images channels-first, which is not supported.",
        received=f"shape {shape}",
        expected="channels last: (height, width, channels)",
        next_step="build the networks with data_format='channels_last' and save again",
    )
