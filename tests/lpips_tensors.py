"""Random weights of LPIPS, under the names and in the shapes of the state dict that its package writes."""

from __future__ import annotations

from functools import cache

import numpy as np

from vaeval_core.features.lpips_architecture import ARCHITECTURES, SCALE, SHIFT
from vaeval_core.protocol import PerceptualNetwork
from vaeval_core.types import Float32


@cache
def lpips_state(network: PerceptualNetwork) -> dict[str, Float32]:
    """Kernels that keep the size of the signal, biases, and weights ≥ 0 of the comparison, which the package names twice."""
    random = np.random.default_rng(7)
    state: dict[str, Float32] = {
        "scaling_layer.shift": np.array(SHIFT, np.float32).reshape(1, 3, 1, 1),
        "scaling_layer.scale": np.array(SCALE, np.float32).reshape(1, 3, 1, 1),
    }
    for number, each in enumerate(ARCHITECTURES[network].slices):
        for one in each.convolutions:
            shape = (one.outputs, one.inputs, one.size, one.size)
            kernel = random.standard_normal(shape, np.float32) * np.float32(np.sqrt(2 / np.prod(shape[1:])))
            state[f"{one.module}.weight"] = kernel
            state[f"{one.module}.bias"] = np.float32(0.1) * random.standard_normal(one.outputs, np.float32)
        weights = random.random((1, each.channels, 1, 1), np.float32)
        state[f"lin{number}.model.1.weight"] = state[f"lins.{number}.model.1.weight"] = weights
    return state
