"""`--noise-floor`: which real images are scored as if they were samples, and why there are none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cli.gathering import Wish
    from scheduler.settings import Settings
    from scheduler.store.base import EvaluationRequest
    from vaeval_core.images.base import ImageSet

AUTOMATIC, OFF = "auto", "off"


@dataclass(frozen=True, kw_only=True)
class NoiseFloorWish:
    """What `--noise-floor` came to.

    Attributes:
        requests: What to submit besides the checkpoints.
        images: Their images, if these are another set than the reference's.
        notes: Sentences that the user should read.
    """

    requests: Sequence[EvaluationRequest] = ()
    images: ImageSet | None = None
    notes: tuple[str, ...] = ()


def noise_floor(
    wish: Wish, requests: Sequence[EvaluationRequest], images: ImageSet, settings: Settings
) -> NoiseFloorWish:
    """Noise floors for the protocols of the requests.

    Raises:
        NotFound: There is no set of that name.
        ImagesRejected: Its images do not fit.
        TooFewImages: A set was named, and it has too few.
    """
    from scheduler.noise_floor import has_noise_floor, images_beside_reference, noise_floors
    from vaeval_core.images.catalogue import survey_images
    from vaeval_core.shard_plan import DEFAULT_SHARD_SIZE

    protocol = requests[0].protocol  # all have the same numbers of images
    shard_size = wish.shard_size or DEFAULT_SHARD_SIZE
    if wish.noise_floor == OFF or not has_noise_floor(protocol):
        return NoiseFloorWish()
    if wish.noise_floor != AUTOMATIC:
        others = survey_images(
            wish.noise_floor, skip_unreadable=wish.skip_unreadable, cache_folder=settings.home / "datasets"
        )
        is_another = others.digest != images.digest
        return NoiseFloorWish(
            requests=noise_floors(requests, others, shard_size=shard_size), images=others if is_another else None
        )
    if protocol.imported_reference is not None:
        sentence = (
            "No noise floor: which images the imported reference is of is not known. --noise-floor SET names real images"
            " that are not among them."
        )
        return NoiseFloorWish(notes=(sentence,))
    left = images_beside_reference(images, protocol)
    if left < protocol.num_samples:
        sentence = (
            f"No noise floor: it would take {protocol.num_samples:,} real images that are not in the reference, and"
            f" {images.name} has {left:,}. --noise-floor SET names others."
        )
        return NoiseFloorWish(notes=(sentence,))
    return NoiseFloorWish(requests=noise_floors(requests, images, shard_size=shard_size))
