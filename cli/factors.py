"""Scores of disentanglement factor by factor, under the names that the data set gives its factors."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from cli import rendering
from cli.number_formats import significant
from vaeval_core.errors import VaevalError

if TYPE_CHECKING:
    from scheduler.composition import Application
    from scheduler.store.base import EvaluationRecord
    from vaeval_core.evaluation_result import Score

BY_FACTOR = (
    "mig",
    "mig_ceiling",
    "sap",
    "dci_completeness",
    "dci_informativeness",
    "factor_vae",
    "beta_vae",
    "explicitness",
)
"""Metrics whose components are the factors, in the order of the catalogue."""


def factor_names(application: Application, record: EvaluationRecord) -> tuple[str, ...]:
    """Names of the factors of an evaluation's images, kept with its pictures.

    `factor 0`, `factor 1`, … where nothing is kept any more; empty where no score has factors.
    """
    numbers = [len(score.value.components) for score in record.scores if score.metric in BY_FACTOR]
    count = max(numbers, default=0)
    if not count:
        return ()
    from vaeval_core.images.factor_labels import names_of_array

    kept = None
    if record.pictures is not None:
        # Scores are in the database: a lost file of pictures is no reason to withhold them.
        with suppress(VaevalError):
            kept = application.artifacts.read_arrays(record.pictures).get("factor_names")
    names = () if kept is None else names_of_array(kept)
    return names if len(names) == count else tuple(f"factor {number}" for number in range(count))


def print_by_factor(scores: Sequence[Score], names: Sequence[str]) -> None:
    """A table on stdout with a column for each factor; nothing without factors."""
    found = {score.metric: score.value.components for score in scores}
    rows = [
        (metric, *(significant(part) for part in found[metric]))
        for metric in BY_FACTOR
        if names and len(found.get(metric, ())) == len(names)
    ]
    if rows:
        rendering.data("")
        columns = [rendering.Column(title="BY FACTOR")]
        columns += [rendering.Column(title=f"{number} {name}", align="right") for number, name in enumerate(names)]
        rendering.table(columns, rows)
