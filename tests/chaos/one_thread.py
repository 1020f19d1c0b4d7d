"""Arithmetic with one thread, as the workers of the suite do it: the last bits depend on how many threads share a sum."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import scipy.linalg
from threadpoolctl import threadpool_limits

_LOADED = (np.linalg, scipy.linalg)
"""The libraries that have threads: they must be loaded before they can be limited."""


def one_thread() -> AbstractContextManager[Any]:
    """For as long as the context lasts, in the whole process."""
    return threadpool_limits(1)
