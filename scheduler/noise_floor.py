"""The noise floor of a leaderboard: real images that the reference does not hold, scored as if they were samples.

No model needs to be below it: what is left between two sets of real images comes from their number. It counts as many
images as there are samples, or it would be another number, and stands on the same leaderboard, because it is evaluated
under the same protocol; it has no rank, because it is no checkpoint.

Where the data set has more images than the reference takes, those after it serve. Where it has not, the user may name
another set.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace

from scheduler.store.base import CheckpointEntry, DatasetEntry, EvaluationRequest
from vaeval_core.checkpoints.base import NOISE_FLOOR
from vaeval_core.errors import TooFewImages
from vaeval_core.images.base import ImageSet
from vaeval_core.metrics.catalogue import METRICS, is_of_samples
from vaeval_core.protocol import Protocol, canonical_json
from vaeval_core.shard_plan import DEFAULT_SHARD_SIZE, plan_shards


def noise_floors(
    requests: Sequence[EvaluationRequest], images: ImageSet, *, shard_size: int = DEFAULT_SHARD_SIZE
) -> list[EvaluationRequest]:
    """A noise floor for each protocol of the requests that has samples, and metrics of them.

    Args:
        requests: Of checkpoints.
        images: Where the real images come from; perhaps the set of the reference itself.
        shard_size: Images per shard; changes no score.

    Raises:
        TooFewImages: The set has fewer images beside the reference than the protocol has samples.
        ImagesRejected: Its images do not fit.
    """
    of_protocol = {request.protocol.fingerprint: request for request in reversed(requests)}
    wanted = [request for request in reversed(of_protocol.values()) if has_noise_floor(request.protocol)]
    return [_noise_floor(request, images, shard_size) for request in wanted]


def has_noise_floor(protocol: Protocol) -> bool:
    """False where nothing is computed of samples."""
    return protocol.num_samples > 0 and any(name in METRICS and is_of_samples(name) for name in protocol.metrics)


def images_beside_reference(images: ImageSet, protocol: Protocol) -> int:
    """How many images of a set the reference of a protocol does not hold."""
    return max(len(images) - protocol.first_image_beside_reference(images.digest), 0)


def _noise_floor(request: EvaluationRequest, images: ImageSet, shard_size: int) -> EvaluationRequest:
    protocol = request.protocol
    images.check_fit(protocol.image_shape, protocol.image_fit)
    left = images_beside_reference(images, protocol)
    if left < protocol.num_samples:
        raise TooFewImages(
            "There are too few real images for a noise floor: it takes as many as there are samples, none of the reference.",
            received=f"{left:,} images of {images.name} that are not in the reference",
            expected=f"{protocol.num_samples:,}",
            next_step="--noise-floor SET with more images, --noise-floor off, or fewer --samples",
        )
    content = canonical_json({"format": NOISE_FLOOR, "dataset": images.digest})
    entry = CheckpointEntry(
        digest=hashlib.sha256(content.encode("ascii")).hexdigest(),
        uri=images.uri,
        name=f"noise floor: {images.name}",
        step=None,
        description={"format": NOISE_FLOOR, "dataset_digest": images.digest, "notes": []},
    )
    return replace(
        request,
        checkpoint=entry,
        shards=plan_shards(protocol.num_samples, shard_size),
        noise_floor=DatasetEntry(digest=images.digest, uri=images.uri, name=images.name, num_images=len(images)),
    )
