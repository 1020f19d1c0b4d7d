"""Every `--data` argument and every stored data set URI, by name: the one door to sets of images.

digits:train, digits:test    the digits that scikit-learn ships        `digits`
a .npy or .npz file          one array of images                       `array_file`
any other path               a folder of PNG and JPEG files            `folder`
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from pathlib import Path
from typing import get_args

from vaeval_core.errors import ImagesRejected, NotFound, unreadable_here
from vaeval_core.images.array_file import ARRAY_SUFFIXES, open_array_file, survey_array_file
from vaeval_core.images.array_images import ArrayImages
from vaeval_core.images.base import ImageSet
from vaeval_core.images.digits import SCHEME, DigitsSplit, digits_images
from vaeval_core.images.folder import open_folder, survey_folder

_DIGITS = [f"{SCHEME}{split}" for split in get_args(DigitsSplit)]


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
    if argument.startswith(SCHEME):
        return _digits(argument)
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
        ImagesRejected: The digits or an array are others than those described.
        StorageFailed: This machine cannot read the path, or the manifest is missing, damaged or that of another set.
    """
    if uri.startswith(SCHEME):
        digits = _digits(uri)
        if digits.digest != digest:
            raise ImagesRejected(
                "The bundled digits of this machine are not those that the evaluation was submitted with.",
                received=f"{uri} with digest {digits.digest}",
                expected=f"digest {digest}",
                next_step="install the same version of scikit-learn on every machine, then submit again",
            )
        return digits
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
    close = difflib.get_close_matches(argument.lower(), _DIGITS, n=1) if is_plain_word else []
    return NotFound(
        "There is no such set of images.",
        received=argument if Path(argument).is_absolute() else f"{argument} (in {Path.cwd()})",
        expected=f"a folder of PNG or JPEG files, a .npy or .npz file, {' or '.join(_DIGITS)}",
        next_step=f"--data {close[0]}" if close else "check the path given as --data",
    )


def _digits(argument: str) -> ArrayImages:
    for split in get_args(DigitsSplit):
        if argument == f"{SCHEME}{split}":
            return digits_images(split)
    closest = difflib.get_close_matches(argument, _DIGITS, n=1, cutoff=0.0)
    raise NotFound(
        "There is no such set of digits.",
        received=argument,
        expected=" or ".join(_DIGITS),
        next_step=f"--data {closest[0]}",
    )
