"""Interpolations and traversals: which pairs, which places, and that shards and batches change nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pytest
from scipy import stats

from tests.wrapped_model import WrappedModel
from vaeval_core.checkpoints.base import Posterior
from vaeval_core.checkpoints.linear_gaussian import LinearGaussianVae, linear_gaussian_vae
from vaeval_core.errors import InvalidInput, TooFewImages
from vaeval_core.generation.interpolate import decode_paths, encode_means, interpolate
from vaeval_core.generation.interpolation_pairs import (
    interpolation_fractions,
    interpolation_partners,
    next_fractions,
    pairing_block,
)
from vaeval_core.generation.latent_paths import points_between
from vaeval_core.generation.traverse import most_used_dimensions, prior_quantiles, traverse
from vaeval_core.protocol import PathKind
from vaeval_core.types import Float32, IndexRange

BATCH = 8


def _images(num_images: int) -> Float32:
    return np.random.Generator(np.random.Philox(5)).random((num_images, 2, 3, 1)).astype(np.float32)


def _model() -> LinearGaussianVae:
    generator = np.random.Generator(np.random.Philox(6))
    return linear_gaussian_vae(generator.normal(size=(6, 4)), generator.random(6), 0.1, (2, 3, 1))


@dataclass
class WatchedVae(WrappedModel):
    """A real model that notes how many images each of its networks was called with."""

    model: LinearGaussianVae = field(default_factory=_model)
    encoded: list[int] = field(default_factory=list)
    decoded: list[int] = field(default_factory=list)

    def encode(self, images: Float32) -> Posterior:
        self.encoded.append(len(images))
        return self.model.encode(images)

    def decode(self, latents: Float32) -> Float32:
        self.decoded.append(len(latents))
        return self.model.decode(latents)


def _read_means(adapter: WatchedVae | LinearGaussianVae, num_images: int) -> Callable[[IndexRange], Float32]:
    images = _images(num_images)
    return lambda block: encode_means(adapter, lambda part: images[part.start : part.stop], block, BATCH)


@pytest.mark.parametrize("num_images", [2, 7, 8, 9, 17, 30, 33])
def test_every_image_is_a_start_once_and_an_end_once_and_never_both_of_one_path(num_images: int) -> None:
    partners = interpolation_partners(3, IndexRange(0, num_images), num_images, BATCH)
    assert sorted(partners.tolist()) == list(range(num_images))
    assert (partners != np.arange(num_images)).all()


@pytest.mark.parametrize("num_images", [9, 17, 30])
def test_a_pair_does_not_depend_on_where_shards_are_cut(num_images: int) -> None:
    whole = interpolation_partners(3, IndexRange(0, num_images), num_images, BATCH)
    for start, stop in [(0, 1), (num_images - 1, num_images), (5, 9), (7, 8)]:
        part = interpolation_partners(3, IndexRange(start, stop), num_images, BATCH)
        assert np.array_equal(part, whole[start:stop])


def test_another_seed_makes_other_pairs_and_other_places() -> None:
    one, other = (interpolation_partners(seed, IndexRange(0, 32), 32, 32) for seed in (1, 2))
    assert (one != other).sum() > 20
    places, others = (interpolation_fractions(seed, IndexRange(0, 32)) for seed in (1, 2))
    assert not set(places) & set(others)


def test_both_ends_of_a_path_are_encoded_in_one_batch() -> None:
    partners = interpolation_partners(3, IndexRange(0, 24), 24, BATCH)
    assert (partners // BATCH == np.arange(24) // BATCH).all()


@pytest.mark.parametrize(
    ("index_range", "num_images", "expected"),
    [
        (IndexRange(0, 8), 30, IndexRange(0, 8)),
        (IndexRange(3, 10), 30, IndexRange(0, 16)),
        (IndexRange(25, 26), 30, IndexRange(24, 30)),
        # A last block of one image joins the block before it.
        (IndexRange(24, 25), 25, IndexRange(16, 25)),
        (IndexRange(16, 17), 25, IndexRange(16, 25)),
        (IndexRange(8, 9), 25, IndexRange(8, 16)),
    ],
)
def test_ends_are_in_the_block_of_their_starts(index_range: IndexRange, num_images: int, expected: IndexRange) -> None:
    assert pairing_block(index_range, num_images, BATCH) == expected


@pytest.mark.parametrize(("num_images", "stop"), [(1, 1), (10, 11)])
def test_too_few_images_to_interpolate_between_are_told(num_images: int, stop: int) -> None:
    with pytest.raises(TooFewImages) as caught:
        interpolation_partners(0, IndexRange(0, stop), num_images, BATCH)
    assert caught.value.received == f"num_images={num_images} for starts 0 to {stop - 1}"
    assert str(caught.value.expected).startswith("at least 2")


def test_a_batch_of_one_makes_no_pairs() -> None:
    with pytest.raises(InvalidInput) as caught:
        interpolation_partners(0, IndexRange(0, 4), 4, 1)
    assert caught.value.received == "batch=1"
    assert caught.value.expected == "2 or more"


def test_places_on_paths_are_uniform() -> None:
    assert stats.kstest(interpolation_fractions(4, IndexRange(0, 2000)), "uniform").pvalue > 1e-3


def test_a_second_place_is_a_step_away_and_never_outside_the_path() -> None:
    fractions = np.array([0.0, 0.5, 0.9375, 0.95, 1.0])
    np.testing.assert_allclose(next_fractions(fractions, 1 / 16), [0.0625, 0.5625, 1.0, 0.8875, 0.9375])


@pytest.mark.parametrize("kind", ["linear", "spherical"])
def test_images_are_those_between_the_means_of_a_pair(kind: PathKind) -> None:
    model = _model()
    result = interpolate(
        model, _read_means(model, 20), seed=3, index_range=IndexRange(10, 14), num_images=20, batch=BATCH, kind=kind
    )
    means = model.encode(_images(20)).mean
    partners = interpolation_partners(3, IndexRange(0, 20), 20, BATCH)
    places = interpolation_fractions(3, IndexRange(10, 14))
    expected = model.decode(points_between(means[10:14], means[partners[10:14]], places, kind))
    np.testing.assert_array_equal(result.images, expected)
    np.testing.assert_array_equal(result.fractions, places)


def test_images_do_not_depend_on_where_shards_are_cut() -> None:
    model, num_images = _model(), 17
    read_means = _read_means(model, num_images)

    def images(index_range: IndexRange) -> tuple[Float32, Float32]:
        parts = [
            interpolate(model, read_means, seed=3, index_range=block, num_images=num_images, batch=BATCH)
            for block in index_range.blocks(BATCH)
        ]
        moved = [part.next_images for part in parts if part.next_images is not None]
        return np.concatenate([part.images for part in parts]), np.concatenate(moved)

    whole = images(IndexRange(0, num_images))
    for start, stop in [(0, 5), (5, 17), (16, 17), (3, 9)]:
        for part, all_of_them in zip(images(IndexRange(start, stop)), whole, strict=True):
            np.testing.assert_array_equal(part, all_of_them[start:stop])


def test_networks_are_called_with_full_batches_only_and_ends_are_encoded_once() -> None:
    adapter = WatchedVae()
    for block in IndexRange(0, 15).blocks(BATCH):
        interpolate(
            adapter,
            _read_means(adapter, 15),
            seed=0,
            index_range=block,
            num_images=15,
            batch=BATCH,
            step=None,
        )
    assert adapter.encoded == [BATCH, BATCH]
    assert adapter.decoded == [BATCH, BATCH]


def test_interpolations_are_between_means_and_the_same_each_time() -> None:
    model, read = _model(), _read_means(_model(), 8)
    twice = [
        interpolate(model, read, seed=1, index_range=IndexRange(0, 8), num_images=8, batch=BATCH).images
        for _ in range(2)
    ]
    assert np.array_equal(*twice)
    ends = decode_paths(
        model, read(IndexRange(0, 8)), read(IndexRange(0, 8))[::-1], num_steps=2, batch=BATCH, kind="linear"
    )
    reconstructions = model.decode(model.encode(_images(8)).mean)
    np.testing.assert_array_equal(ends[:, 0], reconstructions)
    np.testing.assert_array_equal(ends[:, 1], reconstructions[::-1])


def test_whole_paths_are_decoded_in_full_batches_and_in_order() -> None:
    adapter = WatchedVae()
    start, end = (np.random.Generator(np.random.Philox(seed)).normal(size=(3, 4)).astype(np.float32) for seed in (1, 2))
    images = decode_paths(adapter, start, end, num_steps=5, batch=BATCH, kind="spherical")
    assert images.shape == (3, 5, 2, 3, 1)
    assert adapter.decoded == [BATCH, BATCH]
    expected = adapter.model.decode(points_between(start, end, np.full(3, 0.75), "spherical"))
    np.testing.assert_array_equal(images[:, 3], expected)


def test_quantiles_of_the_prior_are_as_likely_one_as_the_next() -> None:
    values = prior_quantiles(20)
    np.testing.assert_allclose(np.diff(stats.norm.cdf(values)), 0.95 / 19, rtol=1e-9)
    assert values[-1] == pytest.approx(1.959964, abs=1e-6)
    np.testing.assert_allclose(values, -values[::-1], atol=1e-12)


def test_a_traversal_changes_one_dimension_at_a_time() -> None:
    model = _model()
    latent = np.array([0.5, -1.0, 2.0, 0.0], np.float32)
    values = prior_quantiles(3)
    images = traverse(model, latent, np.array([2, 0]), values, BATCH)
    assert images.shape == (2, 3, 2, 3, 1)
    here = model.decode(latent[np.newaxis])[0]
    for row, dimension in enumerate((2, 0)):
        for column, value in enumerate(values):
            moved = (here.ravel() + (value - latent[dimension]) * model.weights[:, dimension]).reshape(2, 3, 1)
            np.testing.assert_allclose(images[row, column], moved, atol=1e-5)


def test_the_dimensions_shown_are_those_most_used() -> None:
    assert most_used_dimensions([0.1, 3.0, 0.0, 3.0, 1.0], 3).tolist() == [1, 3, 4]
    assert most_used_dimensions([0.1], 3).tolist() == [0]


@pytest.mark.parametrize(
    ("latent", "dimension", "received"),
    [
        (np.zeros(3, np.float32), 0, "a latent of shape (3,)"),
        (np.zeros(4, np.float32), 4, "a latent of shape (4,), dimension 4"),
        (np.zeros(4, np.float32), -1, "a latent of shape (4,), dimension -1"),
    ],
)
def test_a_latent_or_dimension_that_does_not_exist_is_refused(latent: Float32, dimension: int, received: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        traverse(_model(), latent, np.array([dimension]), prior_quantiles(2), BATCH)
    assert caught.value.received == received
    assert caught.value.expected == "shape (4,), dimensions 0 to 3"


@pytest.mark.parametrize("num_steps", [0, 1])
def test_a_traversal_of_fewer_than_two_values_is_refused(num_steps: int) -> None:
    with pytest.raises(InvalidInput) as caught:
        prior_quantiles(num_steps)
    assert caught.value.received == f"num_steps={num_steps}"
    assert caught.value.expected == "2 or more"
