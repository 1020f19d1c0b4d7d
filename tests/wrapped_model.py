"""A linear model in a wrapper, for tests that want one whose encoder or decoder does something else as well."""

from __future__ import annotations

from dataclasses import dataclass

from vaeval_core.checkpoints.base import Posterior
from vaeval_core.checkpoints.linear_gaussian import LinearGaussianVae
from vaeval_core.likelihood import Likelihood
from vaeval_core.types import Float32, ImageShape


@dataclass
class WrappedModel:
    """Does what the model does; a subclass says what it does otherwise."""

    model: LinearGaussianVae

    @property
    def image_shape(self) -> ImageShape:
        return self.model.image_shape

    @property
    def latent_size(self) -> int:
        return self.model.latent_size

    @property
    def likelihood(self) -> Likelihood:
        return self.model.likelihood

    def encode(self, images: Float32) -> Posterior:
        return self.model.encode(images)

    def decode(self, latents: Float32) -> Float32:
        return self.model.decode(latents)
