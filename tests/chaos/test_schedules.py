"""A short selection of the schedules that `make chaos` runs by the hundred, and proof that their judge sees what it is for."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from scheduler.composition import Application, open_application
from scheduler.settings import Settings
from scheduler.submission import register
from tests.chaos.invariants import violations
from tests.chaos.process_schedules import ProcessSchedules
from tests.chaos.simulated_schedules import Outcome, Schedules
from tests.chaos.workload import Scores, Workload, scores_of
from workers.shard_runner import RunOutcome, make_runner

pytestmark = pytest.mark.service


def told(kind: str, url: str, outcome: Outcome) -> str:
    """What to say about a broken promise."""
    database = "sqlite" if url.startswith("sqlite") else "postgresql"
    lines = [*outcome.story, *outcome.violations, f"again: python -m tests.chaos {kind} {database} {outcome.seed}"]
    return "\n".join(lines)


def test_no_simulated_schedule_breaks_a_promise(database_url: str, tmp_path: Path) -> None:
    schedules = Schedules(tmp_path, database_url)
    for seed in range(4):
        outcome = schedules.run(seed)
        assert not outcome.violations, told("simulated", database_url, outcome)


def test_a_seed_gives_the_same_schedule_again(sqlite_url: str, tmp_path: Path) -> None:
    schedules = Schedules(tmp_path, sqlite_url)
    assert schedules.run(3).story == schedules.run(3).story


def test_no_schedule_of_real_processes_breaks_a_promise(postgresql_url: str, tmp_path: Path) -> None:
    schedules = ProcessSchedules(tmp_path, postgresql_url)
    try:
        # One is killed in a shard, another stopped before it records the scores, a third frozen past its lease.
        outcome = schedules.run(5)
        assert not outcome.violations, told("processes", postgresql_url, outcome)
    finally:
        schedules.close()


@dataclass(frozen=True)
class FinishedRun:
    """What an undisturbed run left behind, and its scores."""

    home: Path
    scores: Scores


@pytest.fixture(scope="module")
def finished_run(tmp_path_factory: pytest.TempPathFactory) -> FinishedRun:
    folder = tmp_path_factory.mktemp("undisturbed")
    workload = Workload(folder)
    with open_application(Settings.from_environment({"VAEVAL_HOME": str(folder / "home")})) as application:
        register(application, workload.digits, workload.requests)
        runner = make_runner(application, "one")
        while runner.run_one() is not RunOutcome.NOTHING_TO_DO:
            pass
        return FinishedRun(folder / "home", scores_of(application))


class TestTheJudge:
    """A suite that cannot fail would promise nothing."""

    @pytest.fixture
    def application(self, finished_run: FinishedRun, tmp_path: Path) -> Iterator[Application]:
        home = shutil.copytree(finished_run.home, tmp_path / "home")
        with open_application(Settings.from_environment({"VAEVAL_HOME": str(home)})) as opened:
            yield opened

    def test_an_undisturbed_run_keeps_every_promise(self, application: Application, finished_run: FinishedRun) -> None:
        assert violations(application, finished_run.scores) == []

    @pytest.mark.parametrize(
        ("statement", "sentence"),
        [
            ("UPDATE scores SET value = value + 1e-12 WHERE metric = 'mse' AND evaluation_id = 2", "undisturbed"),
            ("DELETE FROM scores WHERE metric = 'fid' AND evaluation_id = 1", "no score"),
            ("UPDATE evaluations SET state = 'running' WHERE id = 3", "evaluation 3 is running"),
            ("UPDATE shards SET state = 'running' WHERE id = 4", "shard 4 is still held"),
            ("UPDATE reference_sets SET lease_expires_at = '2030-01-01 00:00:00.000000'", "reference 1 is still held"),
            ("UPDATE events SET evaluation_id = 2 WHERE action = 'evaluation.scored'", "2 was finished 3 times"),
        ],
    )
    def test_a_broken_promise_is_named(
        self, application: Application, finished_run: FinishedRun, statement: str, sentence: str
    ) -> None:
        application.database.write(lambda connection: connection.exec_driver_sql(statement))
        assert [line for line in violations(application, finished_run.scores) if sentence in line]

    def test_a_file_that_no_row_names_any_more_is_an_orphan_that_is_listed(
        self, application: Application, finished_run: FinishedRun
    ) -> None:
        forget = "UPDATE evaluations SET pictures_key = NULL WHERE id = 1"
        application.database.write(lambda connection: connection.exec_driver_sql(forget))
        assert violations(application, finished_run.scores) == []

    def test_a_file_that_nobody_needs_and_nobody_lists_is_named(
        self, application: Application, finished_run: FinishedRun
    ) -> None:
        (Path(application.artifacts.url) / "left-behind").write_text("by whom?", encoding="utf-8")
        assert violations(application, finished_run.scores) == ["left-behind is an orphan and not listed"]
