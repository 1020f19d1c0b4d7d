"""Means over seeds: of an evaluation, and apart from it of a training."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cli.seed_boards import Spread
from tests.unit.cli.conftest import SMALL, Outcome, invoke, work_off_everything
from vaeval_core.checkpoints.linear_gaussian import fit_linear_gaussian
from vaeval_core.images.digits import digits_images
from vaeval_core.types import IndexRange

pytestmark = pytest.mark.slow

Vaeval = Callable[..., Outcome]


def test_a_spread_is_mean_and_deviation() -> None:
    assert Spread.of([1.0, 2.0, 6.0]) == Spread(3.0, statistics.stdev([1.0, 2.0, 6.0]), 3)
    assert Spread.of([2.0]) == Spread(2.0, None, 1)


def test_a_seed_without_a_number_leaves_no_mean() -> None:
    assert Spread.of([1.0, None]) == Spread(None, None, 1)
    assert Spread.of([None]) == Spread(None, None, 0)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with two trainings of two models, each evaluated under seeds 0 and 1, and one model under seed 0 alone."""
    home, models = tmp_path_factory.mktemp("seeds"), tmp_path_factory.mktemp("models")
    pixels = digits_images("train").read(IndexRange(0, 600), (8, 8, 1), "exact")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VAEVAL_HOME", str(home))
        patch.setenv("VAEVAL_BROKER_URL", "redis://127.0.0.1:1/0")
        for training in (0, 1):
            for size in (2, 6):
                folder = models / f"seed{training}" / f"latents{size}"
                fit_linear_gaussian(pixels[300 * training : 300 * (training + 1)], size).save(folder)
                tags = ("--tag", f"latents={size}", "--tag", f"seed={training}")
                invoke("submit", folder, "--data", "digits:test", *SMALL, *tags, "--seeds", "0,1")
        fit_linear_gaussian(pixels, 4).save(models / "alone")
        invoke("submit", models / "alone", "--data", "digits:test", *SMALL)
        work_off_everything()
    return home


@pytest.fixture
def home(trained: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VAEVAL_HOME", str(trained))
    return trained


def values(vaeval: Vaeval, metric: str) -> dict[tuple[str, int], float]:
    """(checkpoint, seed) → score."""
    rows = vaeval("leaderboard", "--json").document["rows"]
    return {(row["checkpoint"], row["seed"]): row[metric] for row in rows}


def spread_of(row: dict[str, Any], metric: str) -> tuple[float, float]:
    return row["scores"][metric]["mean"], row["scores"][metric]["deviation"]


def test_a_checkpoint_is_the_mean_over_the_seeds_of_its_evaluation(vaeval: Vaeval) -> None:
    (board,) = vaeval("leaderboard", "--json").document["over_seeds"]
    fid = values(vaeval, "fid")
    assert {row["name"] for row in board["rows"]} == {f"seed{s}/latents{k}" for s in (0, 1) for k in (2, 6)}
    for row in board["rows"]:
        assert row["seeds"] == ["0", "1"]
        assert len(row["evaluations"]) == 2
        of_seeds = [fid[row["name"], seed] for seed in (0, 1)]
        assert spread_of(row, "fid") == pytest.approx((statistics.fmean(of_seeds), statistics.stdev(of_seeds)))
        assert row["scores"]["mse"]["deviation"] == 0, "reconstructions do not depend on the seed"
    means = [row["scores"]["fid"]["mean"] for row in board["rows"]]
    assert means == sorted(means)


def test_the_means_stand_below_the_tables_of_single_seeds(vaeval: Vaeval) -> None:
    outcome = vaeval("leaderboard")
    single, means = outcome.out.split("mean ± sd over evaluation seeds 0, 1")
    assert "alone" in single
    assert "alone" not in means, "one seed has no spread"
    assert means.splitlines()[1].split()[:3] == ["RANK", "CHECKPOINT", "SEEDS"]
    assert "± is the standard deviation over evaluation seeds" in outcome.err


def test_any_score_has_a_mean_and_top_counts_for_it_too(vaeval: Vaeval) -> None:
    words = ("leaderboard", "--columns", "kid,fid_fitted", "--top", "1")
    (board,) = vaeval(*words, "--json").document["over_seeds"]
    (row,) = board["rows"]
    assert row["scores"].keys() == {"kid", "fid_fitted", "fid"}
    assert len(row["evaluations"]) == 2, "also those that --top leaves out of the tables of single seeds"
    assert "FID-FITTED ↓" in vaeval(*words).out.split("mean ± sd")[1]


def test_trainings_are_compared_by_their_means_over_evaluation_seeds(vaeval: Vaeval) -> None:
    (board,) = vaeval("leaderboard", "--training-seeds", "seed", "--json").document["over_training_seeds"]
    fid = values(vaeval, "fid")
    assert [row["name"] for row in board["rows"]] == ["latents=6", "latents=2"]
    for row in board["rows"]:
        size = row["name"].partition("=")[2]
        means = [statistics.fmean(fid[f"seed{training}/latents{size}", seed] for seed in (0, 1)) for training in (0, 1)]
        assert spread_of(row, "fid") == pytest.approx((statistics.fmean(means), statistics.stdev(means)))
        assert row["seeds"] == ["0", "1"]
        assert len(row["evaluations"]) == 4
        assert row["scores"]["mse"]["deviation"] > 0, "trainings differ in what evaluation seeds do not change"


def test_trainings_can_be_read_as_a_table_and_as_markdown(vaeval: Vaeval) -> None:
    outcome = vaeval("leaderboard", "--training-seeds", "seed")
    assert "mean ± sd over training seeds (seed)" in outcome.out
    assert "of means over evaluation seeds" in outcome.err
    text = vaeval("leaderboard", "--training-seeds", "seed", "--format", "markdown").out
    assert text.count("| 1 | latents=6 | 2 |") == 1


def test_a_tag_that_nobody_has_is_told_with_those_there_are(vaeval: Vaeval) -> None:
    outcome = vaeval("leaderboard", "--training-seeds", "sede")
    assert outcome.exit_code == 4
    assert "sede" in outcome.err
    assert "one of latents, seed" in outcome.err


def test_means_over_trainings_are_not_a_csv(vaeval: Vaeval) -> None:
    outcome = vaeval("leaderboard", "--training-seeds", "seed", "--format", "csv")
    assert outcome.exit_code == 2
    assert "--training-seeds seed --format csv" in outcome.err
