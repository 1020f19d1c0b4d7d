"""A short selection of the schedules that `make chaos` runs by the hundred, and proof that their judge sees what it is for."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Connection

from scheduler.composition import Application, open_application
from scheduler.settings import Settings
from scheduler.submission import register
from tests.chaos.history import Strikes
from tests.chaos.invariants import violations
from tests.chaos.process_schedules import ProcessSchedules
from tests.chaos.results import Results, results_of
from tests.chaos.simulated_schedules import Outcome, Schedules
from tests.chaos.workload import Workload
from workers.shard_runner import RunOutcome, make_runner

pytestmark = pytest.mark.service


JOURNAL = (
    "INSERT INTO events (at, action, evaluation_id, shard_id, worker, detail) VALUES ('2030-01-01 00:00:00.000000', "
)
"""A line of the journal that nobody wrote: action, evaluation, shard, worker and detail are to follow."""


def told(kind: str, url: str, outcome: Outcome) -> str:
    """What to say about a broken promise."""
    database = "sqlite" if url.startswith("sqlite") else "postgresql"
    lines = [*outcome.story, *outcome.violations, f"again: python -m tests.chaos {kind} {database} {outcome.seed}"]
    return "\n".join(lines)


def test_no_simulated_schedule_breaks_a_promise(database_url: str, tmp_path: Path) -> None:
    schedules = Schedules(tmp_path, database_url)
    for seed, kind in ((0, "simulated"), (1, "simulated"), (0, "interleaved")):
        schedules.interleaved = kind == "interleaved"
        outcome = schedules.run(seed)
        assert not outcome.violations, told(kind, database_url, outcome)


def test_a_seed_gives_the_same_schedule_again(sqlite_url: str, tmp_path: Path) -> None:
    schedules = Schedules(tmp_path, sqlite_url)
    assert schedules.run(2).story == schedules.run(2).story


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
    """What an undisturbed run left behind, and what it came to."""

    home: Path
    results: Results


@pytest.fixture(scope="module")
def finished_run(tmp_path_factory: pytest.TempPathFactory) -> FinishedRun:
    folder = tmp_path_factory.mktemp("undisturbed")
    workload = Workload(folder)
    with open_application(Settings.from_environment({"VAEVAL_HOME": str(folder / "home")})) as application:
        register(application, workload.digits, workload.requests)
        runner = make_runner(application, "one")
        while runner.run_one() is not RunOutcome.NOTHING_TO_DO:
            pass
        return FinishedRun(folder / "home", results_of(application))


class TestTheJudge:
    """A suite that cannot fail would promise nothing."""

    @pytest.fixture
    def application(self, finished_run: FinishedRun, tmp_path: Path) -> Iterator[Application]:
        home = shutil.copytree(finished_run.home, tmp_path / "home")
        with open_application(Settings.from_environment({"VAEVAL_HOME": str(home)})) as opened:
            yield opened

    def test_an_undisturbed_run_keeps_every_promise(self, application: Application, finished_run: FinishedRun) -> None:
        assert violations(application, finished_run.results) == []

    @pytest.mark.parametrize(
        "broken",
        [
            {
                "UPDATE scores SET value = value + 1e-12 WHERE metric = 'mse' AND evaluation_id = 2": "'mse'): value",
                "UPDATE scores SET std_error = NULL WHERE metric = 'psnr' AND evaluation_id = 1": "'psnr'): std_error None",
                "UPDATE scores SET num_images = 95 WHERE metric = 'kid' AND evaluation_id = 1": "'kid'): num_images 95",
                "UPDATE scores SET warnings = '[\"late\"]' WHERE metric = 'fid'": "'fid'): warnings",
                "UPDATE scores SET reason = 'why not' WHERE metric = 'kl'": "'kl'): reason why not",
                "UPDATE scores SET version = 0 WHERE metric = 'rfid'": "'rfid'): version 0",
                "UPDATE evaluations SET influence_digest = 'other' WHERE id = 1": "'files'): influence_digest other",
                "UPDATE evaluations SET fid = 0.0 WHERE id = 2": "'files'): fid 0x0.0p+0",
                "UPDATE reference_sets SET file_digest = 'other'": "file_digest other",
                "UPDATE shards SET state = 'running' WHERE id = 4": "shard 4 is still held",
                "UPDATE reference_sets SET lease_expires_at = '2030-01-01 00:00:00.000000'": "reference 1 is still held",
            },
            {
                "DELETE FROM scores WHERE metric = 'fid' AND evaluation_id = 1": "no score",
                "UPDATE evaluations SET state = 'running' WHERE id = 3": "evaluation 3 is running",
                "UPDATE events SET evaluation_id = 2 WHERE action = 'evaluation.scored'": "2 was finished 3 times",
                f"{JOURNAL}'evaluation.shard_failed', 1, NULL, 'slot-1', '{{}}')": "evaluation 1 failed, and was not meant to",
                f"{JOURNAL}'shard.gave_up', 1, 5, 'slot-2', '{{}}')": "slot-2 was struck 0 times, and 1 of its attempts",
                f"{JOURNAL}'evaluation.finalise_lease_ended', 1, NULL, 'slot-3', '{{}}')": "slot-3 was struck 0 times",
                f"{JOURNAL}'shard.computed', 1, 6, 'slot', '{{}}')": "shard 6 was finished 2 times",
                f"{JOURNAL}'shard.claimed', 3, 12, 'slot', '{{}}')": "of shard 12 1 claims have no end",
                f"{JOURNAL}'evaluation.finalise_claimed', 3, NULL, 'slot', '{{}}')": "of evaluation 3 2 claims have no end",
            },
        ],
    )
    def test_each_broken_promise_is_named(
        self, application: Application, finished_run: FinishedRun, broken: dict[str, str]
    ) -> None:
        def break_them(connection: Connection) -> None:
            for statement in broken:
                connection.exec_driver_sql(statement)

        application.database.write(break_them)
        found = violations(application, finished_run.results)
        assert [sentence for sentence in broken.values() if not any(sentence in line for line in found)] == []

    def test_three_strikes_may_fail_an_evaluation_where_the_schedule_is_declared_to_do_that(
        self, application: Application, finished_run: FinishedRun
    ) -> None:
        reason = '{"reason": "Shard 0 (images 0 to 31) failed after %s. Its worker stopped answering."}'
        for attempts in ("3 attempts", "1 attempt"):
            line = f"{JOURNAL}'evaluation.shard_failed', 1, NULL, 'slot', '{reason % attempts}')"
            application.database.write(lambda connection, line=line: connection.exec_driver_sql(line))
        (only,) = violations(application, finished_run.results, Strikes(may_fail=True))
        assert "after 1 attempt" in only

    def test_a_struck_worker_may_lose_one_attempt_for_each_strike(
        self, application: Application, finished_run: FinishedRun
    ) -> None:
        for _ in range(2):
            for action in ("shard.claimed", "shard.lease_ended"):
                line = f"{JOURNAL}'{action}', 1, 4, 'slot', '{{}}')"
                application.database.write(lambda connection, line=line: connection.exec_driver_sql(line))
        assert violations(application, finished_run.results, Strikes(Counter({"slot": 2}))) == []
        (only,) = violations(application, finished_run.results, Strikes(Counter({"slot": 1})))
        assert only == "slot was struck 1 times, and 2 of its attempts were lost"

    def test_a_death_that_is_noticed_late_is_named(self, application: Application, finished_run: FinishedRun) -> None:
        for action in ("shard.claimed", "shard.lease_ended"):
            line = f"{JOURNAL}'{action}', 1, 4, 'slot', '{{}}')"
            application.database.write(lambda connection, line=line: connection.exec_driver_sql(line))
        at = datetime(2030, 1, 1, tzinfo=UTC)
        for seconds, count in ((74.0, 0), (76.0, 1)):
            strikes = Strikes(
                Counter({"slot": 1}), deaths={"slot": at - timedelta(seconds=seconds)}, notice_seconds=75.0
            )
            found = violations(application, finished_run.results, strikes)
            assert [line for line in found if "was noticed after 76.00 s, not within 75" in line] == found
            assert len(found) == count

    def test_a_file_that_no_row_names_any_more_is_an_orphan_that_is_listed(
        self, application: Application, finished_run: FinishedRun
    ) -> None:
        forget = "UPDATE evaluations SET pictures_key = NULL WHERE id = 1"
        application.database.write(lambda connection: connection.exec_driver_sql(forget))
        assert violations(application, finished_run.results) == []

    def test_a_file_that_nobody_needs_and_nobody_lists_is_named(
        self, application: Application, finished_run: FinishedRun
    ) -> None:
        (Path(application.artifacts.url) / "left-behind").write_text("by whom?", encoding="utf-8")
        assert violations(application, finished_run.results) == ["left-behind is an orphan and not listed"]
