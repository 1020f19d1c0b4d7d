"""From a wish to rows: planning, identity, and what a broken bell leaves behind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from scheduler.lifecycle import EvaluationState
from scheduler.queue.base import MOST_ANNOUNCED
from scheduler.store.base import EvaluationRequest, StoredFile, SubmissionReceipt, SubmittedEvaluation
from scheduler.submission import announce, forward_passes, prepare, register, submit, without_duplicates
from vaeval_core.checkpoints.base import CheckpointDescription
from vaeval_core.errors import ImagesRejected, ServiceUnreachable, StorageFailed, TooFewImages
from vaeval_core.presets import ProtocolRequest
from vaeval_core.protocol import ExtractorSpec
from vaeval_core.testing import ImagesInMemory

EXTRACTOR = ExtractorSpec(name="pixels", version=1, weights_digest="a" * 64, resize="area", dimension=64)
REQUEST = ProtocolRequest(name="small", samples=300, reconstructions=100, reference=40, extractor="pixels")


def images(num_images: int = 50, shape: tuple[int, int, int] = (8, 8, 1)) -> ImagesInMemory:
    return ImagesInMemory(np.arange(num_images * np.prod(shape), dtype=np.uint32).astype(np.uint8).reshape(-1, *shape))


def checkpoint(
    name: str = "beta4/step-100", digest: str = "1" * 64, shape: tuple[int, int, int] = (8, 8, 1)
) -> CheckpointDescription:
    return CheckpointDescription(
        path=Path("runs") / name,
        format="linear-gaussian",
        digest=digest,
        name=name,
        step=100,
        image_shape=shape,
        latent_shape=(4,),
        posterior="diagonal",
        image_range=(0.0, 1.0),
    )


@dataclass
class Recorder:
    """Stores and bell in one, which write down the order in which they are used."""

    calls: list[str] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)
    rings: int = 0
    new_shards: int = 5
    bell_is_broken: bool = False
    disk_is_full: bool = False

    @property
    def submissions(self) -> Recorder:
        return self

    @property
    def artifacts(self) -> Recorder:
        return self

    def exists(self, key: str) -> bool:
        return key in self.files

    def write_bytes(self, key: str, data: bytes) -> StoredFile:
        if self.disk_is_full:
            raise StorageFailed("No space left.", received=key)
        self.calls.append("manifest")
        self.files[key] = data
        return StoredFile(key=key, digest="0" * 64)

    def submit(self, requests: Sequence[EvaluationRequest]) -> SubmissionReceipt:
        self.calls.append("rows")
        entries = tuple(
            SubmittedEvaluation(
                evaluation_id=number,
                checkpoint_name=request.checkpoint.name,
                created=True,
                state=EvaluationState.QUEUED,
            )
            for number, request in enumerate(requests, start=1)
        )
        return SubmissionReceipt(evaluations=entries, new_shards=self.new_shards)

    def ring(self, times: int) -> None:
        if self.bell_is_broken:
            raise ServiceUnreachable("The broker does not answer.", received="redis://broker:6379 (refused)")
        self.calls.append("ring")
        self.rings += times

    def waiting(self) -> int:
        return self.rings


@dataclass(frozen=True, eq=False)
class ImagesWithManifest(ImagesInMemory):
    """Images that a worker can only open with a manifest."""

    def manifest(self) -> bytes | None:
        return b'{"files": []}'


def test_a_request_holds_the_checkpoint_as_it_was_described() -> None:
    (request,) = prepare([checkpoint()], images(), REQUEST, EXTRACTOR, tags={"beta": "4"}, priority=3)
    assert request.checkpoint.name == "beta4/step-100"
    assert request.checkpoint.step == 100
    assert request.checkpoint.tags == {"beta": "4"}
    assert request.checkpoint.description["latent_shape"] == [4]
    assert Path(request.checkpoint.uri).is_absolute()
    assert request.protocol_name == "small"
    assert request.priority == 3


def test_shards_reach_to_the_end_of_the_longest_stream_and_of_the_reference() -> None:
    (request,) = prepare([checkpoint()], images(), REQUEST, EXTRACTOR, shard_size=128)
    assert [(shard.start, shard.stop) for shard in request.shards] == [(0, 128), (128, 256), (256, 300)]
    assert [(shard.start, shard.stop) for shard in request.reference_shards] == [(0, 40)]


def test_the_shard_size_does_not_enter_the_fingerprint() -> None:
    (small,) = prepare([checkpoint()], images(), REQUEST, EXTRACTOR, shard_size=32)
    (large,) = prepare([checkpoint()], images(), REQUEST, EXTRACTOR, shard_size=512)
    assert small.protocol.fingerprint == large.protocol.fingerprint


def test_each_seed_is_an_evaluation_of_its_own_over_one_reference() -> None:
    requests = prepare([checkpoint()], images(), REQUEST, EXTRACTOR, seeds=[0, 1, 2, 1])
    assert [request.protocol.seed for request in requests] == [0, 1, 2]
    assert len({request.protocol.fingerprint for request in requests}) == 3
    assert len({request.protocol.reference_key for request in requests}) == 1


def test_without_seeds_the_seed_of_the_request_holds() -> None:
    (request,) = prepare([checkpoint()], images(), REQUEST.model_copy(update={"seed": 7}), EXTRACTOR)
    assert request.protocol.seed == 7


def test_checkpoints_with_equal_content_are_evaluated_once() -> None:
    twins = [checkpoint("a/step-1"), checkpoint("b/step-1"), checkpoint("c/step-1", digest="2" * 64)]
    assert [request.checkpoint.name for request in prepare(twins, images(), REQUEST, EXTRACTOR)] == [
        "a/step-1",
        "c/step-1",
    ]


def test_a_duplicate_is_named_with_its_twin() -> None:
    kept, notes = without_duplicates([checkpoint("a/step-1"), checkpoint("b/step-1")])
    assert [description.name for description in kept] == ["a/step-1"]
    assert notes == (f"{Path('runs/b/step-1')} has the same content as {Path('runs/a/step-1')}: evaluated once.",)


def test_images_that_do_not_fit_any_one_checkpoint_stop_the_whole_submission() -> None:
    with pytest.raises(ImagesRejected) as caught:
        prepare([checkpoint(), checkpoint("wide", digest="2" * 64, shape=(16, 16, 1))], images(), REQUEST, EXTRACTOR)
    assert "(8, 8, 1)" in str(caught.value.received)
    assert "(16, 16, 1)" in str(caught.value.expected)


def test_one_image_is_no_data_set() -> None:
    with pytest.raises(TooFewImages) as caught:
        prepare([checkpoint()], images(1), REQUEST, EXTRACTOR)
    assert caught.value.received == "1 image"
    assert caught.value.expected == "at least 2"


def test_the_cost_counts_each_checkpoint_and_the_shared_reference_once() -> None:
    requests = prepare([checkpoint(), checkpoint("b", digest="2" * 64)], images(), REQUEST, EXTRACTOR, seeds=[0, 1])
    # Two checkpoints × two seeds × (300 samples + 50 reconstructions, for the set has only 50), and 40 reference images.
    assert forward_passes(requests) == 2 * 2 * (300 + 50) + 40


def test_the_manifest_is_there_before_the_rows_and_the_bell_rings_after_them() -> None:
    recorder = Recorder()
    pictures = ImagesWithManifest(images().array)
    submit(recorder, recorder, pictures, prepare([checkpoint()], pictures, REQUEST, EXTRACTOR))
    assert recorder.calls == ["manifest", "rows", "ring"]
    assert recorder.files == {f"datasets/{pictures.digest}.json": b'{"files": []}'}
    assert recorder.rings == 5


def test_a_manifest_that_is_there_is_written_again_lest_it_be_removed_as_an_old_one() -> None:
    pictures = ImagesWithManifest(images().array)
    recorder = Recorder(files={f"datasets/{pictures.digest}.json": b"old"})
    register(recorder, pictures, prepare([checkpoint()], pictures, REQUEST, EXTRACTOR))
    assert recorder.calls == ["manifest", "rows"]


def test_images_that_need_no_manifest_get_none() -> None:
    recorder = Recorder()
    register(recorder, images(), prepare([checkpoint()], images(), REQUEST, EXTRACTOR))
    assert recorder.files == {}


def test_a_full_disk_registers_nothing() -> None:
    recorder = Recorder(disk_is_full=True)
    pictures = ImagesWithManifest(images().array)
    with pytest.raises(StorageFailed, match="No space left"):
        submit(recorder, recorder, pictures, prepare([checkpoint()], pictures, REQUEST, EXTRACTOR))
    assert recorder.calls == []


def test_a_broker_that_is_down_loses_nothing_and_says_so() -> None:
    recorder = Recorder(bell_is_broken=True)
    with pytest.raises(ServiceUnreachable) as caught:
        submit(recorder, recorder, images(), prepare([checkpoint()], images(), REQUEST, EXTRACTOR))
    assert recorder.calls == ["rows"]
    assert "nothing is lost" in caught.value.what
    assert caught.value.received == "redis://broker:6379 (refused)"
    assert "start the broker" in str(caught.value.next_step)


def test_a_long_sweep_rings_as_often_as_is_worth_while() -> None:
    recorder = Recorder(new_shards=80_000)
    announce(recorder, recorder.submit(prepare([checkpoint()], images(), REQUEST, EXTRACTOR)))
    assert recorder.rings == MOST_ANNOUNCED


def test_nothing_new_rings_nothing_even_if_the_broker_is_down() -> None:
    recorder = Recorder(new_shards=0, bell_is_broken=True)
    announce(recorder, recorder.submit(prepare([checkpoint()], images(), REQUEST, EXTRACTOR)))
    assert recorder.rings == 0
