"""Something small that a process does again and again beside its work."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from vaeval_core.errors import VaevalError

_LOG = logging.getLogger(__name__)


def repeat(action: Callable[[], None], *, every: float, stop: threading.Event) -> threading.Thread:
    """Call `action` at once and then every so many seconds, in a thread, until `stop` is set.

    An action that fails is logged and tried again next time.

    Returns:
        The running thread; it ends after `stop`, with the call that is under way.
    """

    def run() -> None:
        while not stop.is_set():
            try:
                action()
            except VaevalError as error:
                _LOG.warning("not_done_this_time", extra={"action": action.__name__, "reason": str(error)})
            except Exception:  # noqa: BLE001 - what is to be done again and again must outlive any one failure
                _LOG.exception("not_done_this_time", extra={"action": action.__name__})
            stop.wait(every)

    thread = threading.Thread(target=run, name=action.__name__, daemon=True)
    thread.start()
    return thread
