"""Addressed noise: the same whatever is asked for around it, and normal."""

from __future__ import annotations

import numpy as np
from scipy import stats

from vaeval_core.seeding import standard_normal, uniform
from vaeval_core.types import IndexRange


def test_an_image_has_the_same_noise_in_any_range() -> None:
    whole = standard_normal(3, "samples", IndexRange(0, 100), 5)
    for start, stop in [(0, 1), (31, 33), (64, 100)]:
        np.testing.assert_array_equal(standard_normal(3, "samples", IndexRange(start, stop), 5), whole[start:stop])


def test_a_wider_latent_begins_with_the_same_numbers() -> None:
    narrow = standard_normal(3, "samples", IndexRange(0, 4), 2)
    np.testing.assert_array_equal(standard_normal(3, "samples", IndexRange(0, 4), 9)[:, :2], narrow)


def test_seeds_streams_and_images_share_no_numbers() -> None:
    draws = [
        standard_normal(seed, stream, IndexRange(0, 50), 4)
        for seed in (0, 1, 2**63 - 1)
        for stream in ("samples", "reconstructions", "posterior", "dequantisation", "interventions")
    ]
    values = np.concatenate([draw.ravel() for draw in draws])
    assert len(np.unique(values)) == len(values)


def test_an_image_has_pages_of_its_own() -> None:
    pages = [standard_normal(3, "posterior", IndexRange(0, 6), 40, page=page) for page in range(4)]
    values = np.concatenate([page.ravel() for page in pages])
    assert len(np.unique(values)) == len(values)
    np.testing.assert_array_equal(standard_normal(3, "posterior", IndexRange(2, 6), 40, page=3), pages[3][2:])
    np.testing.assert_array_equal(standard_normal(3, "posterior", IndexRange(0, 6), 40), pages[0])


def test_uniform_noise_is_inside_its_interval_and_even() -> None:
    numbers = uniform(5, "dequantisation", IndexRange(0, 2000), 5)
    assert 0 < numbers.min() < numbers.max() < 1
    assert stats.kstest(numbers.ravel(), "uniform").pvalue > 1e-3


def test_noise_is_standard_normal_and_independent_between_neighbours() -> None:
    draws = standard_normal(11, "samples", IndexRange(0, 4000), 5)
    assert stats.kstest(draws.ravel(), "norm").pvalue > 1e-3
    correlation = np.corrcoef(np.concatenate([draws[:-1], draws[1:]], axis=1).T)
    assert np.abs(correlation - np.eye(10)).max() < 5 / np.sqrt(4000)


def test_the_words_are_those_of_the_published_generator() -> None:
    # Known answer of Philox 4×64-10 for an all-ones counter and key (Salmon et al. 2011, kat_vectors of Random123).
    ones = np.uint64(2**64 - 1)
    # NumPy counts up before it draws, so the counter before all ones is one less.
    counter = np.array([ones - np.uint64(1), ones, ones, ones])
    words = np.random.Philox(key=np.array([ones, ones]), counter=counter).random_raw(4)
    published = [0x87B092C3013FE90B, 0x438C3C67BE8D0224, 0x9CC7D7C69CD777B6, 0xA09CAEBF594F0BA0]
    assert [int(word) for word in words] == published
