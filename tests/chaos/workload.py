"""What the chaos suite evaluates: small real models on digits, so that a shard takes milliseconds and every score counts.

Three evaluations that share a reference (two checkpoints, and one of them again with another seed), three shards each; and a
fourth checkpoint whose every shard kills who computes it, for schedules that want one.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from scheduler.store.base import EvaluationRequest
from scheduler.submission import prepare
from vaeval_core.checkpoints.catalogue import describe
from vaeval_core.checkpoints.linear_gaussian import linear_gaussian_vae
from vaeval_core.features.catalogue import resolve_extractor
from vaeval_core.images.base import ImageSet
from vaeval_core.images.catalogue import survey_images
from vaeval_core.presets import ProtocolRequest

IMAGES = 96
SHARD_SIZE = 32
POISON = "poison"


@dataclass(frozen=True)
class Workload:
    """Checkpoints in a folder, and what is asked for.

    Args:
        folder: Of the checkpoints; they are written on first use.
        seed: Each gives evaluations of its own, and a reference of its own.
    """

    folder: Path
    seed: int = 0

    @cached_property
    def digits(self) -> ImageSet:
        """The real images."""
        return survey_images("digits:test")

    @cached_property
    def requests(self) -> list[EvaluationRequest]:
        """The three healthy evaluations."""
        first, second = 2 * self.seed, 2 * self.seed + 1
        return [*self._requests("step-2", (first, second)), *self._requests("step-3", (first,))]

    @cached_property
    def poison(self) -> list[EvaluationRequest]:
        """The one that kills."""
        return self._requests(POISON, (2 * self.seed,))

    def _requests(self, name: str, seeds: tuple[int, ...]) -> list[EvaluationRequest]:
        size = {"step-2": 2, "step-3": 3, POISON: 4}[name]
        model = linear_gaussian_vae(np.eye(64, size) * 0.2, np.full(64, 0.4), 0.01, (8, 8, 1))
        path = self.folder / name
        if not path.exists():
            model.save(path)
        extractor = resolve_extractor("pixels-8x8", weights=None, weights_folder=self.folder)
        request = ProtocolRequest(
            name="chaos",
            samples=IMAGES,
            reconstructions=IMAGES,
            reference=IMAGES + self.seed % 400,
            extractor="pixels-8x8",
        )
        return prepare([describe(path)], self.digits, request, extractor, seeds=seeds, shard_size=SHARD_SIZE)
