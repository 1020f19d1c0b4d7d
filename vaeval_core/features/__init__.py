"""Networks that turn images into features. `catalogue` names them, `base` says what each promises.

From a notebook:

    extractor = load_extractor("inception-v3-fid", weights="classify_image_graph_def.pb")
    features = extractor.extract(images)                  # uint8 (n, h, w, 3) → float32 (n, 2048)
    logits = extractor.logits(images)                     # (n, 1008), where the network classifies
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vaeval_core.features.base import FeatureExtractor
    from vaeval_core.protocol import Precision

WEIGHTS_FOLDER = "~/.vaeval/weights"
"""Where weights are kept unless another folder is given: that of the command line with VAEVAL_HOME unset."""


def load_extractor(
    name: str,
    weights: str | Path | None = None,
    resize: str | None = None,
    precision: Precision = "float32",
    *,
    weights_folder: str | Path = WEIGHTS_FOLDER,
) -> FeatureExtractor:
    """An extractor by name, its weights found or fetched, ready to run.

    Args:
        name: One of `catalogue.extractor_names()`.
        weights: A file of weights; None for the extractor's own.
        resize: `tf1-bilinear`, `clean` or `half-pixel`; None for the extractor's own.
        precision: Arithmetic of the network.
        weights_folder: Where weights are kept; made if one has to be put there.

    Raises:
        InvalidInput: No such extractor, or it takes no such weights, resize or precision.
        NotFound: The weights file does not exist.
        WeightsUnavailable: The weights are neither on this machine nor to be had.
        StorageFailed: The weights folder cannot be read or written.
    """
    from vaeval_core.features import catalogue

    folder = Path(weights_folder).expanduser()
    file = None if weights is None else Path(weights).expanduser()
    spec = catalogue.resolve_extractor(name, weights=file, weights_folder=folder, resize=resize, precision=precision)
    return catalogue.load_extractor(spec, folder)
