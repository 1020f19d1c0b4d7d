"""A thousand small checkpoints, as a sweep leaves them: real files for `vaeval submit` to read, each with bytes of its own."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from vaeval_core.checkpoints.linear_gaussian import linear_gaussian_vae


def linear_gaussian_sweep(folder: Path, count: int) -> Path:
    """Linear-Gaussian models of digits, about 2 kB each; their folder."""
    for number in range(count):
        model = linear_gaussian_vae(np.eye(64, 2) * (0.1 + number * 1e-4), np.full(64, 0.4), 0.01, (8, 8, 1))
        model.save(folder / f"step-{number}")
    return folder


def keras_sweep(folder: Path, count: int) -> Path:
    """Pairs of encoder.keras and decoder.keras for 28×28 images, about 0.6 MB each; their folder.

    One convolutional VAE, built by Keras; the others are copies whose files of weights end in a number, which HDF5 passes over,
    and whose metadata differ as the date in them would.
    """
    first = folder.with_name(f"{folder.name}-first")
    first.mkdir(parents=True, exist_ok=True)
    _save_a_vae(first)
    for number in range(count):
        pair = folder / f"step-{number}"
        pair.mkdir(parents=True, exist_ok=True)
        own = {"model.weights.h5": number.to_bytes(8, "little"), "metadata.json": b" " * number}
        for name in ("encoder.keras", "decoder.keras"):
            with zipfile.ZipFile(first / name) as source, zipfile.ZipFile(pair / name, "w") as target:
                for member in source.namelist():
                    target.writestr(member, source.read(member) + own.get(member, b""))
    return folder


def _save_a_vae(folder: Path) -> None:
    import keras
    from keras import layers

    image = hidden = keras.Input((28, 28, 1))
    for filters in (16, 32):
        hidden = layers.Conv2D(filters, 3, strides=2, padding="same", activation="relu")(hidden)
    hidden = layers.Dense(64, activation="relu")(layers.Flatten()(hidden))
    outputs = [layers.Dense(8, name=name)(hidden) for name in ("z_mean", "z_log_var")]
    keras.Model(image, outputs, name="encoder").save(folder / "encoder.keras")
    latent = keras.Input((8,))
    hidden = layers.Reshape((7, 7, 32))(layers.Dense(7 * 7 * 32, activation="relu")(latent))
    for filters in (32, 16):
        hidden = layers.Conv2DTranspose(filters, 3, strides=2, padding="same", activation="relu")(hidden)
    decoded = layers.Conv2D(1, 3, padding="same", activation="sigmoid")(hidden)
    keras.Model(latent, decoded, name="decoder").save(folder / "decoder.keras")
