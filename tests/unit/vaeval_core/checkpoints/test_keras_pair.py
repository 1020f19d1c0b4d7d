"""Pairs saved by Keras: the adapter must give what the author's own models give."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vaeval_core.checkpoints.catalogue import describe, load
from vaeval_core.checkpoints.probe import probe
from vaeval_core.errors import CheckpointRejected

pytestmark = [
    pytest.mark.tensorflow,
    # Keras 3.15 turns TensorFlow variables into NumPy arrays by a protocol that NumPy 2 is moving away from.
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"),
]


def opened(folder: Path) -> Any:
    return load(folder, describe(folder).digest)


def equal(received: Any, expected: Any) -> None:
    np.testing.assert_allclose(np.asarray(received), np.asarray(expected), rtol=1e-6, atol=1e-6)


def test_a_pair_with_a_custom_sampling_layer_gives_the_outputs_of_its_models(real: Any, tmp_path: Path) -> None:
    encoder, decoder = real.dense_encoder(), real.dense_decoder()
    folder = real.save_pair(tmp_path / "step-300", encoder, decoder)
    description = describe(folder)
    assert description.format == "keras-pair"
    assert (description.image_shape, description.latent_shape) == ((8, 8, 1), (3,))
    assert (description.posterior, description.image_range, description.notes) == ("diagonal", (0.0, 1.0), ())
    adapter = load(folder, description.digest)
    assert (adapter.image_shape, adapter.latent_size) == ((8, 8, 1), 3)
    posterior = adapter.encode(real.images)
    mean, log_variance, _ = encoder(real.images)
    equal(posterior.mean, mean)
    equal(posterior.log_variance, log_variance)
    equal(adapter.decode(real.latents), decoder(real.latents))
    assert posterior.mean.dtype == adapter.decode(real.latents).dtype == np.float32
    assert probe(adapter) == ()


def test_running_a_model_prints_nothing(real: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    adapter = opened(real.save_pair(tmp_path / "vae", real.dense_encoder(), real.dense_decoder()))
    adapter.decode(adapter.encode(real.images).mean)
    assert capsys.readouterr().out == ""


def test_a_lambda_sampling_layer_is_left_out(real: Any, tmp_path: Path) -> None:
    draw = real.keras.layers.Lambda(lambda parts: parts[0], output_shape=(3,), name="z")
    encoder = real.dense_encoder(draw)
    adapter = opened(real.save_pair(tmp_path / "vae", encoder, real.dense_decoder()))
    equal(adapter.encode(real.images).mean, encoder(real.images)[0])


def test_a_lambda_on_the_way_to_the_mean_is_named(real: Any, tmp_path: Path) -> None:
    layers = real.keras.layers
    inputs = real.keras.Input((8, 8, 1))
    halved = layers.Lambda(lambda image: image / 2, output_shape=(8, 8, 1), name="halve")(inputs)
    flat = layers.Flatten()(halved)
    outputs = [layers.Dense(3, name="z_mean")(flat), layers.Dense(3, name="z_log_var")(flat)]
    folder = real.save_pair(tmp_path / "vae", real.keras.Model(inputs, outputs), real.dense_decoder())
    with pytest.raises(CheckpointRejected, match="'halve' of class Lambda") as caught:
        describe(folder)
    assert "z_mean" in str(caught.value)
    assert "only layers of Keras" in str(caught.value)


def test_a_lambda_in_the_decoder_is_named(real: Any, tmp_path: Path) -> None:
    latents = real.keras.Input((3,))
    pixels = real.keras.layers.Reshape((8, 8, 1))(real.keras.layers.Dense(64)(latents))
    image = real.keras.layers.Lambda(lambda x: x + 0.5, output_shape=(8, 8, 1), name="shift")(pixels)
    folder = real.save_pair(tmp_path / "vae", real.dense_encoder(), real.keras.Model(latents, image))
    with pytest.raises(CheckpointRejected, match="layer 'shift' of class Lambda"):
        describe(folder)


def test_a_convolutional_pair_runs_in_inference_mode(real: Any, tmp_path: Path) -> None:
    layers, keras = real.keras.layers, real.keras
    inputs = keras.Input((8, 8, 1))
    hidden = layers.Conv2D(4, 3, strides=2, padding="same", activation="relu")(inputs)
    hidden = layers.Dropout(0.5)(layers.BatchNormalization()(hidden))
    mean = layers.Conv2D(2, 1, name="mu")(hidden)
    log_variance = layers.Conv2D(2, 1, name="logvar")(hidden)
    encoder = real.randomised(keras.Model(inputs, [mean, log_variance]))
    latents = keras.Input((4, 4, 2))
    image = layers.Conv2DTranspose(1, 3, strides=2, padding="same")(layers.BatchNormalization()(latents))
    decoder = real.randomised(keras.Model(latents, layers.Activation("sigmoid")(image)))
    folder = real.save_pair(tmp_path / "conv", encoder, decoder)
    assert describe(folder).latent_shape == (4, 4, 2)
    adapter = opened(folder)
    assert adapter.latent_size == 32
    posterior = adapter.encode(real.images)
    expected_mean, expected_log_variance = encoder(real.images, training=False)
    equal(posterior.mean, np.reshape(expected_mean, (32, 32)))
    equal(posterior.log_variance, np.reshape(expected_log_variance, (32, 32)))
    equal(adapter.decode(posterior.mean), decoder(expected_mean, training=False))
    assert probe(adapter) == ()


def test_layers_that_are_counted_anew_without_the_draw_keep_their_own_weights(real: Any, tmp_path: Path) -> None:
    encoder = encoder_whose_layers_change_order(real)
    adapter = opened(real.save_pair(tmp_path / "vae", encoder, real.dense_decoder()))
    posterior = adapter.encode(real.images)
    equal(posterior.mean, encoder(real.images)[0])
    equal(posterior.log_variance, encoder(real.images)[1])


def test_files_that_do_not_record_layer_names_get_their_own_weights(
    real: Any, tmp_path: Path, without_recorded_names: Callable[[Path], None]
) -> None:
    encoder = encoder_whose_layers_change_order(real)
    folder = real.save_pair(tmp_path / "vae", encoder, real.dense_decoder())
    without_recorded_names(folder / "encoder.keras")
    posterior = opened(folder).encode(real.images)
    equal(posterior.mean, encoder(real.images)[0])
    equal(posterior.log_variance, encoder(real.images)[1])


def encoder_whose_layers_change_order(real: Any) -> Any:
    """With the draw, z_log_var is one layer further from the end than z_mean, so it is counted first; without, last."""
    layers, keras = real.keras.layers, real.keras
    inputs = keras.Input((8, 8, 1))
    flat = layers.Flatten()(inputs)
    mean, log_variance = layers.Dense(3, name="z_mean")(flat), layers.Dense(3, name="z_log_var")(flat)
    bounded = layers.Dense(3, name="bounded")(log_variance)
    draw = real.sampling_class()([mean, bounded])
    return real.randomised(keras.Model(inputs, [mean, log_variance, draw], name="encoder"))


def test_flat_vectors_are_images_row_by_row(real: Any, tmp_path: Path) -> None:
    layers, keras = real.keras.layers, real.keras
    inputs = keras.Input((64,))
    encoder = real.randomised(keras.Model(inputs, [layers.Dense(3, name="mean")(inputs), layers.Dense(3)(inputs)]))
    decoder = real.randomised(keras.Sequential([keras.Input((3,)), layers.Dense(64, activation="sigmoid")]))
    folder = real.save_pair(tmp_path / "flat", encoder, decoder)
    description = describe(folder)
    assert description.image_shape == (8, 8, 1)
    assert "flat vectors of 64" in " ".join(description.notes)
    adapter = opened(folder)
    equal(adapter.encode(real.images).mean, encoder(real.images.reshape(32, 64))[0])
    equal(adapter.decode(real.latents), np.reshape(decoder(real.latents), (32, 8, 8, 1)))


def test_a_tanh_decoder_works_in_minus_one_to_one(real: Any, tmp_path: Path) -> None:
    encoder, decoder = real.dense_encoder(), real.dense_decoder("tanh")
    folder = real.save_pair(tmp_path / "tanh", encoder, decoder)
    assert describe(folder).image_range == (-1.0, 1.0)
    adapter = opened(folder)
    equal(adapter.encode(real.images).mean, encoder(real.images * 2 - 1)[0])
    equal(adapter.decode(real.latents), (np.asarray(decoder(real.latents)) + 1) / 2)


def test_declared_logits_go_through_a_sigmoid(real: Any, tmp_path: Path) -> None:
    decoder = real.dense_decoder("linear")
    folder = real.save_pair(tmp_path / "logits", real.dense_encoder(), decoder, sidecar="decoder_output: logits\n")
    equal(opened(folder).decode(real.latents), real.keras.ops.sigmoid(decoder(real.latents)))


def test_declared_sigma_becomes_log_variance_and_a_likelihood_is_kept(real: Any, tmp_path: Path) -> None:
    layers, keras = real.keras.layers, real.keras
    inputs = keras.Input((8, 8, 1))
    flat = layers.Flatten()(inputs)
    outputs = [layers.Dense(3, name="mu")(flat), layers.Dense(3, activation="softplus", name="sigma")(flat)]
    encoder = real.randomised(keras.Model(inputs, outputs))
    folder = real.save_pair(
        tmp_path / "sigma", encoder, real.dense_decoder(), sidecar="scale: sigma\nlikelihood: bernoulli\n"
    )
    sigma = np.asarray(encoder(real.images)[1], np.float64)
    adapter = opened(folder)
    equal(adapter.encode(real.images).log_variance, np.log(sigma**2))
    assert str(adapter.likelihood) == "bernoulli"


def test_an_autoencoder_has_no_posterior(real: Any, tmp_path: Path) -> None:
    layers, keras = real.keras.layers, real.keras
    encoder = real.randomised(keras.Sequential([keras.Input((8, 8, 1)), layers.Flatten(), layers.Dense(3)]))
    folder = real.save_pair(tmp_path / "ae", encoder, real.dense_decoder())
    description = describe(folder)
    assert description.posterior == "none"
    assert "KL is not applicable" in description.notes[0]
    posterior = opened(folder).encode(real.images)
    assert posterior.log_variance is None
    equal(posterior.mean, encoder(real.images))


def test_one_output_of_twice_the_latent_size_is_mean_and_log_variance(real: Any, tmp_path: Path) -> None:
    layers, keras = real.keras.layers, real.keras
    encoder = real.randomised(keras.Sequential([keras.Input((8, 8, 1)), layers.Flatten(), layers.Dense(6)]))
    folder = real.save_pair(tmp_path / "halves", encoder, real.dense_decoder())
    assert "first half" in describe(folder).notes[0]
    posterior = opened(folder).encode(real.images)
    equal(posterior.mean, np.asarray(encoder(real.images))[:, :3])
    equal(posterior.log_variance, np.asarray(encoder(real.images))[:, 3:])


def test_models_inside_the_encoder_are_opened(real: Any, tmp_path: Path) -> None:
    layers, keras = real.keras.layers, real.keras
    inner_input = keras.Input((64,))
    inner = keras.Model(inner_input, layers.Dense(4, activation="relu")(inner_input), name="trunk")
    head = keras.Sequential([keras.Input((4,)), layers.Dense(4, activation="tanh"), layers.Dense(3)], name="z_mean")
    inputs = keras.Input((8, 8, 1))
    hidden = inner(layers.Flatten()(inputs))
    encoder = real.randomised(keras.Model(inputs, [head(hidden), layers.Dense(3, name="z_log_var")(hidden)]))
    folder = real.save_pair(tmp_path / "nested", encoder, real.dense_decoder())
    assert describe(folder).notes == ()
    posterior = opened(folder).encode(real.images)
    equal(posterior.mean, encoder(real.images)[0])
    equal(posterior.log_variance, encoder(real.images)[1])


def test_dict_outputs_are_known_by_their_keys(real: Any, tmp_path: Path) -> None:
    layers, keras = real.keras.layers, real.keras
    inputs = keras.Input((8, 8, 1))
    flat = layers.Flatten()(inputs)
    outputs = {"log_var": layers.Dense(3)(flat), "mean": layers.Dense(3)(flat)}
    encoder = real.randomised(keras.Model(inputs, outputs))
    posterior = opened(real.save_pair(tmp_path / "dict", encoder, real.dense_decoder())).encode(real.images)
    equal(posterior.mean, encoder(real.images)["mean"])
    equal(posterior.log_variance, encoder(real.images)["log_var"])


def test_a_network_trained_in_half_precision_runs_in_float32(real: Any, tmp_path: Path) -> None:
    real.keras.config.set_dtype_policy("mixed_float16")
    try:
        half = real.dense_encoder()
    finally:
        real.keras.config.set_dtype_policy("float32")
    full = real.dense_encoder()
    full.set_weights(half.get_weights())
    folder = real.save_pair(tmp_path / "half", half, real.dense_decoder())
    assert "half precision" in describe(folder).notes[-1]
    equal(opened(folder).encode(real.images).mean, full(real.images)[0])


def test_an_own_loss_does_not_keep_a_model_from_opening(real: Any, tmp_path: Path) -> None:
    def own_loss(expected: Any, received: Any) -> Any:
        return real.keras.ops.mean((expected - received) ** 2)

    decoder = real.dense_decoder()
    decoder.compile(optimizer="adam", loss=own_loss)
    adapter = opened(real.save_pair(tmp_path / "compiled", real.dense_encoder(), decoder))
    equal(adapter.decode(real.latents), decoder(real.latents))


def test_a_scaling_layer_in_the_encoder_gets_the_images_it_asks_for(real: Any, tmp_path: Path) -> None:
    layers, keras = real.keras.layers, real.keras
    inputs = keras.Input((8, 8, 1))
    flat = layers.Flatten()(layers.Rescaling(1 / 255)(inputs))
    encoder = real.randomised(keras.Model(inputs, [layers.Dense(3)(flat), layers.Dense(3)(flat)]))
    folder = real.save_pair(tmp_path / "bytes", encoder, real.dense_decoder())
    assert "[0, 255]" in " ".join(describe(folder).notes)
    equal(opened(folder).encode(real.images).mean, encoder(real.images * 255)[0])


def test_weights_of_another_network_are_refused(real: Any, tmp_path: Path, swap_weights: Any) -> None:
    folder = real.save_pair(tmp_path / "vae", real.dense_encoder(), real.dense_decoder())
    other = real.save_pair(tmp_path / "other", real.dense_encoder(), real.dense_decoder(size=5))
    swap_weights(folder / "decoder.keras", other / "decoder.keras")
    digest = describe(folder).digest
    with pytest.raises(CheckpointRejected, match="Keras cannot rebuild the model decoder") as caught:
        load(folder, digest)
    assert "weights that belong together" in str(caught.value)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_model_that_diverged_is_refused_though_its_outputs_look_sound(
    real: Any, tmp_path: Path, value: float
) -> None:
    decoder = real.dense_decoder()
    kernel, *rest = decoder.layers[1].get_weights()
    kernel[0, :2] = value
    decoder.layers[1].set_weights([kernel, *rest])
    folder = real.save_pair(tmp_path / "vae", real.dense_encoder(), decoder)
    with pytest.raises(CheckpointRejected, match="not finite: it diverged in training") as caught:
        opened(folder)
    assert f"decoder.keras: 2 of {kernel.size:,} values of " in str(caught.value.received)
    assert "before it diverged" in str(caught.value.next_step)
