"""A small β-VAE learns something of the factors behind the drawn shapes, and every score of disentanglement shows it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from vaeval_core.disentanglement.all_scores import DISENTANGLEMENT_SCORES

pytestmark = [pytest.mark.slow, pytest.mark.tensorflow, pytest.mark.timeout(600)]

TRAIN = """
import sys
from pathlib import Path

import keras
import numpy as np
import tensorflow
from keras import layers, ops

from vaeval_core.images.shapes import shapes_set

LATENT_SIZE, BETA, EPOCHS, SEED = 4, 8.0, 20, 1

# Which way a code is turned is chance, and some scores see little else: the same chance each time, on one kind of machine.
tensorflow.config.experimental.enable_op_determinism()
keras.utils.set_random_seed(SEED)
images = shapes_set("shapes:train")[0].astype("float32") / 255


def hidden(tensor):
    for _ in range(2):
        tensor = layers.Dense(128, activation="relu")(tensor)
    return tensor


image = keras.Input((32, 32, 1))
seen = hidden(layers.Flatten()(image))
mean = layers.Dense(LATENT_SIZE, name="z_mean")(seen)
log_variance = layers.Dense(LATENT_SIZE, name="z_log_var", kernel_initializer="zeros")(seen)
encoder = keras.Model(image, [mean, log_variance])
latent = keras.Input((LATENT_SIZE,))
pixels = layers.Dense(1024, activation="sigmoid")(hidden(latent))
decoder = keras.Model(latent, layers.Reshape((32, 32, 1))(pixels))


def keep(name):
    folder = Path(sys.argv[1]) / name
    folder.mkdir(parents=True)
    encoder.save(folder / "encoder.keras")
    decoder.save(folder / "decoder.keras")


keep("untrained")
noise = layers.GaussianNoise(1.0, seed=SEED)(ops.zeros_like(mean))
reconstruction = decoder(mean + ops.exp(0.5 * log_variance) * noise)
divergence = 0.5 * ops.sum(ops.square(mean) + ops.exp(log_variance) - 1 - log_variance, axis=-1)
model = keras.Model(image, {"reconstruction": reconstruction, "divergence": divergence})
model.compile(
    optimizer=keras.optimizers.Adam(0.003),
    loss={
        "reconstruction": lambda true, made: ops.sum(keras.losses.binary_crossentropy(true, made), axis=(1, 2)),
        "divergence": lambda _, value: value,
    },
    loss_weights={"reconstruction": 1.0, "divergence": BETA},
)
targets = {"reconstruction": images, "divergence": np.zeros(len(images), "float32")}
model.fit(images, targets, batch_size=128, epochs=EPOCHS, verbose=0)
keep("trained")
"""

PROTOCOL = f"""\
samples: 0
reconstructions: 2000
reference: 64
extractor: pixels-8x8
metrics: [{", ".join(DISENTANGLEMENT_SCORES)}]
"""


def test_a_trained_model_beats_an_untrained_one_on_every_score(tmp_path: Path) -> None:
    """Measured with seeds 0, 1 and 2: every score rises under each; the least, SAP under seed 0, by 0.001. This is seed 1."""
    subprocess.run([sys.executable, "-c", TRAIN, str(tmp_path / "models")], check=True)
    (tmp_path / "factors.yaml").write_text(PROTOCOL)
    words = ["run", tmp_path / "models", "--data", "shapes", "--protocol", tmp_path / "factors.yaml", "--inline"]
    environment = os.environ | {"VAEVAL_HOME": str(tmp_path / "home")}

    def vaeval(*arguments: object) -> dict[str, list[dict[str, object]]]:
        command = [sys.executable, "-c", "from cli.main import main; main()", *map(str, arguments), "--json"]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        document: dict[str, list[dict[str, object]]] = json.loads(done.stdout)
        return document

    scores: dict[str, dict[str, float]] = {}
    for evaluation in vaeval(*words)["evaluations"]:
        shown = vaeval("show", evaluation["id"])["scores"]
        name = str(evaluation["checkpoint"]).rpartition("/")[2]
        scores[name] = {str(score["metric"]): float(str(score["value"])) for score in shown}
    gains = {name: scores["trained"][name] - scores["untrained"][name] for name in DISENTANGLEMENT_SCORES}
    assert gains.pop("mig_ceiling") == 0, "a property of the images"
    # Half of what was measured when this was written.
    assert min(gains.values()) > 0.03, gains
