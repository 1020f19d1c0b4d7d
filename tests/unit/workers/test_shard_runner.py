"""One sound of the bell: every way in which it can end, on a real database with real files and a real (small) model."""

from __future__ import annotations

import copy
import errno
import os
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from numpy.typing import NDArray
from sqlalchemy import Connection, insert, select, update

from scheduler.composition import Application, open_application
from scheduler.lifecycle import EvaluationState, ShardState
from scheduler.settings import Settings
from scheduler.store import tables
from scheduler.store.artifact_keys import shard_key
from scheduler.store.base import CheckpointLocation, ShardClaim, StoredFile
from scheduler.store.clock import database_now_plus
from vaeval_core.checkpoints.base import VaeAdapter
from vaeval_core.checkpoints.catalogue import load
from vaeval_core.errors import ServiceUnreachable, StorageFailed
from vaeval_core.evaluate import measure_reference_shard, measure_shard, merge_reference, merge_shards, score
from vaeval_core.features.base import FeatureExtractor
from vaeval_core.features.catalogue import load_extractor
from vaeval_core.images.catalogue import survey_images
from vaeval_core.metrics.catalogue import METRICS
from vaeval_core.protocol import ExtractorSpec
from vaeval_core.types import IndexRange
from workers.loaded_models import LoadedModels
from workers.shard_runner import RunOutcome, ShardRunner, make_runner

pytestmark = pytest.mark.slow

WAIT_SECONDS = 60.0


class InterferingModels(LoadedModels):
    """Real models; something happens each time before a checkpoint is handed out, which is in the middle of a shard."""

    def __init__(self, application: Application, happens: Callable[[], None]) -> None:
        super().__init__(application.artifacts, application.settings.home / "weights")
        self._happens = happens

    def adapter(self, checkpoint: CheckpointLocation) -> VaeAdapter:
        self._happens()
        return super().adapter(checkpoint)


def runner_with(
    application: Application, happens: Callable[[], None], *, lease_seconds: float = 60.0, stall_seconds: float = 300.0
) -> ShardRunner:
    return ShardRunner(
        application.work,
        application.artifacts,
        InterferingModels(application, happens),
        worker="first@here",
        lease_seconds=lease_seconds,
        stall_seconds=stall_seconds,
    )


def run_until_idle(runner: ShardRunner) -> list[RunOutcome]:
    outcomes = [runner.run_one()]
    while outcomes[-1] is not RunOutcome.NOTHING_TO_DO:
        outcomes.append(runner.run_one())
    return outcomes


def without_pause_between_attempts(connection: Connection) -> None:
    """What seconds of waiting would do."""
    connection.execute(update(tables.shards).values(not_before=None))


def pauses_end(connection: Connection) -> None:
    """What seconds of waiting would do; who failed last is remembered."""
    connection.execute(update(tables.shards).values(not_before=database_now_plus(-1.0)))


def report(application: Application, *slots: str) -> None:
    """Each slot is called `slot@machine`, and is alive."""
    for slot in slots:
        host = slot.rpartition("@")[2]
        application.work.report_worker(slot, host=host, pid=1, device="cpu", threads=1, versions={})


def shards(application: Application) -> dict[ShardState, int]:
    return {state: count for state, count in application.reads.progress().shards.items() if count}


def files(application: Application, pattern: str) -> list[str]:
    root = Path(application.settings.artifacts)
    return sorted(path.relative_to(root).as_posix() for path in root.glob(pattern) if path.is_file())


def test_nothing_to_do_is_said_and_harmless(application: Application) -> None:
    assert make_runner(application, "first@here").run_one() is RunOutcome.NOTHING_TO_DO


def test_each_sound_of_the_bell_does_one_shard(application: Application, submit: Callable[..., object]) -> None:
    submit(application, images=64, shard_size=32)  # 2 shards of the reference, 2 of the evaluation
    runner = make_runner(application, "first@here")
    assert runner.run_one() is RunOutcome.FINISHED
    assert shards(application) == {ShardState.FINISHED: 1, ShardState.QUEUED: 3}


def test_a_finalisation_that_was_left_behind_is_done_after_the_next_shard_or_at_once_if_there_is_none(
    application: Application, submit: Callable[..., object]
) -> None:
    submit(application, latent_sizes=(2,), images=32)
    runner = make_runner(application, "first@here")
    run_until_idle(runner)
    forget = update(tables.reference_sets).values(state="running", file_key=None, file_digest=None, finished_at=None)
    for sizes, outcome in (((3,), RunOutcome.FINISHED), ((), RunOutcome.NOTHING_TO_DO)):
        application.database.write(lambda connection: connection.execute(forget))  # as if the merging worker had died
        if sizes:
            submit(application, latent_sizes=sizes, images=32)
        assert runner.run_one() is outcome
        merged = application.database.read(lambda connection: connection.scalar(select(tables.reference_sets.c.state)))
        assert merged == "finished"
        assert {record.state for record in application.reads.evaluations()} == {EvaluationState.FINISHED}


def test_progress_is_told_more_often_than_a_long_lease_would_need(
    application: Application, submit: Callable[..., object], monkeypatch: pytest.MonkeyPatch
) -> None:
    submit(application, images=32)
    monkeypatch.setattr("workers.shard_runner.LONGEST_SILENCE_SECONDS", 0.001)
    renewed, renew = threading.Event(), application.work.renew_shard

    def noted(claim: ShardClaim, images_done: int) -> bool:
        renewed.set()
        return renew(claim, images_done)

    monkeypatch.setattr(application.work, "renew_shard", noted)

    def wait() -> None:
        assert renewed.wait(WAIT_SECONDS), "while the shard is at hand"

    assert set(run_until_idle(runner_with(application, wait, lease_seconds=86_400.0))) == {
        RunOutcome.FINISHED,
        RunOutcome.NOTHING_TO_DO,
    }


def states(application: Application) -> list[EvaluationState]:
    return [record.state for record in reversed(application.reads.evaluations())]


def test_a_runner_for_some_evaluations_leaves_all_others_alone(
    application: Application, submit: Callable[..., object]
) -> None:
    submit(application, latent_sizes=(2,), images=96)  # another reference
    submit(application, latent_sizes=(3,), images=64)
    run_until_idle(make_runner(application, "first@here", [2]))
    assert states(application) == [EvaluationState.QUEUED, EvaluationState.FINISHED]
    assert application.reads.progress([1]).images_done == 0


def test_a_finalisation_of_others_is_left_alone_too(application: Application, submit: Callable[..., object]) -> None:
    submit(application, latent_sizes=(2,), images=32)
    while (claim := application.work.claim_shard("dead@here")) is not None:
        arrays_of(application, claim)
    submit(application, latent_sizes=(3,), images=64)
    run_until_idle(make_runner(application, "first@here", [2]))
    assert states(application) == [EvaluationState.RUNNING, EvaluationState.FINISHED]


def arrays_of(application: Application, claim: ShardClaim) -> None:
    """Computes a shard and records it, without what a runner does after it."""
    images = survey_images(claim.dataset_uri)
    extractor = load_extractor(claim.protocol.extractor, application.settings.home)
    if claim.checkpoint is None:
        arrays = measure_reference_shard(images, extractor, claim.protocol, claim.index_range)
    else:
        adapter = load(Path(claim.checkpoint.uri), claim.checkpoint.digest)
        arrays = measure_shard(adapter, images, extractor, claim.protocol, claim.index_range)
    file = application.artifacts.write_arrays(shard_key(claim.owner, claim.owner_id, claim.number, claim.token), arrays)
    assert application.work.finish_shard(claim, file, 1.0)


def test_the_last_shard_finishes_the_evaluation(application: Application, submit: Callable[..., object]) -> None:
    submit(application, images=64, shard_size=32)
    outcomes = run_until_idle(make_runner(application, "first@here"))
    assert outcomes == [RunOutcome.FINISHED] * 4 + [RunOutcome.NOTHING_TO_DO]
    assert application.reads.evaluation(1).state is EvaluationState.FINISHED


def test_scores_are_those_of_the_library_called_directly(
    application: Application, submit: Callable[..., object], tmp_path: Path
) -> None:
    submit(application, images=100, shard_size=32)
    run_until_idle(make_runner(application, "first@here"))
    record = application.reads.evaluation(1)

    protocol, digits = record.protocol, survey_images("digits:test")
    adapter = load(Path(record.checkpoint_uri), record.checkpoint_digest)
    extractor = load_extractor(protocol.extractor, tmp_path)
    everything = IndexRange(0, 100)
    real = [measure_reference_shard(digits, extractor, protocol, everything)]
    reference = merge_reference(real, protocol)
    summary = merge_shards([measure_shard(adapter, digits, extractor, protocol, everything)], protocol)
    scores = score(summary, reference, protocol, reference_shards=real)
    expected = {each.metric: each.value.value for each in scores}
    assert {each.metric: each.value.value for each in record.scores} == expected


def test_shard_files_of_an_evaluation_go_and_those_of_a_reference_stay(
    application: Application, submit: Callable[..., object]
) -> None:
    submit(application, images=64, shard_size=32)
    run_until_idle(make_runner(application, "first@here"))
    assert files(application, "evaluations/1/shards/*") == []
    assert len(files(application, "references/1/shards/*")) == 2
    assert len(files(application, "references/1/merged.*")) == 1
    assert len(files(application, "evaluations/1/pictures.*")) == 1


def test_a_checkpoint_that_changed_since_it_was_submitted_fails_its_evaluation_at_once(
    application: Application, submit: Callable[..., object], tmp_path: Path
) -> None:
    submit(application, latent_sizes=(2, 3))
    changed = tmp_path / "checkpoints" / "step-2" / "linear_gaussian.safetensors"
    changed.write_bytes((tmp_path / "checkpoints" / "step-3" / "linear_gaussian.safetensors").read_bytes())
    run_until_idle(make_runner(application, "first@here"))
    states = {record.checkpoint_name: record.state for record in application.reads.evaluations()}
    assert sorted(states.values()) == [EvaluationState.FAILED, EvaluationState.FINISHED]
    failed = next(r for r in application.reads.evaluations() if r.state is EvaluationState.FAILED)
    assert failed.step == 2
    assert str(tmp_path / "checkpoints" / "step-2") in (failed.error or "")


def test_a_machine_that_does_not_see_a_checkpoint_leaves_it_to_another(
    application: Application, submit: Callable[..., object], tmp_path: Path
) -> None:
    submit(application, images=32)
    report(application, "first@here", "other@there")
    mounted = tmp_path / "checkpoints"
    mounted.rename(tmp_path / "not mounted")
    first = make_runner(application, "first@here")
    assert run_until_idle(first).count(RunOutcome.PUT_OFF) == 1
    application.database.write(pauses_end)
    assert run_until_idle(first) == [RunOutcome.NOTHING_TO_DO]
    (tmp_path / "not mounted").rename(mounted)  # as the other machine sees it
    assert run_until_idle(make_runner(application, "other@there"))[0] is RunOutcome.FINISHED
    assert application.reads.evaluation(1).state is EvaluationState.FINISHED


def test_an_outage_of_the_artifacts_costs_time_and_no_evaluation(
    application: Application, submit: Callable[..., object], monkeypatch: pytest.MonkeyPatch
) -> None:
    submit(application, images=32)
    runner = make_runner(application, "first@here")

    def away(*_: object) -> None:
        raise StorageFailed("The artifacts cannot be reached.")

    with monkeypatch.context() as patch:
        patch.setattr(application.artifacts, "write_arrays", away)
        for _ in range(5):  # more often than there are attempts
            assert set(run_until_idle(runner)) == {RunOutcome.PUT_OFF, RunOutcome.NOTHING_TO_DO}
            application.database.write(pauses_end)
    run_until_idle(runner)
    assert application.reads.evaluation(1).state is EvaluationState.FINISHED


class StaleModels(LoadedModels):
    """As of a machine with another release of the program."""

    def extractor(self, spec: ExtractorSpec) -> FeatureExtractor:
        return super().extractor(spec.model_copy(update={"version": 99}))


def stale_runner(application: Application, worker: str) -> ShardRunner:
    models = StaleModels(application.artifacts, application.settings.home / "weights")
    return ShardRunner(application.work, application.artifacts, models, worker=worker, lease_seconds=60.0)


def test_a_machine_with_another_release_fails_nothing_while_another_machine_can_do_it(
    application: Application, submit: Callable[..., object]
) -> None:
    submit(application, images=32)
    report(application, "0@stale", "1@stale", "2@stale", "0@sound")
    for slot in range(3):
        assert RunOutcome.FAILED not in run_until_idle(stale_runner(application, f"{slot}@stale"))
    run_until_idle(make_runner(application, "0@sound"))
    assert application.reads.evaluation(1).state is EvaluationState.FINISHED
    assert "other features under the name" in application.reads.failed_attempts(1)[0].reason


def test_an_evaluation_that_no_machine_can_do_tells_why_not(
    application: Application, submit: Callable[..., object]
) -> None:
    submit(application, images=32)
    report(application, "0@stale", "0@older")
    for host in ("stale", "older"):
        run_until_idle(stale_runner(application, f"0@{host}"))
    error = str(application.reads.evaluation(1).error)
    assert "cannot be computed on any machine that works now. older, stale: This program computes other" in error


def test_a_program_that_lacks_a_metric_of_the_protocol_computes_nothing_for_it(
    application: Application, submit: Callable[..., object], monkeypatch: pytest.MonkeyPatch
) -> None:
    submit(application, images=32)
    report(application, "0@old", "0@new")
    metrics = {name: metric for name, metric in METRICS.items() if name != "fid"}
    with monkeypatch.context() as patch:
        patch.setattr("vaeval_core.metrics.catalogue.METRICS", metrics)
        assert run_until_idle(make_runner(application, "0@old"))[0] is RunOutcome.PUT_OFF
    run_until_idle(make_runner(application, "0@new"))
    assert application.reads.evaluation(1).state is EvaluationState.FINISHED


def test_a_model_that_raises_fails_after_three_attempts_and_tells_its_story(
    application: Application, submit: Callable[..., object]
) -> None:
    submit(application, images=32)

    def happens() -> None:
        raise ZeroDivisionError("in layer 7")

    runner = runner_with(application, happens)
    outcomes = run_until_idle(runner)
    for _ in range(2):
        application.database.write(without_pause_between_attempts)
        outcomes += run_until_idle(runner)
    assert outcomes.count(RunOutcome.FAILED) == 3
    record = application.reads.evaluation(1)
    assert record.state is EvaluationState.FAILED
    assert "ZeroDivisionError: in layer 7" in (record.error or "")


def test_a_process_is_not_trusted_after_an_error_that_nobody_foresaw(
    application: Application, submit: Callable[..., object]
) -> None:
    submit(application, images=32)

    def happens() -> None:
        raise ZeroDivisionError("in layer 7")

    runner = runner_with(application, happens)
    runner.run_one()
    assert not runner.is_tainted
    assert runner.run_one() is RunOutcome.FAILED
    assert runner.is_tainted


def test_an_interrupted_shard_is_given_back_without_costing_an_attempt(
    application: Application, submit: Callable[..., object]
) -> None:
    submit(application, images=64, shard_size=64)  # one shard each
    make_runner(application, "other@here").run_one()

    def happens() -> None:
        runner.interrupt()

    runner = runner_with(application, happens)
    assert runner.run_one() is RunOutcome.RELEASED
    assert shards(application) == {ShardState.FINISHED: 1, ShardState.QUEUED: 1}
    claim = application.work.claim_shard("other@here")
    assert claim is not None
    assert claim.attempt == 1


def test_an_interrupted_runner_takes_no_other_shard(application: Application, submit: Callable[..., object]) -> None:
    submit(application)
    runner = make_runner(application, "first@here")
    runner.interrupt()
    assert runner.run_one() is RunOutcome.NOTHING_TO_DO
    assert shards(application) == {ShardState.QUEUED: 4}


def test_control_c_gives_the_shard_back_and_goes_on_its_way(
    application: Application, submit: Callable[..., object]
) -> None:
    submit(application, images=64, shard_size=64)
    make_runner(application, "other@here").run_one()

    def happens() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        runner_with(application, happens).run_one()
    assert shards(application) == {ShardState.FINISHED: 1, ShardState.QUEUED: 1}


def test_a_worker_that_slept_through_its_lease_changes_nothing(
    settings: Settings, submit: Callable[..., object]
) -> None:
    with open_application(replace(settings, lease_seconds=0.1)) as application:
        submit(application, images=64, shard_size=64)
        make_runner(application, "other@here").run_one()  # the reference

        def sleep_until_somebody_else_has_done_it() -> None:
            deadline = threading.Event()
            for _ in range(int(WAIT_SECONDS / 0.01)):
                if application.recovery.sweep().shards_requeued:
                    break
                deadline.wait(0.01)
            assert make_runner(application, "other@here").run_one() is RunOutcome.FINISHED

        # It believes in a long lease, so its heartbeat does not beat meanwhile: as if it had been stopped.
        sleeper = runner_with(application, sleep_until_somebody_else_has_done_it, lease_seconds=3600.0)
        assert sleeper.run_one() is RunOutcome.CLAIM_LOST
        assert application.reads.evaluation(1).state is EvaluationState.FINISHED
        assert files(application, "evaluations/1/shards/*") == []


def test_a_worker_whose_heartbeat_is_refused_stops_in_the_middle(
    settings: Settings, submit: Callable[..., object]
) -> None:
    with open_application(replace(settings, lease_seconds=0.1)) as application:
        submit(application, images=64, shard_size=64)
        make_runner(application, "other@here").run_one()
        written_before = files(application, "**/*")

        def wait_for_refusal() -> None:
            # Sweeps until the lease, which nobody renews yet, has ended; then the heartbeat must be told.
            pause = threading.Event()
            for _ in range(int(WAIT_SECONDS / 0.01)):
                if application.recovery.sweep().shards_requeued:
                    break
                pause.wait(0.01)
            heartbeat = next(thread for thread in threading.enumerate() if thread.name == "heartbeat")
            heartbeat.join(WAIT_SECONDS)

        # Beats every 0.5 s, five leases: the first beat comes too late and is refused.
        assert runner_with(application, wait_for_refusal, lease_seconds=2.0).run_one() is RunOutcome.CLAIM_LOST
        assert files(application, "**/*") == written_before


def test_a_worker_at_a_cancelled_shard_stops_with_its_next_heartbeat(
    application: Application, submit: Callable[..., object]
) -> None:
    submit(application, images=64, shard_size=64)
    make_runner(application, "other@here").run_one()
    written_before = files(application, "**/*")

    def cancel_and_wait_for_the_heartbeat() -> None:
        application.submissions.cancel([1])
        heartbeat = next(thread for thread in threading.enumerate() if thread.name == "heartbeat")
        heartbeat.join(WAIT_SECONDS)

    runner = runner_with(application, cancel_and_wait_for_the_heartbeat, lease_seconds=0.4)
    assert runner.run_one() is RunOutcome.CLAIM_LOST
    assert application.reads.evaluation(1).state is EvaluationState.CANCELLED
    assert files(application, "**/*") == written_before


def test_a_shard_that_hangs_is_queued_again_with_the_reason(
    application: Application, submit: Callable[..., object]
) -> None:
    submit(application, images=64, shard_size=64)
    make_runner(application, "other@here").run_one()

    def hang_until_given_up() -> None:
        heartbeat = next(thread for thread in threading.enumerate() if thread.name == "heartbeat")
        heartbeat.join(WAIT_SECONDS)

    hanging = runner_with(application, hang_until_given_up, lease_seconds=0.4, stall_seconds=0.1)
    assert hanging.run_one() is RunOutcome.CLAIM_LOST
    assert shards(application) == {ShardState.FINISHED: 1, ShardState.QUEUED: 1}
    (reason,) = application.database.read(
        lambda connection: connection.scalars(
            select(tables.shards.c.error).where(tables.shards.c.error.is_not(None))
        ).all()
    )
    assert reason == "No batch was finished for 0.1 s after 0 images; its worker was taken for stuck."
    application.database.write(without_pause_between_attempts)
    assert make_runner(application, "other@here").run_one() is RunOutcome.FINISHED
    assert application.reads.evaluation(1).state is EvaluationState.FINISHED


def test_a_full_disk_is_an_error_of_that_shard_alone_and_of_no_score(
    application: Application, submit: Callable[..., object], monkeypatch: pytest.MonkeyPatch
) -> None:
    submit(application, latent_sizes=(2, 3), images=64, shard_size=32)
    runner = make_runner(application, "first@here")
    for _ in range(3):
        assert runner.run_one() is RunOutcome.FINISHED

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        assert runner.run_one() is RunOutcome.PUT_OFF
    assert "failed" not in shards(application)
    (attempt,) = application.reads.failed_attempts(1)
    assert (attempt.shard, attempt.attempt) == (1, 1)
    assert "No space is left for the artifacts." in attempt.reason
    application.database.write(without_pause_between_attempts)
    run_until_idle(runner)
    states = {record.evaluation_id: record.state for record in application.reads.evaluations()}
    assert states == {1: EvaluationState.FINISHED, 2: EvaluationState.FINISHED}
    assert files(application, "evaluations/*/shards/*") == []


def unanswered_once(port: object, name: str, monkeypatch: pytest.MonkeyPatch, *, is_done: bool) -> None:
    """The next call of a method is not answered, whether it is done or not."""
    method, asked = getattr(port, name), []

    def call(*arguments: object, **named: object) -> object:
        asked.append(name)
        if len(asked) > 1:
            return method(*arguments, **named)
        if is_done:
            method(*arguments, **named)
        raise ServiceUnreachable("The database does not answer.")

    monkeypatch.setattr(port, name, call)


@pytest.mark.parametrize("is_done", [False, True])
@pytest.mark.parametrize("name", ["finish_shard", "finish_reference", "finish_evaluation"])
def test_a_database_that_is_away_at_the_moment_of_recording_costs_no_work(
    application: Application, submit: Callable[..., object], monkeypatch: pytest.MonkeyPatch, name: str, is_done: bool
) -> None:
    submit(application, images=32)
    unanswered_once(application.work, name, monkeypatch, is_done=is_done)
    run_until_idle(make_runner(application, "first@here"))
    assert application.reads.evaluation(1).state is EvaluationState.FINISHED
    claims = application.database.read(
        lambda connection: connection.scalars(
            select(tables.events.c.action).where(tables.events.c.action.like("%claimed"))
        ).all()
    )
    assert sorted(claims) == [
        "evaluation.finalise_claimed",
        "reference.finalise_claimed",
        "shard.claimed",
        "shard.claimed",
    ], "nothing was done twice"
    assert len(files(application, "evaluations/1/pictures.*")) == 1


def test_a_failure_is_recorded_though_the_database_is_away_for_a_moment(
    application: Application, submit: Callable[..., object], monkeypatch: pytest.MonkeyPatch
) -> None:
    submit(application, images=32)
    unanswered_once(application.work, "fail_shard", monkeypatch, is_done=False)
    assert stale_runner(application, "0@stale").run_one() is RunOutcome.PUT_OFF
    assert application.reads.evaluation(1).state is EvaluationState.FAILED


def test_a_shard_that_was_cancelled_while_the_database_was_away_is_not_recorded(
    application: Application, submit: Callable[..., object], monkeypatch: pytest.MonkeyPatch
) -> None:
    submit(application, images=64, shard_size=64)
    make_runner(application, "other@here").run_one()
    written_before = files(application, "**/*")
    finish = application.work.finish_shard

    def away(*arguments: Any) -> bool:
        monkeypatch.setattr(application.work, "finish_shard", finish)
        application.submissions.cancel([1])
        raise ServiceUnreachable("The database does not answer.")

    monkeypatch.setattr(application.work, "finish_shard", away)
    assert make_runner(application, "first@here").run_one() is RunOutcome.CLAIM_LOST
    assert files(application, "**/*") == written_before


class TestFinalising:
    """With all shards of the reference computed, and something that happens when the first of them is read."""

    @pytest.fixture
    def ready(self, application: Application, submit: Callable[..., object]) -> Application:
        submit(application, images=32)
        claim = application.work.claim_shard("other@there")
        assert claim is not None
        arrays_of(application, claim)
        return application

    def finaliser(self, ready: Application, happens: Callable[[], None], **more: Any) -> ShardRunner:
        read, artifacts = ready.artifacts.read_arrays, copy.copy(ready.artifacts)

        def read_arrays(file: StoredFile) -> dict[str, NDArray[Any]]:
            happens()
            return read(file)

        artifacts.read_arrays = read_arrays  # type: ignore[method-assign]
        models = LoadedModels(ready.artifacts, ready.settings.home / "weights")
        values = {"worker": "first@here", "lease_seconds": 60.0} | more
        return ShardRunner(ready.work, artifacts, models, **values)

    def finalise(self, runner: ShardRunner) -> None:
        runner._finaliser.finalise_what_is_ready(time.monotonic())

    def attempts(self, ready: Application) -> list[tuple[str, int]]:
        table = tables.reference_sets
        return ready.database.read(
            lambda connection: [tuple(row) for row in connection.execute(select(table.c.state, table.c.attempts))]
        )

    def test_one_that_is_interrupted_is_handed_back_and_no_attempt_counts(self, ready: Application) -> None:
        submit_second_shard(ready)

        def happens() -> None:
            runner.interrupt()

        runner = self.finaliser(ready, happens)
        self.finalise(runner)
        assert self.attempts(ready) == [("running", 0)]
        claim = ready.work.claim_finalise("other@there")
        assert claim is not None, "at once"

    def test_control_c_hands_it_back_and_goes_on_its_way(self, ready: Application) -> None:
        def happens() -> None:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            self.finalise(self.finaliser(ready, happens))
        assert self.attempts(ready) == [("running", 0)]

    def test_one_that_hangs_is_given_up_with_the_reason(self, ready: Application) -> None:
        submit_second_shard(ready)

        def hang_until_given_up() -> None:
            heartbeat = next(thread for thread in threading.enumerate() if thread.name == "heartbeat")
            heartbeat.join(WAIT_SECONDS)

        self.finalise(self.finaliser(ready, hang_until_given_up, lease_seconds=0.4, stall_seconds=0.025))
        assert self.attempts(ready) == [("running", 1)]
        (attempt,) = ready.reads.failed_attempts(1)
        assert attempt.reason == "Nothing was read or scored for 0.1 s; its worker was taken for stuck."

    def test_one_whose_claim_is_lost_stops_at_the_next_file(self, ready: Application) -> None:
        submit_second_shard(ready)
        reads = []

        def lose() -> None:
            reads.append(1)
            ready.database.write(lambda c: c.execute(update(tables.reference_sets).values(lease_token=99)))
            heartbeat = next(thread for thread in threading.enumerate() if thread.name == "heartbeat")
            heartbeat.join(WAIT_SECONDS)

        self.finalise(self.finaliser(ready, lose, lease_seconds=0.4))
        assert len(reads) == 1

    def test_none_is_begun_late_for_a_bell_and_the_next_bell_begins_with_it(
        self, ready: Application, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        runner = self.finaliser(ready, lambda: None)
        monkeypatch.setattr("workers.finalise_runner.LATEST_BEGIN_SECONDS", 0.0)
        assert runner.run_one() is RunOutcome.FINISHED, "a shard of the evaluation"
        assert self.attempts(ready) == [("running", 0)]
        monkeypatch.undo()
        runner.run_one()
        assert self.attempts(ready) == [("finished", 1)]


def submit_second_shard(application: Application) -> None:
    """As if the reference had another shard, with the same file: so that a finalisation reads twice."""

    def work(connection: Connection) -> None:
        row = connection.execute(select(tables.shards).where(tables.shards.c.reference_id == 1)).mappings().one()
        connection.execute(insert(tables.shards).values({**row, "id": None, "number": 1}))

    application.database.write(work)


def test_a_process_whose_work_hangs_for_good_is_ended(application: Application, submit: Callable[..., object]) -> None:
    submit(application, images=64, shard_size=64)
    make_runner(application, "other@here").run_one()
    ended = threading.Event()

    def hang() -> None:
        assert ended.wait(WAIT_SECONDS)

    runner = ShardRunner(
        application.work,
        application.artifacts,
        InterferingModels(application, hang),
        worker="first@here",
        lease_seconds=0.4,
        stall_seconds=0.1,
        on_hang=ended.set,
    )
    assert runner.run_one() is RunOutcome.CLAIM_LOST
    assert shards(application) == {ShardState.FINISHED: 1, ShardState.QUEUED: 1}
