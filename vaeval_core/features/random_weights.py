"""`inception-v3-random`: seeded, variance-preserving weights in the Inception v3 architecture.

A network that was never trained still tells images apart: Naeem et al. 2020 (arXiv:2002.09797) compare generative
models by randomly initialised embeddings where ImageNet classes mean nothing. It needs no download, so it is what works
everywhere at once. Its numbers are comparable within this extractor only, never with a published FID.

Kernels are N(0, 2 / fan-in) and biases 0 (He et al. 2015, arXiv:1502.01852), which keeps the size of the activations
through rectifiers, so that 94 convolutions neither blow the signal up nor lose it.

The weights are the same bits on every machine. Their bits come from the Philox counter generator, whose raw words NumPy
guarantees (NEP 19), unlike those of `Generator.standard_normal`. The one step that goes through a mathematical library,
the inverse normal distribution, is rounded to a grid of 2⁻¹⁶, which swallows the last-bit differences between
libraries; all other steps are exact or correctly rounded. `WEIGHTS_DIGEST` is checked whenever they are made.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from math import prod
from pathlib import Path

import numpy as np
import scipy

from vaeval_core.errors import WeightsUnavailable
from vaeval_core.features.inception_extractor import InceptionExtractor
from vaeval_core.features.inception_v3 import ConvolutionWeights, build_network, scale_to_graph_range
from vaeval_core.features.inception_v3_architecture import KernelShape, kernel_shapes
from vaeval_core.protocol import ExtractorSpec
from vaeval_core.types import Float32

WEIGHTS_DIGEST = "d896ad1a6c698941bd583d1f3ea6aee13263b10a052c063cbb273ccb4ec3529a"
"""`weights_digest(random_weights())`: what identifies these weights in a protocol."""

_GRID = 2.0**16


def random_weights() -> dict[str, ConvolutionWeights]:
    """Scope → weights of all 94 convolutions; takes a second or two.

    Raises:
        WeightsUnavailable: This machine computes other weights than all others do.
    """
    weights = {
        scope: ConvolutionWeights(random_kernel(number, shape), np.zeros(shape[-1], np.float32))
        for number, (scope, shape) in enumerate(kernel_shapes().items())
    }
    digest = weights_digest(weights)
    if digest != WEIGHTS_DIGEST:
        raise WeightsUnavailable(
            "The weights of inception-v3-random come out differently on this machine, so its features would be "
            "comparable with nobody else's.",
            received=f"sha256 {digest}",
            expected=f"sha256 {WEIGHTS_DIGEST}",
            next_step=f"use other releases of NumPy (here {np.__version__}) and SciPy, or another machine",
        )
    return weights


def random_kernel(number: int, shape: KernelShape) -> Float32:
    """Kernel of convolution `number` of the table: N(0, 2 / fan-in), a function of its arguments alone."""
    words = np.random.Philox(key=np.array([number, 0], np.uint64)).random_raw(prod(shape))
    # The upper 53 bits, in the middle of their cell: never 0 or 1, where the inverse is infinite.
    uniform = ((words >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53
    normal = np.rint(scipy.special.ndtri(uniform) * _GRID) / _GRID
    fan_in = prod(shape[:-1])
    kernel: Float32 = (normal * np.sqrt(2.0 / fan_in)).reshape(shape).astype(np.float32)
    return kernel


def weights_digest(weights: Mapping[str, ConvolutionWeights]) -> str:
    """sha256 over name, shape and little-endian bytes of every tensor, in order."""
    digest = hashlib.sha256()
    for scope, tensors in weights.items():
        for name, tensor in tensors._asdict().items():
            digest.update(f"{scope}/{name} {tensor.shape}\n".encode("ascii"))
            digest.update(tensor.astype("<f4").tobytes())
    return digest.hexdigest()


def load_random_inception(spec: ExtractorSpec, _weights_folder: Path) -> InceptionExtractor:
    """The extractor; its weights are made here, in a second or two."""
    return InceptionExtractor(spec, build_network(random_weights()), scale_to_graph_range)
