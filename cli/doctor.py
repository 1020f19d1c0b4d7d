"""`vaeval doctor`: is everything there that an evaluation needs, here and now?"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import typer

from cli import rendering
from cli.exit_codes import ExitCode
from cli.options import Json

if TYPE_CHECKING:
    from cli.finding import Check
    from scheduler.settings import Settings

SERVICES = frozenset({"home", "disk", "database", "sqlite", "broker", "artifacts"})
"""Checks whose failure means that something outside this program does not serve: exit code 5 instead of 1."""


def doctor(as_json: Json = False) -> None:
    """Check this installation: folders, database, broker, artifacts, devices, TensorFlow, weights, workers.

    Each check says ok, warn or fail, and what to do. Exit code 0 if nothing failed, 5 if a folder, the database, the
    broker or the artifact storage did, 1 if anything else did.

    \b
    Examples:
      vaeval doctor
      VAEVAL_BROKER_URL=redis://… vaeval doctor --json
    """
    from scheduler.settings import Settings

    checks = examine(Settings.from_environment())
    code = exit_code_for(checks)
    if as_json:
        content = [
            {"name": check.name, "verdict": check.verdict, "finding": check.finding, "next": check.next_step}
            for check in checks
        ]
        rendering.document("doctor", {"checks": content, "exit_code": int(code)})
    else:
        print_checks(checks)
    if code is not ExitCode.OK:
        raise typer.Exit(code)


def examine(settings: Settings) -> tuple[Check, ...]:
    """Run all checks; TensorFlow is imported in a process of its own meanwhile."""
    from cli import machine_checks as machine
    from cli import service_checks as service

    with machine.start_tensorflow_probe() as probe:
        try:
            artifacts = service.local_folder(settings.artifacts)
            checks = (
                machine.check_python(),
                machine.check_home(settings.home),
                machine.check_space([settings.home] if artifacts is None else [settings.home, artifacts]),
                service.check_database(settings),
                machine.check_sqlite_place(settings),
                service.check_broker(settings),
                service.check_artifacts(settings),
                machine.check_weights(settings.home / "weights"),
                service.check_workers(settings),
            )
            tensorflow, said = machine.check_tensorflow(probe)
        finally:
            probe.kill()
    return (*checks, tensorflow, machine.check_devices(machine.gpu_names(), said))


def print_checks(checks: Sequence[Check]) -> None:
    """What was found, one check a row; then what to do."""
    columns = [
        rendering.Column(title="CHECK"),
        rendering.Column(title="VERDICT"),
        rendering.Column(title="FINDING", wraps=True),
    ]
    rendering.table(columns, [(check.name, check.verdict, check.finding) for check in checks])
    for check in checks:
        if check.next_step is not None:
            rendering.note(f"{check.name}: next: {check.next_step}")


def exit_code_for(checks: Iterable[Check]) -> ExitCode:
    """The exit code that the checks come to."""
    failed = {check.name for check in checks if check.verdict == "fail"}
    if not failed:
        return ExitCode.OK
    return ExitCode.UNREACHABLE if failed & SERVICES else ExitCode.UNEXPECTED
