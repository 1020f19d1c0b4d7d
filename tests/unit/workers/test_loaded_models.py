"""Models are loaded once, by content, and only the last few are kept."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from scheduler.composition import Application
from scheduler.store.base import CheckpointLocation
from vaeval_core.checkpoints.catalogue import describe
from vaeval_core.checkpoints.linear_gaussian import linear_gaussian_vae
from vaeval_core.errors import CheckpointRejected, ImagesRejected
from vaeval_core.evaluation_result import MetricValue
from vaeval_core.images.catalogue import survey_images
from vaeval_core.streams.fitted import SecondStage
from vaeval_core.types import IndexRange
from workers.loaded_models import LoadedModels


@pytest.fixture
def models(application: Application, tmp_path: Path) -> LoadedModels:
    return LoadedModels(application.artifacts, tmp_path / "weights")


def checkpoint(folder: Path, brightness: float = 0.5) -> CheckpointLocation:
    weights = np.eye(4, 2) * 0.1
    file = linear_gaussian_vae(weights, np.full(4, brightness), 0.01, (2, 2, 1)).save(folder)
    description = describe(file)
    return CheckpointLocation(uri=str(description.path), digest=description.digest, description=description.as_json())


def test_a_checkpoint_is_loaded_once(models: LoadedModels, tmp_path: Path) -> None:
    location = checkpoint(tmp_path / "a")
    assert models.adapter(location) is models.adapter(location)


def test_only_the_last_two_checkpoints_are_kept(models: LoadedModels, tmp_path: Path) -> None:
    first, second, third = (checkpoint(tmp_path / name, value) for name, value in (("a", 0.3), ("b", 0.4), ("c", 0.5)))
    before = models.adapter(first)
    models.adapter(second)
    assert models.adapter(first) is before
    models.adapter(third)
    assert models.adapter(first) is before  # the second, used longer ago, had to go
    models.adapter(second)
    models.adapter(third)
    assert models.adapter(first) is not before


def test_a_checkpoint_whose_files_changed_is_refused(models: LoadedModels, tmp_path: Path) -> None:
    location = checkpoint(tmp_path / "a")
    checkpoint(tmp_path / "a", brightness=0.9)
    with pytest.raises(CheckpointRejected) as caught:
        models.adapter(location)
    assert str(tmp_path / "a") in str(caught.value)


def test_what_is_odd_about_a_checkpoint_is_logged_once(
    models: LoadedModels, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    location = checkpoint(tmp_path / "a", brightness=3.0)  # decodes far outside [0, 1]
    with caplog.at_level(logging.WARNING, "workers.loaded_models"):
        models.adapter(location)
        models.adapter(location)
    findings = [record.__dict__["finding"] for record in caplog.records]
    assert len(findings) == len(set(findings)) >= 1


def test_latents_are_fitted_once_for_a_checkpoint_under_a_protocol(models: LoadedModels, tmp_path: Path) -> None:
    stages = [SecondStage(None, MetricValue.not_applicable(f"fit {number}")) for number in range(4)]
    first, other = checkpoint(tmp_path / "a", 0.3), checkpoint(tmp_path / "b", 0.4)
    waiting = iter(stages)
    keys = [(first, "one"), (first, "one"), (first, "two"), (other, "one"), (first, "two")]
    found = [models.second_stage(location, fingerprint, lambda: next(waiting)) for location, fingerprint in keys]
    assert found == [stages[0], stages[0], stages[1], stages[2], stages[1]]


def test_images_are_opened_once(models: LoadedModels) -> None:
    digits = survey_images("digits:test")
    assert models.images(digits.uri, digits.digest) is models.images(digits.uri, digits.digest)


def test_images_that_are_not_those_submitted_are_refused(models: LoadedModels) -> None:
    with pytest.raises(ImagesRejected) as caught:
        models.images("digits:test", "0" * 64)
    assert "0" * 64 in str(caught.value)


def test_a_folder_is_opened_by_its_stored_list(
    models: LoadedModels, application: Application, tmp_path: Path, write_png: Callable[[Path, int], None]
) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(3):
        write_png(folder / f"{number}.png", number)
    surveyed = survey_images(str(folder))
    manifest = surveyed.manifest()
    assert manifest is not None
    application.artifacts.write_bytes(f"datasets/{surveyed.digest}.json", manifest)
    write_png(folder / "later.png", 9)  # not in the list, so not in the set
    assert len(models.images(surveyed.uri, surveyed.digest)) == 3


def test_the_same_images_at_another_path_are_read_there(
    models: LoadedModels, application: Application, tmp_path: Path, write_png: Callable[[Path, int], None]
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        folder.mkdir()
        write_png(folder / "0.png", 7)
    surveyed = survey_images(str(first))
    application.artifacts.write_bytes(f"datasets/{surveyed.digest}.json", surveyed.manifest() or b"")
    assert models.images(str(first), surveyed.digest).uri == str(first)
    (first / "0.png").unlink()
    assert models.images(str(second), surveyed.digest).read(IndexRange(0, 1), (8, 8, 1), "exact").max() == 7


@pytest.fixture
def write_png() -> Callable[[Path, int], None]:
    from PIL import Image

    def write(path: Path, shade: int) -> None:
        Image.fromarray(np.full((8, 8), shade, np.uint8)).save(path)

    return write
