"""Mutual information between binned codes and factors: what MIG and modularity are made of.

    I(z; v) = Σ p(b, v) ln [p(b, v) / (p(b) p(v))]        b: the bin of z, of 20 equal ones between its extremes

The plug-in estimate, in nats. It is too high by about (bins - 1)(values - 1) / 2n, also for independent codes.
"""

from __future__ import annotations

import numpy as np

from vaeval_core.disentanglement.labelled_codes import LabelledCodes
from vaeval_core.types import Float64, Int64

NUM_BINS = 20
"""As Locatello et al. 2019; a factor with more values than bins cannot be told completely."""


def binned(codes: Float64) -> Int64:
    """The bin of each code (n, k), 0 … 19; each dimension has its own range, and a constant one is in one bin."""
    lowest, highest = codes.min(axis=0), codes.max(axis=0)
    width = np.where(highest > lowest, highest - lowest, 1.0)
    places = np.floor((codes - lowest) / width * NUM_BINS).astype(np.int64)
    bins: Int64 = np.minimum(places, NUM_BINS - 1)  # the highest value closes the last bin
    return bins


def entropy(classes: Int64) -> float:
    """Entropy of the empirical distribution of classes (n,), in nats."""
    shares = np.bincount(classes) / len(classes)
    shares = shares[shares > 0]
    return float(-(shares * np.log(shares)).sum())


def mutual_information(labelled: LabelledCodes) -> Float64:
    """I(code j; factor i) for every pair, (k, f) float64, nats, ≥ 0."""
    bins = binned(labelled.codes)
    information = np.zeros((labelled.num_codes, labelled.num_factors))
    for factor, num_values in enumerate(labelled.num_values):
        classes = labelled.factors[:, factor]
        for code in range(labelled.num_codes):
            counts = np.bincount(bins[:, code] * num_values + classes, minlength=NUM_BINS * num_values)
            information[code, factor] = _information(counts.reshape(NUM_BINS, num_values) / len(labelled))
    return information


def _information(joint: Float64) -> float:
    independent = joint.sum(axis=1, keepdims=True) * joint.sum(axis=0, keepdims=True)
    filled = joint > 0
    nats = float((joint[filled] * np.log(joint[filled] / independent[filled])).sum())
    return max(nats, 0.0)  # rounding can leave independence a hair below
