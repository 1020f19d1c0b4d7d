"""The stream `fitted`: decoded draws from a mixture of Gaussians that is fitted to encoded images.

The fit comes before the stream, and needs images of other shards. So every process that measures the stream makes it for
itself, once for a checkpoint, from the first images of the reference: what is fitted depends on checkpoint and protocol
alone, not on shards, their order or their number. See docs/decisions.md for what else it could have been.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vaeval_core.errors import InvalidInput
from vaeval_core.evaluation_result import MetricValue
from vaeval_core.generation.fitted_density import MAX_LATENT_SIZE, MixtureFit, fit_mixture, sample_fitted
from vaeval_core.generation.posterior_draws import can_be_drawn_from, first_draw
from vaeval_core.quantisation import to_uint8
from vaeval_core.streams.base import ShardArrays, Subject, soundness
from vaeval_core.streams.reconstructions import encode_images
from vaeval_core.types import Float32, Float64, IndexRange

MOST_FITTED_IMAGES = 4096
"""Images of the reference that a mixture is fitted to, at most: enough for ten components of 200 dimensions. Every process that
draws from the mixture encodes them."""

LARGEST_DIFFERENCE = 1e-3
"""Of the weights of mixtures that several machines fitted to one checkpoint: more is not rounding but another mixture."""


@dataclass(frozen=True, eq=False)
class SecondStage:
    """What was fitted to the latents of a checkpoint.

    Attributes:
        fit: The mixture; None if there is none.
        missing: The value of every metric of the stream if there is none, else None.
    """

    fit: MixtureFit | None
    missing: MetricValue | None = None


def fit_second_stage(subject: Subject) -> SecondStage:
    """Encode the first images of the reference, draw once from each posterior, and fit the mixture to these latents.

    Args:
        subject: The checkpoint under its protocol; of a posterior without a width the means are taken. Its `on_life` is called
            after each batch and every few steps of the fit.
    """
    protocol, size = subject.protocol, subject.adapter.latent_size
    if size > MAX_LATENT_SIZE:
        reason = f"A latent has {size:,} dimensions; mixtures with full covariances are fitted up to {MAX_LATENT_SIZE}."
        return SecondStage(fit=None, missing=MetricValue.not_applicable(reason))
    latents: list[Float32 | Float64] = []
    for block in IndexRange(0, min(protocol.num_reference, MOST_FITTED_IMAGES)).blocks(protocol.network_batch):
        posterior = encode_images(subject, block).posterior
        latents.append(
            first_draw(posterior, block, seed=protocol.seed) if can_be_drawn_from(posterior) else posterior.mean
        )
        subject.on_life()
    table = np.concatenate(latents)
    try:
        return SecondStage(fit_mixture(table, seed=protocol.seed, on_progress=subject.on_life))
    except InvalidInput as error:  # latents that are not finite: the other streams tell what else that means
        reason = f"{error.what} Received: {error.received}."
        return SecondStage(fit=None, missing=MetricValue(value=None, num_images=len(table), kind="nan", reason=reason))


def measure_fitted(subject: Subject, block: IndexRange, stage: SecondStage) -> ShardArrays:
    """Decode and measure the images of a block: what `soundness` gives, and `fitted/features` (n, d) float32 if a metric needs
    them; nothing if there is no mixture."""
    if stage.fit is None:
        return {}
    protocol = subject.protocol
    decoded = sample_fitted(subject.adapter, stage.fit, protocol.seed, block, protocol.network_batch)
    arrays = soundness("fitted", decoded)
    if "fitted/features" in subject.needs:
        arrays["fitted/features"] = subject.features(to_uint8(decoded), block)
    return arrays


def facts_of(stage: SecondStage) -> ShardArrays:
    """What a shard says about the mixture that it drew from, beside its images."""
    if stage.missing is not None:
        return {"fitted/missing": _as_bytes(f"{stage.missing.num_images} {stage.missing.kind} {stage.missing.reason}")}
    if stage.fit is None:
        raise ValueError("A second stage has either a fit or a reason why not.")
    facts: ShardArrays = {"fitted/weights": stage.fit.weights.astype(np.float32)}  # no measurement of an image
    if stage.fit.notes:
        facts["fitted/notes"] = _as_bytes("\n".join(stage.fit.notes))
    return facts


class FactsOfFits:
    """What the shards of an evaluation say about the mixtures that they drew from, put together."""

    def __init__(self) -> None:
        self._missing: MetricValue | None = None
        self._notes: dict[str, None] = {}
        self._weights: list[Float32] = []

    def push(self, shard: ShardArrays) -> None:
        """Take the facts of one shard; one without the stream has none."""
        if "fitted/missing" in shard:
            number, kind, reason = _as_text(shard["fitted/missing"]).split(" ", 2)
            self._missing = MetricValue(
                value=None,
                num_images=int(number),
                kind="nan" if kind == "nan" else "not_applicable",
                reason=reason,
            )
        if "fitted/notes" in shard:
            self._notes |= dict.fromkeys(_as_text(shard["fitted/notes"]).splitlines())
        if "fitted/weights" in shard and not any(_agree(shard["fitted/weights"], known) for known in self._weights):
            self._weights.append(shard["fitted/weights"])

    @property
    def missing(self) -> MetricValue | None:
        """The value of every metric of the stream if a shard has no mixture, else None."""
        return self._missing

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of scores of the stream must know, a sentence each."""
        if len(self._weights) < 2:
            return tuple(self._notes)
        different = (
            f"The shards drew from {len(self._weights)} different mixtures, because machines that round differently fitted "
            "them: evaluate again on machines of one kind."
        )
        return (*self._notes, different)


def _agree(weights: Float32, others: Float32) -> bool:
    return weights.shape == others.shape and bool(np.abs(weights - others).max() <= LARGEST_DIFFERENCE)


def _as_bytes(text: str) -> NDArray[np.uint8]:
    return np.frombuffer(text.encode(), dtype=np.uint8)


def _as_text(array: NDArray[Any]) -> str:
    return array.tobytes().decode()
