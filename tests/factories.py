"""Things to test with, each with sensible values that a test overrides by keyword where they matter."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from scheduler.store.base import CheckpointEntry, DatasetEntry, EvaluationRequest, StoredFile
from vaeval_core.evaluation_result import MetricValue, Score
from vaeval_core.protocol import ExtractorSpec, Protocol
from vaeval_core.shard_plan import plan_shards


def digest(text: str) -> str:
    """A digest that is the same for the same text."""
    return hashlib.sha256(text.encode()).hexdigest()


def dataset_entry(**overrides: Any) -> DatasetEntry:
    values: dict[str, Any] = {
        "digest": digest("digits"),
        "uri": "digits:test",
        "name": "digits:test",
        "num_images": 500,
    }
    return DatasetEntry(**values | overrides)


def checkpoint_entry(content: str = "vae/step-1", /, **overrides: Any) -> CheckpointEntry:
    """A checkpoint that is called like its content."""
    values: dict[str, Any] = {
        "digest": digest(content),
        "uri": f"/checkpoints/{content}",
        "name": content,
        "step": None,
        "description": {"format": "linear-gaussian", "posterior": "diagonal", "latent_shape": [2]},
    }
    return CheckpointEntry(**values | overrides)


def extractor_spec(**overrides: Any) -> ExtractorSpec:
    values: dict[str, Any] = {
        "name": "inception-v3-random",
        "version": 1,
        "weights_digest": digest("weights"),
        "resize": "tf1-bilinear",
        "dimension": 2048,
    }
    return ExtractorSpec(**values | overrides)


def protocol(**overrides: Any) -> Protocol:
    values: dict[str, Any] = {
        "dataset_digest": digest("digits"),
        "image_shape": (8, 8, 1),
        "image_fit": "exact",
        "num_samples": 64,
        "num_reconstructions": 64,
        "num_reference": 64,
        "seed": 0,
        "extractor": extractor_spec(),
        "metrics": {"fid": 1, "mse": 1},
    }
    return Protocol(**values | overrides)


def evaluation_request(checkpoint: CheckpointEntry | str = "vae/step-1", /, **overrides: Any) -> EvaluationRequest:
    """A request with two shards of 32 images, for the reference too, unless its protocol says otherwise."""
    chosen: Protocol = overrides.pop("protocol", None) or protocol()
    values: dict[str, Any] = {
        "checkpoint": checkpoint_entry(checkpoint) if isinstance(checkpoint, str) else checkpoint,
        "dataset": dataset_entry(digest=chosen.dataset_digest),
        "protocol": chosen,
        "protocol_name": "quick",
        "shards": plan_shards(chosen.num_images, 32),
        "reference_shards": plan_shards(chosen.num_reference, 32),
    }
    return EvaluationRequest(**values | overrides)


def stored_file(key: str, content: str | None = None) -> StoredFile:
    return StoredFile(key=key, digest=digest(content or key))


def score(metric: str, value: float, **overrides: Any) -> Score:
    return Score(metric=metric, version=1, value=MetricValue.of(value, **{"num_images": 64} | overrides))


def scores(fid: float, **others: float) -> Sequence[Score]:
    """FID and others by name."""
    return [score(name, value) for name, value in {"fid": fid, **others}.items()]
