"""Recording how a piece of work ended, though the database may be away at that very moment.

Minutes of work hang on one small transaction. So it is made again until it is answered, for as long as the claim may still be
ours: every such call names the fencing token, so whether it is, the database decides and nobody else. A call whose first answer
was lost says the same a second time.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from vaeval_core.errors import ServiceUnreachable, StorageFailed
from workers.heartbeat import Heartbeat

_LOG = logging.getLogger(__name__)

PATIENCE_SECONDS = 900.0
"""How long to try: longer than a server takes to be restarted, or replaced by its standby, and well below the time limit."""

FIRST_PAUSE_SECONDS = 0.05
LONGEST_PAUSE_SECONDS = 5.0


def recorded(action: Callable[[], bool], heartbeat: Heartbeat) -> bool:
    """Call until the database answers.

    Args:
        action: Records something under a claim; False if the claim is lost.
        heartbeat: Of that claim, still beating: renews it as soon as the database is back.

    Raises:
        ServiceUnreachable: The database did not answer for `PATIENCE_SECONDS`.
        StorageFailed: The same of one without space.
    """
    gives_up_at = time.monotonic() + PATIENCE_SECONDS
    pause = FIRST_PAUSE_SECONDS
    while True:
        heartbeat.live()
        try:
            return action()
        except (ServiceUnreachable, StorageFailed) as error:
            if time.monotonic() + pause > gives_up_at:
                raise
            _LOG.warning("not_recorded_yet", extra={"reason": str(error), "pause_seconds": pause})
        time.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
