"""What reads: status, leaderboard, show, sql, config, db; on two finished evaluations."""

from __future__ import annotations

import csv
import io
import json
import re
import sqlite3
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sqlalchemy import text

from scheduler.composition import open_application
from scheduler.faults import Fault
from scheduler.settings import Settings
from scheduler.store.database import Database
from tests.unit.cli.conftest import SMALL, Outcome
from vaeval_core.checkpoints.linear_gaussian import linear_gaussian_vae

Vaeval = Callable[..., Outcome]

LEADERBOARD_COLUMNS = {"checkpoint", "step", "fid", "rfid", "mse", "kl", "psnr", "cross_entropy", "rank", "fingerprint"}


# --- leaderboard ------------------------------------------------------------------------------------------------------


def test_the_leaderboard_as_json_has_the_columns_of_the_view(vaeval: Vaeval, finished: Outcome) -> None:
    document = vaeval("leaderboard", "--json").document
    view = vaeval("sql", "SELECT * FROM leaderboard", "--json").document
    assert list(document) == ["schema", "rows", "standings", "withheld_errors", "over_seeds"]
    assert document["schema"] == "vaeval.leaderboard/1"
    assert list(document["rows"][0]) == view["columns"]
    assert set(document["rows"][0]) >= LEADERBOARD_COLUMNS
    assert [row["rank"] for row in document["rows"]] == [1, 2]
    assert document["rows"][0]["fid"] < document["rows"][1]["fid"]


def test_format_json_is_the_same_as_json(vaeval: Vaeval, finished: Outcome) -> None:
    assert vaeval("leaderboard", "--format", "json") == vaeval("leaderboard", "--json")


def test_an_error_that_is_withheld_is_said_to_be_unreliable_wherever_it_would_stand(
    vaeval: Vaeval, finished: Outcome
) -> None:
    reason = "The standard error is unreliable and left out: that of a distance needs 100 images. Evaluate more images."
    board = vaeval("leaderboard", "--json").document
    assert {row["fid_std_error"] for row in board["rows"]} == {None}
    assert board["withheld_errors"] == {
        str(row["evaluation"]): {"fid": reason, "rfid": reason} for row in board["rows"]
    }
    assert vaeval("leaderboard", "--columns", "mse", "--json").document["withheld_errors"] == {}
    (fid,) = [score for score in vaeval("show", "1", "--json").document["scores"] if score["metric"] == "fid"]
    assert (fid["std_error"], fid["std_error_reason"]) == (None, reason)
    (mse,) = [score for score in vaeval("show", "1", "--json").document["scores"] if score["metric"] == "mse"]
    assert (mse["std_error"] is None, mse["std_error_reason"]) == (False, None)
    for outcome in (vaeval("leaderboard"), vaeval("leaderboard", "--format", "markdown"), vaeval("show", "1")):
        assert "± unreliable" in outcome.out
    compared = vaeval("compare", "1", "2")
    assert "± unreliable" in compared.out
    assert "fid: cannot be told. The standard error is unreliable" in compared.out


def test_more_latents_reconstruct_better(vaeval: Vaeval, finished: Outcome) -> None:
    rows = {row["step"]: row for row in vaeval("leaderboard", "--json").document["rows"]}
    assert rows[10]["mse"] < rows[2]["mse"]
    assert rows[10]["kl"] > rows[2]["kl"]


def test_the_table_says_what_is_compared(vaeval: Vaeval, finished: Outcome) -> None:
    outcome = vaeval("leaderboard")
    lines = outcome.out.splitlines()
    assert "40 samples, 40 reconstructions" in lines[0]
    assert "pixels-8x8" in lines[0]
    assert "seed 0" in lines[0]
    assert lines[1].split()[:3] == ["RANK", "CHECKPOINT", "STEP"]
    assert [line.split()[0] for line in lines[2:]] == ["1", "2?"]
    assert " ± unreliable " in lines[2], "forty images are too few for the error of a distance"
    assert "not comparable to published FID" in outcome.err


def test_what_a_reader_must_know_is_said_once_below_the_tables(
    vaeval: Vaeval, checkpoints: Path, finished: Outcome, work_off: Callable[[], None]
) -> None:
    vaeval("submit", checkpoints, "--data", "digits:test", *SMALL, "--seed", "1")
    work_off()
    lines = [line for line in vaeval("leaderboard").err.splitlines() if "span at most" in line]
    # 40 samples and 40 reconstructions have 40 feature vectors each, of 8 · 8 · 3 numbers.
    (line,) = lines
    assert line.startswith("fid, rfid (ids 1–4): 40 images span at most 39 of 192 feature dimensions")


def test_a_decoder_with_another_range_is_told_below_the_table_and_in_json(
    vaeval: Vaeval, checkpoints: Path, no_broker: None, work_off: Callable[[], None], tmp_path: Path
) -> None:
    # Half of its pixels are 3 or so, the others a half.
    offset = np.where(np.arange(64) % 2 == 0, 3.0, 0.5)
    linear_gaussian_vae(np.full((64, 1), 1e-3), offset, 1e-2, (8, 8, 1)).save(tmp_path / "bright")
    vaeval("submit", tmp_path / "bright", "--data", "digits:test", *SMALL)
    work_off()
    outcome = vaeval("leaderboard")
    for stream, metrics in (("samples", "fid"), ("reconstructions", "cross_entropy, mse, psnr, rfid")):
        assert f"{metrics} (id 1): 50.0% of the values that the decoder gives for {stream} lie outside" in outcome.err
    shown = vaeval("submit", tmp_path / "bright", "--data", "digits:test", *SMALL, "--wait", "--json").document
    (entry,) = shown["evaluations"]
    assert entry["notes"] == []
    assert {"fid", "rfid", "mse", "psnr", "cross_entropy", "kid", "precision", "vendi"} <= set(entry["warnings"])
    assert "kl" not in entry["warnings"]
    assert entry["warnings"]["mse"][0].startswith("50.0% of the values")
    assert re.search("rfid, mse, cross_entropy, psnr, mae[^:]*: 50.0% of the values", vaeval("show", "1").err)


def test_different_seeds_never_share_a_table(
    vaeval: Vaeval, checkpoints: Path, finished: Outcome, work_off: Callable[[], None]
) -> None:
    vaeval("submit", checkpoints, "--data", "digits:test", *SMALL, "--seed", "1")
    work_off()
    boards, means = vaeval("leaderboard").out.split("mean ± sd over evaluation seeds")
    assert boards.count("RANK") == 2
    assert means.count("RANK") == 1


def test_tables_are_in_the_order_of_their_seeds(
    vaeval: Vaeval, checkpoints: Path, no_broker: None, work_off: Callable[[], None]
) -> None:
    words = ("submit", checkpoints, "--data", "digits:test", *SMALL, "--seeds", "10,2")
    vaeval(*words)
    work_off()
    for outcome in (vaeval("leaderboard"), vaeval(*words, "--wait")):
        tables = [line for line in outcome.out.splitlines() if " seed " in line]
        assert [line.partition("seed ")[2].split()[0] for line in tables] == ["2", "10"]


def test_waiting_reports_in_the_order_of_what_was_asked_for(
    vaeval: Vaeval, checkpoints: Path, finished: Outcome
) -> None:
    document = vaeval("submit", checkpoints, "--data", "digits:test", *SMALL, "--wait", "--json").document
    assert [entry["id"] for entry in document["evaluations"]] == [1, 2]


def test_what_holds_for_all_tables_is_said_once(
    vaeval: Vaeval, checkpoints: Path, finished: Outcome, work_off: Callable[[], None]
) -> None:
    vaeval("submit", checkpoints, "--data", "digits:test", *SMALL, "--seed", "1")
    work_off()
    assert vaeval("leaderboard").err.count("not comparable to published FID") == 1


def test_only_the_best_of_each_board_are_shown_with_top(vaeval: Vaeval, finished: Outcome) -> None:
    rows = vaeval("leaderboard", "--top", "1", "--json").document["rows"]
    assert [row["rank"] for row in rows] == [1]


def test_a_fingerprint_may_be_shortened(vaeval: Vaeval, finished: Outcome) -> None:
    fingerprint = vaeval("leaderboard", "--json").document["rows"][0]["fingerprint"]
    assert len(vaeval("leaderboard", "--fingerprint", fingerprint[:8], "--json").document["rows"]) == 2


def test_an_unknown_fingerprint_or_protocol_is_not_found(vaeval: Vaeval, finished: Outcome) -> None:
    for option, word in (("--fingerprint", "0123456789"), ("--protocol", "quik")):
        outcome = vaeval("leaderboard", option, word)
        assert outcome.exit_code == 4
        assert f"received:  {word}" in outcome.err


def test_csv_holds_every_column_with_full_precision(vaeval: Vaeval, finished: Outcome) -> None:
    rows = list(csv.DictReader(io.StringIO(vaeval("leaderboard", "--format", "csv").out)))
    exact = vaeval("leaderboard", "--json").document["rows"]
    assert [float(row["fid"]) for row in rows] == [row["fid"] for row in exact]
    assert list(rows[0]) == list(exact[0])


def test_csv_writes_tags_and_times_as_json_does(vaeval: Vaeval, finished: Outcome) -> None:
    row = next(csv.DictReader(io.StringIO(vaeval("leaderboard", "--format", "csv").out)))
    exact = vaeval("leaderboard", "--json").document["rows"][0]
    assert json.loads(row["tags"]) == exact["tags"]
    times = [column for column, value in exact.items() if column.endswith("_at") and value is not None]
    assert times
    assert [row[column] for column in times] == [exact[column] for column in times]


def test_a_protocol_is_found_by_its_name_before_the_changes(vaeval: Vaeval, finished: Outcome) -> None:
    rows = vaeval("leaderboard", "--protocol", "standard", "--json").document["rows"]
    assert {row["protocol"] for row in rows} == {"standard,samples=40,reconstructions=40,reference=64"}


def test_markdown_is_a_table_that_renders(vaeval: Vaeval, finished: Outcome) -> None:
    lines = vaeval("leaderboard", "--format", "markdown").out.splitlines()
    assert lines[0].startswith("**")
    assert lines[1] == ""
    assert {line.count("|") for line in lines[2:]} == {lines[2].count("|")}
    assert set(lines[3]) == {"|", " ", "-", ":"}


def test_json_and_another_format_exclude_each_other(vaeval: Vaeval, finished: Outcome) -> None:
    assert vaeval("leaderboard", "--json", "--format", "csv").exit_code == 2


def test_an_empty_leaderboard_says_how_to_fill_it(vaeval: Vaeval) -> None:
    outcome = vaeval("leaderboard")
    assert (outcome.exit_code, outcome.out) == (0, "")
    assert "vaeval demo" in outcome.err
    assert vaeval("leaderboard", "--json").document == {
        "schema": "vaeval.leaderboard/1",
        "rows": [],
        "standings": {},
        "withheld_errors": {},
        "over_seeds": [],
    }


# --- status -----------------------------------------------------------------------------------------------------------


def test_status_lists_the_latest_first(vaeval: Vaeval, submitted: Outcome) -> None:
    lines = [line.split() for line in vaeval("status").out.splitlines()]
    assert lines[0][:2] == ["ID", "CHECKPOINT"]
    assert [line[0] for line in lines[1:]] == ["2", "1"]
    assert all("queued" in line for line in lines[1:])


def test_status_of_one_evaluation(vaeval: Vaeval, submitted: Outcome) -> None:
    document = vaeval("status", "1", "--json").document
    assert document["schema"] == "vaeval.status/1"
    assert [entry["id"] for entry in document["evaluations"]] == [1]
    assert document["is_over"] is False
    assert document["progress"]["images_done"] == 0
    # Samples, reconstructions, interpolations with their second points, draws from the fitted density, and the reference.
    assert document["progress"]["images_total"] == 40 + 40 + 2 * 40 + 40 + 64


def test_watching_what_is_over_ends_at_once_with_json_lines(vaeval: Vaeval, finished: Outcome) -> None:
    lines = vaeval("status", "--watch", "--json").out.splitlines()
    assert len(lines) == 1
    assert json.loads(lines[0])["is_over"] is True


def test_status_of_an_unknown_evaluation_is_not_found(vaeval: Vaeval, submitted: Outcome) -> None:
    outcome = vaeval("status", "1", "99")
    assert outcome.exit_code == 4
    assert "99" in outcome.err


def test_the_list_is_cut_with_a_word_about_the_rest(vaeval: Vaeval, submitted: Outcome) -> None:
    outcome = vaeval("status", "--limit", "1")
    assert len(outcome.out.splitlines()) == 2
    assert "The latest 1 of 2 evaluations" in outcome.err


def test_without_workers_it_says_how_to_start_one(vaeval: Vaeval, submitted: Outcome) -> None:
    assert "vaeval worker" in vaeval("status", "--workers").err
    assert vaeval("status", "--workers", "--json").document["workers"] == []


def test_an_empty_database_says_what_to_do(vaeval: Vaeval) -> None:
    outcome = vaeval("status")
    assert (outcome.exit_code, outcome.out) == (0, "")
    assert "vaeval demo" in outcome.err


def test_what_waits_for_its_surroundings_says_why_and_until_when(
    vaeval: Vaeval, home: Path, submitted: Outcome
) -> None:
    with open_application(Settings.from_environment({"VAEVAL_HOME": str(home)})) as application:
        for slot, reason, fault in (
            ("0@b", "Too old.", Fault.MACHINE),
            ("0@a", "No space is left.", Fault.SURROUNDINGS),
        ):
            host = slot.rpartition("@")[2]
            application.work.report_worker("0@c", host="c", pid=1, device="cpu", threads=1, versions={})
            application.work.report_worker(slot, host=host, pid=1, device="cpu", threads=1, versions={})
            claim = application.work.claim_shard(slot)
            assert claim is not None
            assert application.work.fail_shard(claim, reason, fault=fault)
    for told in (vaeval("status").err, vaeval("show", 1).err):
        words = " ".join(told.split())
        assert re.search(
            r"waits: its reference: No space is left\. Next attempt at [\d:]{8} UTC, in \d+ s; given up", words
        )
        assert "waits: its reference: left to other machines than b: Too old." in words
    (waiting,) = {json.dumps(entry["waiting"]) for entry in vaeval("status", "--json").document["evaluations"]}
    document = json.loads(waiting)
    assert (document["reason"], document["refused_by"]) == ("No space is left.", {"b": "Too old."})
    assert document["next_attempt_at"] < document["gives_up_at"]
    assert vaeval("show", 1, "--json").document["waiting"] == document
    assert vaeval("show", 1, "--json").document["error"] is None


@pytest.mark.filterwarnings(
    "ignore:overflow encountered in cast:RuntimeWarning"
)  # what a diverged model is made of here
def test_a_failed_evaluation_shows_its_reason_and_the_way_on(
    vaeval: Vaeval, checkpoints: Path, submitted: Outcome, work_off: Callable[[], None], tmp_path: Path
) -> None:
    diverged = tmp_path / "diverged"
    tensors = linear_gaussian_vae(np.full((64, 1), 1e100), np.zeros(64), 1.0, (8, 8, 1))
    tensors.save(diverged)
    vaeval("submit", diverged, "--data", "digits:test", *SMALL)
    work_off()
    states = {entry["checkpoint"]: entry for entry in vaeval("status", "--json").document["evaluations"]}
    failed = next(entry for name, entry in states.items() if name.endswith("diverged"))
    assert sorted(entry["state"] for entry in states.values()) == ["failed", "finished", "finished"]
    assert "no finite number" in failed["error"]
    assert "no finite number" in vaeval("status").err
    shown = vaeval("show", failed["id"])
    assert "no finite number" in shown.err
    assert "submit the same checkpoint again" in shown.err
    assert "failed: shard 0, attempt 1 on test: " in shown.err
    (attempt,) = vaeval("show", failed["id"], "--json").document["failed_attempts"]
    assert (attempt["shard"], attempt["attempt"], attempt["worker"]) == (0, 1, "test")
    assert "no finite number" in attempt["reason"]
    assert len(vaeval("leaderboard", "--json").document["rows"]) == 2


def test_other_scores_can_be_columns(vaeval: Vaeval, finished: Outcome) -> None:
    out = vaeval("leaderboard", "--columns", "kid,precision,fid", "--format", "markdown").out
    assert "| RANK | CHECKPOINT | STEP | KID ↓ | PRECISION ↑ | FID ↓ | ID |" in out
    (row,) = [row for row in vaeval("leaderboard", "--columns", "kid", "--json").document["rows"] if row["step"] == 2]
    kid = next(
        score for score in vaeval("show", row["evaluation"], "--json").document["scores"] if score["metric"] == "kid"
    )
    assert (row["kid"], row["kid_std_error"]) == (kid["value"], kid["std_error"])
    header = vaeval("leaderboard", "--columns", "kid", "--format", "csv").out.splitlines()[0]
    assert header.endswith(",kid,kid_std_error")
    assert "precision" not in vaeval("leaderboard").out.lower()


def test_a_column_that_nobody_has_is_left_out(vaeval: Vaeval, finished: Outcome) -> None:
    out = vaeval("leaderboard", "--columns", "fid,inception_score", "--format", "markdown").out
    assert "| FID ↓ |" in out
    assert "INCEPTION" not in out


@pytest.mark.parametrize(
    ("names", "told"),
    [("fid,presision", ("received:  presision", "perhaps precision")), ("fid,", ("received:  nothing",))],
)
def test_a_column_that_does_not_exist_is_told(vaeval: Vaeval, names: str, told: tuple[str, ...]) -> None:
    outcome = vaeval("leaderboard", "--columns", names)
    assert outcome.exit_code == 2
    assert all(words in outcome.err for words in told)


# --- show -------------------------------------------------------------------------------------------------------------


def test_show_has_every_score_with_its_error(vaeval: Vaeval, finished: Outcome) -> None:
    document = vaeval("show", "1", "--json").document
    scores = {score["metric"]: score for score in document["scores"]}
    assert document["schema"] == "vaeval.show/1"
    assert {"fid", "rfid", "mse", "cross_entropy", "psnr", "kl"} <= set(scores)
    assert scores["mse"]["std_error"] > 0
    assert scores["mse"]["num_images"] == 40
    assert len(scores["kl"]["components"]) == 2
    assert sum(scores["kl"]["components"]) == pytest.approx(scores["kl"]["value"])


def test_show_for_people_has_scores_and_what_they_rest_on(vaeval: Vaeval, finished: Outcome) -> None:
    out = vaeval("show", "1").out
    assert "step-2" in out
    assert "pixels-8x8" in out
    assert "kind=linear" in out
    assert "kl per latent dimension: 2 of 2 above 0.01" in out
    assert out.count("per latent dimension") == 1
    scores = {score["metric"]: score for score in vaeval("show", "1", "--json").document["scores"]}
    (sigma,) = scores["elbo_calibrated"]["components"]
    (told,) = [line.split()[-1] for line in out.splitlines() if line.startswith("elbo_calibrated is largest at σ = ")]
    assert float(told) == pytest.approx(sigma, rel=1e-3)
    assert "kid" in out
    assert "coverage" in out


def test_show_draws_the_pictures(vaeval: Vaeval, finished: Outcome, tmp_path: Path) -> None:
    document = vaeval("show", "1", "--pictures", tmp_path / "drawn", "--json").document
    drawn = tmp_path / "drawn" / "evaluation-1.png"
    assert document["pictures_file"] == str(drawn)
    with Image.open(drawn) as picture:
        assert picture.format == "PNG"
        assert min(picture.size) > 100


@pytest.mark.slow
def test_show_draws_interpolations_and_traversals_beside_the_contact_sheet(
    vaeval: Vaeval, finished: Outcome, tmp_path: Path
) -> None:
    folder = tmp_path / "drawn"
    document = vaeval("show", "1", "--pictures", folder, "--json").document
    names = ["evaluation-1.png", "evaluation-1-interpolations.png", "evaluation-1-traversals.png"]
    assert document["pictures_files"] == [str(folder / name) for name in names]
    assert sorted(path.name for path in folder.iterdir()) == sorted(names)
    with Image.open(folder / names[1]) as picture:
        # Four pairs, each on a line and on an arc: rows of 72 dots.
        assert picture.height > 8 * 72
    with Image.open(folder / names[2]) as picture:
        assert picture.width > 7 * 72, "seven quantiles"


@pytest.mark.parametrize("name", ["s.png", "somewhere/S.JPG"])
def test_the_name_of_a_picture_is_no_folder_for_pictures(
    vaeval: Vaeval, finished: Outcome, tmp_path: Path, name: str
) -> None:
    outcome = vaeval("show", "1", "--pictures", tmp_path / name)
    assert outcome.exit_code == 2
    assert f"--pictures {tmp_path / name}" in outcome.err
    assert "a folder, in which evaluation-N.png" in outcome.err
    assert [path.name for path in tmp_path.iterdir()] == ["home"], "nothing was made"


@pytest.mark.slow
def test_a_folder_that_is_called_like_a_picture_is_one(vaeval: Vaeval, finished: Outcome, tmp_path: Path) -> None:
    folder = tmp_path / "s.png"
    folder.mkdir()
    assert vaeval("show", "1", "--pictures", folder).exit_code == 0
    assert len(list(folder.iterdir())) == 3


@pytest.mark.slow
def test_show_sets_distances_side_by_side_with_their_gaps(vaeval: Vaeval, finished: Outcome) -> None:
    document = vaeval("show", "1", "--json").document
    values = {score["metric"]: score["value"] for score in document["scores"]}
    parts = {part["metric"]: part for part in document["attribution"]}
    assert parts.keys() == {"rfid", "fid_fitted", "fid", "fid_interpolations"}
    # 40 images each, fewer than features, so no bias is known and gaps are of the numbers themselves.
    assert parts["fid"]["gap"] == pytest.approx(values["fid"] - values["fid_fitted"])
    outcome = vaeval("show", "1")
    _, table = outcome.out.split("where the distance of samples comes from")
    assert [line.split()[1] for line in table.splitlines()[2:]] == ["rfid", "fid_fitted", "fid", "fid_interpolations"]
    assert "Of the distance of samples, " in outcome.err
    assert "40 linear interpolations, 40 from a fitted density" in outcome.out


@pytest.mark.slow
def test_distances_of_other_streams_are_compared_where_both_checkpoints_have_them(
    vaeval: Vaeval, finished: Outcome
) -> None:
    metrics = {each["metric"]: each for each in vaeval("compare", "2", "1", "--json").document["metrics"]}
    assert list(metrics) == ["fid", "rfid", "fid_fitted", "fid_interpolations"]
    scores = [vaeval("show", number, "--json").document["scores"] for number in (2, 1)]
    first, second = ({score["metric"]: score["value"] for score in of_one} for of_one in scores)
    for name in ("fid_fitted", "fid_interpolations"):
        assert metrics[name]["difference"] == pytest.approx(first[name] - second[name])


def test_an_evaluation_without_pictures_has_none_to_draw(vaeval: Vaeval, submitted: Outcome, tmp_path: Path) -> None:
    outcome = vaeval("show", "1", "--pictures", tmp_path)
    assert outcome.exit_code == 4
    assert "evaluation 1 (queued)" in outcome.err


def test_show_of_an_unknown_evaluation_is_not_found(vaeval: Vaeval, submitted: Outcome) -> None:
    outcome = vaeval("show", "77")
    assert outcome.exit_code == 4
    assert "77" in outcome.err


# --- sql --------------------------------------------------------------------------------------------------------------


def test_sql_answers_the_question_of_the_manual(vaeval: Vaeval, finished: Outcome) -> None:
    lines = vaeval("sql", "SELECT checkpoint, fid FROM leaderboard ORDER BY fid").out.splitlines()
    assert lines[0].split() == ["checkpoint", "fid"]
    assert len(lines) == 3


def test_sql_reads_a_statement_from_stdin(vaeval: Vaeval, finished: Outcome) -> None:
    assert vaeval("sql", "-", "--csv", stdin="SELECT 1 AS one, 'a,b' AS two").out == 'one,two\n1,"a,b"\n'


def test_sql_as_json_hides_no_column(vaeval: Vaeval, finished: Outcome) -> None:
    document = vaeval("sql", "SELECT 1 AS n, 2 AS n, NULL AS empty", "--json").document
    assert document["schema"] == "vaeval.sql/1"
    assert document["rows"] == [{"n": 1, "n_2": 2, "empty": None}]


def test_sql_says_when_there_are_more_rows(vaeval: Vaeval, finished: Outcome) -> None:
    outcome = vaeval("sql", "SELECT * FROM scores_long", "--limit", "3")
    assert len(outcome.out.splitlines()) == 4
    assert "more than 3 rows" in outcome.err


@pytest.mark.parametrize("statement", ["DELETE FROM scores", "DROP VIEW leaderboard", "SELECT fidd FROM leaderboard"])
def test_sql_that_the_database_refuses_is_a_usage_error(vaeval: Vaeval, finished: Outcome, statement: str) -> None:
    outcome = vaeval("sql", statement)
    assert outcome.exit_code == 2
    assert statement in outcome.err
    assert len(vaeval("leaderboard", "--json").document["rows"]) == 2


# --- config, db -------------------------------------------------------------------------------------------------------


def test_config_tells_where_each_value_comes_from(
    vaeval: Vaeval, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = tmp_path / "broker_url"
    secret.write_text("redis://me:S3CRET@broker:6379/0\n", encoding="utf-8")
    monkeypatch.setenv("VAEVAL_BROKER_URL_FILE", str(secret))
    outcome = vaeval("config", "--json")
    settings = outcome.document["settings"]
    assert settings["VAEVAL_HOME"]["source"] == "environment"
    assert settings["VAEVAL_BROKER_URL"]["source"] == f"file {secret}"
    assert settings["VAEVAL_BROKER_URL"]["value"] == "redis://me:***@broker:6379/0"
    assert settings["VAEVAL_ARTIFACTS"]["source"] == "default"
    assert "S3CRET" not in outcome.out + vaeval("config").out


def test_a_wrong_setting_is_told(vaeval: Vaeval, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VAEVAL_LEASE_SECONDS", "soon")
    outcome = vaeval("config")
    assert outcome.exit_code == 2
    assert "received:  soon" in outcome.err


def test_db_upgrade_makes_the_database_once(vaeval: Vaeval, home: Path) -> None:
    first, second = vaeval("db", "upgrade", "--json").document, vaeval("db", "upgrade", "--json").document
    assert first["before"] is None
    assert first["after"] == second["before"] == second["after"]
    assert (home / "vaeval.db").is_file()


def test_db_current_creates_nothing_and_its_check_fails_until_upgraded(vaeval: Vaeval, home: Path) -> None:
    assert vaeval("db", "current").exit_code == 0
    assert vaeval("db", "current", "--check").exit_code == 6
    assert not (home / "vaeval.db").exists()
    vaeval("db", "upgrade")
    assert vaeval("db", "current", "--check").exit_code == 0
    assert vaeval("db", "current", "--json").document["is_current"] is True


def test_db_current_of_a_newer_database_does_not_advise_an_upgrade(vaeval: Vaeval, home: Path) -> None:
    assert "vaeval db upgrade" in vaeval("db", "current").err
    vaeval("db", "upgrade")
    with sqlite3.connect(home / "vaeval.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999_future'")
    shown = vaeval("db", "current")
    assert "9999_future" in shown.out
    assert "Next: install the newer vaeval" in shown.err


def test_workers_are_listed_with_device_memory_and_versions_that_differ(vaeval: Vaeval, finished: Outcome) -> None:
    from scheduler.composition import open_application
    from scheduler.settings import Settings

    with open_application(Settings.from_environment()) as application:
        for name, keras in (("gpu-1", "3.15.1"), ("gpu-2", "3.15.2"), ("gpu-3", "3.15.2")):
            application.work.report_worker(
                name,
                host="node",
                pid=7,
                device="gpu 0 (H200)",
                threads=4,
                versions={"keras": keras, "numpy": "2.4.6"},
                memory_bytes=141 * 10**9,
            )
    outcome = vaeval("status", "--workers")
    (heading, first, *_) = outcome.out[outcome.out.index("WORKER") :].splitlines()
    assert heading.split()[:5] == ["WORKER", "HOST", "PID", "DEVICE", "MEMORY"]
    assert "141.0 GB" in first
    assert (
        "Workers have different versions of keras: 3.15.1 (1 worker, such as gpu-1), 3.15.2 (2 workers, such as gpu-2)."
        in outcome.err
    )
    assert "numpy" not in outcome.err
    document = vaeval("status", "--workers", "--json").document
    assert document["workers"][0]["memory_bytes"] == 141 * 10**9
    assert document["workers"][0]["versions"] == {"keras": "3.15.1", "numpy": "2.4.6"}


def test_csv_of_sql_is_whole_and_a_table_says_that_there_is_more(vaeval: Vaeval, finished: Outcome) -> None:
    many = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1500) SELECT i FROM n"
    assert len(vaeval("sql", "--csv", many).out.splitlines()) == 1501
    assert len(vaeval("sql", "--csv", many, "--limit", "7").out.splitlines()) == 8
    outcome = vaeval("sql", many)
    assert len(outcome.out.splitlines()) == 1001
    assert "more than 1,000 rows" in outcome.err


def test_config_tells_a_variable_that_means_nothing(vaeval: Vaeval, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VAEVAL_LEASE", "9")
    outcome = vaeval("config")
    assert "VAEVAL_LEASE is no variable of vaeval and changes nothing; perhaps VAEVAL_LEASE_SECONDS." in outcome.err


def test_a_score_without_a_number_is_told_with_its_reason_below_the_table(vaeval: Vaeval, finished: Outcome) -> None:
    reason = "64 of 64 samples hold values that are not finite."
    database = Database(Settings.from_environment().database_url)
    statement = (
        "UPDATE scores SET value = NULL, kind = 'nan', reason = :reason WHERE metric = 'fid' AND evaluation_id = 1"
    )
    database.write(lambda connection: connection.execute(text(statement), {"reason": reason}))
    database.dispose()
    assert f"fid (id 1): {reason}" in vaeval("leaderboard").err
