"""NDB against cases by hand, a plain loop of tests, and what k-means has to find."""

from __future__ import annotations

from math import erfc, log, sqrt

import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon

from tests.feature_pieces import Pieces
from vaeval_core.errors import InvalidInput, TooFewImages
from vaeval_core.metrics.clusters import assign, assign_left_out, find_clusters
from vaeval_core.metrics.feature_blocks import as_blocks
from vaeval_core.metrics.ndb import Bins, find_bins, number_of_different_bins


def test_two_bins_by_hand() -> None:
    bins = Bins(np.array([[0.0], [10.0]]), np.array([50, 50]), np.array([50, 50]), 2)
    generated = np.repeat([[1.0], [9.0]], [70, 30], axis=0)
    # p = 0.5, q = 0.7, pooled 0.6: z = -0.2 / √(0.24 · 0.02) = -2.8868, p-value 0.0039, in both bins.
    assert number_of_different_bins(generated, bins, significance=0.0040).value == 2
    result = number_of_different_bins(generated, bins, significance=0.0038)
    assert result.value == 0
    divergence = (0.5 * log(1 / 1.2) + 0.7 * log(1.4 / 1.2) + 0.5 * log(1 / 0.8) + 0.3 * log(0.6 / 0.8)) / 2
    assert result.components == pytest.approx((divergence,), rel=1e-12)
    assert (result.num_images, result.std_error, result.warnings) == (100, None, ())


def test_a_loop_of_tests_agrees() -> None:
    rng = np.random.default_rng(0)
    reference, generated = rng.normal(size=(3000, 4)), rng.normal(size=(2000, 4)) * 1.1 + 0.1
    bins = find_bins(reference, bins=20)
    different, shares = 0, []
    for number in range(20):
        members = [
            sum(np.square(bins.centres - row).sum(axis=1).argmin() == number for row in rows)
            for rows in (reference, generated)
        ]
        assert members[0] == bins.counts[number]
        p, q, pooled = members[0] / 3000, members[1] / 2000, sum(members) / 5000
        z = (p - q) / sqrt(pooled * (1 - pooled) * (1 / 3000 + 1 / 2000))
        different += erfc(abs(z) / sqrt(2)) < 0.05
        shares.append((p, q))
    result = number_of_different_bins(generated, bins)
    assert 0 < different < 20
    assert result.value == different
    assert result.components == pytest.approx((jensenshannon(*np.transpose(shares)) ** 2,), rel=1e-9)


def test_the_reference_itself_differs_in_no_bin() -> None:
    reference = np.random.default_rng(1).normal(size=(1500, 4))
    result = number_of_different_bins(reference, reference)
    assert (result.value, result.components) == (0, (0,))


def test_a_missing_mode_is_seen() -> None:
    rng = np.random.default_rng(2)
    modes = np.eye(10) * 30
    reference = modes[np.arange(2000) % 10] + rng.normal(size=(2000, 10))
    generated = modes[np.arange(900) % 9] + rng.normal(size=(900, 10))
    bins = find_bins(reference, bins=10)
    assert sorted(bins.counts) == [200] * 10
    # The missing one, 0 of 900 against 10 %; the other nine have 11.1 % against 10 %, far from significant.
    assert number_of_different_bins(generated, bins).value == 1


def test_of_equal_distributions_about_the_significance_level_differs() -> None:
    shares = []
    for seed in range(30):
        rng = np.random.default_rng(seed)
        bins = find_bins(rng.normal(size=(600, 2)), bins=20)
        shares.append(number_of_different_bins(rng.normal(size=(600, 2)), bins).value / 20)
    # 600 tests at 5 %; that the bins were fitted to the reference adds a little.
    assert 0.02 < np.mean(shares) < 0.1


def test_how_rows_arrive_changes_no_bit() -> None:
    rng = np.random.default_rng(3)
    reference, generated = rng.normal(size=(2300, 5)), rng.normal(size=(1100, 5)) * 0.8
    whole = number_of_different_bins(generated, find_bins(reference, bins=30))
    pieces = number_of_different_bins(Pieces(generated, [1000]), find_bins(Pieces(reference, [7, 1500]), bins=30))
    assert pieces == whole


def test_a_common_offset_changes_nothing() -> None:
    rng = np.random.default_rng(4)
    reference, generated = rng.normal(size=(500, 5)), rng.normal(size=(400, 5)) * 0.8
    near = number_of_different_bins(generated, find_bins(reference, bins=10))
    far = number_of_different_bins(generated + 1e4, find_bins(reference + 1e4, bins=10))
    assert far.value == near.value
    assert far.components == pytest.approx(near.components, rel=1e-9)


def test_bins_survive_being_stored() -> None:
    rng = np.random.default_rng(5)
    bins = find_bins(rng.normal(size=(500, 5)), bins=10)
    generated = rng.normal(size=(400, 5))
    again = Bins.from_arrays(bins.to_arrays())
    assert number_of_different_bins(generated, again) == number_of_different_bins(generated, bins)


def test_bins_that_expect_few_images_are_warned_of() -> None:
    rng = np.random.default_rng(6)
    bins = find_bins(rng.normal(size=(120, 5)), bins=60)
    result = number_of_different_bins(rng.normal(size=(120, 5)), bins)
    assert len(result.warnings) == 1
    assert "of 60 bins expect fewer than 5 images" in result.warnings[0]


def test_a_reference_of_few_different_images_gets_fewer_bins_and_says_so() -> None:
    reference = np.repeat(np.eye(3), 40, axis=0)
    result = number_of_different_bins(reference, find_bins(reference, bins=5))
    assert result.value == 0
    assert result.warnings == ("The reference has different images for 3 of 5 bins only.",)


def test_bins_that_are_fitted_too_closely_are_warned_of() -> None:
    # In 256 dimensions of noise a cluster is near to its own members and to nothing else: far more than 5 % differ.
    rng = np.random.default_rng(10)
    result = number_of_different_bins(rng.normal(size=(900, 256)), find_bins(rng.normal(size=(900, 256)), bins=20))
    assert result.value is not None
    assert result.value > 3
    assert "of 20 bins would hold another share of the reference's own images if these were new" in result.warnings[-1]
    few = number_of_different_bins(rng.normal(size=(900, 4)), find_bins(rng.normal(size=(900, 4)), bins=20))
    assert few.warnings == ()


def test_rows_left_out_go_where_the_clusters_without_them_put_them() -> None:
    rows = np.random.default_rng(11).normal(size=(60, 12))
    blocks = as_blocks(rows, "reference")
    centres = find_clusters(blocks, 8, seed=0)
    members = assign(blocks, centres)
    expected = []
    for number, row in enumerate(rows):
        left = [(members == cluster) & (np.arange(60) != number) for cluster in range(8)]
        means = [rows[others].mean(axis=0) if others.any() else np.full(12, np.inf) for others in left]
        expected.append(int(np.argmin([np.square(row - mean).sum() for mean in means])))
    assert expected != members.tolist()
    assert assign_left_out(blocks, centres, members).tolist() == expected


def test_a_bin_that_holds_everything_does_not_differ() -> None:
    assert number_of_different_bins(np.ones((9, 2)), find_bins(np.ones((20, 2)), bins=3)).value == 0


def test_clusters_are_the_means_of_their_members_and_members_of_the_nearest() -> None:
    rng = np.random.default_rng(7)
    rows = rng.normal(size=(1500, 3)) + 1e4
    blocks = as_blocks(rows, "reference")
    centres = find_clusters(blocks, 6, seed=1)
    members = assign(blocks, centres)
    np.testing.assert_array_equal(members, [np.square(centres - row).sum(axis=1).argmin() for row in rows])
    for number in range(6):
        np.testing.assert_allclose(centres[number], rows[members == number].mean(axis=0), rtol=1e-12)


def test_the_seed_decides_the_clusters() -> None:
    blocks = as_blocks(np.random.default_rng(8).normal(size=(300, 3)), "reference")
    one, again, other = (find_clusters(blocks, 8, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, again)
    assert not np.array_equal(one, other)


def test_what_cannot_be_used_is_refused_with_what_it_is() -> None:
    rows = np.random.default_rng(9).normal(size=(50, 3))
    bins = find_bins(rows, bins=4)
    with pytest.raises(TooFewImages, match=r"Received: num_images=50, bins=50 Expected: 51 images or more; 500 for"):
        find_bins(rows, bins=50)
    with pytest.raises(TooFewImages, match=r"Received: num_images=50, bins=100 Expected: 101 images or more"):
        number_of_different_bins(rows, rows)
    with pytest.raises(InvalidInput, match=r"Received: bins=0 Expected: 1 or more"):
        find_bins(rows, bins=0)
    for level in (0, 1, np.nan):
        with pytest.raises(InvalidInput, match=rf"Received: significance={level} Expected: between 0 and 1"):
            number_of_different_bins(rows, bins, significance=level)
    with pytest.raises(InvalidInput, match=r"Received: 2 \(generated\) and 3 \(reference\)"):
        number_of_different_bins(rows[:, :2], bins)
    with pytest.raises(TooFewImages, match=r"few generated features. Received: num_images=0 Expected: 1 or more"):
        number_of_different_bins(rows[:0], bins)
    with pytest.raises(InvalidInput, match=r"3 values that are NaN or infinite, in 1 of 50 rows; first in row 2"):
        number_of_different_bins(np.where(np.arange(50)[:, np.newaxis] == 2, np.nan, rows), bins)
    with pytest.raises(InvalidInput, match=r"Received: complex128 of shape \(50, 3\)"):
        find_bins(rows + 0j)
