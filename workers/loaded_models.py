"""Models and images that a process keeps between shards, so that each is loaded once and not once per shard.

Everything is kept by content digest: a path whose files were replaced is loaded again, or refused. TensorFlow is loaded
with the first model that needs it, never by importing this module.
"""

from __future__ import annotations

import logging
import os
from collections import OrderedDict
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Generic, TypeVar

from scheduler.store.artifact_keys import manifest_key
from scheduler.store.artifacts import ArtifactStore
from scheduler.store.base import CheckpointLocation
from vaeval_core.checkpoints.base import VaeAdapter
from vaeval_core.features.base import FeatureExtractor
from vaeval_core.features.perceptual_distance import PerceptualDistance
from vaeval_core.images.base import ImageSet
from vaeval_core.protocol import ExtractorSpec, PerceptualSpec
from vaeval_core.streams.fitted import SecondStage
from workers.device_check import require_device

_LOG = logging.getLogger(__name__)

_Kept = TypeVar("_Kept")


class _MostRecent(Generic[_Kept]):
    """The last few things that were loaded, by key."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._kept: OrderedDict[Hashable, _Kept] = OrderedDict()

    def get(self, key: Hashable, load: Callable[[], _Kept]) -> _Kept:
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        while len(self._kept) >= self._capacity:
            self._kept.popitem(last=False)  # before loading: both may not fit on the device
        loaded = self._kept[key] = load()
        return loaded


class LoadedModels:
    """Loads what a shard needs, unless it is still there from an earlier one.

    Args:
        artifacts: Where lists of image files are stored.
        weights_folder: Where weights of extractors are.
    """

    def __init__(self, artifacts: ArtifactStore, weights_folder: Path) -> None:
        self._artifacts = artifacts
        self._weights_folder = weights_folder
        # Shards of one checkpoint come together, so two suffice where two evaluations overlap at their ends.
        self._adapters: _MostRecent[VaeAdapter] = _MostRecent(2)
        self._extractors: _MostRecent[FeatureExtractor] = _MostRecent(2)
        self._perceptual: _MostRecent[PerceptualDistance] = _MostRecent(1)
        self._images: _MostRecent[ImageSet] = _MostRecent(2)
        self._second_stages: _MostRecent[SecondStage] = _MostRecent(2)

    def adapter(self, checkpoint: CheckpointLocation) -> VaeAdapter:
        """The checkpoint, loaded and tried out.

        Raises:
            CheckpointRejected: Its files changed since it was submitted, or it does not work.
            StorageFailed: This machine cannot read its files.
            DeviceUnusable: It would run on the CPU, and this process is there for a GPU.
        """
        adapter = self._adapters.get(checkpoint.digest, lambda: self._load_adapter(checkpoint))
        require_device(os.environ)
        return adapter

    def extractor(self, spec: ExtractorSpec) -> FeatureExtractor:
        """The feature network.

        Raises:
            WeightsUnavailable: Its weights are not on this machine.
            DeviceUnusable: As of a checkpoint.
        """
        from vaeval_core.features.catalogue import load_extractor

        extractor = self._extractors.get(spec, lambda: load_extractor(spec, self._weights_folder))
        require_device(os.environ)
        return extractor

    def perceptual(self, spec: PerceptualSpec | None) -> PerceptualDistance | None:
        """The distance that LPIPS is; None where the protocol names none.

        Raises:
            WeightsUnavailable: Its weights are not on this machine.
            DeviceUnusable: As of a checkpoint.
        """
        if spec is None:
            return None

        from vaeval_core.features.perceptual_distance import load_perceptual_distance

        distance = self._perceptual.get(spec, lambda: load_perceptual_distance(spec, self._weights_folder))
        require_device(os.environ)
        return distance

    def images(self, uri: str, digest: str) -> ImageSet:
        """The real images.

        Raises:
            ImagesRejected: They are not what was submitted.
            StorageFailed: This machine cannot read them, or their list is lost.
        """
        from vaeval_core.images.catalogue import open_images

        # A set reads its files when it is asked for images: the same images at another path are another set.
        return self._images.get((uri, digest), lambda: open_images(uri, digest, self._manifest(digest)))

    def second_stage(
        self, checkpoint: CheckpointLocation, fingerprint: str, fit: Callable[[], SecondStage]
    ) -> SecondStage:
        """What was fitted to the latents of a checkpoint under a protocol; fitted now if it was not."""
        return self._second_stages.get((checkpoint.digest, fingerprint), fit)

    def _manifest(self, digest: str) -> bytes | None:
        key = manifest_key(digest)
        return self._artifacts.read_bytes(key) if self._artifacts.exists(key) else None

    def _load_adapter(self, checkpoint: CheckpointLocation) -> VaeAdapter:
        from vaeval_core.checkpoints.catalogue import load
        from vaeval_core.checkpoints.probe import probe

        adapter = load(Path(checkpoint.uri), checkpoint.digest)
        for sentence in probe(adapter):
            _LOG.warning("checkpoint_is_odd", extra={"checkpoint": checkpoint.uri, "finding": sentence})
        return adapter
