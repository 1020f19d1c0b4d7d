"""Which files of a folder are images: everything below it that ends in .png, .jpg or .jpeg, sorted by path.

Hidden files and folders (a leading dot: previews, notebook copies, macOS companions) are left out. Symbolic links that
lead out of the folder are refused, so that a set is what its folder holds, on every machine that sees it.
"""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

from vaeval_core.errors import ImagesRejected, NotFound
from vaeval_core.images.fitting import first_of

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg")
"""Compared without regard to case."""


def list_images(root: Path) -> tuple[str, ...]:
    """Paths of the image files below `root`, relative, with forward slashes, sorted by code point.

    A link to a file inside the folder counts as a file; a link to a folder inside is not followed, for its images are
    listed where they are.

    Args:
        root: Resolved path of the folder.

    Raises:
        NotFound: There is no such path.
        ImagesRejected: It is a file, holds no image, holds a link that leads out of it, or a part cannot be listed.
    """
    _require_folder(root)
    images: list[str] = []
    other_suffixes: Counter[str] = Counter()
    for folder, subfolders, files in os.walk(root, onerror=_reject_unlistable):
        subfolders[:] = [name for name in subfolders if not name.startswith(".")]
        for name in subfolders:
            _require_inside(Path(folder, name), root)
        for name in files:
            path = Path(folder, name)
            suffix = path.suffix.lower()
            if name.startswith("."):
                continue
            if suffix in IMAGE_SUFFIXES:
                _require_inside(path, root)
                images.append(path.relative_to(root).as_posix())
            else:
                other_suffixes[suffix or "no suffix"] += 1
    if not images:
        raise _no_images(root, other_suffixes)
    return tuple(sorted(images))


def _require_folder(root: Path) -> None:
    if root.is_dir():
        return
    if not root.exists():
        raise NotFound(
            "There is no such folder of images.",
            received=root,
            expected="a folder of PNG or JPEG files, a .npy or .npz file, digits:test or digits:train",
            next_step="check the path given as --data",
        )
    raise ImagesRejected(
        "Images are taken from a folder, this is a file.",
        received=root,
        expected="a folder of PNG or JPEG files, or a .npy or .npz file of many images",
        next_step=f"--data {root.parent}",
    )


def _require_inside(path: Path, root: Path) -> None:
    if path.is_symlink() and not path.resolve().is_relative_to(root):
        raise ImagesRejected(
            "A symbolic link leads out of the image folder.",
            received=f"{path} → {path.resolve()}",
            expected=f"links that stay inside {root}",
            next_step="copy what it leads to into the folder, or point --data at the folder that it leads to",
        )


def _reject_unlistable(error: OSError) -> None:
    raise ImagesRejected(
        "A part of the image folder cannot be listed.",
        received=f"{error.filename} ({error.strerror})",
        expected="folders that may be read",
        next_step="give this user the right to read it, or move it elsewhere",
    ) from error


def _no_images(root: Path, other_suffixes: Counter[str]) -> ImagesRejected:
    seen = first_of([f"{count:,} × {suffix}" for suffix, count in other_suffixes.most_common()], separator=", ")
    return ImagesRejected(
        "The folder holds no images." if other_suffixes else "The image folder is empty.",
        received=f"{root}, with {seen}" if seen else root,
        expected=f"files that end in {', '.join(IMAGE_SUFFIXES)}, here or in folders below",
        next_step="convert them to PNG" if other_suffixes else "check the path given as --data",
    )
