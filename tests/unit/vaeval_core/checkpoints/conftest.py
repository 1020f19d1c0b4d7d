"""Checkpoints of two kinds: real ones, saved by Keras in the test run, and archives written by hand (`keras_files`)."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.unit.vaeval_core.checkpoints.keras_files import a_decoder, an_encoder, archive, replace_weights

PairWriter = Callable[..., Path]


@pytest.fixture
def write_pair(tmp_path: Path) -> PairWriter:
    """Writes a folder with hand-made encoder.keras and decoder.keras, enough to be described."""

    def write(
        name: str = "step-300",
        *,
        encoder: Mapping[str, Any] | None = None,
        decoder: Mapping[str, Any] | None = None,
        sidecar: str | None = None,
    ) -> Path:
        folder = tmp_path / "runs" / name
        folder.mkdir(parents=True)
        (folder / "encoder.keras").write_bytes(archive(encoder or an_encoder()))
        (folder / "decoder.keras").write_bytes(archive(decoder or a_decoder()))
        if sidecar is not None:
            (folder / "vaeval.yaml").write_text(sidecar, encoding="utf-8")
        return folder

    return write


class RealModels:
    """Small Keras models with random weights, made once; `images` and `latents` are 32 of each."""

    def __init__(self) -> None:
        import keras

        self.keras = keras
        generator = np.random.default_rng(7)
        self.images = generator.random((32, 8, 8, 1), dtype=np.float32)
        self.latents = generator.standard_normal((32, 3), dtype=np.float32)

        class Sampling(keras.layers.Layer):  # type: ignore[misc, name-defined]
            """The layer of the Keras example, known to nobody who loads the file."""

            def __init__(self, **settings: Any) -> None:
                super().__init__(**settings)
                self.seed_generator = keras.random.SeedGenerator(1)

            def call(self, inputs: Any) -> Any:
                mean, log_variance = inputs
                noise = keras.random.normal(keras.ops.shape(mean), dtype=mean.dtype, seed=self.seed_generator)
                return mean + keras.ops.exp(0.5 * log_variance) * noise

        class Vae(keras.Model):  # type: ignore[misc, name-defined]
            """A whole VAE whose config holds its two models."""

            def __init__(self, encoder: Any, decoder: Any, **settings: Any) -> None:
                super().__init__(**settings)
                self.encoder, self.decoder = encoder, decoder
                self.loss_tracker = keras.metrics.Mean(name="loss")

            def call(self, inputs: Any) -> Any:
                return self.decoder(self.encoder(inputs)[2])

            def get_config(self) -> dict[str, Any]:
                parts = {"encoder": self.encoder, "decoder": self.decoder}
                return super().get_config() | {
                    name: keras.saving.serialize_keras_object(part) for name, part in parts.items()
                }

        self.sampling_class, self.vae_class = Sampling, Vae

    def randomised(self, model: Any) -> Any:
        """The model with every weight random, so that no two layers or biases could be swapped unseen."""
        generator = np.random.default_rng(len(model.weights))
        for weight in model.weights:
            if "float" in str(weight.dtype):
                weight.assign(generator.uniform(0.1, 0.6, weight.shape).astype(np.float32))
        return model

    def dense_encoder(self, sampling: Any = None) -> Any:
        """8x8x1 to [z_mean, z_log_var, z] of 3."""
        layers = self.keras.layers
        inputs = self.keras.Input((8, 8, 1))
        hidden = layers.Dense(5, activation="tanh")(layers.Flatten()(inputs))
        mean = layers.Dense(3, name="z_mean")(hidden)
        log_variance = layers.Dense(3, name="z_log_var")(hidden)
        draw = (sampling or self.sampling_class(name="z"))([mean, log_variance])
        return self.randomised(self.keras.Model(inputs, [mean, log_variance, draw], name="encoder"))

    def dense_decoder(self, activation: str = "sigmoid", size: int = 3) -> Any:
        """3 to 8x8x1."""
        layers = self.keras.layers
        model = self.keras.Sequential(
            [
                self.keras.Input((size,)),
                layers.Dense(6, activation="relu"),
                layers.Dense(64, activation=activation),
                layers.Reshape((8, 8, 1)),
            ],
            name="decoder",
        )
        return self.randomised(model)

    def save_pair(self, folder: Path, encoder: Any, decoder: Any, sidecar: str | None = None) -> Path:
        """Write both files, and a sidecar if given."""
        folder.mkdir(parents=True, exist_ok=True)
        encoder.save(folder / "encoder.keras")
        decoder.save(folder / "decoder.keras")
        if sidecar is not None:
            (folder / "vaeval.yaml").write_text(sidecar, encoding="utf-8")
        return folder


@pytest.fixture(scope="session")
def real() -> RealModels:
    """Keras, imported once for all tests that need it."""
    return RealModels()


@pytest.fixture
def without_recorded_names() -> Callable[[Path], None]:
    """Takes the layer names out of a weights file, as older Keras 3 never wrote them."""
    import h5py

    def forget(file: Path) -> None:
        with zipfile.ZipFile(file) as source:
            stream = io.BytesIO(source.read("model.weights.h5"))
        with h5py.File(stream, "r+") as weights:
            weights.visititems(lambda _, item: item.attrs.pop("name", None) and None)
        replace_weights(file, stream.getvalue())

    return forget


@pytest.fixture
def swap_weights() -> Callable[[Path, Path], None]:
    """Gives one file the weights of another."""

    def swap(file: Path, other: Path) -> None:
        with zipfile.ZipFile(other) as source:
            replace_weights(file, source.read("model.weights.h5"))

    return swap
