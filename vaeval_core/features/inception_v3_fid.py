"""`inception-v3-fid`: the network and weights of 2015-12-05, on which published FID is defined.

Everything is as in the published graph: TensorFlow 1's bilinear resize, (x - 128) / 128, a scale in every normalisation,
a maximum in the last block's pool. `fid_weights` finds the weights, `inception_v3` builds the network,
`inception_extractor` runs it.

Source: http://download.tensorflow.org/models/image/imagenet/inception-2015-12-05.tgz, Apache-2.0; Heusel et al. 2017,
arXiv:1706.08500, and their code, which defined FID on its layer pool_3.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from vaeval_core.errors import WeightsUnavailable
from vaeval_core.features.converted_weights import fold, load_converted
from vaeval_core.features.fid_weights import find_fid_weights
from vaeval_core.features.inception_v3 import build_network, scale_to_graph_range
from vaeval_core.features.verified_weights import WeightsFolder
from vaeval_core.protocol import ExtractorSpec

if TYPE_CHECKING:
    from vaeval_core.features.inception_extractor import InceptionExtractor


def load_fid_inception(spec: ExtractorSpec, weights_folder: Path) -> InceptionExtractor:
    """The extractor of a spec, its weights verified once more.

    A worker on another machine than the one that submitted may have an empty folder; then the published weights are
    found or fetched here too, which is enough unless the user brought weights of their own.

    Raises:
        WeightsUnavailable: The folder does not have the weights of the spec, and the published ones are others.
    """
    store = WeightsFolder(weights_folder)
    try:
        tensors = load_converted(store, spec.weights_digest)
    except WeightsUnavailable:
        find_fid_weights(None, weights_folder)
        tensors = load_converted(store, spec.weights_digest)

    from vaeval_core.features.inception_extractor import InceptionExtractor

    return InceptionExtractor(
        spec, build_network(fold(tensors)), scale_to_graph_range, classifier=tensors["softmax/weights"]
    )
