"""`inception-v3-keras`: what textbook code computes with keras.applications.

    x = preprocess_input(tf.image.resize(images, (299, 299)))          half-pixel bilinear, then x / 127.5 - 1
    InceptionV3(include_top=False, pooling="avg").predict(x)

These are other weights, another resizing and another last pool than FID is defined on: numbers compare with other
scripts of this kind and with nothing published as FID. Here the same runs from uint8 in one compiled model, with grey
images repeated to RGB.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from vaeval_core.errors import WeightsUnavailable
from vaeval_core.features import keras_weights_file
from vaeval_core.features.inception_v3_architecture import INPUT_SIZE
from vaeval_core.features.keras_weights_file import check_keras_weights, require_hdf5
from vaeval_core.features.published_weights import find_published, import_weights
from vaeval_core.features.resumable_download import OnProgress, ignore_progress
from vaeval_core.features.verified_weights import WeightsFolder
from vaeval_core.protocol import ExtractorSpec
from vaeval_core.shard_plan import NETWORK_BATCH

if TYPE_CHECKING:
    from vaeval_core.features.network_extractor import NetworkExtractor


def find_keras_weights(
    weights: Path | None,
    weights_folder: Path,
    *,
    allow_unverified: bool = False,
    on_progress: OnProgress = ignore_progress,
) -> str:
    """See to it that the weights are in the folder: the user's file, or the published one from disk or network.

    Args:
        weights: A file in the published format; None for the published file.
        weights_folder: Made if missing.
        allow_unverified: Take a file of the user's that is not the published one. One that was taken before needs no
            second permission.
        on_progress: Told how far a download is.

    Returns:
        sha256 of the file.

    Raises:
        NotFound: `weights` does not exist.
        InvalidInput: `weights` is no such file, or nobody vouches for it.
        WeightsUnavailable: There is no published file on this machine and no way to it.
    """
    if weights is None:
        keras_cache = Path("~/.keras/models").expanduser()
        return find_published(
            keras_weights_file.PUBLISHED, weights_folder, other_folders=(keras_cache,), on_progress=on_progress
        )
    require_hdf5(weights)
    return import_weights(
        weights,
        weights_folder,
        keras_weights_file.PUBLISHED,
        allow_unverified=allow_unverified,
        check=check_keras_weights,
    )


def load_keras_inception(spec: ExtractorSpec, weights_folder: Path, *, batch: int = NETWORK_BATCH) -> NetworkExtractor:
    """The extractor of a spec, its weights verified once more.

    A worker on another machine than the one that submitted may have an empty folder; then the published file is found
    or fetched here too, which is enough unless the user brought weights of their own.

    Args:
        spec: What identifies the features.
        weights_folder: Where its weights file is.
        batch: Images per network call. Another size may change the last bits of a feature.

    Raises:
        WeightsUnavailable: The folder does not have the file of the spec's digest, and the published one is another.
    """
    folder = WeightsFolder(weights_folder)
    if not folder.holds(spec.weights_digest):
        published = find_keras_weights(None, weights_folder)
        if published != spec.weights_digest:
            raise WeightsUnavailable(
                "The weights of this evaluation are not on this machine.",
                received=f"no undamaged file {folder.path_of(spec.weights_digest)}",
                expected="the file that was given with --weights when the evaluation was submitted",
                next_step="copy it from the weights folder of the machine that submitted",
            )

    import keras

    from vaeval_core.features.network_extractor import NetworkExtractor

    with _keras_as_installed():
        network = keras.applications.InceptionV3(
            include_top=False, weights=None, pooling="avg", input_shape=(INPUT_SIZE, INPUT_SIZE, 3)
        )
        network.load_weights(folder.path_of(spec.weights_digest))
    network.trainable = False
    return NetworkExtractor(spec, network, keras.applications.inception_v3.preprocess_input, batch=batch)


@contextmanager
def _keras_as_installed() -> Iterator[None]:
    """keras.applications builds by global settings; a user's keras.json must not turn it to other numbers."""
    import keras

    layout, precision = keras.config.image_data_format(), keras.config.dtype_policy()
    keras.config.set_image_data_format("channels_last")
    keras.config.set_dtype_policy("float32")
    try:
        yield
    finally:
        keras.config.set_image_data_format(layout)
        keras.config.set_dtype_policy(precision)
