"""The bell on Celery over Redis or Valkey: the only place in the scheduler that knows Celery.

Celery carries one kind of message, «something is claimable», without arguments. It keeps no results and decides nothing,
so its weak points (redelivery after the visibility timeout, messages lost with the server) cannot change a score.

Celery is imported when a bell is made, not when this module is: `vaeval --help` and the tests of the stores stay light.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from scheduler.queue.base import WORK_QUEUE, WORK_TASK
from scheduler.settings import without_password
from vaeval_core.errors import InvalidInput, ServiceUnreachable

if TYPE_CHECKING:
    from celery import Celery

KEY_PREFIX = "vaeval:"
"""Before every key: a Redis database that serves other programs too is never mixed up with theirs."""

SOFT_TIME_LIMIT_SECONDS = 1800
"""After this a shard is interrupted, which counts as a failed attempt."""

TIME_LIMIT_SECONDS = 2100
"""After this the process that computes a shard is killed."""

VISIBILITY_TIMEOUT_SECONDS = 3600
"""Redis hands a message that was taken but never acknowledged to the next worker after this long. A slot acknowledges
before it begins, and no shard may take this long: a message does not come back while its shard is being computed."""

CLIENT_TIMEOUT_SECONDS = 2.0
"""How long a caller that rings or counts waits for the broker; workers wait longer, see `create_celery`."""

_PUBLISH_BATCH = 1000


def create_celery(broker_url: str) -> Celery:
    """Celery with every setting that vaeval depends on. Connects to nothing yet.

    Args:
        broker_url: `redis://`, `rediss://` or `redis+socket://` URL.

    Returns:
        An application of its own, not the process's default one, without tasks.
    """
    from celery import Celery
    from kombu import Exchange, Queue

    if not SOFT_TIME_LIMIT_SECONDS < TIME_LIMIT_SECONDS < VISIBILITY_TIMEOUT_SECONDS:
        raise ValueError("A shard that outlives the visibility timeout would be started again while it runs.")
    celery = Celery("vaeval", broker=broker_url, set_as_current=False)
    celery.conf.update(
        # What is sent: JSON only, since a worker trusts its broker; no results, since they live in SQL.
        accept_content=["json"],
        task_serializer="json",
        result_serializer="json",
        result_backend=None,
        task_ignore_result=True,
        task_store_eager_result=False,
        # One named queue. A typing error in a name must fail, not make a queue that nobody listens to.
        task_queues=[Queue(WORK_QUEUE, Exchange(WORK_QUEUE, type="direct"), routing_key=WORK_QUEUE)],
        task_default_queue=WORK_QUEUE,
        task_default_exchange=WORK_QUEUE,
        task_default_routing_key=WORK_QUEUE,
        task_create_missing_queues=False,
        # A message is acknowledged when a slot takes it, and a slot takes none while it is busy. To acknowledge late
        # would gain nothing, since the lease in SQL is what brings lost work back, and it would cost a slot: if the
        # broker goes away while a shard is computed, Celery cannot acknowledge afterwards, counts the message against
        # a prefetch limit for ever, and listens to a dead connection. So no such limit either (0).
        task_acks_late=False,
        task_reject_on_worker_lost=False,
        worker_prefetch_multiplier=0,
        worker_disable_prefetch=True,
        task_soft_time_limit=SOFT_TIME_LIMIT_SECONDS,
        task_time_limit=TIME_LIMIT_SECONDS,
        # CUDA and TensorFlow's threads do not survive a fork, so children are fresh interpreters.
        worker_pool_start_method="spawn",
        worker_proc_alive_timeout=120,
        # A fresh child loads TensorFlow and the extractor again (10 to 20 s), which on a GPU is the work of a hundred
        # shards. A thousand keeps that below a tenth and still bounds a leak.
        worker_max_tasks_per_child=1000,
        worker_soft_shutdown_timeout=60.0,
        worker_enable_soft_shutdown_on_idle=True,
        # The broker may go away and come back at any time: keep computing, keep trying.
        worker_cancel_long_running_tasks_on_connection_loss=False,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        # Cancellation and liveness are rows in SQL; broadcasting to workers would only open another way in.
        worker_enable_remote_control=False,
        worker_send_task_events=False,
        visibility_timeout=VISIBILITY_TIMEOUT_SECONDS,
        broker_transport_options={
            "visibility_timeout": VISIBILITY_TIMEOUT_SECONDS,
            "global_keyprefix": KEY_PREFIX,
            "priority_steps": [0],  # priorities are in SQL, so one Redis list is enough
            "unacked_restore_interval": 5,
            "unacked_restore_throttle": 1,
            "socket_timeout": 30,
            "socket_connect_timeout": 5,
            "socket_keepalive": True,
            "health_check_interval": 25,
        },
    )
    return celery


class CeleryWorkQueue:
    """The bell of `scheduler.queue.base.WorkQueue` on a Redis or Valkey server.

    Opens one connection per call and closes it again: a supervisor rings every few seconds at most, and a connection
    that is not held cannot go stale.

    Args:
        broker_url: `redis://`, `rediss://` or `redis+socket://` URL.
    """

    def __init__(self, broker_url: str) -> None:
        self._broker_url = broker_url
        self._celery = create_celery(broker_url)

    def ring(self, times: int) -> None:
        """Announce `times` pieces of claimable work, in one round trip per thousand.

        Raises:
            ServiceUnreachable: The broker does not answer; some of the messages may have been sent.
        """
        if times < 1:
            return
        from celery.utils import uuid

        # What `send_task` would send, made once: all but the number is the same in every message.
        headers, properties, body, _ = self._celery.amqp.create_task_message(uuid(), WORK_TASK, ignore_result=True)
        with self._channel() as channel:
            producer = self._celery.amqp.Producer(channel)
            producer.maybe_declare(self._celery.amqp.queues[WORK_QUEUE])
            with producer.batch(max_size=_PUBLISH_BATCH):
                for _ in range(times):
                    number = uuid()
                    producer.publish(
                        body,
                        routing_key=WORK_QUEUE,
                        serializer="json",
                        headers=headers | {"id": number, "root_id": number},
                        **properties | {"correlation_id": number},
                    )

    def waiting(self) -> int:
        """Announcements that no worker has taken yet.

        Raises:
            ServiceUnreachable: The broker does not answer.
        """
        with self._channel() as channel:
            # The channel's Redis client adds the key prefix and knows every form of URL that Celery knows.
            return int(channel.client.llen(WORK_QUEUE))

    def ping(self) -> None:
        """Return if the broker answers.

        Raises:
            ServiceUnreachable: It does not.
            InvalidInput: The URL names no server or database.
        """
        with self._channel() as channel:
            channel.client.ping()

    @contextmanager
    def _channel(self) -> Iterator[Any]:
        from kombu.exceptions import KombuError
        from redis.exceptions import RedisError

        options = self._celery.conf.broker_transport_options | {
            "socket_timeout": CLIENT_TIMEOUT_SECONDS,
            "socket_connect_timeout": CLIENT_TIMEOUT_SECONDS,
            "max_retries": 0,
        }
        try:
            with ExitStack() as stack:
                yield self._open_channel(stack, options)
        except (KombuError, RedisError, OSError) as error:
            raise _unreachable(self._broker_url, error) from error

    def _open_channel(self, stack: ExitStack, options: dict[str, Any]) -> Any:
        try:
            return stack.enter_context(self._celery.connection_for_write(transport_options=options)).default_channel
        except ValueError as error:  # what kombu and redis-py raise for a URL that they cannot take apart
            raise InvalidInput(
                "VAEVAL_BROKER_URL cannot be understood.",
                received=f"{without_password(self._broker_url)} ({error})",
                expected="redis://host:port/number, the number being that of a database, or redis+socket:///path/to/socket",
                next_step="correct VAEVAL_BROKER_URL, then vaeval doctor",
            ) from error


def _unreachable(broker_url: str, error: Exception) -> ServiceUnreachable:
    # Neither redis-py nor kombu puts the password into an error, but a server's own answer might quote the URL.
    reason = " ".join(str(error).replace(broker_url, without_password(broker_url)).split())
    return ServiceUnreachable(
        "The broker does not answer.",
        received=f"{without_password(broker_url)} ({reason})",
        expected="a running Redis or Valkey server at that address",
        next_step="check VAEVAL_BROKER_URL, or unset it to use the server that vaeval starts itself",
    )
