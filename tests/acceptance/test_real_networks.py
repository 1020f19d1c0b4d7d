"""The whole path with real networks: Keras VAEs in both forms, InceptionV3, Celery over Valkey, one worker and two."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from vaeval_core.images.digits import digits_split

pytestmark = [pytest.mark.service, pytest.mark.tensorflow, pytest.mark.timeout(600)]

NUM_IMAGES = 34
"""One full network batch and a part of the next: the fewest that show whether padding matters."""

NUM_SAMPLES = 32
"""One batch: as dear as a few less."""

SAVE_TWO_VAES = """
import sys
from pathlib import Path
import keras
from keras import layers

@keras.saving.register_keras_serializable(package="somebody")
class Sampling(layers.Layer):
    def call(self, inputs):
        mean, log_variance = inputs
        return mean + keras.ops.exp(0.5 * log_variance) * keras.random.normal(keras.ops.shape(mean))

keras.utils.set_random_seed(3)

def networks():
    images = keras.Input((8, 8, 1))
    hidden = layers.Dense(16, activation="relu")(layers.Flatten()(images))
    z_mean = layers.Dense(3, name="z_mean")(hidden)
    z_log_var = layers.Dense(3, name="z_log_var")(hidden)
    z = Sampling()([z_mean, z_log_var])
    latents = keras.Input((3,))
    pixels = layers.Reshape((8, 8, 1))(layers.Dense(64, activation="sigmoid")(latents))
    return keras.Model(images, [z_mean, z_log_var, z]), keras.Model(latents, pixels)

@keras.saving.register_keras_serializable(package="somebody")
class Vae(keras.Model):
    def __init__(self, encoder, decoder, **rest):
        super().__init__(**rest)
        self.encoder, self.decoder = encoder, decoder

    def call(self, images):
        return self.decoder(self.encoder(images)[2])

    def get_config(self):
        serialize = keras.saving.serialize_keras_object
        return {"encoder": serialize(self.encoder), "decoder": serialize(self.decoder)}

folder = Path(sys.argv[1])
encoder, decoder = networks()
(folder / "pair").mkdir()
encoder.save(folder / "pair" / "encoder.keras")
decoder.save(folder / "pair" / "decoder.keras")
vae = Vae(*networks())
vae(keras.ops.zeros((1, 8, 8, 1)))
vae.save(folder / "whole.keras")
"""


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("checkpoints")
    subprocess.run([sys.executable, "-c", SAVE_TWO_VAES, str(folder)], check=True)
    return folder


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    images, labels = digits_split("test")
    for number, (image, label) in enumerate(zip(images[:NUM_IMAGES], labels[:NUM_IMAGES], strict=True)):
        (folder / str(label)).mkdir(exist_ok=True)
        Image.fromarray(image[:, :, 0]).save(folder / str(label) / f"{number}.png")
    return folder


def vaeval(home: Path, *words: object) -> Any:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("VAEVAL_")}
    finished = subprocess.run(
        [Path(sys.executable).with_name("vaeval"), *map(str, words)],
        env=environment | {"VAEVAL_HOME": str(home)},
        capture_output=True,
        text=True,
    )
    assert finished.returncode == 0, finished.stderr
    return json.loads(finished.stdout)


def run_and_read_scores(home: Path, checkpoints: Path, photos: Path, *how: object) -> list[dict[str, Any]]:
    counts = ["--samples", NUM_SAMPLES, "--reconstructions", NUM_IMAGES, "--reference", NUM_SAMPLES]
    declared = ["--likelihood", "gaussian:0.1"]
    vaeval(home, "run", checkpoints, "--data", photos, *counts, *declared, *how, "--threads", 1, "--json")
    query = "SELECT checkpoint, metric, value, std_error, num_images, components FROM scores_long ORDER BY 1, 2"
    rows: list[dict[str, Any]] = vaeval(home, "sql", query, "--json")["rows"]
    return rows


def workers_and_shards(home: Path) -> tuple[int, int]:
    """How many workers finished a shard, and how many shards there were."""
    query = "SELECT COUNT(DISTINCT lease_owner) AS workers, COUNT(*) AS shards FROM shards"
    (row,) = vaeval(home, "sql", query, "--json")["rows"]
    return row["workers"], row["shards"]


def test_one_worker_and_two_give_the_same_bits(checkpoints: Path, photos: Path, tmp_path: Path) -> None:
    pair = checkpoints / "pair"
    alone = run_and_read_scores(tmp_path / "alone", pair, photos, "--workers", 1)
    together = run_and_read_scores(tmp_path / "together", pair, photos, "--workers", 2, "--shard-size", 32)

    assert workers_and_shards(tmp_path / "alone") == (1, 2)  # the reference and the evaluation
    assert workers_and_shards(tmp_path / "together") == (2, 3)
    assert together == alone
    metrics = {row["metric"] for row in alone}
    assert {"fid", "rfid", "kid", "density", "vendi", "kl", "iwae", "psnr_drawn", "total_correlation"} <= metrics
    assert all(row["value"] is not None for row in alone)
    by_metric = {row["metric"]: row for row in alone}
    assert by_metric["fid"]["num_images"] == NUM_SAMPLES
    assert by_metric["rfid"]["num_images"] == by_metric["mse"]["num_images"] == NUM_IMAGES
    assert by_metric["fid"]["value"] > 0
    assert len(json.loads(by_metric["kl"]["components"])) == 3


def test_streams_that_rest_on_encoded_images_are_the_same_bits_too(
    checkpoints: Path, photos: Path, tmp_path: Path
) -> None:
    """Each worker encodes images and fits the mixture by itself, of both forms of a checkpoint.

    Pixels as features, for these streams are not about them.
    """
    streams = ("--interpolations", NUM_IMAGES, "--fitted", NUM_IMAGES, "--extractor", "pixels-8x8")
    alone = run_and_read_scores(tmp_path / "alone", checkpoints, photos, *streams, "--workers", 1)
    together = run_and_read_scores(
        tmp_path / "together", checkpoints, photos, *streams, "--workers", 2, "--shard-size", 32
    )
    assert workers_and_shards(tmp_path / "alone") == (1, 3)
    assert workers_and_shards(tmp_path / "together")[1] == 5
    assert together == alone
    assert {Path(row["checkpoint"]).name for row in alone} == {"pair", "whole"}
    with_number = {row["metric"] for row in alone if row["value"] is not None}
    assert {"fid_interpolations", "fid_fitted", "ppl", "ppl_pixels"} <= with_number
