"""Finds checkpoints in what was typed: files, folders, patterns.

- A file is a checkpoint; one file of a pair, or the file inside a linear Gaussian folder, means its folder.
- A folder that is a checkpoint counts as one. Any other folder is searched with all folders below it, hidden ones and
  those to pass over left out; every folder or file found there that looks like a checkpoint counts, even a half pair, so
  that `describe` can say what is missing.
- Links to folders are followed, after everything that lies in the folder itself, and no folder is searched twice: so
  `latest -> step-100` beside `step-100` adds nothing, and a link to a folder above does not go round for ever.
- Tensors of all kinds are stored as .safetensors, so a search takes only those with the header of a checkpoint.
- A pattern that no shell expanded is expanded here. What it matches may hold nothing, as long as something does.
"""

from __future__ import annotations

import glob
import os
import shlex
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from vaeval_core.checkpoints.keras_parts import DECODER_FILE, ENCODER_FILE
from vaeval_core.checkpoints.linear_gaussian import LINEAR_GAUSSIAN_FILE, has_linear_gaussian_header
from vaeval_core.checkpoints.naming import natural_order
from vaeval_core.errors import InvalidInput, NotFound

_OWN_NAMES = frozenset({ENCODER_FILE, LINEAR_GAUSSIAN_FILE})
"""One of these is in every folder that is a checkpoint."""

_EXPECTED = f"a .keras file, a folder with {ENCODER_FILE} and {DECODER_FILE}, or a folder of such checkpoints"


def _enter_all(_folder: Path) -> bool:
    return False


def find_checkpoints(arguments: Sequence[str], *, pass_over: Callable[[Path], bool] = _enter_all) -> tuple[Path, ...]:
    """The checkpoints that some arguments name.

    Args:
        arguments: Files, folders or glob patterns (`runs/*/step-*/`, `**` for any depth).
        pass_over: True for folders that a search is not to enter; a folder that an argument names is entered all the same.

    Returns:
        Absolute paths, each once, sorted so that step-3 comes before step-10.

    Raises:
        InvalidInput: An argument is empty.
        NotFound: A path does not exist, or an argument leads to no checkpoint.
    """
    found: set[Path] = set()
    for argument in arguments:
        if not argument.strip():
            raise InvalidInput(
                "A CHECKPOINT argument is empty.",
                received=repr(argument),
                expected=f"{_EXPECTED}; `.` is the current folder",
                next_step="if it came from a shell variable, see whether that is set",
            )
        path = absolute(argument)
        search = _Search(pass_over)
        if path.exists():
            checkpoints = set(search.at(path))
        elif glob.has_magic(argument):
            checkpoints = set(search.matching(str(Path(argument).expanduser())))
        else:
            raise NotFound(
                "There is no such checkpoint.",
                received=argument,
                expected=_EXPECTED,
                next_step=f"see what is there: ls {shlex.quote(str(_nearest_folder(path)))}",
            )
        if not checkpoints:
            raise NotFound(
                "No checkpoint was found.",
                received=argument + search.passed_over_in_words(),
                expected=_EXPECTED,
                next_step="name the folder that holds them; Keras writes them with model.save('NAME.keras')",
            )
        found |= checkpoints
    return tuple(sorted(_without_links_to_others(found), key=natural_order))


def _without_links_to_others(found: set[Path]) -> list[Path]:
    """Of paths that lead to one place only the one without links, whose name the run gave it; of several links the first."""
    by_place: dict[Path, Path] = {}
    folders: dict[Path, Path] = {}
    for path in sorted(found, key=natural_order):
        # Those of a sweep lie side by side: what their folder is without links is found out once.
        if path.parent not in folders:
            folders[path.parent] = path.parent.resolve()
        place = path.resolve() if path.is_symlink() else folders[path.parent] / path.name
        if by_place.setdefault(place, path) != path and path == place:
            by_place[place] = path
    return list(by_place.values())


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


class _Search:
    """Looks for what one argument leads to, and remembers what it passed over."""

    def __init__(self, pass_over: Callable[[Path], bool]) -> None:
        self._pass_over = pass_over
        self._folders: dict[Path, None] = {}
        self._files: dict[Path, None] = {}

    def passed_over_in_words(self) -> str:
        """Why there is nothing, for an error."""
        parts = [
            f"{what}: {len(paths)}, such as {next(iter(paths))}"
            for paths, what in (
                (self._files, ".safetensors of another kind"),
                (self._folders, "folders of vaeval itself"),
            )
            if paths
        ]
        return f" (passed over {'; '.join(parts)})" if parts else ""

    def at(self, path: Path) -> Iterator[Path]:
        """What a path that was named, file or folder, leads to."""
        if not path.is_dir():
            yield canonical(path)
        elif is_checkpoint_folder(path):
            yield path
        else:
            yield from self._below(path)

    def matching(self, pattern: str) -> Iterator[Path]:
        """What a pattern leads to: as if its matches had been met in a search of the folder where the pattern begins."""
        depth = len(absolute(_fixed_part(pattern)).parts)
        for found in glob.iglob(pattern, recursive=True):  # noqa: PTH207 - any root, and **
            match = absolute(found)
            met = [match, *match.parents][: len(match.parts) - depth]
            if any(self._is_passed_over(folder) for folder in reversed(met) if folder.is_dir()):
                continue
            if match.is_dir():
                yield from self.at(match)
            elif self._is_one(match):
                yield canonical(match)

    def _below(self, root: Path) -> Iterator[Path]:
        seen: set[tuple[int, int]] = set()
        starts = [root]
        while starts:
            links: list[Path] = []
            for start in starts:
                yield from self._tree(start, seen, links)
            starts = sorted(links, key=natural_order)

    def _tree(self, root: Path, seen: set[tuple[int, int]], links: list[Path]) -> Iterator[Path]:
        """What lies below a folder without following links; the links to folders that were met are appended to `links`."""

        def refuse(error: OSError) -> None:
            if isinstance(error, FileNotFoundError) and error.filename != str(root):
                return  # a training program that keeps its latest checkpoints removed it meanwhile
            raise NotFound(
                "A folder cannot be searched for checkpoints.",
                received=f"{error.filename} ({error.strerror})",
                expected="a readable folder",
                next_step="make it readable, or name the checkpoints themselves",
            ) from error

        for folder, subfolders, files in os.walk(root, onerror=refuse):
            here = Path(folder)
            try:
                status = here.stat()
            except FileNotFoundError:  # as above
                continue
            if (status.st_dev, status.st_ino) in seen:
                subfolders.clear()
                continue
            seen.add((status.st_dev, status.st_ino))
            subfolders[:] = [
                name for name in subfolders if not name.startswith(".") and not self._is_passed_over(here / name)
            ]
            links += [here / name for name in subfolders if (here / name).is_symlink()]
            # The names first: of most folders they say that there is nothing to look at.
            if not _OWN_NAMES.isdisjoint(files) and is_checkpoint_folder(here):
                yield here
            else:
                yield from (here / name for name in files if not name.startswith(".") and self._is_one(here / name))

    def _is_passed_over(self, folder: Path) -> bool:
        if self._pass_over(folder):
            self._folders[folder] = None
            return True
        return False

    def _is_one(self, file: Path) -> bool:
        if file.suffix != ".safetensors":
            return file.suffix == ".keras"
        if file.name == LINEAR_GAUSSIAN_FILE or has_linear_gaussian_header(file):
            return True
        self._files[file] = None
        return False


def _nearest_folder(path: Path) -> Path:
    """The deepest folder of a path that exists."""
    return next(folder for folder in path.parents if folder.is_dir())


def _fixed_part(pattern: str) -> str:
    """The folder in which all matches of a pattern are."""
    parts = Path(pattern).parts
    wild = next(place for place, part in enumerate(parts) if glob.has_magic(part))
    return str(Path(*parts[:wild]))


def absolute(argument: str | Path) -> Path:
    """An absolute path without `..`, links kept."""
    # Not resolved: a link named `best` should keep its name.
    return Path(os.path.abspath(Path(argument).expanduser()))  # noqa: PTH100
