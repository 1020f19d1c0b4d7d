"""The stream `interpolations`: decoded points between encoded images, and how fast pictures change there.

Image i of the stream lies on the path that starts at real image i. The ends of a path are in one network batch, so the
encodings of the reconstructions are used again wherever the shard has them; where it has not, the batch is encoded once more
and gives the same bits.
"""

from __future__ import annotations

import numpy as np

from vaeval_core.generation.interpolate import PATH_STEP, encode_means, interpolate
from vaeval_core.images.intensities import read_intensities
from vaeval_core.measurements.path_smoothness import feature_speed, pixel_speed
from vaeval_core.quantisation import to_uint8
from vaeval_core.streams.base import ShardArrays, Subject, soundness
from vaeval_core.streams.reconstructions import EncodedImages
from vaeval_core.types import Float32, IndexRange


def measure_interpolations(subject: Subject, block: IndexRange, encoded: EncodedImages | None) -> ShardArrays:
    """Decode and measure the images of a block.

    Args:
        subject: The checkpoint under its protocol.
        block: Image numbers of starts, within one network batch.
        encoded: What is encoded already, if anything.

    Returns:
        What `soundness` gives; and as far as the metrics of the protocol need it, `interpolations/features` (n, d) float32, and
        `/pixel_speed` and `/feature_speed`, float64, one for each path of which a second point is decoded: NaN or infinite
        where the decoder gives no finite number.
    """
    protocol = subject.protocol

    def read(part: IndexRange) -> Float32:
        return read_intensities(subject.images, part, protocol.image_shape, protocol.image_fit)

    def read_means(whole: IndexRange) -> Float32:
        if encoded is None or whole.start < encoded.block.start or whole.stop > encoded.block.stop:
            return encode_means(subject.adapter, read, whole, protocol.network_batch)
        return encoded.posterior.mean[whole.start - encoded.block.start : whole.stop - encoded.block.start]

    paths = block.up_to(protocol.num_paths)
    result = interpolate(
        subject.adapter,
        read_means,
        seed=protocol.seed,
        index_range=block,
        num_images=protocol.num_interpolations,
        batch=protocol.network_batch,
        kind=protocol.interpolation_path,
        step=None if paths is None else PATH_STEP,
    )
    arrays = soundness("interpolations", result.images)
    pixels = to_uint8(result.images)
    if "interpolations/features" in subject.needs:
        arrays["interpolations/features"] = subject.features(pixels, block)
    if paths is None or result.next_images is None:
        return arrays
    first, second = result.images[: len(paths)], result.next_images[: len(paths)]
    speed = pixel_speed(first, second, PATH_STEP)
    if "interpolations/pixel_speed" in subject.needs:
        arrays["interpolations/pixel_speed"] = speed
    if "interpolations/feature_speed" in subject.needs:
        features = arrays.get("interpolations/features")
        before = subject.features(pixels, block) if features is None else features
        after = subject.features(to_uint8(second), paths)
        # Values that are not finite were clamped before the extractor saw them: its number would hide that.
        arrays["interpolations/feature_speed"] = np.where(
            np.isfinite(speed), feature_speed(before[: len(paths)], after, PATH_STEP), speed
        )
    return arrays
