"""Finalising: what is recorded, what is kept, and what happens when a file is gone or the claim is."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from billiard.exceptions import SoftTimeLimitExceeded
from numpy.typing import NDArray
from sqlalchemy import update

from scheduler.completion import FinaliseOutcome, finalise
from scheduler.composition import Application, open_application
from scheduler.lifecycle import EvaluationState
from scheduler.settings import Settings
from scheduler.store.base import FinaliseClaim, ShardClaim, StoredFile
from scheduler.store.tables import evaluations
from scheduler.submission import prepare, register
from vaeval_core.checkpoints.catalogue import describe, load
from vaeval_core.checkpoints.linear_gaussian import linear_gaussian_vae
from vaeval_core.errors import ServiceUnreachable, StorageFailed
from vaeval_core.evaluate import measure_reference_shard, measure_shard
from vaeval_core.features.catalogue import load_extractor, resolve_extractor
from vaeval_core.images.catalogue import survey_images
from vaeval_core.metrics.catalogue import metric_versions
from vaeval_core.presets import ProtocolRequest

pytestmark = pytest.mark.slow


@pytest.fixture(scope="session")
def _computed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home that is made once and copied for each test."""
    folder = tmp_path_factory.mktemp("computed")
    with open_application(Settings.from_environment({"VAEVAL_HOME": str(folder / "home")})) as opened:
        submit(opened, folder)
        compute_all_shards(opened)
    return folder / "home"


@pytest.fixture
def application(_computed: Path, tmp_path: Path) -> Iterator[Application]:
    """With one evaluation of three shards, and its reference, all computed and none finalised."""
    home = shutil.copytree(_computed, tmp_path / "home")
    with open_application(Settings.from_environment({"VAEVAL_HOME": str(home)})) as opened:
        yield opened


def submit(application: Application, folder: Path, metrics: dict[str, int] | None = None, samples: int = 70) -> None:
    digits = survey_images("digits:test")
    model = linear_gaussian_vae(np.eye(64, 2) * 0.2, np.full(64, 0.3), 0.01, (8, 8, 1))
    extractor = resolve_extractor("pixels-8x8", weights=None, weights_folder=folder)
    request = ProtocolRequest(samples=samples, reconstructions=70, reference=70, extractor="pixels-8x8")
    (planned,) = prepare([describe(model.save(folder / "step-2"))], digits, request, extractor, shard_size=32)
    if metrics is not None:
        planned = replace(planned, protocol=planned.protocol.model_copy(update={"metrics": metrics}))
    register(application, digits, [planned])


def compute_all_shards(application: Application) -> None:
    while (claim := application.work.claim_shard("worker@host")) is not None:
        compute(application, claim)


def compute(application: Application, claim: ShardClaim) -> None:
    digits, protocol = survey_images("digits:test"), claim.protocol
    extractor = load_extractor(protocol.extractor, application.settings.home)
    if claim.checkpoint is None:
        arrays = measure_reference_shard(digits, extractor, protocol, claim.index_range)
    else:
        adapter = load(Path(claim.checkpoint.uri), claim.checkpoint.digest)
        arrays = measure_shard(adapter, digits, extractor, protocol, claim.index_range)
    file = application.artifacts.write_arrays(
        f"{claim.owner}s/{claim.owner_id}/shards/{claim.number}-1.safetensors", arrays
    )
    assert application.work.finish_shard(claim, file, seconds=1.0)


def claimed(application: Application, owner: str) -> FinaliseClaim:
    claim = application.work.claim_finalise("worker@host")
    assert claim is not None
    assert claim.owner == owner
    return claim


def finalise_next(application: Application, owner: str) -> FinaliseOutcome:
    return finalise(claimed(application, owner), work=application.work, artifacts=application.artifacts)


def end_pause(application: Application) -> None:
    """As if the pause after a failed attempt were over."""
    application.database.write(lambda connection: connection.execute(update(evaluations).values(lease_expires_at=None)))


def artifact(application: Application, key: str) -> Path:
    return Path(application.settings.artifacts) / key


def score_values(application: Application) -> dict[str, float | None]:
    return {score.metric: score.value.value for score in application.reads.evaluation(1).scores}


def test_a_reference_comes_first_and_becomes_one_file(application: Application) -> None:
    claim = claimed(application, "reference")
    outcome = finalise(claim, work=application.work, artifacts=application.artifacts)
    assert outcome is FinaliseOutcome.FINISHED
    assert artifact(application, f"references/1/merged.{claim.token}.safetensors").is_file()
    assert all(artifact(application, file.key).is_file() for file in claim.shards)


def test_an_evaluation_gets_a_score_for_every_metric(application: Application) -> None:
    finalise_next(application, "reference")
    assert finalise_next(application, "evaluation") is FinaliseOutcome.FINISHED
    assert application.reads.evaluation(1).state is EvaluationState.FINISHED
    values = score_values(application)
    assert set(values) == set(application.reads.evaluation(1).protocol.metrics)
    assert {"fid", "kid", "coverage", "vendi"} <= set(values)
    assert None not in values.values()


def test_the_pictures_are_kept_and_the_shard_files_are_not(application: Application) -> None:
    finalise_next(application, "reference")
    claim = claimed(application, "evaluation")
    finalise(claim, work=application.work, artifacts=application.artifacts)
    pictures = application.reads.evaluation(1).pictures
    assert pictures is not None
    assert pictures.key == f"evaluations/1/pictures.{claim.token}.safetensors"
    arrays = application.artifacts.read_arrays(pictures)
    assert {name: array.shape for name, array in arrays.items()} == {
        "originals": (16, 8, 8, 1),
        "reconstructions": (16, 8, 8, 1),
        "samples": (16, 8, 8, 1),
        "linear": (4, 8, 8, 8, 1),
        "spherical": (4, 8, 8, 8, 1),
        "traversals": (2, 7, 8, 8, 1),
        "traversal_values": (7,),
        "traversal_dimensions": (2,),
        "traversal_nats": (2,),
    }
    assert not any(artifact(application, file.key).exists() for file in claim.shards)


def test_what_each_image_does_to_a_distance_is_kept_beside_the_scores(application: Application) -> None:
    finalise_next(application, "reference")
    claim = claimed(application, "evaluation")
    finalise(claim, work=application.work, artifacts=application.artifacts)
    record = application.reads.evaluation(1)
    assert record.influence is not None
    assert record.influence.key == f"evaluations/1/influence.{claim.token}.safetensors"
    arrays = application.artifacts.read_arrays(record.influence)
    assert {name: (array.dtype.name, array.shape) for name, array in arrays.items()} == {
        "fid": ("float64", (70,)),
        "rfid": ("float64", (70,)),
    }
    assert artifact(application, record.influence.key).stat().st_size < 2 * 70 * 8 + 300


def test_a_shard_file_that_goes_between_two_readings_is_computed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With as many images as features or more, an error needs the moments of all before it looks at each."""
    with open_application(Settings.from_environment({"VAEVAL_HOME": str(tmp_path / "home")})) as application:
        submit(application, tmp_path, samples=200)
        compute_all_shards(application)
        finalise_next(application, "reference")
        claim = claimed(application, "evaluation")
        read, already_read = application.artifacts.read_arrays, set[str]()

        def vanish_at_the_second_reading(file: StoredFile) -> dict[str, np.ndarray]:
            if file.key in already_read:
                artifact(application, file.key).unlink()
            already_read.add(file.key)
            return read(file)

        with monkeypatch.context() as patch:
            patch.setattr(application.artifacts, "read_arrays", vanish_at_the_second_reading)
            outcome = finalise(claim, work=application.work, artifacts=application.artifacts)
        assert outcome is FinaliseOutcome.QUEUED_AGAIN
        compute_all_shards(application)
        assert finalise_next(application, "evaluation") is FinaliseOutcome.FINISHED
        assert None not in score_values(application).values()


@pytest.mark.parametrize("damage", ["missing", "altered"])
def test_a_shard_file_that_is_gone_is_computed_again_and_the_scores_are_the_same(
    application: Application, tmp_path: Path, damage: str
) -> None:
    finalise_next(application, "reference")
    claim = claimed(application, "evaluation")
    victim = artifact(application, claim.shards[1].key)
    if damage == "missing":
        victim.unlink()
    else:
        content = bytearray(victim.read_bytes())
        content[-1] ^= 1
        victim.write_bytes(content)
    outcome = finalise(claim, work=application.work, artifacts=application.artifacts)
    assert outcome is FinaliseOutcome.QUEUED_AGAIN
    again = application.work.claim_shard("worker@host")
    assert again is not None
    assert again.number == 1
    compute(application, again)
    assert finalise_next(application, "evaluation") is FinaliseOutcome.FINISHED

    with open_application(Settings.from_environment({"VAEVAL_HOME": str(tmp_path / "undisturbed")})) as other:
        submit(other, tmp_path)
        compute_all_shards(other)
        finalise_next(other, "reference")
        finalise_next(other, "evaluation")
        assert score_values(application) == score_values(other)


def test_a_metric_of_a_version_that_no_machine_has_fails_the_evaluation_with_the_reason(tmp_path: Path) -> None:
    with open_application(Settings.from_environment({"VAEVAL_HOME": str(tmp_path / "home")})) as application:
        submit(application, tmp_path, metrics={"fid": 99})
        compute_all_shards(application)
        finalise_next(application, "reference")
        finalise_next(application, "evaluation")
        record = application.reads.evaluation(1)
    assert record.state is EvaluationState.FAILED
    assert "fid version 99" in (record.error or "")


def test_a_merged_reference_that_is_gone_is_computed_again_and_the_scores_come_out(application: Application) -> None:
    finalise_next(application, "reference")
    claim = claimed(application, "evaluation")
    assert claim.reference is not None
    artifact(application, claim.reference.key).unlink()
    outcome = finalise(claim, work=application.work, artifacts=application.artifacts)
    assert outcome is FinaliseOutcome.QUEUED_AGAIN
    assert application.work.claim_shard("worker@host") is None, "its shard files are kept"
    assert finalise_next(application, "reference") is FinaliseOutcome.FINISHED
    assert finalise_next(application, "evaluation") is FinaliseOutcome.FINISHED
    assert None not in score_values(application).values()


@pytest.mark.parametrize("damage", ["missing", "altered"])
def test_a_shard_file_of_the_reference_that_is_gone_is_computed_again_if_single_real_images_are_looked_at(
    application: Application, damage: str
) -> None:
    finalise_next(application, "reference")
    claim = claimed(application, "evaluation")
    victim = artifact(application, claim.reference_shards[1].key)
    content = bytearray(victim.read_bytes())
    if damage == "missing":
        victim.unlink()
    else:
        content[-1] ^= 1
        victim.write_bytes(content)
    outcome = finalise(claim, work=application.work, artifacts=application.artifacts)
    assert outcome is FinaliseOutcome.QUEUED_AGAIN
    assert finalise_next(application, "reference") is FinaliseOutcome.QUEUED_AGAIN, "merging it finds out which"
    again = application.work.claim_shard("worker@host")
    assert again is not None
    assert (again.owner, again.number) == ("reference", 1)
    compute(application, again)
    assert finalise_next(application, "reference") is FinaliseOutcome.FINISHED
    assert finalise_next(application, "evaluation") is FinaliseOutcome.FINISHED
    assert None not in score_values(application).values()


def test_a_protocol_without_metrics_of_single_images_reads_no_shard_of_the_reference(tmp_path: Path) -> None:
    with open_application(Settings.from_environment({"VAEVAL_HOME": str(tmp_path / "home")})) as application:
        submit(application, tmp_path, metrics=metric_versions(["fid", "mse"]))
        compute_all_shards(application)
        finalise_next(application, "reference")
        shutil.rmtree(artifact(application, "references/1/shards"))
        assert finalise_next(application, "evaluation") is FinaliseOutcome.FINISHED


def test_a_reference_of_which_no_file_is_left_is_computed_again(application: Application) -> None:
    finalise_next(application, "reference")
    shutil.rmtree(artifact(application, "references"))
    assert finalise_next(application, "evaluation") is FinaliseOutcome.QUEUED_AGAIN
    for _ in range(3):
        assert finalise_next(application, "reference") is FinaliseOutcome.QUEUED_AGAIN
        compute_all_shards(application)
    assert finalise_next(application, "reference") is FinaliseOutcome.FINISHED
    assert finalise_next(application, "evaluation") is FinaliseOutcome.FINISHED
    assert None not in score_values(application).values()


def test_a_store_that_is_not_mounted_costs_a_pause_and_no_shard(application: Application) -> None:
    finalise_next(application, "reference")
    store = Path(application.settings.artifacts)
    store.rename(store.with_name("elsewhere"))
    assert finalise_next(application, "evaluation") is FinaliseOutcome.RELEASED
    store.with_name("elsewhere").rename(store)
    assert application.work.claim_shard("worker@host") is None
    end_pause(application)
    assert finalise_next(application, "evaluation") is FinaliseOutcome.FINISHED


@contextmanager
def reading_raises(error: Exception, application: Application, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Whoever reads arrays inside meets the error."""

    def fail(*_: object) -> None:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(application.artifacts, "read_arrays", fail)
        yield


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (MemoryError("too many features"), "MemoryError: too many features"),
        (SoftTimeLimitExceeded(), "SoftTimeLimitExceeded"),
    ],
)
def test_what_may_pass_fails_the_evaluation_only_after_three_attempts(
    application: Application, monkeypatch: pytest.MonkeyPatch, error: Exception, told: str
) -> None:
    finalise_next(application, "reference")

    with reading_raises(error, application, monkeypatch):
        for _ in range(2):
            assert finalise_next(application, "evaluation") is FinaliseOutcome.RELEASED
            assert application.reads.evaluation(1).state is EvaluationState.RUNNING
            end_pause(application)
        finalise_next(application, "evaluation")
    record = application.reads.evaluation(1)
    assert record.state is EvaluationState.FAILED
    assert told in (record.error or "")
    assert "after 3 attempts" in (record.error or "")


@pytest.mark.parametrize("error", [StorageFailed("The bucket says 503."), OSError(errno.EIO, "Input/output error")])
def test_a_storage_that_is_away_fails_no_evaluation_however_often_it_is_asked(
    application: Application, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    finalise_next(application, "reference")

    with reading_raises(error, application, monkeypatch):
        for _ in range(5):
            assert finalise_next(application, "evaluation") is FinaliseOutcome.RELEASED
            end_pause(application)
    assert finalise_next(application, "evaluation") is FinaliseOutcome.FINISHED


@pytest.mark.parametrize("owner", ["reference", "evaluation"])
def test_a_finaliser_that_lost_its_claim_leaves_no_file(application: Application, owner: str) -> None:
    if owner == "evaluation":
        finalise_next(application, "reference")
    stale = replace(claimed(application, owner), token=0)  # as if another had claimed since: every token is above 0
    outcome = finalise(stale, work=application.work, artifacts=application.artifacts)
    assert outcome is FinaliseOutcome.CLAIM_LOST
    assert not artifact(application, "references/1/merged.0.safetensors").exists()
    assert not artifact(application, "evaluations/1/pictures.0.safetensors").exists()
    assert not artifact(application, "evaluations/1/influence.0.safetensors").exists()
    assert all(artifact(application, file.key).is_file() for file in stale.shards)


def test_pictures_do_not_stay_behind_if_the_file_beside_them_cannot_be_written(
    application: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    finalise_next(application, "reference")
    write = application.artifacts.write_arrays

    def write_until_full(key: str, arrays: dict[str, NDArray[Any]]) -> StoredFile:
        if "influence" in key:
            raise StorageFailed("No space is left for the artifacts.")
        return write(key, arrays)

    monkeypatch.setattr(application.artifacts, "write_arrays", write_until_full)
    assert finalise_next(application, "evaluation") is FinaliseOutcome.RELEASED
    assert [path.name for path in artifact(application, "evaluations/1").glob("*.safetensors")] == []


def test_a_database_that_is_away_is_no_failure_of_the_evaluation(
    application: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim = claimed(application, "reference")

    def away(*_: object) -> bool:
        raise ServiceUnreachable("The database does not answer.")

    monkeypatch.setattr(application.work, "finish_reference", away)
    with pytest.raises(ServiceUnreachable):
        finalise(claim, work=application.work, artifacts=application.artifacts)
    assert application.reads.evaluation(1).state is not EvaluationState.FAILED
