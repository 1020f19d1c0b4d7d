"""The queue is a bell, not a list of work.

A message says «something is claimable», nothing else: the worker that hears it asks the database what to do. So a message
may be lost (recovery rings again), doubled (the second claim finds nothing) or late without any harm, and the order of
work is decided in SQL, where priorities are.
"""

from __future__ import annotations

from typing import Protocol

WORK_TASK = "vaeval.work"
"""Celery task name of the bell; it takes no arguments."""

WORK_QUEUE = "vaeval.work"
"""Celery queue that all slots listen to."""


MOST_ANNOUNCED = 5_000
"""Announcements worth having at once. A sweep of a thousand checkpoints has 80,000 shards, and to ring for each would keep
whoever submits waiting. Recovery counts again at every sweep, so workers run out only if they do more shards than this between
two of them."""


class WorkQueue(Protocol):
    """The bell."""

    def ring(self, times: int) -> None:
        """Announce `times` pieces of claimable work.

        Raises:
            ServiceUnreachable: The broker does not answer.
        """

    def waiting(self) -> int:
        """Announcements that no worker has taken yet.

        Raises:
            ServiceUnreachable: The broker does not answer.
        """
