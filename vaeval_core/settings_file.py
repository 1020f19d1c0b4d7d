"""Reads a YAML file that a person wrote: protocols and `vaeval.yaml`. Small, safe, and with one kind of failure.

YAML can do more than lines of settings: a few lines can stand for gigabytes, a date can be none, brackets can be nested
beyond what a parser bears. Whatever it is, the caller tells it as a mistake in the file.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

MOST_BYTES = 1 << 20
"""Far above any file of settings."""


class NotSettings(ValueError):
    """The file holds no YAML that could be settings; its text says why."""


def read_settings(path: Path) -> Any:
    """What the file holds, plain values only; None if it is empty.

    Raises:
        OSError: The file cannot be read.
        NotSettings: It is too large, or no YAML.
    """
    with path.open("rb") as file:
        content = file.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise NotSettings(f"{path.stat().st_size:,} bytes, more than the {MOST_BYTES:,} of any file of settings")
    try:
        return yaml.safe_load(content.decode("utf-8"))
    except RecursionError as error:
        raise NotSettings("brackets nested too deeply") from error
    # Besides its own errors the parser lets through those of dates and numbers: 2001-99-99 is a ValueError.
    except (yaml.YAMLError, ValueError) as error:
        raise NotSettings(" ".join(str(error).split())) from error
