"""The bell: what it counts, how it fails, and every Celery setting that durability rests on."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from scheduler.queue import celery_queue
from scheduler.queue.base import WORK_QUEUE, WORK_TASK
from scheduler.queue.celery_queue import CeleryWorkQueue, create_celery
from scheduler.queue.embedded_broker import EmbeddedBroker
from vaeval_core.errors import InvalidInput, ServiceUnreachable


@pytest.fixture(scope="module")
def broker_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with EmbeddedBroker(tmp_path_factory.mktemp("home")) as embedded:
        yield embedded.url


@pytest.fixture
def server(broker_url: str) -> Iterator[redis.Redis]:
    with redis.Redis(unix_socket_path=broker_url.removeprefix("redis+socket://").partition("?")[0]) as client:
        client.flushall()
        yield client


@pytest.mark.service
def test_a_bell_rung_a_thousand_times_waits_a_thousand_times(broker_url: str, server: redis.Redis) -> None:
    queue = CeleryWorkQueue(broker_url)
    queue.ring(1000)
    assert queue.waiting() == 1000


@pytest.mark.service
def test_a_bell_that_was_never_rung_waits_zero_times(broker_url: str, server: redis.Redis) -> None:
    assert CeleryWorkQueue(broker_url).waiting() == 0


@pytest.mark.service
def test_ringing_zero_times_sends_nothing(broker_url: str, server: redis.Redis) -> None:
    CeleryWorkQueue(broker_url).ring(0)
    assert server.keys() == []


@pytest.mark.service
def test_all_keys_carry_the_prefix(broker_url: str, server: redis.Redis) -> None:
    CeleryWorkQueue(broker_url).ring(2)
    keys = server.keys()
    assert isinstance(keys, list)
    assert keys
    assert all(key.startswith(b"vaeval:") for key in keys)
    assert server.llen(f"vaeval:{WORK_QUEUE}") == 2


@pytest.mark.service
def test_a_message_names_the_task_and_carries_no_arguments(broker_url: str, server: redis.Redis) -> None:
    CeleryWorkQueue(broker_url).ring(1)
    celery = create_celery(broker_url)
    with celery.connection_for_read() as connection:
        message = connection.default_channel.basic_get(WORK_QUEUE, no_ack=True)
    assert message.headers["task"] == WORK_TASK
    assert message.content_type == "application/json"
    arguments, keywords, _ = message.decode()
    assert (arguments, keywords) == ([], {})


@pytest.mark.service
def test_a_url_without_virtual_host_means_database_zero(broker_url: str, server: redis.Redis) -> None:
    CeleryWorkQueue(broker_url.partition("?")[0]).ring(1)
    assert CeleryWorkQueue(broker_url).waiting() == 1


def test_a_server_that_is_not_there_is_named_without_its_password(tmp_path: Path) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    queue = CeleryWorkQueue(f"redis://ada:S3CRET@127.0.0.1:{port}/0")
    for call in (queue.ping, queue.waiting, lambda: queue.ring(3)):
        with pytest.raises(ServiceUnreachable) as caught:
            call()
        assert f"redis://ada:***@127.0.0.1:{port}/0" in str(caught.value)
        assert "a running Redis or Valkey server" in str(caught.value)
        assert "S3CRET" not in str(caught.value)


def test_a_socket_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ServiceUnreachable) as caught:
        CeleryWorkQueue(f"redis+socket://{tmp_path}/no.sock?virtual_host=0").ring(1)
    assert f"{tmp_path}/no.sock" in str(caught.value)


def test_a_server_that_accepts_and_says_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(celery_queue, "CLIENT_TIMEOUT_SECONDS", 0.2)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        started = time.monotonic()
        with pytest.raises(ServiceUnreachable) as caught:
            CeleryWorkQueue(f"redis://127.0.0.1:{silent.getsockname()[1]}/0").waiting()
    # Not a measurement: without the limit this would be the 30 s of a worker's socket, or for ever.
    assert time.monotonic() - started < 20
    assert "Timeout" in str(caught.value)


@pytest.mark.parametrize("url", ["redis://:S3CRET@localhost:port/0", "redis://:S3CRET@localhost:6379/zero"])
def test_a_url_that_cannot_be_understood_is_the_users_mistake(url: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        CeleryWorkQueue(url).ping()
    assert url.replace("S3CRET", "***") in str(caught.value)
    assert "redis://host:port/number" in str(caught.value)
    assert "S3CRET" not in str(caught.value)


def test_messages_are_json_and_results_are_not_kept() -> None:
    configuration = create_celery("redis://localhost").conf
    assert configuration.accept_content == ["json"]
    assert configuration.task_serializer == "json"
    assert configuration.result_backend is None
    assert configuration.task_ignore_result is True


def test_a_message_is_taken_only_by_a_free_slot_and_acknowledged_at_once() -> None:
    configuration = create_celery("redis://localhost").conf
    assert configuration.worker_disable_prefetch is True
    assert configuration.worker_prefetch_multiplier == 0
    assert configuration.task_acks_late is False
    assert configuration.task_reject_on_worker_lost is False


def test_children_are_fresh_interpreters_with_time_to_start() -> None:
    configuration = create_celery("redis://localhost").conf
    assert configuration.worker_pool_start_method == "spawn"
    assert configuration.worker_proc_alive_timeout == 120


def test_a_worker_waits_for_its_broker_for_ever() -> None:
    configuration = create_celery("redis://localhost").conf
    assert configuration.broker_connection_retry_on_startup is True
    assert configuration.broker_connection_max_retries is None
    assert configuration.worker_cancel_long_running_tasks_on_connection_loss is False


def test_only_the_named_queue_exists() -> None:
    celery = create_celery("redis://localhost")
    assert [queue.name for queue in celery.conf.task_queues] == [WORK_QUEUE]
    assert celery.conf.task_create_missing_queues is False
    assert celery.conf.broker_transport_options["global_keyprefix"] == "vaeval:"


def test_a_shard_is_killed_before_redis_would_give_it_to_somebody_else() -> None:
    configuration = create_celery("redis://localhost").conf
    visibility = configuration.broker_transport_options["visibility_timeout"]
    assert configuration.task_soft_time_limit < configuration.task_time_limit < visibility
    assert configuration.visibility_timeout == visibility


def test_time_limits_above_the_visibility_timeout_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(celery_queue, "VISIBILITY_TIMEOUT_SECONDS", 600)
    with pytest.raises(ValueError, match="outlives the visibility timeout"):
        create_celery("redis://localhost")


def test_importing_the_bell_does_not_import_celery() -> None:
    program = (
        "import sys, scheduler.queue.celery_queue, scheduler.queue.embedded_broker; "
        "assert not {'celery', 'kombu', 'redis', 'sqlalchemy', 'numpy'} & set(sys.modules), sorted(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
