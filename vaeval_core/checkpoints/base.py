"""What a checkpoint is to vaeval: a description that costs no TensorFlow, and an adapter that runs it.

`describe` (in `catalogue`) reads a checkpoint's files and returns a `CheckpointDescription`: enough to plan, to reject bad
input at submit time and to compute the digest. `load` returns a `VaeAdapter`, the one shape in which every format runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from vaeval_core.likelihood import Likelihood
from vaeval_core.types import Float32, ImageShape, Int64

PosteriorKind = Literal["diagonal", "none"]
"""`diagonal`: encode gives mean and log-variance. `none`: a plain autoencoder; KL is not applicable."""


NOISE_FLOOR = "noise-floor"
"""Stands where checkpoints have their format, for what is none: real images that are scored as if they were samples."""


def is_noise_floor(description: Mapping[str, Any]) -> bool:
    """True if stored facts are those of a noise floor; they have the `dataset_digest` of its images."""
    return description.get("format") == NOISE_FLOOR


@dataclass(frozen=True, kw_only=True)
class CheckpointDescription:
    """Facts about a checkpoint on disk, read without running it.

    Attributes:
        path: The folder or file that is the checkpoint (a folder for a pair of files).
        format: Catalogue name: `keras-pair`, `keras-vae`, `linear-gaussian`.
        digest: sha256 over its files' names and contents.
        name: Short name for people: the last two parts of the path without file suffix.
        step: Training step or epoch found in the path (`step-300`, `epoch_3`), or None.
        image_shape: (height, width, channels) that the encoder takes and the decoder gives.
        latent_shape: Shape of one latent, such as (16,) or (8, 8, 4).
        posterior: What the encoder says about the latent.
        image_range: What the networks call black and white; images are mapped from and to [0, 1].
        notes: Things assumed rather than known, a sentence each, for who submits or looks.
        likelihood: What the decoder's mean image is the mean of, if that is known; else there is no likelihood to bound.
    """

    path: Path
    format: str
    digest: str
    name: str
    step: int | None
    image_shape: ImageShape
    latent_shape: tuple[int, ...]
    posterior: PosteriorKind
    image_range: tuple[float, float]
    notes: tuple[str, ...] = ()
    likelihood: Likelihood | None = None

    def as_json(self) -> dict[str, Any]:
        """The facts that are stored with the checkpoint's row."""
        return {
            "format": self.format,
            "image_shape": list(self.image_shape),
            "latent_shape": list(self.latent_shape),
            "posterior": self.posterior,
            "image_range": list(self.image_range),
            "notes": list(self.notes),
            "likelihood": None if self.likelihood is None else self.likelihood.model_dump(mode="json"),
        }


@dataclass(frozen=True)
class Posterior:
    """What the encoder says about n images, latents flattened.

    Attributes:
        mean: (n, k) float32, k the product of the latent shape; what `decode` takes for a reconstruction.
        log_variance: (n, k) float32, natural logarithm of σ²; None if the posterior is no diagonal Gaussian.
        covariance_factor: (n, k, k) float32, the lower-triangular L of a full covariance L Lᵀ, instead of a variance.
        group_divergences: (n, g) float32, nats: the KL of each group of latents of a hierarchical model to its own,
            conditional prior, which only the model can work out.
        codes: (n, t) whole numbers, the entries of the codebook that a VQ model takes for an image.
        codebook_size: Entries of its codebook; 0 without codes.
    """

    mean: Float32
    log_variance: Float32 | None
    covariance_factor: Float32 | None = None
    group_divergences: Float32 | None = None
    codes: Int64 | None = None
    codebook_size: int = 0


class VaeAdapter(Protocol):
    """A VAE that runs: the same members for every format. Not thread-safe; one per process."""

    @property
    def image_shape(self) -> ImageShape:
        """(height, width, channels)."""

    @property
    def latent_size(self) -> int:
        """Numbers in one latent, k."""

    @property
    def likelihood(self) -> Likelihood | None:
        """What the decoder's mean image is the mean of; None if nobody has said."""

    def encode(self, images: Float32) -> Posterior:
        """Posterior of images (n, h, w, c) float32 in [0, 1]; deterministic; called at one constant n."""

    def decode(self, latents: Float32) -> Float32:
        """Mean image of latents (n, k) float32, as (n, h, w, c) float32, nominally in [0, 1], not clamped."""
