"""From a wish to rows: what is to be evaluated, planned into shards, registered once, and announced.

    descriptions, images, request ─► prepare ─► EvaluationRequest …      (reads images' sizes; changes nothing)
    requests                      ─► register ─► rows in one transaction (the manifest of the images before them)
    receipt                       ─► announce ─► the bell                (may fail; recovery rings later)

Nothing is registered before every checkpoint is known to fit the images, so a submission happens as a whole or not at all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Protocol as Port

from scheduler.queue.base import MOST_ANNOUNCED, WorkQueue
from scheduler.store.answers import RetryReceipt
from scheduler.store.artifact_keys import manifest_key
from scheduler.store.base import (
    CheckpointEntry,
    DatasetEntry,
    EvaluationRequest,
    StoredFile,
    SubmissionReceipt,
    SubmissionStore,
)
from scheduler.store.references import ImportedReferenceEntry
from vaeval_core.checkpoints.base import CheckpointDescription
from vaeval_core.errors import ImagesRejected, InvalidInput, ServiceUnreachable
from vaeval_core.images.base import ImageSet
from vaeval_core.images.factor_labels import factors_of
from vaeval_core.metrics.catalogue import default_metrics, metric_versions
from vaeval_core.presets import LPIPS, ProtocolRequest
from vaeval_core.protocol import ExtractorSpec, ImageFit, PerceptualSpec, Protocol
from vaeval_core.shard_plan import DEFAULT_SHARD_SIZE, plan_shards
from vaeval_core.types import ImageShape, IndexRange

ShardPlan = tuple[IndexRange, ...]


class ManifestFiles(Port):
    """The part of the artifact store that a submission needs."""

    def exists(self, key: str) -> bool:
        """True if a file has this key."""

    def write_bytes(self, key: str, data: bytes) -> StoredFile:
        """Store bytes under the key, wholly or not at all."""


class Stores(Port):
    """The part of an application that a submission needs; `scheduler.composition.Application` is one."""

    @property
    def submissions(self) -> SubmissionStore:
        """Where requests become rows."""

    @property
    def artifacts(self) -> ManifestFiles:
        """Where manifests go."""


def without_duplicates(
    descriptions: Sequence[CheckpointDescription],
) -> tuple[tuple[CheckpointDescription, ...], tuple[str, ...]]:
    """Checkpoints with different content, in order, and a sentence for each that has the content of an earlier one."""
    first: dict[str, CheckpointDescription] = {}
    notes = []
    for description in descriptions:
        known = first.setdefault(description.digest, description)
        if known is not description:
            notes.append(f"{description.path} has the same content as {known.path}: evaluated once.")
    return tuple(first.values()), tuple(notes)


def prepare(
    descriptions: Sequence[CheckpointDescription],
    images: ImageSet,
    request: ProtocolRequest,
    extractor: ExtractorSpec,
    *,
    seeds: Sequence[int] | None = None,
    tags: Mapping[str, str] | None = None,
    priority: int = 0,
    shard_size: int = DEFAULT_SHARD_SIZE,
    imported: ImportedReferenceEntry | None = None,
    lpips: PerceptualSpec | None = None,
) -> list[EvaluationRequest]:
    """Bind checkpoints to a protocol each and plan their shards; nothing is stored.

    Args:
        descriptions: Checkpoints; of those with equal content only the first is taken.
        images: The real images.
        request: How to evaluate.
        extractor: The feature network that `request.extractor` names.
        seeds: One evaluation per checkpoint and seed; by default the seed of the request.
        tags: Kept with every checkpoint.
        priority: Higher goes first.
        shard_size: Images per shard; changes no score.
        imported: The statistics that `request.imported_reference` names.
        lpips: What LPIPS is computed with; None leaves it out, unless the request names it.

    Returns:
        Requests, all seeds of a checkpoint together, in the order of the checkpoints.

    Raises:
        ImagesRejected: The images do not fit a checkpoint's input and `request.resize` is off.
        TooFewImages: The request or the data set has too few.
        InvalidInput: The request names a metric that does not exist, or leaves out the one that there are weights for.
    """
    if lpips is not None and request.metrics is not None and LPIPS not in request.metrics:
        raise InvalidInput(
            "Weights of LPIPS are given, and the protocol leaves LPIPS out.",
            received=f"metrics: {', '.join(request.metrics)}",
            expected=f"{LPIPS} among the metrics of the protocol",
            next_step=f"add {LPIPS} to `metrics`, or leave --lpips-weights out",
        )
    checkpoints, _ = without_duplicates(descriptions)
    dataset = DatasetEntry(digest=images.digest, uri=images.uri, name=images.name, num_images=len(images))
    _require_fit(images, checkpoints, "crop-bicubic" if request.resize else "exact")
    requests = []

    # Kept: nothing of a protocol depends on the checkpoint but the shape of its images, and a sweep has one.
    @cache
    def planned(image_shape: ImageShape, seed: int) -> tuple[Protocol, ShardPlan, ShardPlan]:
        usual = (*_usual_metrics(request, images, image_shape), *(() if lpips is None else (LPIPS,)))
        metrics = usual if request.metrics is None else request.metrics
        protocol = request.model_copy(update={"seed": seed}).resolve(
            dataset_digest=images.digest,
            dataset_size=len(images),
            image_shape=image_shape,
            extractor=extractor,
            metrics=metric_versions(metrics),
            imported_digest=None if imported is None else imported.digest,
            lpips=lpips,
        )
        of_reference = plan_shards(protocol.num_reference, shard_size) if imported is None else ()
        return protocol, plan_shards(protocol.num_images, shard_size), of_reference

    for checkpoint in checkpoints:
        entry = CheckpointEntry(
            digest=checkpoint.digest,
            uri=str(checkpoint.path.absolute()),
            name=checkpoint.name,
            step=checkpoint.step,
            description=checkpoint.as_json(),
            tags=dict(tags or {}),
        )
        for seed in dict.fromkeys(seeds or (request.seed,)):
            protocol, shards, reference_shards = planned(checkpoint.image_shape, seed)
            requests.append(
                EvaluationRequest(
                    checkpoint=entry,
                    dataset=dataset,
                    protocol=protocol,
                    protocol_name=request.name,
                    shards=shards,
                    reference_shards=reference_shards,
                    priority=priority,
                )
            )
    return requests


def _require_fit(images: ImageSet, checkpoints: Sequence[CheckpointDescription], fit: ImageFit) -> None:
    """Raise ImagesRejected unless the images fit every checkpoint; where they fit some, say which one they do not fit."""
    shapes = {checkpoint.image_shape: checkpoint for checkpoint in reversed(checkpoints)}
    for shape, checkpoint in reversed(shapes.items()):
        try:
            images.check_fit(shape, fit)
        except ImagesRejected as error:
            if len(shapes) == 1:
                raise
            raise ImagesRejected(
                f"The images do not fit {checkpoint.path}. {error.what}",
                received=error.received,
                expected=error.expected,
                next_step=f"{error.next_step}; or leave that checkpoint out, for models of several sizes were given",
            ) from error


def _usual_metrics(request: ProtocolRequest, images: ImageSet, image_shape: ImageShape) -> tuple[str, ...]:
    num_reconstructions = min(request.reconstructions, len(images))
    return default_metrics(
        request.samples,
        min(request.reference, len(images)),
        min(image_shape[:2]),
        num_interpolations=min(request.interpolations, num_reconstructions),
        num_fitted=request.fitted,
        has_factors=num_reconstructions > 0 and factors_of(images) is not None,
    )


def forward_passes(requests: Sequence[EvaluationRequest]) -> int:
    """Images that go through the extractor if nothing is stored yet; a shared reference counts once."""
    # Many requests share one protocol object, and a key is a digest of JSON: taken once for each.
    sharing = {id(request.protocol): request for request in requests}
    references = {
        request.protocol.reference_key: request.protocol.num_reference if request.reference_shards else 0
        for request in sharing.values()
    }
    return sum(request.forward_passes for request in requests) + sum(references.values())


def register(
    stores: Stores,
    images: ImageSet,
    requests: Sequence[EvaluationRequest],
    *,
    noise_floor_images: ImageSet | None = None,
) -> SubmissionReceipt:
    """Store what the workers need to open the images, then all rows in one transaction.

    Args:
        stores: Where.
        images: The real images.
        requests: What to register.
        noise_floor_images: Those of noise floors, if they are another set.

    In this order, because a row that can be claimed must find its manifest. A manifest without rows is harmless.

    Raises:
        StorageFailed: The manifest cannot be written; nothing is registered.
    """
    sets = [images] if noise_floor_images is None else [images, noise_floor_images]
    manifests = {each.digest: manifest for each in sets if (manifest := each.manifest()) is not None}
    # Written again where it is there already: an old one, needed by nobody until now, may be about to be removed.
    for digest, manifest in manifests.items():
        stores.artifacts.write_bytes(manifest_key(digest), manifest)
    receipt = stores.submissions.submit(requests)
    # Once more: it may have been removed in between.
    for digest, manifest in manifests.items():
        if not stores.artifacts.exists(manifest_key(digest)):
            stores.artifacts.write_bytes(manifest_key(digest), manifest)
    return receipt


def announce(queue: WorkQueue, receipt: SubmissionReceipt | RetryReceipt) -> None:
    """Ring once for every new shard, or as often as is worth while: recovery rings for the rest when it is their turn.

    Raises:
        ServiceUnreachable: The broker does not answer. Nothing is lost: the work is registered, and recovery rings for
            it as soon as the broker is back.
    """
    if not receipt.new_shards:
        return
    try:
        queue.ring(min(receipt.new_shards, MOST_ANNOUNCED))
    except ServiceUnreachable as error:
        raise ServiceUnreachable(
            "The evaluations are registered and nothing is lost, but the broker does not answer, so no worker has heard of"
            " them yet.",
            received=error.received,
            expected=error.expected,
            next_step="start the broker; running workers or `vaeval scheduler` then announce the work by themselves",
        ) from error


def submit(
    stores: Stores, queue: WorkQueue, images: ImageSet, requests: Sequence[EvaluationRequest]
) -> SubmissionReceipt:
    """Register, then announce.

    Raises:
        StorageFailed: Nothing is registered.
        ServiceUnreachable: Everything is registered, only the bell did not ring; see `announce`.
    """
    receipt = register(stores, images, requests)
    announce(queue, receipt)
    return receipt
