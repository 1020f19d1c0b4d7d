"""How long a connection to PostgreSQL waits for a server that says nothing. What the URL says about it counts, then this."""

from __future__ import annotations

from urllib.parse import parse_qs

PATIENCE: dict[str, int] = {
    "connect_timeout": 10,
    # A server that is gone without a word, while nobody asks it anything: noticed within a minute.
    "keepalives": 1,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    # The same in the middle of a question: keepalives are not sent while an answer is outstanding, and TCP alone would send the
    # question again for a quarter of an hour. In milliseconds, and half a lease: time to renew it over another connection.
    "tcp_user_timeout": 30_000,
}


def patience(url: str) -> dict[str, int]:
    """What to add to the parameters of a URL: those that it does not set itself.

    >>> sorted(PATIENCE.keys() - patience("postgresql://host/db?keepalives_idle=5"))
    ['keepalives_idle']
    """
    own = parse_qs(url.partition("?")[2])
    return {name: value for name, value in PATIENCE.items() if name not in own}
