"""How long the service takes for what is not evaluation: submitting, claiming, ranking, and its share of a shard.

    python -m benchmarks.store                                   everything on both databases, about ten minutes
    python -m benchmarks.store --database sqlite --only leaderboard --evaluations 10000

    submit         1,000 checkpoints, new and again after they are finished: in the store with 80 shards each, and as a command
                   that reads small linear-Gaussian models and pairs of .keras files
    leaderboard    the best 20 of 100,000 evaluations and their ties, as `vaeval leaderboard --top 20` reads them, and as SQL,
                   with query plans
    claim          a claim and its end while 80,000 shards wait, with the plan of the claim
    overhead       200 shards of 32 small images by one worker: time from first claim to last end, less what was computed
    scaling        40 shards of pure Python, by one worker and by two

Medians of several runs where a run is short. The machine must be quiet: two workers need two free cores. A missed bar makes
the exit code 1.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import ClauseElement, Connection, Executable, Row, text

from benchmarks.many_evaluations import fill
from benchmarks.sweep import keras_sweep, linear_gaussian_sweep
from cli.ties import ties_among
from scheduler.composition import Application, open_application
from scheduler.queue.celery_queue import CeleryWorkQueue
from scheduler.settings import Settings
from scheduler.store import schema
from scheduler.store.artifacts import ArtifactStore
from scheduler.store.database import Database
from scheduler.store.shard_work import take_best
from scheduler.store.sql_reads import SqlReadStore
from scheduler.store.sql_submissions import SqlSubmissionStore
from scheduler.store.sql_work import SqlWorkStore
from scheduler.submission import prepare, submit
from tests.chaos.broker import Broker
from tests.chaos.emptied import emptied
from tests.factories import evaluation_request, protocol, stored_file
from tests.postgresql_server import running_postgresql
from vaeval_core.checkpoints.catalogue import describe
from vaeval_core.checkpoints.linear_gaussian import linear_gaussian_vae
from vaeval_core.features.catalogue import resolve_extractor
from vaeval_core.images.catalogue import survey_images
from vaeval_core.metrics.rank_groups import reach_of_ties
from vaeval_core.presets import ProtocolRequest
from vaeval_core.shard_plan import plan_shards

PROJECT = Path(__file__).parents[1]

missed: list[str] = []
"""What took longer than its bar."""
LEAST_SPEED_UP = 1.8
CASES = ("submit", "leaderboard", "claim", "overhead", "scaling")


def say(line: str) -> None:
    """A line of the report."""
    print(line, flush=True)


def report(what: str, seconds: float, bar: float | None = None) -> None:
    """A measured time, and the bar that it must stay under, in seconds too."""
    verdict = "" if bar is None else f"bar: {_shown(bar)}"
    if bar is not None and seconds >= bar:
        missed.append(what)
        verdict += " MISSED"
    say(f"  {what:<74} {_shown(seconds):>12}  {verdict}")


def _shown(seconds: float) -> str:
    return f"{seconds * 1000:,.1f} ms" if seconds < 1 else f"{seconds:,.2f} s"


def timed(action: Callable[[], object]) -> float:
    """Seconds that it took."""
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def median(action: Callable[[], object], runs: int = 7) -> float:
    """Median over runs, after one that does not count."""
    action()
    return statistics.median(timed(action) for _ in range(runs))


def plan_of(database: Database, statement: Executable | str) -> list[str]:
    """How the database goes about it."""

    def work(connection: Connection) -> list[str]:
        query = statement
        if isinstance(statement, ClauseElement):
            query = str(statement.compile(connection, compile_kwargs={"literal_binds": True}))
        how = "EXPLAIN QUERY PLAN" if database.is_sqlite else "EXPLAIN"
        return [str(row[-1]) for row in connection.exec_driver_sql(f"{how} {query}")]

    return database.read(work)


def say_plan(database: Database, statement: Executable | str) -> None:
    """The plan, indented."""
    for line in plan_of(database, statement):
        say(f"      {line}")


def finish_everything(database: Database) -> None:
    """As if all that was submitted had been computed."""

    def work(connection: Connection) -> None:
        for table in ("shards", "reference_sets", "evaluations"):
            connection.execute(text(f"UPDATE {table} SET state = 'finished'"))

    database.write(work)


# --- cases ------------------------------------------------------------------------------------------------------------


def measure_submit(database: Database, folder: Path, arguments: argparse.Namespace) -> None:
    """In the store, then as a command with files to be read."""
    emptied(database)
    shards = plan_shards(10_000, 128)
    chosen = protocol(num_samples=10_000, num_reconstructions=10_000, num_reference=10_000)
    requests = [
        evaluation_request(f"sweep/{number}", protocol=chosen, shards=shards, reference_shards=shards)
        for number in range(arguments.checkpoints)
    ]
    store = SqlSubmissionStore(database)
    report(
        f"{arguments.checkpoints:,} new checkpoints, {len(shards)} shards each: store",
        timed(lambda: store.submit(requests)),
    )
    finish_everything(database)
    report(f"{arguments.checkpoints:,} finished ones again: store", timed(lambda: store.submit(requests)))
    assert store.submit(requests).new_shards == 0
    np.save(folder / "images.npy", np.random.default_rng(0).integers(0, 256, (600, 28, 28, 1), np.uint8))
    sweeps = {
        "linear-Gaussian": (linear_gaussian_sweep, "digits:test"),
        "Keras pairs": (keras_sweep, str(folder / "images.npy")),
    }
    for kind, (make, data) in sweeps.items():
        runs = folder / kind.partition(" ")[0]
        if not runs.exists():
            make(runs, arguments.checkpoints)
        _measure_command(database, folder, kind, runs, data, arguments.checkpoints)


def _measure_command(database: Database, folder: Path, kind: str, runs: Path, data: str, count: int) -> None:
    """`vaeval submit` of a folder of checkpoints, from the start of the process to its end."""
    emptied(database)
    with broker_url(folder) as url:
        environment = {**os.environ, "VAEVAL_HOME": str(folder / "home"), "VAEVAL_BROKER_URL": url}
        environment |= {"VAEVAL_DATABASE_URL": plain_url(database), "PYTHONPATH": str(PROJECT)}
        # As what pip installs: Python keeps the compiled form of a module, and the first run here makes it.
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        words = ["submit", str(runs), "--data", data, "--protocol", "quick", "--extractor", "pixels-8x8"]
        command = [sys.executable, "-P", "-c", "from cli.main import main; main()", *words]

        def run() -> None:
            subprocess.run(command, env=environment, check=True, capture_output=True)

        report(f"{count:,} new checkpoints ({kind}): vaeval submit, all of it", timed(run), 5.0)
        waiting = CeleryWorkQueue(url).waiting()
        finish_everything(database)
        report(f"{count:,} finished ones again ({kind}): vaeval submit, all of it", median(run, 3), 2.0)
        assert CeleryWorkQueue(url).waiting() == waiting, "something was announced again"


def measure_leaderboard(database: Database, folder: Path, arguments: argparse.Namespace) -> None:
    """One board with everything on it: the worst case."""
    emptied(database)
    artifacts = ArtifactStore(str(folder / "artifacts"))
    fill(database, artifacts, arguments.evaluations)
    reads = SqlReadStore(database)
    rows = reads.best(20)
    ties = ties_among(rows, reads, artifacts)
    fingerprint = rows[0]["fingerprint"]
    number = f"{arguments.evaluations:,}"
    tied = sum(standing == "tied" for standing in ties.standings.values())
    assert tied, "a board on which ties had to be looked for"

    def command() -> None:
        ties_among(reads.best(20), reads, artifacts)

    report(f"the best 20 of {number} with their ties, as vaeval leaderboard --top 20", median(command), 0.1)
    report("  of which the rows", median(lambda: reads.best(20)))
    reach = {fingerprint: reach_of_ties(arguments.evaluations - 1, 10_000)}
    near = reads.contenders(reach, most=200)[fingerprint]
    say(
        f"      {near.count} of {number} within {reach[fingerprint]:.2f} standard errors of the best, {tied} of 20 tied"
    )
    report("  of which finding those within reach", median(lambda: reads.contenders(reach, most=200)))
    report("  of which counting all", median(lambda: reads.board_sizes([fingerprint])))
    of_board = "FROM evaluations WHERE state = 'finished' AND protocol_id = 1 AND fid IS NOT NULL"
    say_plan(database, f"SELECT id, fid {of_board} ORDER BY fid, id LIMIT 20")
    say_plan(database, f"SELECT id {of_board} AND fid - 5.0 <= 6.7 * (fid_std_error + 0.5) ORDER BY fid, id LIMIT 201")
    say_plan(database, "SELECT COUNT(*), COUNT(fid) FROM evaluations WHERE state = 'finished' AND protocol_id = 1")
    queries = {
        "the best 20: SQL on the view": "SELECT * FROM leaderboard WHERE rank <= 20",
        "the best 20 of a fingerprint": f"SELECT * FROM leaderboard WHERE rank <= 20 AND fingerprint = '{fingerprint}'",
        "how many": "SELECT COUNT(*) FROM leaderboard",
        "all rows, fetched": "SELECT * FROM leaderboard",
    }
    for what, query in queries.items():
        report(what, median(partial(rows_of, database, query), runs=3))
    say_plan(database, queries["the best 20: SQL on the view"])


def rows_of(database: Database, query: str) -> Sequence[Row[Any]]:
    """What the query gives, fetched."""
    return database.read(lambda connection: connection.exec_driver_sql(query).all())


def measure_claim(database: Database, folder: Path, arguments: argparse.Namespace) -> None:
    """One shard after another, as one worker."""
    emptied(database)
    shards = plan_shards(10_240, 128)
    chosen = protocol(num_samples=10_240, num_reconstructions=0, num_reference=32)
    requests = [
        evaluation_request(f"sweep/{number}", protocol=chosen, shards=shards) for number in range(arguments.checkpoints)
    ]
    SqlSubmissionStore(database).submit(requests)
    work = SqlWorkStore(database, lease_seconds=600)

    def one() -> None:
        claim = work.claim_shard("worker")
        assert claim is not None
        work.finish_shard(claim, stored_file(f"file-{claim.shard_id}-{claim.token}"), 1.0)

    report(f"claim and end of a shard while {len(shards) * len(requests):,} wait", median(one, runs=200))
    say_plan(database, take_best("worker", 60.0))


def measure_overhead(database: Database, folder: Path, arguments: argparse.Namespace) -> None:
    """From the journal: what happened when."""
    seconds, computed = work_off(database, folder, shards=200, workers=1, burn=0.0)
    report("200 shards of 32 small images, one worker", seconds)
    report("  of which reading, computing and measuring images", computed)
    report("  what the service adds to a shard", (seconds - computed) / 200, 0.03)


def measure_scaling(database: Database, folder: Path, arguments: argparse.Namespace) -> None:
    """Shards that need nothing but a processor."""
    one, _ = work_off(database, folder, shards=40, workers=1, burn=0.2)
    two, _ = work_off(database, folder, shards=40, workers=2, burn=0.2)
    report("40 shards of 0.2 s of pure Python, one worker", one)
    report("the same, two workers", two)
    speed_up = one / two
    if speed_up < LEAST_SPEED_UP:
        missed.append("two workers beside one")
    verdict = " MISSED" if speed_up < LEAST_SPEED_UP else ""
    say(f"  {'speed-up':<74} {speed_up:>12.2f}  bar: {LEAST_SPEED_UP:g} on two free cores{verdict}")


def work_off(database: Database, folder: Path, *, shards: int, workers: int, burn: float) -> tuple[float, float]:
    """Seconds from the first claim to the last end of an evaluation's shards, and those that were spent computing."""
    emptied(database)
    checkpoint = folder / "vae"
    if not checkpoint.exists():
        linear_gaussian_vae(np.eye(64, 2) * 0.2, np.full(64, 0.4), 0.01, (8, 8, 1)).save(checkpoint)
    with broker_url(folder) as url:
        variables = {"VAEVAL_HOME": str(folder / "home"), "VAEVAL_DATABASE_URL": plain_url(database)}
        variables["VAEVAL_BROKER_URL"] = url
        command = [sys.executable, "-P", "-m", "benchmarks.burning_worker", "--devices", "cpu", "--threads", "1"]
        environment = {**os.environ, **variables, "PYTHONPATH": str(PROJECT), "BURN_SECONDS": str(burn)}
        with open_application(Settings.from_environment(variables)) as application:
            process = subprocess.Popen(
                [*command, "--workers", str(workers)], env=environment, stderr=subprocess.DEVNULL
            )
            try:
                # What starting costs is paid before: the first evaluation makes every slot load its libraries.
                work_through(application, url, checkpoint, shards=8 * workers, seed=1)
                work_through(application, url, checkpoint, shards=shards, seed=2)
            finally:
                process.terminate()
                process.wait(120)
            return database.read(_seconds_of_the_last_evaluation)


def work_through(application: Application, url: str, checkpoint: Path, *, shards: int, seed: int) -> None:
    """Submit an evaluation of so many shards and wait until it is over."""
    digits = survey_images("digits:test")
    extractor = resolve_extractor("pixels-8x8", weights=None, weights_folder=checkpoint.parent)
    request = ProtocolRequest(samples=32 * shards, reconstructions=0, reference=32, extractor="pixels-8x8", seed=seed)
    requests = prepare([describe(checkpoint)], digits, request, extractor, shard_size=32)
    submit(application, CeleryWorkQueue(url), digits, requests)
    while not application.reads.progress().is_over:
        time.sleep(0.05)


def _seconds_of_the_last_evaluation(connection: Connection) -> tuple[float, float]:
    seconds = "(julianday(MAX(e.at)) - julianday(MIN(e.at))) * 86400"
    if connection.dialect.name != "sqlite":
        seconds = "EXTRACT(EPOCH FROM MAX(e.at) - MIN(e.at))"
    last = "(SELECT MAX(id) FROM evaluations)"
    of_shards = f"SELECT {seconds} FROM events e WHERE e.evaluation_id = {last} AND e.shard_id IS NOT NULL"
    computed = f"SELECT SUM(seconds) FROM shards WHERE evaluation_id = {last}"
    return tuple(float(connection.exec_driver_sql(query).scalar_one()) for query in (of_shards, computed))  # type: ignore[return-value]


# --- where ------------------------------------------------------------------------------------------------------------


@contextmanager
def broker_url(folder: Path) -> Iterator[str]:
    """A broker of one case."""
    with tempfile.TemporaryDirectory(prefix="vaeval-b-") as short:
        broker = Broker(Path(short))
        try:
            yield f"redis+socket://{broker.socket}?virtual_host=0"
        finally:
            broker.kill()


def plain_url(database: Database) -> str:
    """As a setting."""
    return database.url.replace("postgresql+psycopg://", "postgresql://")


@contextmanager
def opened(kind: str, folder: Path) -> Iterator[Database]:
    """A database with tables."""
    with ExitStack() as stack:
        url = f"sqlite:///{folder / 'benchmark.db'}"
        if kind == "postgresql":
            url = stack.enter_context(running_postgresql()).render_as_string(hide_password=False)
        database = Database(url)
        stack.callback(database.dispose)
        schema.upgrade(database)
        yield database


def main() -> int:
    """Measure what the command line names. Returns the exit code: 1 if something took longer than its bar."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.store", description=__doc__)
    parser.add_argument("--database", choices=["sqlite", "postgresql"], action="append")
    parser.add_argument("--only", choices=CASES, nargs="+", default=list(CASES))
    parser.add_argument("--evaluations", type=int, default=100_000)
    parser.add_argument("--checkpoints", type=int, default=1_000)
    arguments = parser.parse_args()
    say(f"Python {platform.python_version()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    for kind in arguments.database or ["sqlite", "postgresql"]:
        with tempfile.TemporaryDirectory() as folder, opened(kind, Path(folder)) as database:
            for case in arguments.only:
                say(f"{kind}: {case}")
                globals()[f"measure_{case}"](database, Path(folder), arguments)
    for what in missed:
        say(f"MISSED {what}")
    return 1 if missed else 0


if __name__ == "__main__":
    raise SystemExit(main())
