"""Inception score: are single images classified with confidence, and do all together fall into many classes?

    IS = exp( mean over images of KL(pᵢ ‖ p̄) )        pᵢ = softmax(logitsᵢ), p̄ = mean of pᵢ

Source: Salimans et al. 2016, arXiv:1606.03498. For values that compare with published ones the logits are those of
InceptionV3 of 2015-12-05 without the classifier's bias.

    >>> logits = np.array([[0.0, -800.0], [-800.0, 0.0]])       # two images, each surely of its own class
    >>> inception_score(logits).value
    2.0
"""

from __future__ import annotations

import numpy as np
import scipy

from vaeval_core.errors import InvalidInput, TooFewImages
from vaeval_core.evaluation_result import MetricValue
from vaeval_core.metrics.feature_blocks import CheckedBlocks, Features, as_blocks, in_parts
from vaeval_core.types import Float64


def inception_score(logits: Features, *, splits: int = 1) -> MetricValue:
    """Inception score of all images, or the mean of the scores of equal parts of them.

    Args:
        logits: (n, classes).
        splits: 1 for one score of all images. Papers take 10 parts of 5,000 images. Part p holds the images from number
            ⌊p · n / splits⌋ to before ⌊(p + 1) · n / splits⌋.

    Returns:
        1 to the number of classes; higher is better. With one part, the standard error is sd(KL(pᵢ ‖ p̄)) / √n · IS: the
        influence of an image on ln IS is its own divergence less the mean. With more, it is that of the mean of the parts,
        sd / √splits with splits - 1 in the variance, and the components are the scores of the parts. What papers print
        after ± is neither: see `deviation_over_splits`.

    Raises:
        TooFewImages: Fewer images than splits, or fewer than two.
        InvalidInput: A logit is not finite, or there are no splits.
    """
    blocks = as_blocks(logits, "logit", at_least=2)
    count = blocks.shape[0]
    if splits < 1:
        raise InvalidInput("An inception score needs a part.", received=f"splits={splits}", expected="1 or more")
    if splits > count:
        raise TooFewImages(
            "There are more parts than images.",
            received=f"num_images={count}, splits={splits}",
            expected=f"{splits} images or more",
            next_step="evaluate more images, or take fewer splits",
        )
    divergences = _divergences(blocks, _log_mean_classes(blocks, splits))
    scores = [float(np.exp(max(part.mean(), 0))) for part in divergences]
    if splits == 1:
        error = scores[0] * np.std(divergences[0], ddof=1) / np.sqrt(count)
        return MetricValue.of(scores[0], num_images=count, std_error=float(error))
    return MetricValue.of(
        float(np.mean(scores)),
        num_images=count,
        std_error=float(np.std(scores, ddof=1) / np.sqrt(splits)),
        components=tuple(scores),
    )


def deviation_over_splits(score: MetricValue) -> float | None:
    """The ± of papers: standard deviation of the scores of the parts, with their number in the variance.

    It says how far one part is from another, not how far their mean is from that of other images; it is √(splits - 1)
    times the standard error. None for a score without parts.
    """
    return float(np.std(score.components)) if score.components else None


def _log_mean_classes(blocks: CheckedBlocks, splits: int) -> Float64:
    """ln p̄ of each part, (splits, classes)."""
    totals, counts = np.zeros((splits, blocks.shape[1])), np.zeros((splits, 1))
    for part, rows in in_parts(blocks, splits):
        totals[part] += np.exp(scipy.special.log_softmax(rows, axis=1)).sum(axis=0)
        counts[part] += len(rows)
    # A class that no image can be of has p̄ = 0 and takes no part in the sum; its logarithm must be finite for that.
    logarithms: Float64 = np.log(np.maximum(totals / counts, np.finfo(np.float64).tiny))
    return logarithms


def _divergences(blocks: CheckedBlocks, log_mean_classes: Float64) -> list[Float64]:
    """KL(pᵢ ‖ p̄) of each image, part by part."""
    collected: list[list[Float64]] = [[] for _ in log_mean_classes]
    for part, rows in in_parts(blocks, len(log_mean_classes)):
        logarithms = scipy.special.log_softmax(rows, axis=1)
        collected[part].append((np.exp(logarithms) * (logarithms - log_mean_classes[part])).sum(axis=1))
    return [np.concatenate(pieces) for pieces in collected]
