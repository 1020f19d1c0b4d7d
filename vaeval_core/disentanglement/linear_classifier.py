"""A linear softmax classifier that says when it did not converge, instead of warning on a terminal."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from vaeval_core.types import Float64, Int64

_MOST_STEPS = 1000


@dataclass(frozen=True, eq=False)
class LinearClassifier:
    """A trained classifier.

    Attributes:
        warnings: Why its numbers may be other than they should, a sentence each.
    """

    model: Any
    warnings: tuple[str, ...]

    def predict(self, inputs: Float64) -> Int64:
        """The likeliest class of each row (n, k)."""
        return np.asarray(self.model.predict(inputs), dtype=np.int64)

    def probabilities(self, inputs: Float64, num_classes: int) -> Float64:
        """(n, num_classes), 0 for a class that was not among the training examples."""
        spread = np.zeros((len(inputs), num_classes))
        spread[:, self.model.classes_] = self.model.predict_proba(inputs)
        return spread


def train_linear_classifier(inputs: Float64, classes: Int64) -> LinearClassifier:
    """Logistic regression with L2 penalty, C = 1, on standardised inputs (n, k) and classes (n,), two or more."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits

    # One thread: the order of sums, and so the last digits, would otherwise depend on the number of cores.
    with warnings.catch_warnings(), threadpool_limits(1):
        # Told through the number of steps below, to whoever reads the score.
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = LogisticRegression(max_iter=_MOST_STEPS).fit(inputs, classes)
    unfinished = int(np.max(model.n_iter_)) >= _MOST_STEPS
    notes = (f"The linear classifier did not converge within {_MOST_STEPS} steps.",) if unfinished else ()
    return LinearClassifier(model, notes)
