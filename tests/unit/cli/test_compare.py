"""`compare`: which evaluations are meant, what is said of them, and who shares the first rank."""

from __future__ import annotations

import re
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from cli.exit_codes import ExitCode
from tests.unit.cli.conftest import SHAPE, UNREACHABLE_BROKER, Outcome, invoke, work_off_everything
from vaeval_core.checkpoints.linear_gaussian import fit_linear_gaussian, linear_gaussian_vae
from vaeval_core.generation.interpolation_pairs import interpolation_partners
from vaeval_core.images.digits import digits_images
from vaeval_core.types import IndexRange

pytestmark = pytest.mark.slow

Vaeval = Callable[..., Outcome]


SIZES = ("--samples", "150", "--reconstructions", "100", "--reference", "200", "--extractor", "pixels-8x8")
SIZES += ("--interpolations", "0", "--fitted", "0", "--noise-floor", "off")
BETWEEN, PAIRS = "fid_interpolations", ((17, 18), (19, 20))
WORSE, BETTER = "runs/step-8", "runs/step-12"


def submit(*words: str | Path, data: str = "digits:test") -> None:
    assert invoke("submit", *words, "--data", data).exit_code == ExitCode.UNREACHABLE, "the broker; it is written"


@pytest.fixture(scope="session")
def evaluated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home that nothing here writes to, made once. Evaluations:

    1, 2    two checkpoints, the second one better      3, 4    the same with another seed
    5       the first one with fewer samples            6, 7    two checkpoints of one name
    8 – 10  two that differ in nothing that shows, and a worse one, with 400 samples
    11 – 14 two checkpoints under two protocols that differ in more than the seed
    15, 16  two checkpoints on other images than 1 to 14, the second with few of them
    17 – 20 two checkpoints with 100 interpolations, under two seeds
    21      a checkpoint that nobody has evaluated yet
    """
    home, models = tmp_path_factory.mktemp("compared"), tmp_path_factory.mktemp("models")
    runs = models / "runs"
    pixels = digits_images("train").read(IndexRange(0, 600), SHAPE, "exact")
    for latent_size in (8, 12):
        fit_linear_gaussian(pixels, latent_size).save(runs / f"step-{latent_size}")
    weights = np.random.default_rng(0).normal(size=(64, 4)) * 0.05

    def save(offset: float, *folders: str) -> Path:
        folder = models.joinpath(*folders)
        linear_gaussian_vae(weights, np.full(64, offset), 0.01, SHAPE).save(folder)
        return folder

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VAEVAL_HOME", str(home))
        patch.setenv("VAEVAL_BROKER_URL", UNREACHABLE_BROKER)
        submit(runs / "step-8", *SIZES)
        submit(runs / "step-12", *SIZES)
        submit(runs / "step-8", *SIZES, "--seed", "5")
        submit(runs / "step-12", *SIZES, "--seed", "5")
        submit(runs / "step-8", *SIZES, "--samples", "140")
        for number, folder in enumerate("ab"):
            submit(save(0.3 + 0.02 * number, folder, "twins", "one"), *SIZES)
        # One as much too bright as the other is too dark, by a hundredth; the digits' mean is 0.30.
        for name, offset in (("one", 0.29), ("two", 0.31), ("worse", 0.7)):
            submit(save(offset, "tied", name), *SIZES, "--samples", "400")
        for name, offset in (("one", 0.5), ("two", 0.6)):
            folder = save(offset, "many", name)
            submit(folder, *SIZES)
            submit(folder, *SIZES, "--samples", "100")
        submit(runs / "step-12", *SIZES, data="digits:train")
        submit(save(0.5, "few", "one"), *SIZES, "--samples", "20", data="digits:train")
        for seed in ("0", "5"):
            for name, offset in (("one", 0.33), ("two", 0.36)):
                submit(
                    save(offset, "between", name), *SIZES, "--samples", "0", "--interpolations", "100", "--seed", seed
                )
        work_off_everything()
        submit(save(0.8, "late", "one"), *SIZES)
    return home


@pytest.fixture
def vaeval(evaluated: Path, monkeypatch: pytest.MonkeyPatch) -> Vaeval:
    """The program on that home."""
    monkeypatch.setenv("VAEVAL_HOME", str(evaluated))
    monkeypatch.setenv("VAEVAL_BROKER_URL", UNREACHABLE_BROKER)
    return invoke


def metric(outcome: Outcome, name: str = "fid") -> dict:
    (found,) = [each for each in outcome.document["metrics"] if each["metric"] == name]
    return found


def test_a_difference_is_that_of_the_scores_with_a_smaller_error_than_two_errors_give(vaeval: Vaeval) -> None:
    rows = {row["evaluation"]: row for row in vaeval("leaderboard", "--json").document["rows"]}
    found = metric(vaeval("compare", "2", "1", "--json"))
    assert (found["first"], found["second"]) == (rows[2]["fid"], rows[1]["fid"])
    assert found["difference"] == pytest.approx(rows[2]["fid"] - rows[1]["fid"])
    assert 0 < found["std_error"] < 0.9 * np.hypot(rows[1]["fid_std_error"], rows[2]["fid_std_error"])
    low, high = found["interval"]
    assert low < found["difference"] < high < 0
    assert found["p_value"] < 0.05
    assert (found["better"], found["num_images"], found["num_seeds"]) == ("first", 150, 1)


def test_the_other_way_round_has_the_other_sign(vaeval: Vaeval) -> None:
    one, other = metric(vaeval("compare", "2", "1", "--json")), metric(vaeval("compare", "1", "2", "--json"))
    assert other["difference"] == -one["difference"]
    assert other["interval"] == [-end for end in one["interval"][::-1]]
    assert (one["better"], other["better"]) == ("first", "second")


def test_people_read_which_one_is_better_and_what_that_rests_on(vaeval: Vaeval) -> None:
    outcome = vaeval("compare", "1", "2")
    lines = outcome.out.splitlines()
    assert lines[0].startswith(f"{WORSE} against {BETTER} · ")
    assert re.search(r"^METRIC +FIRST +SECOND +FIRST − SECOND +95 % INTERVAL +P$", lines[1])
    assert not any(line.startswith("fid_") for line in lines), "their protocol has no such stream"
    (sentence,) = [line for line in lines if line.startswith("fid: ")]
    assert sentence.startswith(f"fid: {BETTER} is better than {WORSE} by ")
    assert sentence.endswith("which is more than chance, on 150 images of common noise.")
    assert "fid (ids 1, 2): 150 images span at most 149 of 192 feature dimensions" in outcome.err


def influence(home: Path, evaluation: int, name: str = "fid") -> np.ndarray:
    (file,) = (home / "artifacts" / "evaluations" / str(evaluation)).glob("influence.*")
    return load_file(file)[name]


def test_seeds_under_which_both_were_evaluated_count_together_where_there_is_noise(
    evaluated: Path, vaeval: Vaeval
) -> None:
    together = vaeval("compare", "2", "1", "--json"), vaeval("compare", BETTER, WORSE, "--json")
    by_number, by_name = together
    assert [pair["seed"] for pair in by_number.document["pairs"]] == [0]
    assert by_name.document["schema"] == "vaeval.compare/1"
    assert [(pair["first"], pair["second"], pair["seed"]) for pair in by_name.document["pairs"]] == [
        (2, 1, 0),
        (4, 3, 5),
    ]
    alone = metric(by_number), metric(vaeval("compare", "4", "3", "--json"))
    found = metric(by_name)
    assert (found["num_seeds"], found["num_images"]) == (2, 300)
    for name in ("first", "second", "difference"):
        assert found[name] == pytest.approx(np.mean([each[name] for each in alone]))
    apart = np.mean(
        [influence(evaluated, 2) - influence(evaluated, 1), influence(evaluated, 4) - influence(evaluated, 3)], 0
    )
    assert found["std_error"] == pytest.approx(apart.std(ddof=1) / np.sqrt(150), rel=1e-9)
    assert "on 300 images of common noise under 2 seeds." in vaeval("compare", BETTER, WORSE).out
    assert metric(by_name, "rfid")["num_seeds"] == 1, "reconstructions are the same under every seed"


def test_paths_between_the_same_images_are_no_new_images_under_another_seed(evaluated: Path, vaeval: Vaeval) -> None:
    """Every product of two paths that share an end, in one seed or in two, is summed by itself."""
    apart = np.stack([influence(evaluated, one, BETWEEN) - influence(evaluated, two, BETWEEN) for one, two in PAIRS])
    paths = [
        (value, {start, int(end)})
        for seed, row in zip((0, 5), apart, strict=True)
        for start, (value, end) in enumerate(
            zip(row, interpolation_partners(seed, IndexRange(0, 100), 100, 32), strict=True)
        )
    ]
    variance = sum(one * other for one, these in paths for other, those in paths if these & those) / 4 / 9900
    outcome = vaeval("compare", "between/one", "between/two", "--json")
    found = metric(outcome, BETWEEN)
    assert found["std_error"] == pytest.approx(np.sqrt(variance), rel=1e-9)
    assert (found["num_seeds"], found["num_images"]) == (2, 200)
    words = " ".join(vaeval("compare", "between/one", "between/two").out.split())
    assert "on 200 paths between common images under 2 seeds." in words


def test_a_fingerprint_picks_one_of_several_seeds(vaeval: Vaeval) -> None:
    fingerprint = vaeval("compare", "4", "3", "--json").document["pairs"][0]["fingerprint"]
    found = vaeval("compare", BETTER, WORSE, "--fingerprint", fingerprint[:8], "--json").document["pairs"]
    assert [pair["first"] for pair in found] == [4]


def test_a_name_and_a_number_may_be_mixed(vaeval: Vaeval) -> None:
    (pair,) = vaeval("compare", WORSE, "4", "--json").document["pairs"]
    assert (pair["first"], pair["second"]) == (3, 4)


def test_evaluations_of_two_protocols_do_not_compare(vaeval: Vaeval) -> None:
    outcome = vaeval("compare", "2", "5")
    assert outcome.exit_code == 2
    assert "not evaluated under one protocol" in outcome.err
    received = " ".join(outcome.err.split("received:")[1].split("expected:")[0].split())
    protocols = r"2 under \S+ [0-9a-f]{12} and 5 under \S+ [0-9a-f]{12}"
    assert re.fullmatch(rf"{protocols}; they differ in samples \(150, 140\)", received)


def test_evaluations_on_other_images_are_told_by_their_images(vaeval: Vaeval) -> None:
    outcome = vaeval("compare", "1", "15")
    assert outcome.exit_code == 2
    assert "The two were evaluated on different images" in outcome.err
    assert "received:  1 on digits:test and 15 on digits:train" in outcome.err
    assert "submit both with the same --data" in outcome.err


def test_one_checkpoint_on_two_sets_of_images_is_asked_which(vaeval: Vaeval, tmp_path: Path) -> None:
    """Protocols are called alike, so their names alone would say nothing."""
    outcome = vaeval("compare", "16", "1")
    received = " ".join(outcome.err.split("received:")[1].split("expected:")[0].split())
    assert received.endswith("they differ in data (digits:train, digits:test), samples (20, 150)")


def test_that_single_errors_are_unreliable_is_no_matter_of_the_difference(vaeval: Vaeval) -> None:
    """Twenty images give no error of either number; where a difference has one, nothing is to be said of those."""
    assert "unreliable" in vaeval("show", "16").err
    from cli.compare import _warnings
    from scheduler.composition import open_application
    from scheduler.settings import Settings

    with open_application(Settings.from_environment()) as application:
        record = application.reads.evaluation(16)
    (score,) = [score for score in record.scores if score.metric == "fid"]
    assert any("unreliable" in sentence for sentence in score.value.warnings)
    assert [sentence for sentence in _warnings(record)["fid"] if "unreliable" in sentence] == []
    assert len(_warnings(record)["fid"]) == len(score.value.warnings) - 1


def test_the_verdict_fits_the_terminal(vaeval: Vaeval) -> None:
    verdicts = vaeval("compare", "1", "2", columns=80).out.partition("\n\n")[2]
    assert verdicts.startswith(f"fid: {BETTER} is better than {WORSE} by ")
    assert "on 100 common images." in " ".join(verdicts.split())
    assert max(map(len, verdicts.splitlines())) <= 80


@pytest.mark.parametrize(
    ("words", "code", "what", "received"),
    [
        (("2", "2"), 2, "An evaluation does not compare with itself.", "2 and 2"),
        (("2", "nobody"), 4, "No finished evaluation has this number or checkpoint.", "nobody"),
        (("2", "77"), 4, "There is no evaluation with this number.", "77"),
        (("2", "1", "--fingerprint", "0123456789"), 4, "under this fingerprint.", "2, --fingerprint 0123456789"),
        (("21", "2"), 2, "This evaluation has no scores to compare.", "21, which is queued"),
        (("late/one", "2"), 4, "No finished evaluation has this number or checkpoint.", "late/one"),
        (("twins/one", "2"), 2, "Several checkpoints have this name.", "twins/one, as evaluations 7, 6"),
    ],
)
def test_what_cannot_be_compared_is_said(
    vaeval: Vaeval, words: tuple[str, ...], code: int, what: str, received: str
) -> None:
    outcome = vaeval("compare", *words)
    assert outcome.exit_code == code
    assert what in outcome.err
    assert f"received:  {received}" in outcome.err


def test_protocols_that_differ_in_more_than_the_seed_ask_for_a_fingerprint(vaeval: Vaeval) -> None:
    outcome = vaeval("compare", "many/one", "many/two")
    assert outcome.exit_code == 2
    assert "several protocols that differ in more than the seed" in outcome.err
    assert "; they differ in samples (" in " ".join(outcome.err.split())
    (prefix,) = re.findall(r"--fingerprint ([0-9a-f]{12})", outcome.err)
    (pair,) = vaeval("compare", "many/one", "many/two", "--fingerprint", prefix, "--json").document["pairs"]
    assert pair["fingerprint"].startswith(prefix)


@pytest.mark.parametrize("lost", ["file", "row"])
def test_without_its_influences_a_difference_cannot_be_told(
    evaluated: Path, vaeval: Vaeval, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lost: str
) -> None:
    home = tmp_path / "home"
    shutil.copytree(evaluated, home)
    monkeypatch.setenv("VAEVAL_HOME", str(home))
    if lost == "file":
        for file in (home / "artifacts" / "evaluations" / "1").glob("influence.*"):
            file.unlink()
    else:  # as of a program from before influences were kept
        with closing(sqlite3.connect(home / "vaeval.db")) as database, database:
            database.execute("UPDATE evaluations SET influence_key = NULL, influence_digest = NULL WHERE id = 1")
    outcome = vaeval("compare", "2", "1", "--json")
    assert outcome.exit_code == 0
    found = metric(outcome)
    assert (found["difference"], found["std_error"], found["better"]) == (None, None, None)
    assert f"{WORSE} (evaluation 1): It is not kept what each image does to it" in found["reason"]
    assert "fid: cannot be told. " in vaeval("compare", "2", "1").out
    assert vaeval("leaderboard", "--json").document["standings"]["1"] in {"worse", "unknown"}


class TestTies:
    def board(self, outcome: Outcome) -> dict[str, str]:
        """Checkpoint → rank, of the board with the ties."""
        lines = [re.match(r" *(\S+) +tied/(\w+) ", line) for line in outcome.out.splitlines()]
        return {found[2]: found[1] for found in lines if found}

    def test_the_tied_share_the_first_rank_and_a_note_says_what_that_means(self, vaeval: Vaeval) -> None:
        outcome = vaeval("leaderboard")
        assert self.board(outcome) == {"one": "=1", "two": "=1", "worse": "3"}
        assert "=1 marks ties" in outcome.err
        assert "| =1 | tied/" in vaeval("leaderboard", "--format", "markdown").out

    def test_the_first_of_a_tie_is_seen_to_be_tied_when_it_is_shown_alone(self, vaeval: Vaeval) -> None:
        assert list(self.board(vaeval("leaderboard", "--top", "1")).values()) == ["=1"]

    @pytest.mark.parametrize("top", [1, 2, 3, 1000])
    def test_what_is_shown_changes_no_standing(self, vaeval: Vaeval, top: int) -> None:
        whole, part = (
            vaeval("leaderboard", "--json").document,
            vaeval("leaderboard", "--json", "--top", str(top)).document,
        )
        places: dict[str, int] = {}
        first = []
        for row in whole["rows"]:
            places[row["fingerprint"]] = places.get(row["fingerprint"], 0) + 1
            first += [row] if places[row["fingerprint"]] <= top else []
        assert part["rows"] == first
        assert part["standings"] == {
            str(row["evaluation"]): whole["standings"][str(row["evaluation"])] for row in first
        }

    def test_a_table_shows_the_best_hundred_and_says_so(self, vaeval: Vaeval, monkeypatch: pytest.MonkeyPatch) -> None:
        assert "are shown" not in vaeval("leaderboard").err
        monkeypatch.setattr("cli.leaderboard.MOST_SHOWN", 2)
        outcome = vaeval("leaderboard")
        assert self.board(outcome) == {"one": "=1", "two": "=1"}
        assert "The best 2 of 3 rows are shown; more with --top N, all with --format csv or --json." in outcome.err
        assert "are shown" not in vaeval("leaderboard", "--top", "2").err
        assert len(vaeval("leaderboard", "--json").document["rows"]) > len(outcome.out.split("tied/")) - 1

    def test_rows_that_were_not_compared_count_as_tied_and_the_reader_is_told(
        self, vaeval: Vaeval, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("cli.ties.MOST_COMPARED", 1)
        outcome = vaeval("leaderboard", "--top", "1")
        assert list(self.board(outcome).values()) == ["=1"]
        assert "1 more row may be as good; ties are counted as if all of these were." in outcome.err

    def test_json_has_where_each_row_stands(self, vaeval: Vaeval) -> None:
        standings = vaeval("leaderboard", "--json").document["standings"]
        assert sorted([standings["8"], standings["9"]]) == ["best", "tied"]
        assert standings["10"] == "worse"

    def test_a_best_row_that_stands_alone_is_plainly_first(self, vaeval: Vaeval) -> None:
        document = vaeval("leaderboard", "--json").document
        (fingerprint,) = {row["fingerprint"] for row in document["rows"] if row["evaluation"] == 4}
        outcome = vaeval("leaderboard", "--fingerprint", fingerprint)
        ranks = [line.split()[0] for line in outcome.out.splitlines() if "runs/step-" in line]
        assert ranks == ["1", "2"]
        assert "=1 marks" not in outcome.err

    def test_people_read_that_a_difference_may_be_chance(self, vaeval: Vaeval) -> None:
        assert "fid: neither is better for certain: a difference of " in vaeval("compare", "8", "9").out


def test_show_tells_how_much_of_a_distance_is_bias(vaeval: Vaeval) -> None:
    scores = {score["metric"]: score for score in vaeval("show", "8", "--json").document["scores"]}
    assert 0 < scores["fid"]["bias"] < scores["fid"]["value"]
    assert scores["rfid"]["bias"] is None, "100 images of 192 features"
    shown = f"{scores['fid']['bias']:.3g}"
    (line,) = [line for line in vaeval("show", "8").out.splitlines() if line.startswith("fid ")]
    assert shown in line.split()
