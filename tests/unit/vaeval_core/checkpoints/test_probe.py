"""The check-up finds each ill that it looks for, in a model with that ill and no other."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pytest

from vaeval_core.checkpoints.base import Posterior
from vaeval_core.checkpoints.probe import probe
from vaeval_core.errors import CheckpointRejected
from vaeval_core.types import Float32, ImageShape

Network = Callable[[Float32], Float32]


class PixelVae:
    """Images (1, 2, 1) and latents of 2: encodes to the pixels, decodes through a sigmoid. Each part can be replaced."""

    image_shape: ImageShape = (1, 2, 1)
    latent_size = 2

    def __init__(
        self, mean: Network | None = None, log_variance: Network | None = None, decode: Network | None = None
    ) -> None:
        self.mean = mean or (lambda pixels: pixels)
        self.log_variance = log_variance or (lambda pixels: pixels - 1)
        self.decoder = decode or (lambda latents: 1 / (1 + np.exp(-latents)))
        self.calls = 0

    def encode(self, images: Float32) -> Posterior:
        self.calls += 1
        pixels = images.reshape(len(images), 2)
        return Posterior(self.mean(pixels), self.log_variance(pixels))

    def decode(self, latents: Float32) -> Float32:
        self.calls += 1
        return self.decoder(latents).reshape(len(latents), -1, 2, 1)


def test_a_healthy_model_takes_six_calls_and_leaves_no_sentence() -> None:
    adapter = PixelVae()
    assert probe(adapter) == ()
    assert adapter.calls == 6


def test_a_plain_autoencoder_is_healthy() -> None:
    class Plain(PixelVae):
        def encode(self, images: Float32) -> Posterior:
            return Posterior(images.reshape(len(images), 2), None)

    assert probe(Plain()) == ()


def drawing(network: Network) -> Network:
    """The network plus another noise in each call."""
    seeds = itertools.count()
    return lambda values: (
        network(values) + np.random.default_rng(next(seeds)).normal(size=values.shape).astype(np.float32)
    )


def by_batch(values: Float32) -> Float32:
    """Normalised with the statistics of the batch, as in training."""
    return 0.5 + 0.1 * (values - values.mean(axis=0)) / values.std(axis=0)


def partly_nan(values: Float32) -> Float32:
    changed = 0.5 + 0.1 * values
    changed[:16, 0] = np.nan
    return changed


@pytest.mark.parametrize(
    ("adapter", "sentences"),
    [
        (PixelVae(mean=drawing(lambda x: x)), ["The encoder gives another posterior for the same images each time"]),
        (PixelVae(mean=by_batch), ["In the encoder, an image's posterior depends on the other images of the batch"]),
        (PixelVae(mean=partly_nan), ["12.5% of the encoder's values are NaN or infinite."]),
        (PixelVae(log_variance=lambda x: x + 80), ["The encoder's log-variance reaches 81, so σ reaches e^40.5"]),
        (PixelVae(decode=by_batch), ["In the decoder, an image depends on the other latents of the batch"]),
        (PixelVae(decode=partly_nan), ["25.0% of the decoder's values are NaN or infinite."]),
        (PixelVae(decode=lambda z: 0 * z + 0.5), ["The decoder gives one image for all latents: it ignores them."]),
        (PixelVae(decode=np.tanh), ["of the decoder's values lie outside [0, 1] by more than 1%"]),
    ],
)
def test_each_ill_is_said(adapter: PixelVae, sentences: list[str]) -> None:
    found = probe(adapter)
    assert len(found) == len(sentences), found
    for sentence, expected in zip(found, sentences, strict=True):
        assert expected in sentence


def test_a_decoder_that_draws_is_said() -> None:
    found = probe(PixelVae(decode=drawing(lambda latents: 0 * latents)))
    assert "The decoder gives another image for the same latent each time" in found[0]


def test_values_outside_the_range_are_counted_with_their_ends() -> None:
    (sentence,) = probe(PixelVae(decode=lambda latents: np.where(latents > 0, np.float32(2.5), np.float32(-3))))
    assert sentence.startswith("100.0% of the decoder's values")
    assert "(from -3 to 2.5)" in sentence
    assert "image_range" in sentence


def test_values_that_stick_out_by_less_than_one_percent_are_fine() -> None:
    assert probe(PixelVae(decode=lambda latents: np.where(latents > 0, np.float32(1.009), np.float32(-0.009)))) == ()


@pytest.mark.parametrize("network", ["encoder", "decoder"])
def test_a_diverged_network_is_refused(network: str) -> None:
    def nothing(values: Float32) -> Float32:
        return np.full_like(values, np.nan)

    adapter = PixelVae(mean=nothing, log_variance=nothing) if network == "encoder" else PixelVae(decode=nothing)
    with pytest.raises(CheckpointRejected, match=f"The {network} gives no finite number") as caught:
        probe(adapter)
    assert "all NaN or infinite" in str(caught.value.received)
    assert caught.value.expected == "finite values"


def test_a_network_of_another_shape_is_refused() -> None:
    with pytest.raises(CheckpointRejected, match="The encoder gives arrays of another shape") as caught:
        probe(PixelVae(mean=lambda pixels: pixels[:, :1]))
    assert (caught.value.received, caught.value.expected) == ("(32, 1)", "(32, 2)")
    with pytest.raises(CheckpointRejected, match="The decoder gives arrays of another shape"):
        probe(PixelVae(decode=lambda latents: latents.repeat(2, axis=1)))
