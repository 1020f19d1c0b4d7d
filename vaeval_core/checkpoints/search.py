"""Finds checkpoints in what was typed: files, folders, patterns.

- A file is a checkpoint; one file of a pair, or the file inside a linear Gaussian folder, means its folder.
- A folder that is a checkpoint counts as one. Any other folder is searched with all folders below it, hidden ones left
  out; every folder or file found there that looks like a checkpoint counts, even a half pair, so that `describe` can say
  what is missing.
- A pattern that no shell expanded is expanded here. What it matches may hold nothing, as long as something does.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from vaeval_core.checkpoints.keras_parts import DECODER_FILE, ENCODER_FILE
from vaeval_core.checkpoints.linear_gaussian import LINEAR_GAUSSIAN_FILE
from vaeval_core.checkpoints.naming import natural_order
from vaeval_core.errors import NotFound

_EXPECTED = f"a .keras file, a folder with {ENCODER_FILE} and {DECODER_FILE}, or a folder of such checkpoints"
_SUFFIXES = frozenset([".keras", ".safetensors"])


def find_checkpoints(arguments: Sequence[str]) -> tuple[Path, ...]:
    """The checkpoints that some arguments name.

    Args:
        arguments: Files, folders or glob patterns (`runs/*/step-*/`, `**` for any depth).

    Returns:
        Absolute paths, each once, sorted so that step-3 comes before step-10.

    Raises:
        NotFound: A path does not exist, or an argument leads to no checkpoint.
    """
    found: set[Path] = set()
    for argument in arguments:
        path = absolute(argument)
        if path.exists():
            checkpoints = set(_at(path))
        elif glob.has_magic(argument):
            matches = glob.iglob(str(Path(argument).expanduser()), recursive=True)  # noqa: PTH207 - any root, and **
            checkpoints = {checkpoint for match in matches for checkpoint in _in_match(absolute(match))}
        else:
            raise NotFound("There is no such checkpoint.", received=argument, expected=_EXPECTED)
        if not checkpoints:
            raise NotFound("No checkpoint was found.", received=argument, expected=_EXPECTED)
        found |= checkpoints
    return tuple(sorted(found, key=natural_order))


def is_checkpoint_folder(folder: Path) -> bool:
    """True if the folder itself is one checkpoint."""
    return is_pair(folder) or (folder / LINEAR_GAUSSIAN_FILE).is_file()


def is_pair(folder: Path) -> bool:
    """True if the folder holds encoder and decoder."""
    return (folder / ENCODER_FILE).is_file() and (folder / DECODER_FILE).is_file()


def canonical(path: Path) -> Path:
    """The one path of a checkpoint: the folder, where a file inside one was named."""
    in_pair = path.name in {ENCODER_FILE, DECODER_FILE} and is_pair(path.parent)
    in_linear = path.name == LINEAR_GAUSSIAN_FILE and path.is_file()
    return path.parent if in_pair or in_linear else path


def _at(path: Path) -> Iterator[Path]:
    if not path.is_dir():
        yield canonical(path)
    elif is_checkpoint_folder(path):
        yield path
    else:
        yield from _below(path)


def _in_match(match: Path) -> Iterator[Path]:
    """As `_at`, but a file that is no checkpoint was matched, not named."""
    if match.is_dir() or match.suffix in _SUFFIXES:
        yield from _at(match)


def _below(root: Path) -> Iterator[Path]:
    def refuse(error: OSError) -> None:
        raise NotFound(
            "A folder cannot be searched for checkpoints.",
            received=f"{error.filename} ({error.strerror})",
            expected="a readable folder",
        ) from error

    for folder, subfolders, files in os.walk(root, onerror=refuse):
        subfolders[:] = [name for name in subfolders if not name.startswith(".")]
        if is_checkpoint_folder(Path(folder)):
            yield Path(folder)
        else:
            yield from (Path(folder, name) for name in files if _looks_like_one(Path(folder, name)))


def _looks_like_one(file: Path) -> bool:
    return file.suffix in _SUFFIXES and not file.name.startswith(".")


def absolute(argument: str | Path) -> Path:
    """An absolute path without `..`, links kept."""
    # Not resolved: a link named `best` should keep its name.
    return Path(os.path.abspath(Path(argument).expanduser()))  # noqa: PTH100
