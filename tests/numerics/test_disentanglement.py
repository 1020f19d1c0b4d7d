"""Scores of disentanglement against codes whose scores are known: perfect, useless, rotated, duplicated, dead.

Known values come from the definitions by hand, or from scikit-learn's and SciPy's own statistics.
"""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from vaeval_core.disentanglement.all_scores import DISENTANGLEMENT_SCORES, score_disentanglement
from vaeval_core.disentanglement.beta_vae import beta_vae_score
from vaeval_core.disentanglement.explicitness import area_under_curve, explicitness
from vaeval_core.disentanglement.factor_vae import factor_vae_score, votes
from vaeval_core.disentanglement.importance_scores import concentrations, importance_scores, mean_concentration
from vaeval_core.disentanglement.interventional_robustness import interventional_robustness
from vaeval_core.disentanglement.labelled_codes import MAX_CODES, labelled_codes
from vaeval_core.disentanglement.modularity import modularities, modularity
from vaeval_core.disentanglement.mutual_information import entropy, mutual_information
from vaeval_core.disentanglement.mutual_information_gap import mutual_information_gap, mutual_information_gap_ceiling
from vaeval_core.disentanglement.separated_predictability import separated_attribute_predictability
from vaeval_core.errors import InvalidInput
from vaeval_core.evaluation_result import MetricValue
from vaeval_core.types import Float64, Int64

POINTS = {"num_train": 400, "num_test": 300}
"""Observations of the FactorVAE and β-VAE scores: fewer than usual, to be quick."""


def _grid(*sizes: int, copies: int = 1) -> Int64:
    """Every combination of factor values, each as often: factors are independent to the last digit."""
    rows = np.array(list(itertools.product(*(range(size) for size in sizes))), dtype=np.int64)
    return np.tile(rows, (copies, 1))


def _noise(num_images: int, num_codes: int, *, seed: int = 5) -> Float64:
    return np.random.Generator(np.random.Philox(seed)).normal(size=(num_images, num_codes))


def _standardised(factors: Int64) -> Float64:
    return (factors - factors.mean(axis=0)) / factors.std(axis=0)


def _rotated(codes: Float64) -> Float64:
    """Two codes turned by 45 degrees."""
    return codes @ np.array([[1.0, 1.0], [-1.0, 1.0]]) / math.sqrt(2)


def _value(score: MetricValue) -> float:
    assert score.kind == "finite"
    assert score.value is not None
    return score.value


# ---------------------------------------------------------------------------------------------- mutual information, MIG


def test_mutual_information_is_that_of_scikit_learn_over_the_bins_of_numpy() -> None:
    from sklearn.metrics import mutual_info_score

    factors = np.random.Generator(np.random.Philox(1)).integers(0, 7, (500, 2))
    codes = np.concatenate([_noise(500, 2), factors + 0.7 * _noise(500, 2, seed=6)], axis=1)
    expected = np.empty((4, 2))
    for code, factor in itertools.product(range(4), range(2)):
        edges = np.histogram_bin_edges(codes[:, code], bins=20)
        bins = np.digitize(codes[:, code], edges[:-1])
        expected[code, factor] = mutual_info_score(factors[:, factor], bins)
    np.testing.assert_allclose(mutual_information(labelled_codes(codes, factors)), expected, rtol=1e-9, atol=1e-12)


def test_entropy_is_that_of_scipy() -> None:
    classes = np.array([0, 0, 0, 2, 2, 5])
    assert entropy(classes) == pytest.approx(stats.entropy([3, 2, 1]), rel=1e-12)


def test_a_perfect_code_reaches_the_ceiling() -> None:
    factors = _grid(3, 4, 5)
    assert _value(mutual_information_gap(factors.astype(float), factors)) == pytest.approx(1, abs=1e-12)
    assert _value(mutual_information_gap_ceiling(factors)) == pytest.approx(1, abs=1e-12)


def test_more_values_than_bins_lower_the_ceiling() -> None:
    # 32 values in 20 bins: 12 bins hold two, so ¾ ln 2 of 5 ln 2 is lost. 40 values: each bin holds two, ln 2 is lost.
    expected = (0.85, 1 - math.log(2) / math.log(40))
    factors = _grid(32, 40)
    assert mutual_information_gap_ceiling(factors).components == pytest.approx(expected, abs=1e-12)
    assert mutual_information_gap(factors.astype(float), factors).components == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("sizes", "published"), [((3, 6, 40, 32, 32), 0.9024196), ((6, 40, 32, 32), 0.8780245)], ids=["shape", "no shape"]
)
def test_the_ceiling_on_dsprites_is_the_known_one(sizes: tuple[int, ...], published: float) -> None:
    # 480 is a multiple of all sizes, so each value is as frequent; the ceiling asks for no more than that.
    factors = np.stack([np.arange(480) % size for size in sizes], axis=1)
    assert _value(mutual_information_gap_ceiling(factors)) == pytest.approx(published, abs=5e-8)


def test_duplicated_codes_leave_no_gap() -> None:
    factors = _grid(3, 4, 5)
    assert _value(mutual_information_gap(np.hstack([factors, factors]).astype(float), factors)) == 0


def test_turning_two_codes_closes_the_gap() -> None:
    factors = _grid(40, 40)
    assert _value(mutual_information_gap(_rotated(_standardised(factors)), factors)) < 0.01


def test_useless_codes_have_no_gap_but_the_bias_of_the_estimate() -> None:
    factors = _grid(3, 4, 5, copies=100)
    gap = mutual_information_gap(_noise(6000, 5), factors)
    # Expected information of an independent code: 19 · (5 - 1) / 2n nats for the factor of five values.
    assert _value(gap) < 19 * 4 / 12_000 / math.log(3)
    assert gap.warnings == ()


def test_constant_codes_tell_nothing() -> None:
    factors = _grid(3, 4)
    assert _value(mutual_information_gap(np.full((12, 3), 0.1), factors)) == 0


def test_a_single_code_is_compared_with_one_that_tells_nothing() -> None:
    factors = _grid(4, 5)
    assert mutual_information_gap(factors[:, :1], factors).components == pytest.approx((1, 0), abs=1e-12)


def test_few_images_are_said_to_flatter_useless_codes() -> None:
    factors = _grid(10, 10)
    gap = mutual_information_gap(_noise(100, 2), factors)
    # 19 · 9 / 200 nats of ln 10.
    assert gap.warnings[-1].startswith("From 100 images, codes seem to tell about 37% of factor 0")


def test_a_reshape_where_a_transpose_belongs_is_refused_and_would_destroy_the_gap() -> None:
    factors = _grid(8, 8)
    by_dimension = factors.T.astype(float)
    with pytest.raises(InvalidInput, match="2 rows of codes, 64 rows of factors"):
        mutual_information_gap(by_dimension, factors)
    assert _value(mutual_information_gap(by_dimension.T, factors)) == pytest.approx(1, abs=1e-12)
    assert _value(mutual_information_gap(by_dimension.reshape(64, 2), factors)) < 0.2


# ------------------------------------------------------------------------------------------------------------------- SAP


def test_a_perfect_code_is_ahead_by_what_guessing_leaves() -> None:
    factors = _grid(3, 6, 8, copies=20)
    sap = separated_attribute_predictability(_standardised(factors), factors, seed=0)
    # The second best code guesses: 1/values of 960 test images are right, give or take.
    expected = [1 - 1 / values for values in (3, 6, 8)]
    spread = [4 * math.sqrt((1 - gap) * gap / 960) for gap in expected]
    assert all(abs(gap - wanted) < room for gap, wanted, room in zip(sap.components, expected, spread, strict=True))


def test_the_squared_correlation_of_a_perfect_code_is_1_and_of_the_others_0() -> None:
    factors = _grid(3, 6, 8)
    sap = separated_attribute_predictability(_standardised(factors), factors, seed=0, predictor="squared-correlation")
    assert sap.components == pytest.approx((1, 1, 1), abs=1e-12)


def test_the_squared_correlation_is_that_of_scipy() -> None:
    factors = _grid(4, 5)
    codes = factors[:, :1] + _noise(20, 1)
    sap = separated_attribute_predictability(codes, factors, seed=0, predictor="squared-correlation")
    expected = [stats.pearsonr(codes[:, 0], factors[:, factor]).statistic ** 2 for factor in range(2)]
    assert sap.components == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("predictor", ["thresholds", "squared-correlation", "linear-svm"])
def test_of_two_equal_codes_none_is_ahead(predictor: str) -> None:
    factors = _grid(3, 4, copies=10)
    codes = np.hstack([_standardised(factors)] * 2)
    assert _value(separated_attribute_predictability(codes, factors, seed=0, predictor=predictor)) == 0  # type: ignore[arg-type]


def test_a_linear_machine_cannot_name_most_of_eight_values_and_thresholds_can() -> None:
    factors = _grid(8, copies=40)
    codes = _standardised(factors)
    # A single code is compared with guessing one of eight.
    assert _value(separated_attribute_predictability(codes, factors, seed=0)) == pytest.approx(7 / 8, abs=1e-12)
    by_machine = separated_attribute_predictability(codes, factors, seed=0, predictor="linear-svm")
    assert 0 < _value(by_machine) < 4 / 8 - 1 / 8


def test_classes_may_lie_in_any_order_along_a_code() -> None:
    factors = _grid(6, copies=30)
    places = np.array([3.0, 0.0, 5.0, 1.0, 4.0, 2.0])
    assert _value(separated_attribute_predictability(places[factors], factors, seed=0)) == pytest.approx(
        5 / 6, abs=1e-12
    )


# ------------------------------------------------------------------------------------------------------------------- DCI


@pytest.mark.parametrize(
    ("importances", "disentanglement", "completeness"),
    [
        (np.diag([5.0] * 5), 1, 1),
        (np.zeros((5, 5)), 0, 0),
        # Each of 5 codes matters for two of 10 factors; each factor has one code of 5.
        (np.hstack([np.eye(5), np.eye(5)]), 1 - math.log(2) / math.log(10), 1),
        # Each of 5 factors has two codes of 10; each code matters for one factor.
        (np.vstack([np.eye(5), np.eye(5)]), 1, 1 - math.log(2) / math.log(10)),
        (np.ones((4, 3)), 0, 0),
        # A code without importance has no weight.
        (np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]]), 1, 1),
    ],
    ids=["diagonal", "zero", "two factors a code", "two codes a factor", "even", "unused code"],
)
def test_concentration_of_importance_has_the_known_values(
    importances: Float64, disentanglement: float, completeness: float
) -> None:
    assert mean_concentration(importances) == pytest.approx(disentanglement, abs=1e-12)
    assert mean_concentration(importances.T) == pytest.approx(completeness, abs=1e-12)


def test_concentration_is_one_less_the_entropy_of_scipy() -> None:
    importances = np.random.Generator(np.random.Philox(2)).random((6, 4))
    expected = 1 - stats.entropy(importances.T, base=4)
    np.testing.assert_allclose(concentrations(importances), expected, rtol=1e-10)


def test_a_perfect_code_has_all_importance_in_its_place() -> None:
    factors = _grid(3, 4, 5, copies=5)
    scores = importance_scores(_standardised(factors), factors, seed=0)
    np.testing.assert_allclose(scores.importances, np.eye(3), atol=1e-6)
    for score in (scores.disentanglement, scores.completeness, scores.informativeness):
        assert _value(score) > 0.999


def test_importance_is_shared_by_codes_that_say_the_same() -> None:
    factors = _grid(4, 5, copies=15)
    scores = importance_scores(np.hstack([_standardised(factors)] * 2), factors, seed=0)
    assert _value(scores.disentanglement) > 0.999
    # Two codes of four share alike, but for the chance by which trees choose between equals: ½.
    assert _value(scores.completeness) == pytest.approx(1 - math.log(2) / math.log(4), abs=0.05)


def test_turned_codes_are_informative_and_entangled() -> None:
    factors = _grid(8, 8, copies=10)
    scores = importance_scores(_rotated(_standardised(factors)), factors, seed=0)
    assert _value(scores.disentanglement) < 0.05
    assert _value(scores.completeness) < 0.05
    assert _value(scores.informativeness) > 0.95


def test_useless_codes_predict_nothing() -> None:
    factors = _grid(4, 5, copies=30)
    scores = importance_scores(_noise(600, 3), factors, seed=0)
    assert _value(scores.informativeness) < 0.05
    assert _value(scores.disentanglement) < 0.1


def test_constant_codes_are_important_for_nothing() -> None:
    factors = _grid(4, 5)
    scores = importance_scores(np.ones((20, 3)), factors, seed=0)
    assert [_value(score) for score in (scores.disentanglement, scores.completeness, scores.informativeness)] == [
        0,
        0,
        0,
    ]


def test_a_boosted_classifier_gives_accuracy_as_informativeness() -> None:
    factors = _grid(3, 4, copies=10)
    scores = importance_scores(_standardised(factors), factors, seed=0, predictor="classifier")
    assert _value(scores.informativeness) == 1
    assert _value(scores.disentanglement) > 0.999


# -------------------------------------------------------------------------------------------------- FactorVAE and β-VAE


def test_a_perfect_code_wins_every_vote_for_its_factor() -> None:
    factors = _grid(3, 4, 5, copies=4)
    assert factor_vae_score(_standardised(factors), factors, seed=0, **POINTS).components == (1, 1, 1)


def test_votes_for_useless_codes_are_chance() -> None:
    factors = _grid(4, 5, copies=30)
    score = _value(factor_vae_score(_noise(600, 4), factors, seed=0, **POINTS))
    assert abs(score - 0.5) < 4 * math.sqrt(0.25 / POINTS["num_test"])


def test_a_code_that_mixes_two_factors_alike_votes_by_chance() -> None:
    factors = _grid(16, 16, copies=2)
    score = _value(factor_vae_score(_rotated(_standardised(factors)), factors, seed=0, **POINTS))
    assert abs(score - 0.5) < 4 * math.sqrt(0.25 / POINTS["num_test"])


def test_a_dead_code_wins_no_vote() -> None:
    factors = _grid(3, 4, 5, copies=4)
    perfect = _standardised(factors)
    nearly_constant = 0.01 * np.sign(_noise(len(factors), 1))
    nearly_constant[0] = (
        0.3  # one outlier: within almost every batch its variance is nothing beside that over all images
    )
    assert nearly_constant.std(ddof=1) < 0.05
    codes = np.hstack([np.zeros_like(nearly_constant), nearly_constant, perfect])
    assert _value(factor_vae_score(codes, factors, seed=0, **POINTS)) == 1


def test_votes_count_for_a_code_under_its_own_number_though_others_are_left_out() -> None:
    factors = _grid(3, 4, copies=5)
    labelled = labelled_codes(np.hstack([np.zeros((60, 2)), _standardised(factors)]), factors)
    counted = votes(np.array([2, 3, 3, 2]), np.array([0, 1, 1, 0]), labelled)
    np.testing.assert_array_equal(counted, [[0, 0], [0, 0], [2, 0], [0, 2]])


def test_codes_that_all_collapsed_score_0_and_say_so() -> None:
    factors = _grid(3, 4)
    score = factor_vae_score(0.04 * _noise(12, 2).clip(-1, 1), factors, seed=0, **POINTS)
    assert _value(score) == 0
    assert score.warnings[-1].startswith("Every code has collapsed")


def test_a_linear_classifier_names_the_fixed_factor_of_perfect_codes() -> None:
    factors = _grid(3, 4, 5, copies=4)
    assert _value(beta_vae_score(_standardised(factors), factors, seed=0, **POINTS)) > 0.99


def test_differences_of_useless_codes_name_a_factor_by_chance() -> None:
    factors = _grid(4, 5, copies=30)
    score = _value(beta_vae_score(_noise(600, 4), factors, seed=0, **POINTS))
    assert abs(score - 0.5) < 4 * math.sqrt(0.25 / POINTS["num_test"])


@pytest.mark.parametrize("num_codes", [2, 70])
def test_observations_do_not_depend_on_how_they_are_cut_into_chunks(
    num_codes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vaeval_core.disentanglement import fixed_factor_batches

    factors = _grid(3, 4, copies=5)
    codes = np.hstack([_standardised(factors), _noise(60, num_codes)])
    whole = [score(codes, factors, seed=3, **POINTS) for score in (factor_vae_score, beta_vae_score)]
    monkeypatch.setattr(fixed_factor_batches, "_MOST_NUMBERS", 64 * (num_codes + 2) * 7)
    assert [score(codes, factors, seed=3, **POINTS) for score in (factor_vae_score, beta_vae_score)] == whole


# ------------------------------------------------------------------------------------ modularity, explicitness, IRS


@pytest.mark.parametrize(
    ("information", "expected"),
    [
        (np.diag([5.0] * 5), 1),
        (np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]]), 2 / 3),
        (np.hstack([np.eye(5), np.eye(5)]), 1 - 1 / 9),
        (np.ones((3, 4)), 0),
    ],
    ids=["diagonal", "dead code", "two factors a code", "even"],
)
def test_modularity_has_the_known_values(information: Float64, expected: float) -> None:
    assert modularities(information).mean() == pytest.approx(expected, abs=1e-12)


def test_duplicated_codes_are_modular_and_turned_ones_are_not() -> None:
    factors = _grid(10, 10)
    perfect = _standardised(factors)
    assert _value(modularity(np.hstack([perfect, perfect]), factors)) == pytest.approx(1, abs=1e-12)
    assert _value(modularity(_rotated(perfect), factors)) < 0.05


def test_the_area_under_the_curve_is_that_of_scikit_learn() -> None:
    from sklearn.metrics import roc_auc_score

    generator = np.random.Generator(np.random.Philox(4))
    scores, labels = generator.integers(0, 6, 80).astype(float), generator.random(80) < 0.3
    assert area_under_curve(scores, labels) == pytest.approx(roc_auc_score(labels, scores), rel=1e-12)


def test_linear_codes_are_explicit_also_when_turned() -> None:
    factors = _grid(5, 5, copies=12)
    assert _value(explicitness(_standardised(factors), factors, seed=0)) > 0.999
    assert _value(explicitness(_rotated(_standardised(factors)), factors, seed=0)) > 0.999


def test_useless_codes_are_explicit_by_chance() -> None:
    factors = _grid(4, 5, copies=60)
    # Each area, over 400 test images of which a fifth are positive, has a standard error of about 0.037; nine are averaged.
    assert abs(_value(explicitness(_noise(1200, 3), factors, seed=0)) - 0.5) < 4 * 0.037 / 3


def test_constant_codes_are_explicit_by_chance_exactly() -> None:
    factors = _grid(4, 5, copies=3)
    assert _value(explicitness(np.ones((60, 2)), factors, seed=0)) == 0.5


def test_a_value_too_rare_to_train_and_test_on_is_told() -> None:
    factors = np.arange(12)[:, np.newaxis] // np.array([[1, 6]])
    score = explicitness(_noise(12, 2), factors, seed=0)
    assert score.kind == "not_applicable"
    assert "Factor 0" in str(score.reason)


def test_robustness_of_a_sum_of_two_factors_is_worked_out_by_hand() -> None:
    # z = v₁ + 2 v₂ over four combinations: at most 1.5 from its mean. Fixing v₂ leaves ½, fixing v₁ leaves 1.
    factors = _grid(2, 2, copies=50)
    codes = factors @ np.array([[1.0], [2.0]])
    assert _value(interventional_robustness(codes, factors)) == pytest.approx(1 - 0.5 / 1.5, abs=1e-12)


def test_robustness_weighs_codes_by_how_far_they_move() -> None:
    factors = _grid(2, 2, copies=50)
    codes = np.hstack([factors @ np.array([[1.0], [2.0]]), 4.5 * 2 * factors[:, :1], np.ones((200, 1))])
    # Best stillness 2/3 over a reach of 1.5, 1 over 4.5, and a constant of no reach.
    score = interventional_robustness(codes, factors)
    assert score.components == pytest.approx((2 / 3, 1, 0), abs=1e-12)
    assert _value(score) == pytest.approx((2 / 3 * 1.5 + 4.5) / 6, abs=1e-12)


def test_codes_of_pure_noise_are_not_robust() -> None:
    factors = _grid(4, 5, copies=200)
    assert _value(interventional_robustness(_noise(4000, 3), factors)) < 0.05


def test_constant_codes_are_not_robust() -> None:
    assert _value(interventional_robustness(np.ones((12, 2)), _grid(3, 4))) == 0


# ------------------------------------------------------------------------------------------------------------ all of them


def _scores(codes: Float64, factors: Int64, seed: int = 0) -> dict[str, float]:
    """As `score_disentanglement`, from fewer observations."""
    importance = importance_scores(codes, factors, seed=seed)
    scores = {
        "mig": mutual_information_gap(codes, factors),
        "sap": separated_attribute_predictability(codes, factors, seed=seed),
        "dci_disentanglement": importance.disentanglement,
        "dci_completeness": importance.completeness,
        "dci_informativeness": importance.informativeness,
        "factor_vae": factor_vae_score(codes, factors, seed=seed, **POINTS),
        "beta_vae": beta_vae_score(codes, factors, seed=seed, **POINTS),
        "modularity": modularity(codes, factors),
        "explicitness": explicitness(codes, factors, seed=seed),
        "irs": interventional_robustness(codes, factors),
    }
    return {name: _value(score) for name, score in scores.items()}


def test_perfect_beats_turned_beats_useless_on_every_score_that_can_tell() -> None:
    factors = _grid(6, 6, copies=12)
    perfect = _standardised(factors)
    best, turned, useless = (_scores(codes, factors) for codes in (perfect, _rotated(perfect), _noise(432, 2)))
    for name in ("mig", "sap", "dci_disentanglement", "dci_completeness", "factor_vae", "modularity", "irs"):
        assert best[name] > turned[name] + 0.3, name
    for name in (
        "mig",
        "sap",
        "dci_disentanglement",
        "dci_informativeness",
        "factor_vae",
        "beta_vae",
        "explicitness",
        "irs",
    ):
        assert best[name] > useless[name] + 0.3, name


def test_the_same_seed_gives_the_same_scores_and_another_seed_others() -> None:
    factors = _grid(3, 4, copies=20)
    codes = _standardised(factors) @ np.array([[1.0, 0.8], [0.8, 1.0]]) + 0.9 * _noise(240, 2)
    first, again, other = (_scores(codes, factors, seed) for seed in (7, 7, 8))
    assert first == again
    for name in first:
        has_a_draw = name not in {"mig", "modularity", "irs"}
        assert (first[name] != other[name]) == has_a_draw, name


def test_the_scale_of_a_code_does_not_matter() -> None:
    factors = _grid(3, 4, copies=20)
    codes = _standardised(factors) + 0.6 * _noise(240, 2)
    as_is, scaled = _scores(codes, factors), _scores(codes * np.array([1024.0, 2.0**-10]), factors)
    for name, score in as_is.items():
        # IRS weighs codes by how far they move, and the FactorVAE score leaves out those that hardly do.
        assert (scaled[name] == pytest.approx(score, rel=1e-6)) == (name not in {"irs", "factor_vae"}), name


def test_every_score_has_its_name_and_count() -> None:
    factors = _grid(3, 4, copies=2)
    scores = score_disentanglement(_noise(24, 2), factors, seed=0)
    assert tuple(scores) == DISENTANGLEMENT_SCORES
    assert {score.num_images for score in scores.values()} == {24}


def test_codes_that_are_not_finite_are_a_nan_with_a_reason() -> None:
    codes = _noise(24, 2)
    codes[3, 1] = np.inf
    scores = score_disentanglement(codes, _grid(3, 4, copies=2), seed=0)
    assert {score.kind for score in scores.values()} == {"nan"}
    assert {score.reason for score in scores.values()} == {"The posterior means of 1 of 24 images are not finite."}


@pytest.mark.parametrize(
    ("factors", "received"),
    [(_grid(3, 3), "num_images=9"), (_grid(1, 12), "only one value in column 0 of 2, over 12 images")],
    ids=["few images", "constant factor"],
)
def test_factors_that_cannot_be_used_leave_no_score_and_fail_nothing(factors: Int64, received: str) -> None:
    scores = score_disentanglement(_noise(len(factors), 2), factors, seed=0)
    assert tuple(scores) == DISENTANGLEMENT_SCORES
    assert {score.kind for score in scores.values()} == {"not_applicable"}
    assert all(str(score.reason).endswith(f"Received: {received}.") for score in scores.values())


def test_codes_of_other_images_are_refused() -> None:
    with pytest.raises(InvalidInput) as caught:
        score_disentanglement(_noise(11, 2), _grid(3, 4), seed=0)
    assert caught.value.received == "11 rows of codes, 12 rows of factors"
    assert caught.value.expected == "one row of each for every image"


def test_one_factor_cannot_be_told_from_others() -> None:
    factors = _grid(4, copies=10)
    scores = score_disentanglement(_noise(40, 2), factors, seed=0)
    without = {name for name, score in scores.items() if score.kind == "not_applicable"}
    assert without == {"dci_disentanglement", "factor_vae", "beta_vae", "modularity"}
    assert all("two factors" in str(scores[name].reason) for name in without)


def test_scores_with_a_predictor_leave_very_wide_latents_out() -> None:
    factors = _grid(3, 4)
    codes = np.zeros((12, MAX_CODES + 1))
    importance = importance_scores(codes, factors, seed=0)
    for score in (
        separated_attribute_predictability(codes, factors, seed=0),
        explicitness(codes, factors, seed=0),
        importance.disentanglement,
        importance.completeness,
        importance.informativeness,
    ):
        assert score.kind == "not_applicable"
        assert "257 codes" in str(score.reason)
        assert "up to 256" in str(score.reason)
