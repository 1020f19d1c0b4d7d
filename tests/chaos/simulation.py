"""One seeded schedule: real workers' code on simulated processes, and everything that can happen to them, in one order.

    disturbed   a few hundred steps: processes go on, die, freeze, lose answers; leases end; files are cut, altered, lost;
                announcements are wiped and doubled; evaluations are cancelled, queued again, submitted again
    calm        nothing more happens; what is frozen thaws; everything must come to an end by itself
    again       what the disturbances cancelled is queued again, and must finish too

A shard that is struck on each of its attempts fails, and its evaluation with it: so it is meant. One schedule in five is
declared to do that, and what it failed is queued again too. All others strike no last attempt, and whatever fails in them is a
violation.

Leases end when the schedule says so, and unless it is interleaved only one process runs at a time: so a seed and a kind of
database give the same schedule on every machine.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from scheduler.composition import Application
from scheduler.lifecycle import EvaluationState
from scheduler.recovery import Recovery
from scheduler.settings import MAX_ATTEMPTS
from scheduler.store.base import EvaluationRecord
from scheduler.store.sql_work import SqlWorkStore
from scheduler.submission import announce, register
from tests.chaos.history import Strikes
from tests.chaos.interference import Interference
from tests.chaos.last_attempts import LastAttempts
from tests.chaos.simulated_process import LEASE_SECONDS, Bell, PoisonedModels, SimulatedProcess
from tests.chaos.stepped import MOMENT_SECONDS, STATEMENT, Stepped, Verdict
from tests.chaos.workload import POISON, Workload
from vaeval_core.errors import ServiceUnreachable, VaevalError

PROCESSES = 3
MOST_OTHERS = 2
"""Of those who do something else than work, at the same time."""

LONGEST_CALM = 5_000
"""Calls after which a schedule that is not over never will be."""

STATEMENTS_OF_A_CALL = 8
"""About so many gates has a call where there are gates at statements."""

_DEADLY = frozenset({Verdict.DIE_BEFORE, Verdict.DIE_AFTER, Verdict.DIE_WITHIN})
_FOR_ONE_AT_A_TIME = frozenset({Verdict.DIE_WITHIN, Verdict.DISK_FULL, Verdict.INTERRUPTED})
"""Verdicts that change the whole program, or need the database for themselves, as long as a call lasts."""


@dataclass
class Simulation:
    """One schedule on one database.

    Args:
        seed: Decides everything.
        application: On an empty database, with artifacts of its own.
        workload: What is evaluated.
        models: Kept between schedules, for speed.
        interleaved: Whoever watches, submits and cancels is a process too, and there are gates before all statements: several
            transactions are open at once. Then a seed gives the same schedule, and about the same order of statements.
    """

    seed: int
    application: Application
    workload: Workload
    models: PoisonedModels
    interleaved: bool = False
    story: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        work = SqlWorkStore(self.application.database, lease_seconds=LEASE_SECONDS)
        self.application = replace(self.application, work=work)
        self.random = random.Random(self.seed)
        self.bell = Bell()
        # A maintenance lease that no schedule outlives: that one ends is the schedule's doing too.
        watching = replace(self.application.settings, sweep_seconds=LEASE_SECONDS)
        self.watchers = [
            Recovery(self.application.recovery, self.bell, owner=owner, settings=watching)
            for owner in ("supervisor", "scheduler")
        ]
        self.interference = Interference(self.application, self.random)
        self.processes: list[SimulatedProcess] = []
        self.others: list[Stepped] = []
        self.dead: list[str] = []
        self.started = 0
        self.has_poison = self.random.random() < 0.25
        self.strikes = Strikes(may_fail=self.random.random() < 0.2)
        self.last_attempts = LastAttempts(self.application)
        self.steps = self.random.randint(60, 300)
        # How wild it is, and where: some schedules kill a lot, some lose answers, some do a little of everything.
        self.odds = {
            verdict: self.random.choice((0.0, 0.005, 0.02)) for verdict in Verdict if verdict is not Verdict.GO
        }

    def run(self) -> None:
        """All of it; what it ends with is for `tests.chaos.invariants` to judge."""
        try:
            self._submit()
            self._disturbed()
            self._calm()
            self._again()
        finally:
            threads = [*(process.thread for process in self.processes), *self.others]
            # Who is busy may wait for what another one holds.
            for thread in sorted(threads, key=lambda thread: thread.is_busy):
                thread.kill()

    # --- the three parts ----------------------------------------------------------------------------------------------

    def _submit(self) -> None:
        requests = [*self.workload.requests, *(self.workload.poison if self.has_poison else [])]
        self._tell(f"submitted {len(requests)} evaluations")
        receipt = register(self.application, self.workload.digits, requests)
        announce(self.bell, receipt)

    def _disturbed(self) -> None:
        gates = STATEMENTS_OF_A_CALL if self.interleaved else 1
        for step in range(self.steps * gates):
            self._start_missing(odds=0.5)
            happening = self._happening() if step % gates == 0 else None
            if happening is None:
                self._let_one_go_on()
            else:
                happening()

    def _calm(self) -> None:
        self._tell("calm")
        self.bell.is_away = False
        for _ in range(LONGEST_CALM * (STATEMENTS_OF_A_CALL if self.interleaved else 1)):
            self._start_missing(odds=1.0)
            ready = [process for process in self.processes if not process.hears_the_bell]
            if ready or self.others or self.bell.announcements:
                self._let_one_go_on(calm=True)
            elif self.application.reads.progress().is_over and not self.application.recovery.claimable():
                return
            else:
                self.interference.end_leases()
                self.interference.end_pauses()
                self._sweep_once()
        raise TimeoutError(f"not over after {LONGEST_CALM} calm steps")

    def _again(self) -> None:
        stopped = [record.evaluation_id for record in self.application.reads.evaluations() if self._is_stopped(record)]
        if stopped:
            self._tell(f"queued again: {stopped}")
            announce(self.bell, self.application.submissions.retry(stopped))
            self._calm()

    def _is_stopped(self, record: EvaluationRecord) -> bool:
        """True for what the schedule itself ended. Poison fails by itself, unless its reference did before."""
        if record.state is not EvaluationState.FAILED or not self.strikes.may_fail:
            return record.state is EvaluationState.CANCELLED
        return not record.checkpoint_uri.endswith(POISON) or str(record.error).startswith("The reference failed")

    # --- what can happen ----------------------------------------------------------------------------------------------

    def _happening(self) -> Callable[[], None] | None:
        """One thing out of the ordinary, or None: then somebody goes on."""
        happenings: dict[Callable[[], None], float] = {
            self._sweep: 0.05,
            self._end_leases: 0.03,
            self._end_pauses: 0.03,
            self._wipe_broker: 0.01,
            self._ring_five_times: 0.01,
            self._broker_goes_or_comes: 0.01,
            self._damage_a_file: 0.01,
            self._cancel: 0.004,
            self._retry: 0.01,
            self._submit_again: 0.01,
            self._pass_on_maintenance: 0.01,
        }
        draw = self.random.random()
        for happening, odds in happenings.items():
            draw -= odds
            if draw < 0:
                return happening
        return None

    def _let_one_go_on(self, *, calm: bool = False) -> None:
        self._take_note()
        everybody: list[SimulatedProcess | Stepped] = [*self.processes, *self.others]
        able = [
            process
            for process in everybody
            if not _thread_of(process).is_busy
            and not (isinstance(process, SimulatedProcess) and process.hears_the_bell and not self.bell.announcements)
        ]
        if not able:
            time.sleep(MOMENT_SECONDS / 10)  # all that go on do so in the database, or compute
            return
        chosen = self.random.choice(able)
        if isinstance(chosen, SimulatedProcess):
            self._let_go_on(chosen, calm=calm)
        else:
            chosen.step(Verdict.DIE_BEFORE if not calm and self._verdict() in _DEADLY else Verdict.GO)
        self._take_note()

    def _let_go_on(self, process: SimulatedProcess, *, calm: bool) -> None:
        waited_for = process.thread.waits_for
        if process.hears_the_bell:
            self.bell.announcements -= 1
        verdict = Verdict.GO if calm or self._must_be_spared(process) else self._verdict_at(waited_for)
        if verdict not in {Verdict.GO, Verdict.INTERRUPTED}:
            self.strikes.of[process.name] += 1
        if verdict in _DEADLY:
            self.dead.append(process.name)
        process.thread.step(verdict)
        if verdict is not Verdict.GO or waited_for not in {"bell", STATEMENT}:
            within = f" of {process.thread.calling}" if waited_for == STATEMENT else ""
            self._tell(f"{process.name}: {waited_for}{within}, {verdict}")
        if waited_for in {"fail_shard", "release_finalise"} and not self.interleaved:
            self.interference.hold_pauses()

    def _take_note(self) -> None:
        """Of who is busy no more, and who is dead."""
        for thread in (*(process.thread for process in self.processes), *self.others):
            thread.look()
        for process in [process for process in self.processes if process.thread.is_dead]:
            self._tell(f"{process.name} is dead")
            self.processes.remove(process)
            if process.name not in self.dead:  # by poison, or by what its last shard raised
                self.dead.append(process.name)
                self.strikes.of[process.name] += 1
        self.others = [thread for thread in self.others if not thread.is_dead]

    def _must_be_spared(self, process: SimulatedProcess) -> bool:
        if self.strikes.may_fail:
            return False
        call = process.thread.calling or process.thread.waits_for
        if call not in {"claim_shard", "claim_finalise"}:
            return self.last_attempts.is_held(process.name)
        if self.interleaved:
            # By the time that it claims, there may be something else to claim; but a claim that is not committed is none.
            return process.thread.waits_for != STATEMENT
        return self.last_attempts.is_next()

    def _verdict_at(self, gate: str) -> Verdict:
        verdict = self._verdict()
        if gate == STATEMENT:
            return Verdict.DIE_BEFORE if verdict in _DEADLY else Verdict.GO
        return Verdict.GO if self.interleaved and verdict in _FOR_ONE_AT_A_TIME else verdict

    def _act(self, name: str, action: Callable[[], object]) -> None:
        """Something that writes to the database: done at once, or by one who goes on when it is his turn."""
        if not self.interleaved:
            action()
        elif len(self.others) < MOST_OTHERS:
            self.others.append(Stepped(name, lambda _: action(), interleaved=True))

    def _verdict(self) -> Verdict:
        draw = self.random.random()
        for verdict, odds in self.odds.items():
            draw -= odds
            if draw < 0:
                return verdict
        return Verdict.GO

    def _start_missing(self, *, odds: float) -> None:
        while len(self.processes) < PROCESSES and self.random.random() < odds:
            self.started += 1
            name = f"process-{self.started}"
            self.processes.append(SimulatedProcess(name, self.application, self.models, interleaved=self.interleaved))

    def _sweep(self) -> None:
        self._act("sweep", self._sweep_once)

    def _sweep_once(self) -> None:
        watcher = self.random.choice(self.watchers)
        try:
            report = watcher.step()
        except ServiceUnreachable:
            report = None
        self._tell(f"sweep: {report if report is None else report.lost}")

    def _end_leases(self) -> None:
        drawn = self.random.sample(self.processes, self.random.randint(0, len(self.processes)))
        frozen = [process.name for process in drawn if not self._must_be_spared(process)]
        self.strikes.of.update(frozen)
        self._tell(f"leases end: those of the dead, and of {sorted(frozen)}")
        most = MAX_ATTEMPTS if self.strikes.may_fail else MAX_ATTEMPTS - 1
        names = [*self.dead, *frozen]
        self._act("time", lambda: self.interference.end_leases(names, most_attempts=most))

    def _end_pauses(self) -> None:
        self._act("time", self.interference.end_pauses)

    def _wipe_broker(self) -> None:
        self._tell("the broker is wiped")
        self.bell.announcements = 0

    def _ring_five_times(self) -> None:
        self._tell("every announcement comes five times")
        self.bell.announcements += 4 * min(self.bell.announcements, 20)

    def _broker_goes_or_comes(self) -> None:
        self.bell.is_away = not self.bell.is_away
        self._tell("the broker " + ("goes away" if self.bell.is_away else "is back"))

    def _damage_a_file(self) -> None:
        if self.interleaved:
            return  # whether a file may be lost depends on what others are about to do
        root = Path(self.application.artifacts.url)
        is_spared = (
            (lambda _: False) if self.strikes.may_fail else (lambda key: not self.last_attempts.allow_damage(key))
        )
        self._tell(self.interference.damage_a_file(root, is_spared))

    def _cancel(self) -> None:
        number = self.random.randint(1, 3)
        self._act("cancel", lambda: self._tell(f"cancelled: {self.application.submissions.cancel([number])}"))

    def _retry(self) -> None:
        number = self.random.randint(1, 3)

        def retry() -> None:
            receipt = self.application.submissions.retry([number])
            self._tell(f"retried: {receipt}")
            self._announce_if_possible(lambda: announce(self.bell, receipt))

        self._act("retry", retry)

    def _submit_again(self) -> None:
        request = replace(self.random.choice(self.workload.requests), priority=self.random.choice((0, 0, 1)))

        def submit() -> None:
            receipt = register(self.application, self.workload.digits, [request])
            self._tell(f"submitted again: {receipt}")
            self._announce_if_possible(lambda: announce(self.bell, receipt))

        self._act("submit", submit)

    def _pass_on_maintenance(self) -> None:
        self._act("time", self.interference.end_maintenance_lease)

    def _announce_if_possible(self, ring: Callable[[], None]) -> None:
        try:
            ring()
        except VaevalError:
            self._tell("nobody was told")

    def _tell(self, line: str) -> None:
        self.story.append(line)


def _thread_of(process: SimulatedProcess | Stepped) -> Stepped:
    return process.thread if isinstance(process, SimulatedProcess) else process
