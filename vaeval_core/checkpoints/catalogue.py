"""The doors to checkpoints: find them, describe them, load them.

    find_checkpoints   arguments ─► paths                                         (re-exported from `search`)
    describe           path ─► CheckpointDescription, without TensorFlow          (submit time)
    load               path, digest ─► VaeAdapter                                 (in a worker)

Formats are told apart by content: `keras-pair` (a folder with encoder.keras and decoder.keras), `keras-vae` (one .keras
file that holds both) and `linear-gaussian` (safetensors). A `vaeval.yaml` beside a Keras checkpoint is a part of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from vaeval_core.checkpoints.base import CheckpointDescription, PosteriorKind, VaeAdapter
from vaeval_core.checkpoints.content_digest import content_digest, file_digest
from vaeval_core.checkpoints.file_kinds import KERAS_FILE, file_kind, refuse_folder
from vaeval_core.checkpoints.image_range import UNIT_RANGE
from vaeval_core.checkpoints.keras_archive import read_keras_archive
from vaeval_core.checkpoints.keras_parts import (
    DECODER_FILE,
    ENCODER_FILE,
    KerasParts,
    missing_partner,
    parts_of_pair,
    parts_of_whole,
)
from vaeval_core.checkpoints.keras_plan import KerasVaePlan, plan_keras_vae
from vaeval_core.checkpoints.linear_gaussian import LINEAR_GAUSSIAN_FILE, load_linear_gaussian
from vaeval_core.checkpoints.naming import short_name, training_step
from vaeval_core.checkpoints.search import absolute, canonical, find_checkpoints, is_checkpoint_folder, is_pair
from vaeval_core.checkpoints.sidecar import SIDECAR_NAME, read_sidecar
from vaeval_core.errors import CheckpointChanged, CheckpointRejected, NotFound, unreadable_here
from vaeval_core.likelihood import Likelihood

__all__ = ["describe", "find_checkpoints", "load"]


@dataclass(frozen=True)
class _Located:
    """A checkpoint whose format is known: its path, its files, and for Keras how to read its parts."""

    path: Path
    format: str
    files: tuple[Path, ...]
    read_parts: Callable[[], KerasParts] | None = None


def describe(path: Path, *, file_digest: Callable[[Path], str] = file_digest) -> CheckpointDescription:
    """Read what a checkpoint is from its files. Loads no TensorFlow and runs nothing.

    Args:
        path: A file or folder, such as `find_checkpoints` gives; one file of a pair means the pair.
        file_digest: sha256 of a file; `digest_cache` knows those of files that did not change.

    Raises:
        NotFound: There is no such path.
        CheckpointRejected: It is no VAE that can be evaluated.
    """
    located = _locate(absolute(path))
    posterior: PosteriorKind = "diagonal"
    notes: tuple[str, ...] = ()
    likelihood: Likelihood | None
    if located.read_parts is None:
        model = load_linear_gaussian(located.files[0])
        image_shape, image_range = model.image_shape, UNIT_RANGE
        latent_shape: tuple[int, ...] = (model.latent_size,)
        likelihood = model.likelihood
    else:
        plan = _plan(located, located.read_parts)
        image_shape, image_range, latent_shape = plan.image_shape, plan.decoder_range, plan.latent_shape
        posterior = "none" if plan.posterior.scale is None else "diagonal"
        notes, likelihood = plan.notes, plan.likelihood
    return CheckpointDescription(
        path=located.path,
        format=located.format,
        digest=content_digest(located.files, file_digest=file_digest),
        name=short_name(located.path),
        step=training_step(located.path),
        image_shape=image_shape,
        latent_shape=latent_shape,
        posterior=posterior,
        image_range=image_range,
        notes=notes,
        likelihood=likelihood,
    )


def load(path: Path, digest: str) -> VaeAdapter:
    """Open a checkpoint to run it.

    Args:
        path: As in its description.
        digest: As in its description.

    Raises:
        CheckpointChanged: The files are not those that were described.
        CheckpointRejected: The networks cannot be rebuilt.
        StorageFailed: This machine cannot read the files, or has no space to unpack the weights.
    """
    path = absolute(path)
    with _faults_of_this_machine(path):
        if path.is_dir() and not is_checkpoint_folder(path):
            raise unreadable_here(path, "the folder holds no checkpoint here")
        return _load(path, digest)


@contextmanager
def _faults_of_this_machine(path: Path) -> Iterator[None]:
    """What was described where it was submitted was readable there: an error of the operating system is no rejection."""
    try:
        yield
    except OSError as error:
        raise unreadable_here(path, error) from error
    except NotFound as error:
        raise unreadable_here(error.received or path, "no such file") from error
    except CheckpointRejected as error:
        # Libraries raise OSErrors of their own about damaged content; those of the operating system have a number.
        if isinstance(error.__cause__, OSError) and error.__cause__.errno is not None:
            raise unreadable_here(path, error.__cause__) from error
        raise


def _load(path: Path, digest: str) -> VaeAdapter:
    located = _locate(path)
    before = _state(located)
    _require_same(located, digest, content_digest(located.files))
    adapter: VaeAdapter
    if located.read_parts is None:
        adapter = load_linear_gaussian(located.files[0])
    else:
        from vaeval_core.checkpoints.keras_adapter import open_keras_vae

        adapter = open_keras_vae(_plan(located, located.read_parts))
    if _state(located) != before:
        # Written to between the hash and the last read: what was loaded may be half old, half new.
        _require_same(located, digest, content_digest(located.files))
    return adapter


def _locate(path: Path) -> _Located:
    path = canonical(path)
    if path.is_dir():
        if is_pair(path):
            files = (path / ENCODER_FILE, path / DECODER_FILE)
            for file in files:
                _require_keras(file)
            return _Located(path, "keras-pair", _with_sidecar(files), lambda: parts_of_pair(path))
        if (path / LINEAR_GAUSSIAN_FILE).is_file():
            return _Located(path, "linear-gaussian", (path / LINEAR_GAUSSIAN_FILE,))
        lone = next((path / name for name in (ENCODER_FILE, DECODER_FILE) if (path / name).is_file()), None)
        raise refuse_folder(path) if lone is None else missing_partner(lone, lone.stem)
    if file_kind(path) != KERAS_FILE:
        return _Located(path, "linear-gaussian", (path,))
    if path.name in {ENCODER_FILE, DECODER_FILE}:
        raise missing_partner(path, path.stem)
    return _Located(path, "keras-vae", _with_sidecar((path,)), lambda: parts_of_whole(read_keras_archive(path)))


def _require_keras(file: Path) -> None:
    if file_kind(file) != KERAS_FILE:
        raise CheckpointRejected(
            "The file is no Keras model.",
            received=f"{file}: safetensors",
            expected="what model.save('….keras') writes",
            next_step="save the model with model.save('NAME.keras') and give that file",
        )


def _with_sidecar(files: tuple[Path, ...]) -> tuple[Path, ...]:
    sidecar = files[0].parent / SIDECAR_NAME
    return (*files, sidecar) if sidecar.is_file() else files


def _plan(located: _Located, read_parts: Callable[[], KerasParts]) -> KerasVaePlan:
    settings = read_sidecar(located.files[0].parent)
    return plan_keras_vae(read_parts, settings, located.path)


def _state(located: _Located) -> list[tuple[int, int, int]]:
    try:
        stats = [file.stat() for file in located.files]
    except FileNotFoundError as error:
        raise NotFound(
            "A file of the checkpoint is gone.",
            received=str(error.filename),
            expected="the files that were described",
            next_step="find out what removed it, then run the same command again",
        ) from None
    return [(stat.st_ino, stat.st_size, stat.st_mtime_ns) for stat in stats]


def _require_same(located: _Located, expected: str, received: str) -> None:
    if received != expected:
        raise CheckpointChanged(
            "The checkpoint was altered after it was submitted.",
            received=f"{located.path} with digest {received[:12]}…",
            expected=f"digest {expected[:12]}…",
            next_step="submit it again: it is another checkpoint now",
        )
