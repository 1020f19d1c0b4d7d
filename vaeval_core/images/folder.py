"""A folder of PNG or JPEG files as a set of images.

    survey_folder   at submit time: every file is listed, read, hashed and decoded; what cannot be used is named
    open_folder     in a worker: from the list of files that the survey made; a file is checked when it is read

A set's digest is the sha256 over one line of JSON per file, [relative path, sha256 of its bytes], in sorted order.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from vaeval_core.errors import ImagesRejected, unreadable_here
from vaeval_core.images.decoding import UnreadableFile, UnreadableImage, decode, read_file
from vaeval_core.images.fitting import first_of, fit_image, require_fit
from vaeval_core.images.folder_listing import list_images
from vaeval_core.images.folder_survey import survey_files
from vaeval_core.images.manifest import changed_since_submission, read_manifest, unusable_manifest, write_manifest
from vaeval_core.images.order import image_order, numbers_in
from vaeval_core.images.survey_cache import ImageFile
from vaeval_core.protocol import ImageFit
from vaeval_core.types import ImageShape, IndexRange, Uint8

_MANIFEST = "vaeval-folder-1"
_THREADS = min(8, os.cpu_count() or 1)  # decoding releases the interpreter lock; more would crowd out the network


class FolderImages:
    """The `ImageSet` of a folder.

    Args:
        root: Absolute path of the folder.
        files: What is known about its files, in sorted order.
        skipped: Paths that were left out because they cannot be read.
    """

    def __init__(self, root: Path, files: Sequence[ImageFile], skipped: Sequence[str] = ()) -> None:
        self._root = root
        self._files = tuple(files)
        self._order = image_order(len(self._files))
        self.skipped = tuple(skipped)
        lines = "".join(json.dumps([file.path, file.digest]) + "\n" for file in self._files)
        self.digest = hashlib.sha256(lines.encode("ascii")).hexdigest()

    @property
    def uri(self) -> str:
        """Absolute path of the folder."""
        return str(self._root)

    @property
    def name(self) -> str:
        """Name of the folder."""
        return self._root.name or str(self._root)

    def __len__(self) -> int:
        return len(self._files)

    def manifest(self) -> bytes:
        """JSON: {"format": …, "files": [[path, sha256, width, height], …]}, in sorted order."""
        files = [[file.path, file.digest, file.width, file.height] for file in self._files]
        return write_manifest(_MANIFEST, {"files": files})

    def check_fit(self, shape: ImageShape, fit: ImageFit) -> None:
        """Raise ImagesRejected, naming the first few, unless every image can be read as `shape`; reads no file."""
        require_fit(((file.path, file.width, file.height) for file in self._files), shape, fit)

    def read(self, index_range: IndexRange, shape: ImageShape, fit: ImageFit) -> Uint8:
        """Images of the range in the set's order, as (n, *shape) uint8; see `ImageSet.read`."""
        chosen = [self._files[number] for number in numbers_in(self._order, index_range)]
        images = np.empty((len(chosen), *shape), dtype=np.uint8)

        def read_into(place: int) -> None:
            images[place] = fit_image(self._decode(chosen[place]), shape, fit, chosen[place].path)

        with ThreadPoolExecutor(_THREADS, thread_name_prefix="image-read") as pool:
            for _ in pool.map(read_into, range(len(chosen))):
                pass
        return images

    def _decode(self, file: ImageFile) -> Image.Image:
        """The pixels of a file, if it is still the one that was surveyed."""
        try:
            data, digest = read_file(self._root / file.path)
            if digest == file.digest:
                return decode(data)
            reason = "its content is another"
        except UnreadableFile as error:
            raise unreadable_here(self._root / file.path, str(error)) from error
        except UnreadableImage as error:
            reason = str(error)
        raise changed_since_submission(f"{self._root / file.path}: {reason}", f"a file with sha256 {file.digest}")


def survey_folder(
    root: Path,
    *,
    skip_unreadable: bool = False,
    cache_folder: Path | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> FolderImages:
    """Check every image below `root` and make a set of them.

    Args:
        root: The folder.
        skip_unreadable: Leave out files that cannot be read (they are listed in `skipped`) instead of refusing all.
        cache_folder: Where facts on unchanged files are kept between surveys.
        on_progress: Called with (files done, files in all), on the caller's thread; may raise to stop.

    Raises:
        NotFound: There is no such path.
        ImagesRejected: No folder, no images, a link that leads out, or files that cannot be read.
    """
    root = root.expanduser().resolve()
    survey = survey_files(root, list_images(root), cache_folder=cache_folder, on_progress=on_progress)
    if survey.unreadable and not (skip_unreadable and survey.files):
        raise _unreadable(root, survey.unreadable, num_readable=len(survey.files))
    return FolderImages(root, survey.files, skipped=tuple(survey.unreadable))


def open_folder(root: Path, digest: str, manifest: bytes | None) -> FolderImages:
    """The set that `survey_folder` described, from its manifest; no file is touched.

    Raises:
        StorageFailed: The manifest is missing, damaged or that of another set.
    """
    content = read_manifest(manifest, _MANIFEST, str(root))
    try:
        files = [
            ImageFile(path=path, digest=sha256, width=width, height=height)
            for path, sha256, width, height in content["files"]
        ]
    except (ValueError, TypeError, KeyError) as error:
        raise unusable_manifest(str(root), f"a list without files ({error})") from error
    images = FolderImages(root, files)
    if images.digest != digest:
        raise unusable_manifest(str(root), f"a list with digest {images.digest}", f"digest {digest}")
    return images


def _unreadable(root: Path, reasons: Mapping[str, str], *, num_readable: int) -> ImagesRejected:
    num_files = num_readable + len(reasons)
    return ImagesRejected(
        f"{len(reasons):,} of {num_files:,} image files cannot be read.",
        received=first_of([f"{root / path}: {reason}" for path, reason in reasons.items()]),
        expected="complete PNG or JPEG files with 8 bits a channel",
        next_step=(
            "repair or remove them, or add --skip-unreadable to go on without them"
            if num_readable
            else "give a folder with readable images"
        ),
    )
