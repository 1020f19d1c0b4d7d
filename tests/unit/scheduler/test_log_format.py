"""Logs: JSON where a machine reads, text where a person does, and on every line what the process is busy with."""

from __future__ import annotations

import io
import json
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from scheduler.composition import open_application
from scheduler.log_format import set_up_logging
from scheduler.settings import Settings


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _restored_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield
    root.handlers = handlers
    root.setLevel(level)
    logging.captureWarnings(capture=False)


def lines(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_is_one_json_object_with_its_facts() -> None:
    stream = io.StringIO()
    set_up_logging(stream=stream)
    logging.getLogger("workers.test").info("shard_finished", extra={"seconds": 1.5})
    (line,) = lines(stream)
    assert line["event"] == "shard_finished"
    assert line["seconds"] == 1.5
    assert line["level"] == "info"
    assert line["logger"] == "workers.test"
    assert str(line["timestamp"]).endswith("Z")


@pytest.mark.parametrize(("variable", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_on_a_terminal_colour_can_be_refused(monkeypatch: pytest.MonkeyPatch, variable: str, value: str) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    coloured, plain = Terminal(), Terminal()
    set_up_logging(stream=coloured)
    logging.getLogger("workers.test").warning("slot_ended")
    monkeypatch.setenv(variable, value)
    set_up_logging(stream=plain)
    logging.getLogger("workers.test").warning("slot_ended")
    assert "\x1b[" in coloured.getvalue()
    assert "slot_ended" in plain.getvalue()
    assert "\x1b" not in plain.getvalue()


def test_every_line_names_what_the_process_is_busy_with() -> None:
    stream = io.StringIO()
    set_up_logging(stream=stream)
    with structlog.contextvars.bound_contextvars(evaluation=12, shard=3, worker="slot0@host", attempt=2):
        logging.getLogger("some.library").warning("careful: %s", "hot")
    (line,) = lines(stream)
    assert (line["evaluation"], line["shard"], line["worker"], line["attempt"]) == (12, 3, "slot0@host", 2)
    assert line["event"] == "careful: hot"


def test_a_traceback_stays_on_its_line() -> None:
    stream = io.StringIO()
    set_up_logging(stream=stream)
    try:
        raise OSError("disk on fire")
    except OSError:
        logging.getLogger("x").exception("shard_raised")
    (line,) = lines(stream)
    assert "OSError: disk on fire" in str(line["exception"])


def test_a_person_gets_text() -> None:
    stream = Terminal()
    set_up_logging(stream=stream)
    logging.getLogger("x").info("slot_started", extra={"device": "cpu"})
    assert "slot_started" in stream.getvalue()
    assert not stream.getvalue().startswith("{")


def test_a_traceback_for_a_person_shows_no_local_variables() -> None:
    stream = Terminal()
    set_up_logging(stream=stream)
    password_in_a_variable = "S3" + "CRET"
    try:
        raise OSError(f"{len(password_in_a_variable)} letters")
    except OSError:
        logging.getLogger("x").exception("shard_raised")
    assert "6 letters" in stream.getvalue()
    assert "S3CRET" not in stream.getvalue()


def test_setting_up_twice_does_not_double_the_lines() -> None:
    stream = io.StringIO()
    set_up_logging(stream=stream)
    set_up_logging(stream=stream)
    logging.getLogger("x").info("once")
    assert len(lines(stream)) == 1


def test_warnings_become_lines() -> None:
    stream = io.StringIO()
    set_up_logging(stream=stream)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=False)
        logging.captureWarnings(capture=True)
        warnings.warn("old thing", DeprecationWarning, stacklevel=1)
    assert "old thing" in str(lines(stream)[0]["event"])


def test_celery_does_not_announce_every_message() -> None:
    stream = io.StringIO()
    set_up_logging(stream=stream)
    logging.getLogger("celery.worker.strategy").info("Task vaeval.work received")
    assert lines(stream) == []


def test_making_the_tables_of_a_new_home_is_no_news(tmp_path: Path) -> None:
    stream = io.StringIO()
    set_up_logging(stream=stream)
    open_application(Settings.from_environment({"VAEVAL_HOME": str(tmp_path)})).close()
    logging.getLogger("scheduler").info("lost_work_found", extra={"shards": 2})
    assert [line["event"] for line in lines(stream)] == ["lost_work_found"]
