"""Trains the VAE of `vaeval demo` and keeps it as it was at five moments of training.

A program of its own, `python -m cli.demo_training --output FOLDER`, started by `cli.demo`: the process of the command line
never loads a network library. It sees the training half of the bundled digits only; what is evaluated later are the test
digits. Written for Keras, not for one of its backends.

    digits:train ─► encoder ─► posterior ─► latent = mean + noise ─► decoder ─► loss = cross-entropy + KL_WEIGHT × KL
    FOLDER/epoch-001/{encoder,decoder}.keras … FOLDER/epoch-100/{encoder,decoder}.keras
"""

from __future__ import annotations

import argparse
import math
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

EPOCHS = (1, 3, 10, 30, 100)
"""The moments of training that are kept."""

SEED = 0
LATENT_SIZE = 8
HIDDEN_UNITS = 256
BATCH_SIZE = 128
LEARNING_RATE = 0.003
KL_WEIGHT = 0.25
"""Below 1, because so few images of so few pixels do not pay for the latents that it takes to draw them: at 1 they come out
blurred, at 0.25 the samples can be read."""


def checkpoint_folders(output: Path) -> tuple[Path, ...]:
    """Where the checkpoints are kept, in the order of training."""
    return tuple(output / f"epoch-{epoch:03d}" for epoch in EPOCHS)


def is_trained(output: Path) -> bool:
    """True if every checkpoint is there. A folder gets its name only once both of its files are written."""
    return all(folder.is_dir() for folder in checkpoint_folders(output))


def train(output: Path) -> None:
    """Train from nothing and keep a checkpoint at each of `EPOCHS`; checkpoints of an earlier training are removed first.

    Args:
        output: Folder for the checkpoints; created if missing.
    """
    output.mkdir(parents=True, exist_ok=True)  # before the imports: a folder that cannot be made is told at once
    for folder in checkpoint_folders(output):  # so that an interruption never leaves checkpoints of two trainings
        shutil.rmtree(folder, ignore_errors=True)

    import keras
    import numpy as np

    from vaeval_core.images.digits import digits_split

    pixels, _ = digits_split("train")
    images = pixels.astype("float32") / 255.0
    keras.utils.set_random_seed(SEED)
    encoder, decoder = build_networks(images.shape[1:])
    model = _training_model(encoder, decoder)
    targets = {"reconstruction": images, "kl": np.zeros(len(images), "float32")}
    epochs_done = 0
    for epoch, folder in zip(EPOCHS, checkpoint_folders(output), strict=True):
        model.fit(images, targets, batch_size=BATCH_SIZE, initial_epoch=epochs_done, epochs=epoch, verbose=0)
        _keep(folder, encoder, decoder)
        epochs_done = epoch


def build_networks(image_shape: tuple[int, ...]) -> tuple[Any, Any]:
    """A dense encoder (n, h, w, c) → z_mean, z_log_var (n, LATENT_SIZE) and a dense decoder back to pixels in [0, 1]."""
    import keras
    from keras import layers

    image = keras.Input(image_shape, name="image")
    hidden = layers.Flatten()(image)
    for _ in range(2):
        hidden = layers.Dense(HIDDEN_UNITS, activation="relu")(hidden)
    posterior = [layers.Dense(LATENT_SIZE, name=name)(hidden) for name in ("z_mean", "z_log_var")]

    latent = keras.Input((LATENT_SIZE,), name="latent")
    hidden = latent
    for _ in range(2):
        hidden = layers.Dense(HIDDEN_UNITS, activation="relu")(hidden)
    pixels = layers.Dense(math.prod(image_shape), activation="sigmoid")(hidden)
    reconstruction = layers.Reshape(image_shape)(pixels)
    return keras.Model(image, posterior, name="encoder"), keras.Model(latent, reconstruction, name="decoder")


def _training_model(encoder: Any, decoder: Any) -> Any:
    """Encoder, noise and decoder in one; its two outputs are the two terms of the loss, each in nats per image."""
    import keras
    from keras import ops

    mean, log_variance = encoder(encoder.input)
    # GaussianNoise adds N(0, 1) while training and nothing otherwise, and owns its seed on every backend.
    noise = keras.layers.GaussianNoise(1.0, seed=SEED)(ops.zeros_like(mean))
    reconstruction = decoder(mean + ops.exp(0.5 * log_variance) * noise)
    kl = 0.5 * ops.sum(ops.square(mean) + ops.exp(log_variance) - 1.0 - log_variance, axis=-1)

    def summed_cross_entropy(images: Any, reconstructed: Any) -> Any:
        # The mean that Keras takes is over the last axis, the one channel.
        return ops.sum(keras.losses.binary_crossentropy(images, reconstructed), axis=(1, 2))

    model = keras.Model(encoder.input, {"reconstruction": reconstruction, "kl": kl})
    model.compile(
        optimizer=keras.optimizers.Adam(LEARNING_RATE),
        loss={"reconstruction": summed_cross_entropy, "kl": lambda _, value: value},
        loss_weights={"reconstruction": 1.0, "kl": KL_WEIGHT},
    )
    return model


def _keep(folder: Path, encoder: Any, decoder: Any) -> None:
    """Write both files, then give the folder its name, so that a half-written checkpoint is never taken for one."""
    partial = folder.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    encoder.save(partial / "encoder.keras")
    decoder.save(partial / "decoder.keras")
    partial.rename(folder)


def main(arguments: Sequence[str] | None = None) -> None:
    """Train, unless all checkpoints are there already."""
    parser = argparse.ArgumentParser(description="Train the VAE of vaeval demo.")
    parser.add_argument("--output", type=Path, required=True, help="folder for the checkpoints")
    parser.add_argument("--retrain", action="store_true", help="train although all checkpoints are there")
    chosen = parser.parse_args(arguments)
    if chosen.retrain or not is_trained(chosen.output):
        train(chosen.output)


if __name__ == "__main__":
    main()
