"""Posterior collapse, dimension by dimension, from both sides.

encoder's side: dimension j is uninformative if its KL is below ε = 0.01 nats for at least 99 % of the images
decoder's side: dimension j is ignored if drawing it anew moves no value of the image by half a grey level of 256, for at
                least 99 % of the images

A dimension is collapsed if either holds: it says nothing, or nobody listens. The verdict is `healthy`, `partial` or `full`.

Source: encoder's side after Lucas, Tucker, Grosse and Norouzi 2019, «Don't blame the ELBO!», arXiv:1911.02469: (ε, δ)-collapse;
ε and δ are ours. The decoder's side is ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from vaeval_core.errors import InvalidInput
from vaeval_core.evaluation_result import MetricValue
from vaeval_core.types import Float64

LEAST_NATS = 0.01
"""ε: a KL below it is no information."""

LEAST_CHANGE = 0.5 / 255
"""Change of an intensity that no rounding to 256 levels hides."""

SHARE_OF_IMAGES = 0.99
"""1 - δ: share of the images for which either must hold."""

CollapseKind = Literal["healthy", "partial", "full"]


@dataclass(frozen=True, kw_only=True)
class CollapseVerdict:
    """What became of k latent dimensions.

    Attributes:
        uninformative: For each dimension, whether the encoder says nothing in it.
        ignored: For each dimension, whether the decoder ignores it; None if the decoder was not asked.
    """

    uninformative: tuple[bool, ...]
    ignored: tuple[bool, ...] | None

    @property
    def collapsed(self) -> tuple[bool, ...]:
        """For each dimension, whether either is so."""
        ignored = self.ignored or (False,) * len(self.uninformative)
        return tuple(one or other for one, other in zip(self.uninformative, ignored, strict=True))

    @property
    def kind(self) -> CollapseKind:
        """The verdict on all dimensions together."""
        count = sum(self.collapsed)
        if count == 0:
            return "healthy"
        return "full" if count == len(self.collapsed) else "partial"

    def __str__(self) -> str:
        size = len(self.collapsed)
        return f"partial({sum(self.collapsed)} of {size})" if self.kind == "partial" else self.kind


def judge_collapse(divergence: Float64, response: Float64 | None = None) -> CollapseVerdict:
    """Judge every latent dimension.

    Args:
        divergence: KL to the prior of each image and dimension, (n, k), nats, n ≥ 1.
        response: Largest change of the decoded image when a dimension is drawn anew, for some images, (m, k), intensity,
            as `generation.interventions` measures it; None if there is none.

    Raises:
        InvalidInput: The arrays are no such rows.
    """
    fits = divergence.ndim == 2 and divergence.size > 0
    if not fits or (response is not None and (response.ndim != 2 or response.shape[1:] != divergence.shape[1:])):
        raise InvalidInput(
            "Collapse cannot be judged from these arrays.",
            received=f"divergence {divergence.shape}, response {None if response is None else response.shape}",
            expected="divergence (n, k) and response (m, k) or None, n and k at least 1",
        )
    return verdict_of_shares(
        (divergence < LEAST_NATS).mean(axis=0),
        None if response is None or not len(response) else (response < LEAST_CHANGE).mean(axis=0),
    )


def verdict_of_shares(uninformative: Float64, ignored: Float64 | None) -> CollapseVerdict:
    """Judge by what share of the images finds each dimension so; NaN counts as not so.

    Args:
        uninformative: Share of images whose KL is below ε, (k,).
        ignored: Share of images that do not change when it is drawn anew, (k,); None if the decoder was not asked.
    """
    return CollapseVerdict(
        uninformative=_nearly_everywhere(uninformative),
        ignored=None if ignored is None else _nearly_everywhere(ignored),
    )


def verdict_on(components: Sequence[float]) -> str:
    """`healthy`, `partial(k of L)` or `full`, of the components of a value that `collapsed_dimensions` gave.

    >>> verdict_on([1.0, 0.0, 0.0])
    'partial(1 of 3)'
    """
    return str(CollapseVerdict(uninformative=tuple(part == 1 for part in components), ignored=None))


def collapsed_dimensions(verdict: CollapseVerdict, num_images: int) -> MetricValue:
    """How many dimensions are collapsed; components are 1 for those that are. The verdict is among the warnings."""
    return MetricValue.of(
        float(sum(verdict.collapsed)),
        num_images=num_images,
        components=tuple(float(collapsed) for collapsed in verdict.collapsed),
        warnings=_sentences(verdict),
    )


def _sentences(verdict: CollapseVerdict) -> tuple[str, ...]:
    sentences = []
    if verdict.kind != "healthy":
        ignored = verdict.ignored or ()
        sentences.append(
            f"Posterior collapse: {verdict}. Of {len(verdict.collapsed)} latent dimensions, {sum(verdict.uninformative)} "
            f"carry no information about the image, and {sum(ignored)} make no difference to the decoder."
        )
    if verdict.ignored is None:
        sentences.append("The decoder was not asked which latent dimensions it uses.")
    return tuple(sentences)


def _nearly_everywhere(shares: Float64) -> tuple[bool, ...]:
    return tuple(bool(share) for share in shares >= SHARE_OF_IMAGES)
