"""Runs simulated schedules, one after another, on one database."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from scheduler.composition import Application, open_application
from scheduler.settings import Settings
from scheduler.submission import register
from tests.chaos.emptied import emptied
from tests.chaos.invariants import violations
from tests.chaos.no_shared_locks import no_shared_locks
from tests.chaos.one_thread import one_thread
from tests.chaos.results import Results, results_of
from tests.chaos.simulated_process import PoisonedModels
from tests.chaos.simulation import Simulation
from tests.chaos.stepped import Verdict, gates_at_statements
from tests.chaos.workload import Workload
from workers.shard_runner import RunOutcome, make_runner


@dataclass(frozen=True)
class Outcome:
    """What became of one schedule."""

    seed: int
    violations: Sequence[str]
    story: Sequence[str]
    summary: str


def summary_of(story: Sequence[str]) -> str:
    """One line: what happened how often."""
    verdicts = [line.rpartition(", ")[2] for line in story if line.startswith("process-") and ", " in line]
    others = [line.partition(":")[0] for line in story if not line.startswith(("process-", "sweep"))]
    happened = Counter([verdict for verdict in verdicts if verdict != Verdict.GO] + others)
    return f"{len(verdicts)} calls; " + ", ".join(f"{count} {word}" for word, count in sorted(happened.items()))


class Schedules:
    """Simulated schedules on one database, which must have its tables.

    Args:
        folder: For checkpoints and artifacts.
        database_url: As in the settings.
        interleaved: Transactions of several processes are open at once, and their statements meet in any order.
    """

    def __init__(self, folder: Path, database_url: str, *, interleaved: bool = False) -> None:
        (folder / "checkpoints").mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._url = database_url
        self.interleaved = interleaved
        self._workload = Workload(folder / "checkpoints")
        self._models: PoisonedModels | None = None
        self._undisturbed: Results | None = None

    def close(self) -> None:
        """Nothing was started."""

    def run(self, seed: int) -> Outcome:
        """One schedule, judged."""
        undisturbed = self._undisturbed = self._undisturbed or self._run_undisturbed()
        with self._opened() as application:
            models = self._kept_models(application)
            simulation = Simulation(seed, application, self._workload, models, interleaved=self.interleaved)
            if simulation.strikes.may_fail:
                simulation.story.append("may fail what it strikes three times")
            gates = gates_at_statements(application.database) if self.interleaved else nullcontext()
            try:
                with gates:
                    simulation.run()
                found = violations(application, undisturbed, simulation.strikes)
            except Exception as error:  # noqa: BLE001 - whatever it is, a schedule must not end like this
                found = [f"{type(error).__name__}: {error}"]
            return Outcome(seed, found, simulation.story, summary_of(simulation.story))

    def _run_undisturbed(self) -> Results:
        with self._opened() as application:
            register(application, self._workload.digits, self._workload.requests)
            runner = make_runner(application, "undisturbed")
            while runner.run_one() is not RunOutcome.NOTHING_TO_DO:
                pass
            return results_of(application)

    def _kept_models(self, application: Application) -> PoisonedModels:
        self._models = self._models or PoisonedModels(application.artifacts, self._folder)
        return self._models

    @contextmanager
    def _opened(self) -> Iterator[Application]:
        home = self._folder / "home"
        shutil.rmtree(home / "artifacts", ignore_errors=True)
        environment = {"VAEVAL_HOME": str(home), "VAEVAL_DATABASE_URL": self._url}
        with one_thread(), no_shared_locks(), open_application(Settings.from_environment(environment)) as application:
            emptied(application.database)
            yield application
