"""One `.keras` file that holds a whole VAE."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vaeval_core.checkpoints.catalogue import describe, load
from vaeval_core.errors import CheckpointRejected

pytestmark = [
    pytest.mark.tensorflow,
    # Keras 3.15 turns TensorFlow variables into NumPy arrays by a protocol that NumPy 2 is moving away from.
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"),
]


def opened(file: Path) -> Any:
    return load(file, describe(file).digest)


def equal(received: Any, expected: Any) -> None:
    np.testing.assert_allclose(np.asarray(received), np.asarray(expected), rtol=1e-6, atol=1e-6)


def check(adapter: Any, real: Any, encoder: Any, decoder: Any) -> None:
    posterior = adapter.encode(real.images)
    equal(posterior.mean, encoder(real.images)[0])
    equal(posterior.log_variance, encoder(real.images)[1])
    equal(adapter.decode(real.latents), decoder(real.latents))


def test_a_class_of_its_author_is_opened_without_the_class(real: Any, tmp_path: Path) -> None:
    encoder, decoder = real.dense_encoder(), real.dense_decoder()
    vae = real.vae_class(encoder, decoder)
    vae.compile(optimizer="adam", loss="mse")
    vae(real.images)
    vae.optimizer.build(vae.trainable_variables)  # its state is saved too, beside the weights
    vae.save(tmp_path / "vae-0100.keras")
    description = describe(tmp_path / "vae-0100.keras")
    assert (description.format, description.step) == ("keras-vae", 100)
    assert "class Vae" in description.notes[0]
    check(opened(tmp_path / "vae-0100.keras"), real, encoder, decoder)


def test_a_class_without_its_models_in_the_config_is_refused(real: Any, tmp_path: Path) -> None:
    class Bare(real.keras.Model):  # type: ignore[misc, name-defined]
        def __init__(self, latent_size: int, **settings: Any) -> None:
            super().__init__(**settings)
            self.latent_size, self.dense = latent_size, real.keras.layers.Dense(latent_size)

        def call(self, inputs: Any) -> Any:
            return self.dense(inputs)

        def get_config(self) -> dict[str, Any]:
            return super().get_config() | {"latent_size": self.latent_size}

    model = Bare(3)
    model(real.images)
    model.save(tmp_path / "vae.keras")
    with pytest.raises(CheckpointRejected, match=r"class Bare with keys .*latent_size") as caught:
        describe(tmp_path / "vae.keras")
    assert 'encoder.save("encoder.keras")' in str(caught.value.next_step)


@pytest.mark.parametrize("decoder_class", ["Functional", "Sequential"])
def test_two_models_inside_a_functional_one_are_encoder_and_decoder(
    real: Any, tmp_path: Path, decoder_class: str
) -> None:
    encoder, decoder = real.dense_encoder(), real.dense_decoder()
    if decoder_class == "Functional":
        latents = real.keras.Input((3,))
        decoder = real.keras.Model(latents, decoder(latents), name="outer_decoder")
    inputs = real.keras.Input((8, 8, 1))
    real.keras.Model(inputs, decoder(encoder(inputs)[2])).save(tmp_path / "vae.keras")
    check(opened(tmp_path / "vae.keras"), real, encoder, decoder)


def test_weights_inside_a_functional_model_are_found_without_recorded_names(
    real: Any, tmp_path: Path, without_recorded_names: Any
) -> None:
    encoder, decoder = real.dense_encoder(), real.dense_decoder()
    inputs = real.keras.Input((8, 8, 1))
    real.keras.Model(inputs, decoder(encoder(inputs)[0])).save(tmp_path / "vae.keras")
    without_recorded_names(tmp_path / "vae.keras")
    check(opened(tmp_path / "vae.keras"), real, encoder, decoder)


def test_a_sampling_layer_between_the_two_is_left_out_and_noted(real: Any, tmp_path: Path) -> None:
    full, decoder = real.dense_encoder(), real.dense_decoder()
    encoder = real.keras.Model(full.inputs[0], full.outputs[:2], name="encoder")
    inputs = real.keras.Input((8, 8, 1))
    draw = real.sampling_class(name="draw")(encoder(inputs))
    real.keras.Model(inputs, decoder(draw)).save(tmp_path / "vae.keras")
    assert "The layer draw of class Sampling" in describe(tmp_path / "vae.keras").notes[0]
    check(opened(tmp_path / "vae.keras"), real, encoder, decoder)


@pytest.mark.parametrize("place", ["before the encoder", "between encoder and decoder", "behind the decoder"])
def test_layers_around_the_two_models_are_not_left_out_silently(real: Any, tmp_path: Path, place: str) -> None:
    encoder, decoder, scale = real.dense_encoder(), real.dense_decoder(), real.keras.layers.Rescaling(2.0, name="twice")
    inputs = real.keras.Input((8, 8, 1))
    latents = encoder(scale(inputs) if place.startswith("before") else inputs)[0]
    images = decoder(scale(latents) if place.startswith("between") else latents)
    real.keras.Model(inputs, scale(images) if place.startswith("behind") else images).save(tmp_path / "vae.keras")
    with pytest.raises(CheckpointRejected, match=f"layers {place}") as caught:
        describe(tmp_path / "vae.keras")
    assert "twice" in str(caught.value.received)


def test_a_model_that_is_not_told_apart_is_refused(real: Any, tmp_path: Path) -> None:
    layers, inputs = real.keras.layers, real.keras.Input((8, 8, 1))
    pixels = layers.Dense(64)(layers.Dense(3)(layers.Flatten()(inputs)))
    real.keras.Model(inputs, layers.Reshape((8, 8, 1))(pixels)).save(tmp_path / "vae.keras")
    with pytest.raises(CheckpointRejected, match="0 models inside") as caught:
        describe(tmp_path / "vae.keras")
    assert "one encoder and one decoder inside it" in str(caught.value)


@pytest.mark.parametrize(("role", "partner"), [("encoder", "decoder.keras"), ("decoder", "encoder.keras")])
def test_half_a_vae_is_told_what_is_missing(real: Any, tmp_path: Path, role: str, partner: str) -> None:
    model = real.dense_encoder() if role == "encoder" else real.dense_decoder()
    model.save(tmp_path / "best.keras")
    with pytest.raises(CheckpointRejected, match=f"only an? {role}: {partner} is missing beside it") as caught:
        describe(tmp_path / "best.keras")
    assert "best.keras" in str(caught.value.received)
