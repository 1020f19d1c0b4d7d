"""Removing orphans while somebody writes the same file and its row: at whatever moment, what a row needs is there after it.

A real database and a real folder. The writer, a whole import or submission or the end of a shard, runs between two steps of
the removal: before the files are listed, before the database is asked the first, second or third time, and at the very last,
between looking at the file and removing it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from scheduler.composition import Application, open_application
from scheduler.orphans import delete_orphans, find_orphans
from scheduler.references import store_reference
from scheduler.settings import Settings
from scheduler.store.artifact_keys import FileOwner, imported_key, manifest_key, shard_key
from scheduler.store.artifacts import ArtifactStore, FoundFile
from scheduler.submission import prepare, register
from tests.factories import extractor_spec
from vaeval_core.checkpoints.catalogue import describe
from vaeval_core.checkpoints.linear_gaussian import linear_gaussian_vae
from vaeval_core.features.catalogue import resolve_extractor
from vaeval_core.images.array_images import ArrayImages
from vaeval_core.metrics.imported_reference import ImportedReference, Moments
from vaeval_core.presets import ProtocolRequest

pytestmark = pytest.mark.slow

Write = Callable[[], None]

STEPS = ["files", "now", "all live files", "all live files again", "live files of one", "remove"]
NEVER = "never"
REFERENCE = ImportedReference(moments=Moments(np.zeros(3), np.eye(3)), count=50)
IMAGES = ArrayImages(
    uri="four.npy",
    name="four",
    images=np.arange(4 * 64, dtype=np.uint8).reshape(4, 8, 8, 1),
    digests=[bytes([number]) * 32 for number in range(4)],
    manifest=b'{"files": []}',
)


class AtStep:
    """Runs the writer once, when the removal gets to that step."""

    def __init__(self, step: str, write: Write) -> None:
        self._step = step
        self._write = write
        self.ran = False
        self._num_asked = 0

    def reached(self, step: str) -> None:
        if step == self._step and not self.ran:
            self.ran = True
            self._write()


class WatchedReads:
    """The database, asked by the removal."""

    def __init__(self, application: Application, at: AtStep) -> None:
        self._reads = application.reads
        self._at = at
        self._times = 0

    def live_files(self, of: FileOwner | None = None) -> frozenset[str]:
        if of is None:
            self._times += 1
            self._at.reached("all live files" if self._times == 1 else "all live files again")
        else:
            self._at.reached("live files of one")
        return self._reads.live_files(of)


class WatchedFiles(ArtifactStore):
    """The folder, looked through by the removal."""

    def __init__(self, url: str, at: AtStep) -> None:
        super().__init__(url)
        self._at = at

    def files(self) -> Iterator[FoundFile]:
        self._at.reached("files")
        return super().files()

    def now(self) -> datetime | None:
        self._at.reached("now")
        return super().now()

    def remove(self, file: FoundFile) -> bool:
        self._at.reached("remove")
        return super().remove(file)


@pytest.fixture
def application(tmp_path: Path) -> Iterator[Application]:
    with open_application(Settings.from_environment({"VAEVAL_HOME": str(tmp_path / "home")})) as opened:
        # The database knows some other file, else it is taken for the wrong one.
        import_statistics(opened, ImportedReference(moments=Moments(np.ones(3), np.eye(3)), count=50), "another")
        yield opened


def import_statistics(
    application: Application, reference: ImportedReference = REFERENCE, name: str = "cifar10-train"
) -> None:
    store_reference(
        reference,
        name=name,
        extractor=extractor_spec(dimension=3),
        source="cifar10.npz",
        references=application.references,
        artifacts=application.artifacts,
    )


def submit_images(application: Application, folder: Path) -> None:
    model = linear_gaussian_vae(np.eye(64, 2) * 0.2, np.full(64, 0.3), 0.01, (8, 8, 1))
    request = ProtocolRequest(samples=4, reconstructions=4, reference=4, extractor="pixels-8x8")
    extractor = resolve_extractor("pixels-8x8", weights=None, weights_folder=folder)
    register(application, IMAGES, prepare([describe(model.save(folder / "step-2"))], IMAGES, request, extractor))


def left_behind(application: Application, key: str) -> Path:
    """An old file that nobody needs, under a key that somebody is going to need."""
    path = Path(application.settings.artifacts) / key
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"left by somebody who was killed")
    two_days_ago = time.time() - 2 * 86_400
    os.utime(path, (two_days_ago, two_days_ago))
    return path


def remove_orphans(application: Application, at: AtStep, *, hours: float = 1.0) -> tuple[str, ...]:
    reads, files = WatchedReads(application, at), WatchedFiles(application.artifacts.url, at)
    orphans = find_orphans(reads, files, older_than=timedelta(hours=hours))
    return tuple(file.key for file in delete_orphans(reads, files, orphans))


@pytest.mark.parametrize("step", STEPS)
def test_statistics_that_are_imported_again_meanwhile_stay(application: Application, step: str) -> None:
    left_behind(application, imported_key(REFERENCE.digest))
    at = AtStep(step, lambda: import_statistics(application))
    assert remove_orphans(application, at) == ()
    assert at.ran
    found = application.references.imported("cifar10-train")
    read = ImportedReference.from_arrays(application.artifacts.read_arrays(found.file))
    assert read.digest == REFERENCE.digest


@pytest.mark.parametrize("step", STEPS)
def test_the_list_of_a_data_set_that_is_submitted_meanwhile_stays(
    application: Application, tmp_path: Path, step: str
) -> None:
    key = manifest_key(IMAGES.digest)
    left_behind(application, key)
    at = AtStep(step, lambda: submit_images(application, tmp_path))
    assert remove_orphans(application, at) == ()
    assert at.ran
    assert application.artifacts.read_bytes(key) == b'{"files": []}'


def test_without_a_writer_the_same_files_go(application: Application) -> None:
    """What the tests above keep would go: they would not notice a removal that removes nothing."""
    keys = imported_key(REFERENCE.digest), manifest_key(IMAGES.digest)
    for key in keys:
        left_behind(application, key)
    assert remove_orphans(application, AtStep(NEVER, lambda: None)) == tuple(sorted(keys))
    assert not any(application.artifacts.exists(key) for key in keys)


@pytest.mark.parametrize("step", STEPS[:-1])
def test_the_file_of_a_shard_that_is_recorded_meanwhile_stays(
    application: Application, tmp_path: Path, step: str
) -> None:
    submit_images(application, tmp_path)
    claim = application.work.claim_shard("worker@host")
    assert claim is not None
    key = shard_key(claim.owner, claim.owner_id, claim.number, claim.token)
    file = application.artifacts.write_arrays(key, {"features": np.zeros((4, 3), np.float32)})
    left_behind(application, "evaluations/1/shards/0-99.safetensors")
    at = AtStep(step, lambda: _require(application.work.finish_shard(claim, file, seconds=1.0)))
    assert remove_orphans(application, at, hours=0) == ("evaluations/1/shards/0-99.safetensors",)
    assert at.ran
    assert application.artifacts.exists(key)


def test_a_file_that_a_running_claim_is_writing_stays_however_old_it_looks(
    application: Application, tmp_path: Path
) -> None:
    submit_images(application, tmp_path)
    claim = application.work.claim_shard("worker@host")
    assert claim is not None
    folder, _, name = shard_key(claim.owner, claim.owner_id, claim.number, claim.token).rpartition("/")
    path = left_behind(application, f"{folder}/.{name}.0a1b2c3d")
    assert remove_orphans(application, AtStep(NEVER, lambda: None), hours=0) == ()
    assert path.exists()


def _require(is_recorded: bool) -> None:
    assert is_recorded
