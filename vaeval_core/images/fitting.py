"""How a stored image becomes a model input: channels first, then size. Pure: arrays in, arrays out.

    exact          the stored size must be the model's size
    crop-bicubic   centre crop to the model's aspect ratio, then Pillow's bicubic (antialiased) on uint8

Both are the same for every kind of image set, so a folder of PNGs and an array of the same pixels give the same numbers.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from PIL import Image

from vaeval_core.errors import ImagesRejected
from vaeval_core.protocol import ImageFit
from vaeval_core.types import ImageShape, Uint8

_MODES = {1: "L", 3: "RGB"}
_SHOWN = 3  # offenders named in one message


def fit_image(image: Image.Image, shape: ImageShape, fit: ImageFit, name: str) -> Uint8:
    """One decoded image as the model wants it.

    Grey becomes colour by repetition, colour becomes grey by ITU-R 601 luma; transparency is dropped, not blended.

    Args:
        image: 8 bits a channel, any mode that `decoding` lets through.
        shape: Wanted (height, width, channels), channels 1 or 3.
        fit: What to do about another size.
        name: What to call the image in an error.

    Returns:
        `shape` uint8.

    Raises:
        ImagesRejected: The size differs and `fit` is `exact`, or `shape` asks for other than 1 or 3 channels.
    """
    height, width, channels = shape
    require_fit([(name, image.width, image.height)], shape, fit)
    image = _with_channels(image, channels)
    if image.size != (width, height):
        box = centre_crop_box(image.width, image.height, width, height)
        image = image.crop(box).resize((width, height), Image.Resampling.BICUBIC)
    return np.asarray(image, dtype=np.uint8).reshape(shape)


def fit_arrays(images: Uint8, shape: ImageShape, fit: ImageFit, names: Iterable[str]) -> Uint8:
    """The same for images that are arrays already: (n, h, w, c) uint8, c of 1 or 3, to (n, *shape) uint8.

    Raises:
        ImagesRejected: As `fit_image`.
    """
    if images.shape[1:] == shape:
        return np.ascontiguousarray(images)
    fitted = np.empty((len(images), *shape), dtype=np.uint8)
    for place, (pixels, name) in enumerate(zip(images, names, strict=True)):
        picture = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
        fitted[place] = fit_image(picture, shape, fit, name)
    return fitted


def centre_crop_box(width: int, height: int, target_width: int, target_height: int) -> tuple[int, int, int, int]:
    """The largest centred box of the target's aspect ratio, as (left, top, right, bottom) in whole pixels.

    One side is kept; the other is rounded to the nearest pixel (halves up, at least 1). What is cut off is halved
    between the two ends; an odd pixel is cut at the right or bottom.

    >>> centre_crop_box(100, 50, 64, 64)
    (25, 0, 75, 50)
    """
    if width * target_height > height * target_width:
        kept = max(1, (2 * height * target_width + target_height) // (2 * target_height))
        left = (width - kept) // 2
        return left, 0, left + kept, height
    kept = max(1, (2 * width * target_height + target_width) // (2 * target_width))
    top = (height - kept) // 2
    return 0, top, width, top + kept


def require_fit(sizes: Iterable[tuple[str, int, int]], shape: ImageShape, fit: ImageFit) -> None:
    """Say which images do not fit, all at once.

    Args:
        sizes: (name, width, height) of each stored image.
        shape: What the model takes.
        fit: Whether other sizes are resampled.

    Raises:
        ImagesRejected: `fit` is `exact` and a size differs, or `shape` has other than 1 or 3 channels.
    """
    height, width, channels = shape
    if channels not in _MODES:
        raise ImagesRejected(
            "Stored images are grey or colour, the model takes neither.",
            received=f"a model of {channels} channels",
            expected="1 channel (grey) or 3 (red, green, blue)",
            next_step="evaluate a model of one or three channels",
        )
    if fit != "exact":
        return
    num_images, offenders = 0, []
    for name, image_width, image_height in sizes:
        num_images += 1
        if (image_width, image_height) != (width, height):
            offenders.append(f"{name} is {image_width}×{image_height}")
    if offenders:
        which = f"{len(offenders):,} of {num_images:,} images" if num_images > 1 else "An image"
        raise ImagesRejected(
            f"{which} {'has' if len(offenders) == 1 else 'have'} another size than the model takes.",
            received=first_of(offenders),
            expected=f"{width}×{height} pixels (width × height)",
            next_step="add --resize to crop and resample them, or give images of the model's size",
        )


def first_of(parts: list[str], separator: str = "; ") -> str:
    """The first few parts, and how many are not shown.

    >>> first_of(["a", "b", "c", "d"])
    'a; b; c; and 1 more'
    """
    rest = len(parts) - _SHOWN
    return separator.join([*parts[:_SHOWN], *([f"and {rest:,} more"] if rest > 0 else [])])


def _with_channels(image: Image.Image, channels: int) -> Image.Image:
    mode = _MODES[channels]
    if image.mode == "LA":
        image = image.getchannel("L")
    elif image.mode not in {"L", "RGB"}:
        image = image.convert("RGB")
    return image if image.mode == mode else image.convert(mode)
