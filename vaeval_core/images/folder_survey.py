"""The look at every file of a folder, once, when evaluations are submitted: read, hash, decode in full.

What a worker would stumble over hours later is found now. Facts of files that have not changed since the last survey
come from a cache, so that a second submission costs one `stat` a file.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from vaeval_core.file_stamps import FileStamp
from vaeval_core.images.decoding import UnreadableImage, decode, read_file
from vaeval_core.images.survey_cache import ImageFile, SurveyCache

_THREADS = min(16, 2 * (os.cpu_count() or 1))  # reading, hashing and decoding all release the interpreter lock


@dataclass(frozen=True)
class Survey:
    """Facts on the readable files, and path → reason for the others; both in the order asked for."""

    files: tuple[ImageFile, ...]
    unreadable: Mapping[str, str]


def survey_files(
    root: Path,
    paths: tuple[str, ...],
    *,
    cache_folder: Path | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> Survey:
    """Look at every file.

    Args:
        root: Resolved path of the folder that the paths are relative to.
        paths: Files, in the order of the answer.
        cache_folder: Where facts are kept between surveys; None to read everything.
        on_progress: Called with (files done, files in all) after each file, on the caller's thread; may raise to stop.
    """
    cache = SurveyCache(root, cache_folder) if cache_folder is not None else None
    found: dict[str, ImageFile] = {}
    unreadable: dict[str, str] = {}
    try:
        # Closed at once if `on_progress` raises: otherwise the files would be read on until the traceback is gone.
        with closing(_look(root, paths, cache)) as answers:
            for path, answer in answers:
                if isinstance(answer, ImageFile):
                    found[path] = answer
                else:
                    unreadable[path] = answer
                if on_progress is not None:
                    on_progress(len(found) + len(unreadable), len(paths))
    finally:
        if cache is not None:
            cache.close()  # also after an interruption: what was read need not be read again
    return Survey(
        files=tuple(found[path] for path in paths if path in found),
        unreadable={path: unreadable[path] for path in paths if path in unreadable},
    )


def _look(
    root: Path, paths: tuple[str, ...], cache: SurveyCache | None
) -> Generator[tuple[str, ImageFile | str], None, None]:
    """Each file with its facts, or with the reason why there are none: the known first, the others as they come."""
    to_read = []
    for path in paths:
        known = cache.look_up(path) if cache is not None else None
        if known is None:
            to_read.append(path)
        else:
            yield path, known
    pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="image-survey")
    try:
        pending = {pool.submit(_read, root, path): path for path in to_read}
        for future in as_completed(pending):
            answer, stamp = future.result()
            if isinstance(answer, ImageFile) and cache is not None:
                cache.store(answer, stamp)
            yield pending[future], answer
    finally:
        pool.shutdown(cancel_futures=True)


def _read(root: Path, path: str) -> tuple[ImageFile | str, FileStamp | None]:
    # The stamp comes before the bytes: a file that changes in between is then read again next time.
    stamp = FileStamp.of(root / path)
    try:
        data, digest = read_file(root / path)
        image = decode(data)
    except UnreadableImage as error:
        return str(error), stamp
    return ImageFile(path=path, digest=digest, width=image.width, height=image.height), stamp
