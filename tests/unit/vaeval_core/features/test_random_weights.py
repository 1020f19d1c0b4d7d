"""Random weights: the right distribution, and the same bits everywhere.

All of them together: tests/numerics/test_inception_v3.py.
"""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
import pytest

from vaeval_core.errors import WeightsUnavailable
from vaeval_core.features import random_weights as module
from vaeval_core.features.random_weights import WEIGHTS_DIGEST, random_kernel, random_weights, weights_digest

WORD = 2**64


def philox_4x64(counter: list[int], key: list[int]) -> list[int]:
    """Philox-4x64-10 of Salmon et al. 2011, in plain integers."""
    for _ in range(10):
        high_0, low_0 = divmod(0xD2E7470EE14C6C93 * counter[0], WORD)
        high_1, low_1 = divmod(0xCA5A826395121157 * counter[2], WORD)
        counter = [high_1 ^ counter[1] ^ key[0], low_1, high_0 ^ counter[3] ^ key[1], low_0]
        key = [(key[0] + 0x9E3779B97F4A7C15) % WORD, (key[1] + 0xBB67AE8584CAA73B) % WORD]
    return counter


def test_philox_here_gives_the_published_test_vector() -> None:
    # Random123, kat_vectors: philox4x64 10 rounds, counter and key of ones.
    assert philox_4x64([WORD - 1] * 4, [WORD - 1] * 2) == [
        0x87B092C3013FE90B,
        0x438C3C67BE8D0224,
        0x9CC7D7C69CD777B6,
        0xA09CAEBF594F0BA0,
    ]


@pytest.mark.parametrize("number", [0, 93])
def test_a_kernel_is_philox_at_its_number_through_the_inverse_normal(number: int) -> None:
    # NumPy counts up before the first block.
    words = [word for block in (1, 2) for word in philox_4x64([block, 0, 0, 0], [number, 0])]
    normal = [NormalDist().inv_cdf(((word >> 11) + 0.5) / 2**53) for word in words]
    on_grid = [round(value * 2**16) / 2**16 for value in normal]
    expected = np.array([value * (2 / 4) ** 0.5 for value in on_grid], np.float32)
    np.testing.assert_array_equal(random_kernel(number, (1, 1, 4, 2)).ravel(), expected)


def test_a_kernel_preserves_variance() -> None:
    kernel = random_kernel(7, (3, 3, 64, 96))
    num_weights = kernel.size
    wanted = 2 / (3 * 3 * 64)
    # Five standard errors: √(wanted / n) of a mean, wanted · √(2 / n) of a variance.
    assert abs(kernel.mean()) < 5 * np.sqrt(wanted / num_weights)
    assert abs(kernel.var() - wanted) < 5 * wanted * np.sqrt(2 / num_weights)


def test_two_convolutions_of_one_shape_have_different_weights() -> None:
    first, second = random_kernel(1, (3, 3, 32, 32)), random_kernel(2, (3, 3, 32, 32))
    assert abs(np.corrcoef(first.ravel(), second.ravel())[0, 1]) < 5 / np.sqrt(first.size)


def test_the_digest_sees_every_bit_and_the_order() -> None:
    weights = {scope: random_weights_of(number) for number, scope in enumerate(("first", "second"))}
    digest = weights_digest(weights)
    assert weights_digest(dict(reversed(weights.items()))) != digest
    weights["second"].kernel[0, 0, 0, 0] = np.nextafter(weights["second"].kernel[0, 0, 0, 0], np.float32(1))
    assert weights_digest(weights) != digest


def random_weights_of(number: int) -> module.ConvolutionWeights:
    return module.ConvolutionWeights(random_kernel(number, (1, 1, 2, 2)), np.zeros(2, np.float32))


def test_a_machine_that_computes_other_weights_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "kernel_shapes", lambda: {"conv": (1, 1, 2, 2)})
    with pytest.raises(WeightsUnavailable) as caught:
        random_weights()
    assert caught.value.received == f"sha256 {weights_digest({'conv': random_weights_of(0)})}"
    assert caught.value.expected == f"sha256 {WEIGHTS_DIGEST}"
    assert np.__version__ in str(caught.value.next_step)
