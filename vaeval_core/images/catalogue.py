"""Every `--data` argument and every stored data set URI, by name: the one door to sets of images.

digits:train, digits:test             the digits that scikit-learn ships        `digits`
shapes, shapes:train, shapes:test     drawn shapes with known factors           `shapes`
a .npy, .npz, .h5 or .hdf5 file       one array of images                       `array_file`
any other path                        a folder of PNG and JPEG files            `folder`
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import get_args

from vaeval_core.errors import ImagesChanged, NotFound, unreadable_here
from vaeval_core.images.array_file import ARRAY_SUFFIXES, open_array_file, survey_array_file
from vaeval_core.images.array_images import ArrayImages
from vaeval_core.images.base import ImageSet
from vaeval_core.images.digits import SCHEME, DigitsSplit, digits_images
from vaeval_core.images.folder import open_folder, survey_folder
from vaeval_core.images.shapes import ShapesSet, shapes_images

_BUNDLED: dict[str, Callable[[], ArrayImages]] = {
    **{f"{SCHEME}{split}": partial(digits_images, split) for split in get_args(DigitsSplit)},
    **{name: partial(shapes_images, name) for name in get_args(ShapesSet)},
}
_SCHEMES = (SCHEME, "shapes:")


def survey_images(
    argument: str,
    *,
    skip_unreadable: bool = False,
    cache_folder: Path | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> ImageSet:
    """The set that a user names, every file of it checked: for submit time.

    Args:
        argument: What was given as `--data`.
        skip_unreadable: Leave out files of a folder that cannot be read; `skipped` lists them.
        cache_folder: Where facts on unchanged files are kept between surveys; None to keep nothing.
        on_progress: Called with (images done, images in all), on the caller's thread; may raise to stop.

    Raises:
        NotFound: There is no such path or split.
        ImagesRejected: There is something, but no set of images that can be used.
    """
    if _is_bundled(argument):
        return _bundled(argument)
    path = Path(argument).expanduser()
    if not path.exists():
        raise _no_such_images(argument)
    if _is_array_file(path):
        return survey_array_file(path, on_progress=on_progress)
    return survey_folder(path, skip_unreadable=skip_unreadable, cache_folder=cache_folder, on_progress=on_progress)


def open_images(uri: str, digest: str, manifest: bytes | None) -> ImageSet:
    """The set that `survey_images` described, in a worker: images are checked as they are read.

    Args:
        uri: The set's `uri`.
        digest: The set's `digest`.
        manifest: What its `manifest()` gave.

    Raises:
        ImagesChanged: Bundled images or an array are others than those described.
        StorageFailed: This machine cannot read the path, or the manifest is missing, damaged or that of another set.
    """
    if _is_bundled(uri):
        bundled = _bundled(uri)
        if bundled.digest != digest:
            origin = "scikit-learn" if uri.startswith(SCHEME) else "vaeval"
            raise ImagesChanged(
                "The bundled images of this machine are not those that the evaluation was submitted with.",
                received=f"{uri} with digest {bundled.digest}",
                expected=f"digest {digest}",
                next_step=f"install the same version of {origin} on every machine, then submit again",
            )
        return bundled
    path = Path(uri)
    try:
        if _is_array_file(path):
            return open_array_file(path, digest, manifest)
    except OSError as error:
        raise unreadable_here(path, error) from error
    return open_folder(path, digest, manifest)


def _is_array_file(path: Path) -> bool:
    # A folder may well be called photos.npy.
    return path.suffix.lower() in ARRAY_SUFFIXES and not path.is_dir()


def _no_such_images(argument: str) -> NotFound:
    is_plain_word = Path(argument).name == argument
    close = difflib.get_close_matches(argument.lower(), _BUNDLED, n=1) if is_plain_word else []
    return NotFound(
        "There is no such set of images.",
        received=argument if Path(argument).is_absolute() else f"{argument} (in {Path.cwd()})",
        expected=f"a folder of PNG or JPEG files, a .npy, .npz or HDF5 file, {' or '.join(_BUNDLED)}",
        next_step=f"--data {close[0]}" if close else "check the path given as --data",
    )


def _is_bundled(argument: str) -> bool:
    # A folder that is called shapes can be written ./shapes.
    return argument in _BUNDLED or argument.startswith(_SCHEMES)


def _bundled(argument: str) -> ArrayImages:
    if argument in _BUNDLED:
        return _BUNDLED[argument]()
    scheme = argument.partition(":")[0]
    known = [name for name in _BUNDLED if name.partition(":")[0] == scheme]
    closest = difflib.get_close_matches(argument, known, n=1, cutoff=0.0)
    raise NotFound(
        f"There is no such set of {scheme}.",
        received=argument,
        expected=" or ".join(known),
        next_step=f"--data {closest[0]}",
    )
