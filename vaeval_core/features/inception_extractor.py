"""The Inception network of 2015 with all that metrics take from it: pooled features, spatial features, logits.

Spatial features are a network of their own behind the same resize and scaling (`network_extractor`), built and compiled when
they are first asked for. Logits are one product of pooled features, too small for a device, and cost no second pass.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np

from vaeval_core.features.base import AllFeatures, FeatureExtractor
from vaeval_core.features.inception_v3 import layer_name
from vaeval_core.features.network_extractor import NetworkExtractor
from vaeval_core.protocol import ExtractorSpec
from vaeval_core.shard_plan import NETWORK_BATCH
from vaeval_core.types import Float32, Uint8

SPATIAL_SCOPE = "mixed_6/conv"
SPATIAL_CHANNELS = 7
SPATIAL_FEATURES = 17 * 17 * SPATIAL_CHANNELS
"""What sFID is computed of (Nash et al. 2021, arXiv:2103.03841): 2,023, about as many as pooled features."""


class InceptionExtractor(FeatureExtractor):
    """Pooled features, spatial features and, where there is a classifier, logits of one network.

    Args:
        spec: What identifies the features.
        network: From `inception_v3.build_network`.
        scale_pixels: Values 0 … 255 to what the network expects.
        classifier: (2048, classes) float32, the kernel of the published classifier; None where there is none.
        batch: Images per network call. Another size may change the last bits of a feature.
    """

    def __init__(
        self,
        spec: ExtractorSpec,
        network: Any,
        scale_pixels: Callable[[Any], Any],
        *,
        classifier: Float32 | None = None,
        batch: int = NETWORK_BATCH,
    ) -> None:
        self._network = network
        self._classifier = classifier
        self._scale_pixels = scale_pixels
        self._batch = batch
        self._pooled = NetworkExtractor(spec, network, scale_pixels, batch=batch)

    @property
    def spec(self) -> ExtractorSpec:
        """What identifies these features in a protocol."""
        return self._pooled.spec

    def extract(self, images: Uint8) -> Float32:
        """Features of images: the mean of the last block's output over its 8 × 8 places.

        Args:
            images: (n, h, w, c) uint8, any h and w, c of 1 or 3. Costs whole batches: n is padded up.

        Returns:
            (n, 2048) float32.

        Raises:
            ImagesRejected: Another dtype or shape.
        """
        return self._pooled.extract(images)

    def spatial_features(self, images: Uint8) -> Float32:
        """The first seven channels of mixed_6/conv at all its places, row by row, channels last.

        Args:
            images: As in `extract`.

        Returns:
            (n, 2023) float32, ≥ 0.

        Raises:
            ImagesRejected: Another dtype or shape.
        """
        return self._spatial.extract(images)

    @property
    def num_spatial_features(self) -> int:
        """2,023."""
        return SPATIAL_FEATURES

    def all_features(self, images: Uint8, *, logits: bool = False, spatial: bool = False) -> AllFeatures:
        """One pass through the network, whatever is asked for.

        Args:
            images: As in `extract`.
            logits: As in `features_and_logits`, where there is a classifier.
            spatial: As in `spatial_features`.

        Raises:
            ImagesRejected: Another dtype or shape.
        """
        both = self._pooled_and_spatial.extract(images) if spatial else None
        features = self.extract(images) if both is None else np.ascontiguousarray(both[:, : self.dimension])
        return AllFeatures(
            features,
            self._logits_of(features, self._classifier) if logits and self._classifier is not None else None,
            None if both is None else np.ascontiguousarray(both[:, self.dimension :]),
        )

    @property
    def num_classes(self) -> int:
        """1,008 of the published classifier; 0 where there is none."""
        return 0 if self._classifier is None else self._classifier.shape[1]

    def features_and_logits(self, images: Uint8) -> tuple[Float32, Float32]:
        """Features, and logits without the bias of the classifier, of which the Inception score is computed.

        Published code leaves the bias out: it takes the output of softmax/logits/MatMul.

        Args:
            images: As in `extract`.

        Returns:
            (n, 2048) float32 and (n, 1008) float32.

        Raises:
            ImagesRejected: Another dtype or shape.
            InvalidInput: There is no classifier.
        """
        if self._classifier is None:
            return super().features_and_logits(images)
        features = self.extract(images)
        return features, self._logits_of(features, self._classifier)

    def _logits_of(self, features: Float32, classifier: Float32) -> Float32:
        logits = np.empty((len(features), self.num_classes), np.float32)
        # Always one number of rows: a product of fewer may round differently.
        rows = np.zeros((self._batch, features.shape[1]), np.float32)
        for start in range(0, len(features), self._batch):
            part = features[start : start + self._batch]
            rows[: len(part)] = part
            logits[start : start + len(part)] = (rows @ classifier)[: len(part)]
        return logits

    @cached_property
    def _spatial(self) -> NetworkExtractor:
        import keras

        network = keras.Model(self._network.input, self._tapped(), name="inception_v3_spatial")
        return self._ending(network, SPATIAL_FEATURES)

    @cached_property
    def _pooled_and_spatial(self) -> NetworkExtractor:
        import keras

        both = keras.ops.concatenate([self._network.output, self._tapped()], axis=-1)
        network = keras.Model(self._network.input, both, name="inception_v3_pooled_and_spatial")
        return self._ending(network, self.dimension + SPATIAL_FEATURES)

    def _tapped(self) -> Any:
        import keras

        tapped = self._network.get_layer(layer_name(SPATIAL_SCOPE)).output[..., :SPATIAL_CHANNELS]
        return keras.ops.reshape(tapped, (-1, SPATIAL_FEATURES))

    def _ending(self, network: Any, dimension: int) -> NetworkExtractor:
        """What runs a network from the same input to (n, dimension)."""
        spec = self.spec.model_copy(update={"dimension": dimension})
        return NetworkExtractor(spec, network, self._scale_pixels, batch=self._batch)
