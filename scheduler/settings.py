"""Where vaeval keeps things and finds its services. The only reader of the VAEVAL_* environment variables.

Every variable may instead be given as a file: `VAEVAL_DATABASE_URL_FILE=/run/secrets/database_url` holds the value, so
that passwords stay out of process lists and compose files.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from vaeval_core.errors import InvalidInput

VARIABLES: dict[str, str] = {
    "VAEVAL_HOME": "Folder for everything that is not told otherwise. Default: ~/.vaeval",
    "VAEVAL_DATABASE_URL": "sqlite:///… or postgresql://… . Default: a SQLite file in VAEVAL_HOME",
    "VAEVAL_BROKER_URL": "redis://… or rediss://… . Default: a Valkey server that vaeval starts itself",
    "VAEVAL_ARTIFACTS": "Folder or fsspec URL (s3://…) for arrays and pictures. Default: VAEVAL_HOME/artifacts",
    "VAEVAL_LEASE_SECONDS": "A worker that is silent this long is taken for dead. Default: 60",
    "VAEVAL_SWEEP_SECONDS": "How often lost work is looked for. Default: 15",
    "VAEVAL_STALL_SECONDS": "A worker that finishes no batch for this long is taken for stuck. Default: 300",
    "VAEVAL_METRICS_PORT": "PORT or HOST:PORT where workers and scheduler answer Prometheus. Default: off",
}
"""Every variable with its meaning: what `vaeval config` prints and what docker-compose.yml is checked against."""

DATABASE_FILE = "vaeval.db"
"""The SQLite database of a home folder."""

_SECRET_PARAMETER = re.compile(r"((?:^|(?<=&))(?:password|sslpassword|passfile|secret)=)([^&]*)", re.IGNORECASE)

_HOME_FOLDERS = frozenset({"artifacts", "broker", "datasets", "digests", "logs", "weights"})
"""What vaeval makes in a home folder."""

DEFAULT_STALL_SECONDS = 300.0
"""Longer than it takes to load TensorFlow, a large checkpoint from a slow share, and to compile the first batch."""

MAX_ATTEMPTS = 3
"""Claims of one shard before it fails: a shard that kills its worker must not do so for ever."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Resolved settings; see `VARIABLES`.

    Attributes:
        home: Folder of the installation.
        database_url: SQLAlchemy URL with its driver, password included.
        broker_url: Celery broker URL, or None for the embedded server.
        artifacts: fsspec URL or path.
        lease_seconds: Lease of a claim; renewed at least four times as often.
        sweep_seconds: Pause between two sweeps of recovery.
        stall_seconds: Longest time between two batches of a shard, loading its models included.
        metrics_address: Host and port where Prometheus is answered, or None for nowhere.
    """

    home: Path
    database_url: str
    broker_url: str | None
    artifacts: str
    lease_seconds: float = 60.0
    sweep_seconds: float = 15.0
    stall_seconds: float = DEFAULT_STALL_SECONDS
    metrics_address: tuple[str, int] | None = None

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Settings:
        """Read the variables; nothing is created or connected.

        Raises:
            InvalidInput: A variable has a value that cannot be used, or a `_FILE` variable names no readable file.
        """
        values = _with_files(os.environ if environment is None else environment)
        home = Path(values.get("VAEVAL_HOME") or "~/.vaeval").expanduser().absolute()
        if "?" in str(home) and not values.get("VAEVAL_DATABASE_URL"):
            raise InvalidInput(
                "VAEVAL_HOME cannot hold the database: a question mark would end the path in its address.",
                received=str(home),
                expected="a path without `?`",
                next_step="give VAEVAL_HOME another path, or set VAEVAL_DATABASE_URL",
            )
        return cls(
            home=home,
            database_url=_database_url(values.get("VAEVAL_DATABASE_URL") or f"sqlite:///{home / DATABASE_FILE}"),
            broker_url=_broker_url(values.get("VAEVAL_BROKER_URL")),
            artifacts=values.get("VAEVAL_ARTIFACTS") or str(home / "artifacts"),
            lease_seconds=_seconds(values, "VAEVAL_LEASE_SECONDS", cls.lease_seconds),
            sweep_seconds=_seconds(values, "VAEVAL_SWEEP_SECONDS", cls.sweep_seconds),
            stall_seconds=_seconds(values, "VAEVAL_STALL_SECONDS", cls.stall_seconds),
            metrics_address=_address(values, "VAEVAL_METRICS_PORT"),
        )

    def __repr__(self) -> str:
        """Without passwords: it stands in tracebacks, logs and reports of tests."""
        return f"Settings({', '.join(f'{name}={value!r}' for name, value in self.shown().items())})"

    @property
    def is_sqlite(self) -> bool:
        """True if the database is a file."""
        return self.database_url.startswith("sqlite")

    def is_own_folder(self, folder: Path) -> bool:
        """True for a folder that is not to be searched for checkpoints: a home, this one or another, and what vaeval
        itself makes in one."""
        if folder in {self.home, Path(self.artifacts).absolute()} or is_home(folder):
            return True
        return folder.name in _HOME_FOLDERS and (folder.parent == self.home or is_home(folder.parent))

    def shown(self) -> dict[str, str]:
        """Variable → value for people: passwords are replaced by ***."""
        return {
            "VAEVAL_HOME": str(self.home),
            "VAEVAL_DATABASE_URL": without_password(self.database_url),
            "VAEVAL_BROKER_URL": without_password(self.broker_url) if self.broker_url else "embedded Valkey",
            "VAEVAL_ARTIFACTS": without_password(self.artifacts),
            "VAEVAL_LEASE_SECONDS": f"{self.lease_seconds:g}",
            "VAEVAL_SWEEP_SECONDS": f"{self.sweep_seconds:g}",
            "VAEVAL_STALL_SECONDS": f"{self.stall_seconds:g}",
            "VAEVAL_METRICS_PORT": ":".join(map(str, self.metrics_address)) if self.metrics_address else "off",
        }

    def as_environment(self, over: Mapping[str, str] | None = None) -> dict[str, str]:
        """The environment that makes another process see the same settings. Holds passwords: never print it.

        Args:
            over: What the process has otherwise; of it, every setting is left out, given by value or by file.
        """
        own = {*VARIABLES, *(f"{name}_FILE" for name in VARIABLES)}
        others = {name: value for name, value in (over or {}).items() if name not in own}
        variables = self.shown() | {"VAEVAL_DATABASE_URL": self.database_url, "VAEVAL_ARTIFACTS": self.artifacts}
        del variables["VAEVAL_BROKER_URL"]
        if self.metrics_address is None:
            del variables["VAEVAL_METRICS_PORT"]
        return others | variables | ({"VAEVAL_BROKER_URL": self.broker_url} if self.broker_url else {})


def is_home(folder: Path) -> bool:
    """True if vaeval has worked in the folder as its home: a database is there, or artifacts of another database."""
    artifacts = folder / "artifacts"
    return (folder / DATABASE_FILE).is_file() or (
        artifacts.is_dir() and any(_holds_numbered_folders(artifacts / kind) for kind in ("references", "evaluations"))
    )


def _holds_numbered_folders(folder: Path) -> bool:
    """Whether it looks as vaeval's artifacts do: other programs too have folders called `artifacts/evaluations`."""
    try:
        return any(entry.name.isdecimal() and entry.is_dir() for entry in folder.iterdir())
    except OSError:
        return False


def without_password(url: str) -> str:
    """The URL with every password replaced by ***, whether it stands before the host or among the parameters.

    Works on text, so that it also serves for URLs that no parser accepts.

    >>> without_password("redis://me:secret@host/0?password=secret&db=1")
    'redis://me:***@host/0?password=***&db=1'
    >>> without_password("postgresql://me:sec?ret@host/db")
    'postgresql://***'
    """
    scheme, separator, rest = url.partition("://")
    place, question_mark, parameters = rest.partition("?")
    if "@" in parameters or (not separator and "@" in url):
        # Programs disagree on what is the password here: nothing is shown, so that no reading of it is.
        return f"{url.partition(':')[0]}:{'//' if separator else ''}***"
    if not separator:
        return url
    user_and_password, at, host = place.rpartition("@")
    user, colon, _ = user_and_password.partition(":")
    shown = _SECRET_PARAMETER.sub(r"\1***", parameters)
    return f"{scheme}://{user}{':***' if colon else ''}{at}{host}{question_mark}{shown}"


def passwords_in(url: str) -> tuple[str, ...]:
    """Every password in the URL, as written and with its percent signs decoded, to keep them out of other people's texts."""
    place, _, parameters = url.partition("://")[2].partition("?")
    # To the last @ of all as well: some programs take a ? for a part of the password.
    before_hosts = place.rpartition("@")[0], url.partition(":")[2].removeprefix("//").rpartition("@")[0]
    written = [before_host.partition(":")[2] for before_host in before_hosts]
    written += [match.group(2) for match in _SECRET_PARAMETER.finditer(parameters)]
    return tuple(dict.fromkeys(word for text in written if text for word in (text, unquote(text))))


def sources(environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """Variable → where its value comes from: `environment`, `file PATH` or `default`."""
    values = os.environ if environment is None else environment
    return {
        name: f"file {values[f'{name}_FILE']}"
        if values.get(f"{name}_FILE")
        else ("environment" if values.get(name) else "default")
        for name in VARIABLES
    }


def unknown_variables(environment: Mapping[str, str] | None = None) -> list[str]:
    """A sentence on each variable that begins as ours do and means nothing, with the one that may have been meant.

    >>> unknown_variables({"VAEVAL_LEASE": "9", "VAEVAL_HOME_FILE": "home.txt"})
    ['VAEVAL_LEASE is no variable of vaeval and changes nothing; perhaps VAEVAL_LEASE_SECONDS.']
    """
    known = {*VARIABLES, *(f"{name}_FILE" for name in VARIABLES)}
    sentences = []
    for name in sorted(os.environ if environment is None else environment):
        if name.startswith("VAEVAL_") and name not in known and not name.startswith("VAEVAL_TEST_"):
            close = difflib.get_close_matches(name, VARIABLES, n=1)
            meant = f"; perhaps {close[0]}" if close else ""
            sentences.append(f"{name} is no variable of vaeval and changes nothing{meant}.")
    return sentences


def _with_files(environment: Mapping[str, str]) -> dict[str, str]:
    values = {name: value for name, value in environment.items() if name in VARIABLES}
    for name in VARIABLES:
        path = environment.get(f"{name}_FILE")
        if not path:
            continue
        try:
            values[name] = Path(path).read_text(encoding="utf-8").strip()
        except OSError as error:
            raise InvalidInput(
                f"The file named by {name}_FILE cannot be read.",
                received=f"{path} ({error.strerror})",
                expected=f"a readable file that holds the value of {name}",
                next_step=f"correct {name}_FILE, or set {name} itself",
            ) from error
    return values


def _database_url(url: str) -> str:
    """Name the driver: a bare postgresql:// means another driver in each SQLAlchemy version."""
    scheme, separator, rest = url.partition("://")
    driver = {"postgres": "postgresql+psycopg", "postgresql": "postgresql+psycopg"}.get(scheme, scheme)
    if not separator or driver not in {"sqlite", "postgresql+psycopg"}:
        raise InvalidInput(
            "VAEVAL_DATABASE_URL names no database that vaeval knows.",
            received=without_password(url),
            expected="sqlite:///path/to/file.db or postgresql://user:password@host/database",
            next_step="correct VAEVAL_DATABASE_URL, or unset it for a SQLite file; vaeval config shows what is set",
        )
    try:
        _ = urlsplit(url).port
    except ValueError:  # whose text may quote a part of the password
        raise InvalidInput(
            "VAEVAL_DATABASE_URL cannot be read as an address.",
            received=without_password(url),
            expected="postgresql://user:password@host:5432/database, with special characters of the password as %XX",
            next_step="correct VAEVAL_DATABASE_URL, then vaeval doctor",
        ) from None
    return f"{driver}://{rest}"


def _broker_url(url: str | None) -> str | None:
    if not url:
        return None
    if url.partition("://")[0] not in {"redis", "rediss", "redis+socket"} or ";" in url:
        raise InvalidInput(
            "VAEVAL_BROKER_URL names no broker that vaeval knows.",
            received=without_password(url),
            expected="redis://host:6379/0, rediss://… or redis+socket:///path/to/socket; unset it for the embedded server",
            next_step="correct VAEVAL_BROKER_URL, or unset it; vaeval config shows what is set",
        )
    try:
        _ = urlsplit(url).port
    except ValueError:  # whose text may quote a part of the password
        raise InvalidInput(
            "VAEVAL_BROKER_URL cannot be read as an address.",
            received=without_password(url),
            expected="redis://:password@host:6379/0, with special characters of the password as %XX",
            next_step="correct VAEVAL_BROKER_URL, then vaeval doctor",
        ) from None
    if _SECRET_PARAMETER.search(url.partition("?")[2]):
        raise InvalidInput(
            "VAEVAL_BROKER_URL has its password among the parameters, where the library below does not look for it.",
            received=without_password(url),
            expected="the password before the host: redis://:password@host:6379/0, special characters as %XX",
            next_step="correct VAEVAL_BROKER_URL, then vaeval doctor",
        )
    if url.startswith("rediss://") and "ssl_cert_reqs=" not in url:
        # Without a word about it, the library below would talk to anybody who has a certificate, whosever it is.
        return f"{url}{'&' if '?' in url else '?'}ssl_cert_reqs=required"
    return url


def _seconds(values: Mapping[str, str], name: str, default: float) -> float:
    text = values.get(name)
    if not text:
        return default
    try:
        seconds = float(text)
    except ValueError:
        seconds = float("nan")
    if not 0.1 <= seconds <= 86_400:  # NaN fails both
        raise InvalidInput(
            f"{name} is no usable number of seconds.",
            received=text,
            expected="0.1 to 86400",
            next_step=f"correct {name}, or unset it for the default",
        )
    return seconds


def _address(values: Mapping[str, str], name: str) -> tuple[str, int] | None:
    text = values.get(name)
    if not text:
        return None
    host, _, port = text.rpartition(":")
    if not (port.isascii() and port.isdecimal() and 0 < int(port) < 65_536):
        raise InvalidInput(
            f"{name} is no port.",
            received=text,
            expected="1 to 65535, with a host and a colon before it if need be",
            next_step=f"correct {name}, or unset it: without it nothing listens",
        )
    return host or "0.0.0.0", int(port)  # noqa: S104  as every exporter does; it is off unless asked for
