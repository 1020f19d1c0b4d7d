"""`vaeval submit`: what is registered, what is said, and that bad input registers nothing."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save_file

from tests.unit.cli.conftest import SMALL, Outcome
from tests.unit.vaeval_core.checkpoints.keras_files import a_decoder, an_encoder, archive
from vaeval_core.checkpoints.linear_gaussian import linear_gaussian_vae

Vaeval = Callable[..., Outcome]


def picture_folder(folder: Path, *, size: int = 8, number: int = 70) -> Path:
    folder.mkdir(parents=True)
    pixels = np.random.default_rng(0).integers(0, 256, (number, size, size), dtype=np.uint8)
    for i, values in enumerate(pixels):
        Image.fromarray(values).save(folder / f"{i:03}.png")
    return folder


def evaluations(vaeval: Vaeval) -> list[dict[str, object]]:
    return vaeval("status", "--json").document["evaluations"]  # type: ignore[no-any-return]


@pytest.mark.usefixtures("no_broker")
class TestWithBrokerDown:
    def test_everything_is_registered_and_the_exit_code_is_5(self, vaeval: Vaeval, checkpoints: Path) -> None:
        outcome = vaeval("submit", checkpoints, "--data", "digits:test", *SMALL)
        assert outcome.exit_code == 5
        assert "registered and nothing is lost" in outcome.err
        assert "start the broker" in outcome.err
        assert [entry["state"] for entry in evaluations(vaeval)] == ["queued", "queued"]

    def test_the_table_of_what_is_registered_is_printed_all_the_same(self, vaeval: Vaeval, checkpoints: Path) -> None:
        outcome = vaeval("submit", checkpoints, "--data", "digits:test", *SMALL)
        lines = [line.split() for line in outcome.out.splitlines()]
        assert lines[0] == ["ID", "CHECKPOINT", "SEED", "STATE"]
        assert [line[0] for line in lines[1:]] == ["1", "2"]
        assert [line[2:] for line in lines[1:]] == [["0", "queued", "new"]] * 2
        assert lines[1][1].endswith("step-2")
        assert lines[2][1].endswith("step-10")

    def test_the_password_of_the_broker_is_never_shown(self, vaeval: Vaeval, checkpoints: Path) -> None:
        outcome = vaeval("submit", checkpoints, "--data", "digits:test", *SMALL, "--debug")
        assert "S3CRET" not in outcome.out + outcome.err
        assert "redis://me:***@127.0.0.1:1/0" in outcome.err

    def test_with_json_the_receipt_and_the_error_are_two_documents(self, submitted: Outcome) -> None:
        decoder = json.JSONDecoder()
        receipt, end = decoder.raw_decode(submitted.out)
        error, _ = decoder.raw_decode(submitted.out[end:].lstrip())
        assert receipt["schema"] == "vaeval.submit/1"
        assert (receipt["created"], receipt["existing"]) == (2, 0)
        assert [entry["id"] for entry in receipt["evaluations"]] == [1, 2]
        assert error["schema"] == "vaeval.error/1"
        assert error["exit_code"] == 5

    def test_the_broker_is_not_asked_when_there_is_nothing_to_tell(
        self, vaeval: Vaeval, checkpoints: Path, finished: Outcome
    ) -> None:
        outcome = vaeval("submit", checkpoints, "--data", "digits:test", *SMALL, "--json")
        assert outcome.exit_code == 0
        assert (outcome.document["created"], outcome.document["existing"]) == (0, 2)
        assert [entry["state"] for entry in outcome.document["evaluations"]] == ["finished", "finished"]

    def test_a_higher_priority_is_said_to_have_been_raised(self, vaeval: Vaeval, checkpoints: Path) -> None:
        words = ("submit", checkpoints, "--data", "digits:test", *SMALL)
        vaeval(*words)
        outcome = vaeval(*words, "--priority", "4")
        assert "2 evaluations known already and not finished: priority raised to 4." in outcome.err
        receipt, _ = json.JSONDecoder().raw_decode(vaeval(*words, "--priority", "5", "--json").out)
        assert [entry["priority_raised"] for entry in receipt["evaluations"]] == [True, True]
        assert "priority raised" not in vaeval(*words, "--priority", "5").err

    def test_seeds_tags_and_priority_are_kept(self, vaeval: Vaeval, checkpoints: Path) -> None:
        vaeval("submit", checkpoints / "step-2", "--data", "digits:test", *SMALL, "--seeds", "3,4", "--tag", "beta=4")
        shown = [vaeval("show", number, "--json").document for number in (1, 2)]
        assert [document["protocol_spec"]["seed"] for document in shown] == [3, 4]
        assert shown[0]["tags"] == {"beta": "4"}

    def test_waiting_for_finished_work_prints_the_leaderboard(
        self, vaeval: Vaeval, checkpoints: Path, finished: Outcome
    ) -> None:
        outcome = vaeval("submit", checkpoints, "--data", "digits:test", *SMALL, "--wait")
        assert outcome.exit_code == 0
        assert "RANK" in outcome.out

    def test_duplicates_are_named_and_evaluated_once(self, vaeval: Vaeval, checkpoints: Path, tmp_path: Path) -> None:
        twin = tmp_path / "twin"
        twin.mkdir()
        source = checkpoints / "step-2" / "linear_gaussian.safetensors"
        (twin / source.name).write_bytes(source.read_bytes())
        outcome = vaeval("submit", checkpoints / "step-2", twin, "--data", "digits:test", *SMALL)
        assert f"{twin} has the same content as {checkpoints / 'step-2'}: evaluated once." in outcome.err
        assert len(evaluations(vaeval)) == 1

    def test_a_known_checkpoint_under_another_path_is_told_with_the_name_of_the_leaderboard(
        self, vaeval: Vaeval, checkpoints: Path, finished: Outcome, tmp_path: Path
    ) -> None:
        moved = tmp_path / "archive" / "step-999"
        shutil.copytree(checkpoints / "step-2", moved)
        words = ("--data", "digits:test", *SMALL, "--seeds", "0,1", "--tag", "moved=yes")
        outcome = vaeval("submit", moved, checkpoints / "step-10", *words)
        row = next(row for row in vaeval("leaderboard", "--json").document["rows"] if row["step"] == 2)
        note = f"{moved} has the same content as a checkpoint submitted before: known as {row['checkpoint']}."
        assert row["checkpoint"].endswith("/step-2")
        assert row["tags"] == {"kind": "linear", "moved": "yes"}
        assert [line for line in outcome.err.splitlines() if "same content" in line] == [note], "once for both seeds"

    def test_of_many_that_have_moved_ten_are_told(
        self, vaeval: Vaeval, checkpoints: Path, no_broker: None, tmp_path: Path
    ) -> None:
        for number in range(12):
            vae = linear_gaussian_vae(np.eye(64, 1) * (number + 1) / 20, np.full(64, 0.3), 0.01, (8, 8, 1))
            for run in ("first", "second"):
                vae.save(tmp_path / run / f"step-{number}")
        for run in ("first", "second"):
            outcome = vaeval("submit", tmp_path / run, "--data", "digits:test", *SMALL)
        lines = [line for line in outcome.err.splitlines() if "known as first/step-" in line or line.startswith("and ")]
        assert len(lines) == 11
        assert lines[0].endswith("known as first/step-0.")
        assert lines[-1] == "and 2 more"

    def test_images_known_under_another_name_are_told_with_the_name_of_the_leaderboard(
        self, vaeval: Vaeval, checkpoints: Path, no_broker: None, tmp_path: Path
    ) -> None:
        photos = picture_folder(tmp_path / "photos", size=8, number=70)
        words = (*SMALL, "--resize")
        vaeval("submit", checkpoints, "--data", photos, *words)
        moved = tmp_path / "renamed"
        shutil.copytree(photos, moved)
        outcome = vaeval("submit", checkpoints, "--data", moved, *words)
        assert f"{moved} has the same images as a set submitted before: known as photos." in outcome.err

    def test_a_protocol_known_under_another_name_is_told_with_the_name_of_the_leaderboard(
        self, vaeval: Vaeval, checkpoints: Path, no_broker: None, tmp_path: Path
    ) -> None:
        words = ("submit", checkpoints, "--data", "digits:test", "--protocol")
        for name in ("first", "second"):
            (tmp_path / f"{name}.yaml").write_text("{samples: 40, reconstructions: 40, extractor: pixels-8x8}")
        vaeval(*words, tmp_path / "first.yaml")
        outcome = vaeval(*words, tmp_path / "second.yaml")
        assert "second asks for what a protocol before it asked for: known as first." in outcome.err


class TestSeveralBadCheckpoints:
    def test_each_is_told_with_its_reason_and_how_to_go_on(
        self, vaeval: Vaeval, checkpoints: Path, no_broker: None, tmp_path: Path
    ) -> None:
        folder = tmp_path / "runs"
        shutil.copytree(checkpoints, folder)
        (folder / "cut.keras").write_bytes(b"PK\x03\x04")
        (folder / "half").mkdir()
        (folder / "half" / "encoder.keras").write_bytes(b"")
        outcome = vaeval("submit", folder, "--data", "digits:test", *SMALL)
        assert outcome.exit_code == 2
        assert "2 of 4 checkpoints cannot be evaluated; no checkpoint was submitted." in outcome.err
        assert f"{folder / 'cut.keras'}: " in outcome.err
        assert f"{folder / 'half' / 'encoder.keras'}: " in outcome.err
        assert "--skip-unreadable goes on with the others" in outcome.err
        assert evaluations(vaeval) == []

        outcome = vaeval("submit", folder, "--data", "digits:test", *SMALL, "--skip-unreadable")
        assert len(evaluations(vaeval)) == 2
        assert f"Left out: {folder / 'cut.keras'}: " in outcome.err

    def test_where_none_can_be_used_skipping_does_not_help(
        self, vaeval: Vaeval, no_broker: None, tmp_path: Path
    ) -> None:
        (tmp_path / "cut.keras").write_bytes(b"PK\x03\x04")
        outcome = vaeval("submit", tmp_path, "--data", "digits:test", *SMALL, "--skip-unreadable")
        assert outcome.exit_code == 2
        assert "goes on with the others" not in outcome.err


def write_pair(folder: Path, *, activation: str, units: int) -> Path:
    """A checkpoint that can be described, but not run."""
    folder.mkdir(parents=True)
    (folder / "encoder.keras").write_bytes(archive(an_encoder(units)))
    (folder / "decoder.keras").write_bytes(archive(a_decoder(units, activation)))
    return folder


@pytest.mark.usefixtures("no_broker")
class TestNotesAboutCheckpoints:
    ASSUMED = "The decoder ends without sigmoid or tanh: its output is taken as images in [0, 1]."

    def test_what_was_assumed_of_one_checkpoint_is_said_with_its_name(
        self, vaeval: Vaeval, checkpoints: Path, tmp_path: Path
    ) -> None:
        odd = write_pair(tmp_path / "sweep" / "linear", activation="linear", units=3)
        outcome = vaeval("submit", checkpoints / "step-2", odd, "--data", "digits:test", *SMALL)
        assert f"sweep/linear: {self.ASSUMED}" in outcome.err

    def test_the_same_of_all_is_one_sentence(self, vaeval: Vaeval, tmp_path: Path) -> None:
        for units in (2, 3, 4):
            write_pair(tmp_path / "sweep" / f"units-{units}", activation="linear", units=units)
        outcome = vaeval("submit", tmp_path / "sweep", "--data", "digits:test", *SMALL)
        assert outcome.err.count(self.ASSUMED) == 1
        assert f"All 3 checkpoints: {self.ASSUMED}" in outcome.err

    def test_the_same_of_some_is_one_sentence_with_their_number(self, vaeval: Vaeval, tmp_path: Path) -> None:
        for units, activation in ((2, "linear"), (3, "sigmoid"), (4, "linear")):
            write_pair(tmp_path / "sweep" / f"units-{units}", activation=activation, units=units)
        outcome = vaeval("submit", tmp_path / "sweep", "--data", "digits:test", *SMALL)
        assert f"2 of 3 checkpoints (sweep/units-2 and 1 more): {self.ASSUMED}" in outcome.err

    def test_the_receipt_in_json_has_the_notes_of_each_evaluation(
        self, vaeval: Vaeval, checkpoints: Path, tmp_path: Path
    ) -> None:
        odd = write_pair(tmp_path / "sweep" / "linear", activation="linear", units=3)
        outcome = vaeval("submit", odd, checkpoints / "step-2", "--data", "digits:test", *SMALL, "--json")
        receipt, _ = json.JSONDecoder().raw_decode(outcome.out)
        notes = {entry["checkpoint"].rpartition("/")[2]: entry["notes"] for entry in receipt["evaluations"]}
        assert notes["step-2"] == []
        (note,) = notes["linear"]
        assert note.startswith(self.ASSUMED)


class TestForecast:
    def test_without_a_worker_it_says_so_before_the_wait(
        self, vaeval: Vaeval, checkpoints: Path, submitted: Outcome
    ) -> None:
        outcome = vaeval("submit", checkpoints, "--data", "digits:test", *SMALL, "--wait", "--timeout", "0")
        # Five times 40 images of each of two checkpoints, and a reference of 64.
        work = "464 images to go through the feature network. No worker is running; start one: vaeval worker"
        assert work in outcome.err
        assert outcome.err.index(work) < outcome.err.index("waiting: ")

    def test_with_workers_it_says_how_long_it_will_take(
        self, vaeval: Vaeval, checkpoints: Path, finished: Outcome
    ) -> None:
        from scheduler.composition import open_application
        from scheduler.settings import Settings

        with open_application(Settings.from_environment()) as application:
            for slot in ("a", "b"):
                application.work.report_worker(slot, host="here", pid=1, device="cpu", threads=1, versions={})
            application.database.write(
                lambda connection: connection.exec_driver_sql("UPDATE shards SET seconds = forward_passes / 0.5")
            )
        # The broker is down: the first submission only registers the work, the second has nothing to announce.
        vaeval("submit", checkpoints, "--data", "digits:test", *SMALL, "--seed", "1")
        outcome = vaeval("submit", checkpoints, "--data", "digits:test", *SMALL, "--seed", "1")
        # 400 images are left, for the reference is there; two workers at half an image a second need 400 s.
        assert "400 images to go through the feature network: about 6 min 40 s if nothing else" in outcome.err
        assert "2 workers are running, at 0.5 images/s each" in outcome.err

    def test_what_is_finished_needs_no_forecast(self, vaeval: Vaeval, checkpoints: Path, finished: Outcome) -> None:
        outcome = vaeval("submit", checkpoints, "--data", "digits:test", *SMALL)
        assert "to go through" not in outcome.err


BAD_INPUT = [
    pytest.param(["nowhere"], "digits:test", [], 4, ["nowhere"], id="missing checkpoint"),
    pytest.param([__file__], "digits:test", [], 2, [Path(__file__).name], id="a file that is no model"),
    pytest.param(
        [""],
        "digits:test",
        [],
        2,
        ["argument CHECKPOINT is empty", "received:  ''", "`.` is the"],
        id="empty checkpoint",
    ),
    pytest.param(
        ["CHECKPOINTS", " "], "digits:test", [], 2, ["received:  ' '", "shell variable"], id="blank checkpoint"
    ),
    pytest.param(["CHECKPOINTS"], "", [], 2, ["--data is empty", "received:  ''", "digits:test"], id="empty data"),
    pytest.param(["CHECKPOINTS"], "nowhere", [], 4, ["nowhere"], id="missing image folder"),
    pytest.param(["CHECKPOINTS"], "digits:tset", [], 4, ["digits:tset", "digits:test"], id="unknown digits"),
    pytest.param(["CHECKPOINTS"], "EMPTY", [], 2, ["EMPTY"], id="empty image folder"),
    pytest.param(["CHECKPOINTS"], "LARGE", [], 2, ["16", "8", "--resize"], id="images of another size"),
    pytest.param(["CHECKPOINTS"], "ONE", [], 2, ["1 image", "at least 2"], id="one image"),
    pytest.param(["CHECKPOINTS"], "DAMAGED", [], 2, ["000.png", "--skip-unreadable"], id="damaged image"),
    pytest.param(["CHECKPOINTS"], "digits:test", ["--samples", "1"], 2, ["samples=1", "at least 2"], id="one sample"),
    pytest.param(["CHECKPOINTS"], "digits:test", ["--reference", "1"], 2, ["--reference", "1"], id="one reference"),
    pytest.param(
        ["CHECKPOINTS"],
        "digits:test",
        ["--samples", "0", "--reconstructions", "0"],
        2,
        ["samples=0, reconstructions=0"],
        id="nothing asked",
    ),
    pytest.param(["CHECKPOINTS"], "digits:test", ["--extractor", "pixel"], 2, ["pixel", "pixels-8x8"], id="extractor"),
    pytest.param(
        ["CHECKPOINTS"], "digits:test", ["--protocol", "qick"], 2, ["qick", "--protocol quick"], id="protocol"
    ),
    pytest.param(
        ["CHECKPOINTS"], "digits:test", ["--protocol", "no.yaml"], 4, ["received:  no.yaml"], id="protocol file"
    ),
    pytest.param(["CHECKPOINTS"], "digits", [], 4, ["next:      --data digits:test"], id="digits without a split"),
    pytest.param(["CHECKPOINTS"], "digits:test", ["--seed", "1", "--seeds", "1,2"], 2, ["--seeds 1,2"], id="two kinds"),
    pytest.param(["CHECKPOINTS"], "digits:test", ["--tag", "beta"], 2, ["--tag beta", "key=value"], id="tag"),
    pytest.param(["CHECKPOINTS"], "digits:test", ["--seeds", "a"], 2, ["received:  a", "0,1,2"], id="seeds"),
    pytest.param(
        ["CHECKPOINTS"], "digits:test", ["--weights", "w.h5"], 2, ["--weights w.h5"], id="weights that are not wanted"
    ),
]


@pytest.mark.parametrize(("checkpoint", "data", "options", "exit_code", "words"), BAD_INPUT)
def test_bad_input_is_told_and_registers_nothing(
    vaeval: Vaeval,
    checkpoints: Path,
    no_broker: None,
    tmp_path: Path,
    checkpoint: list[str],
    data: str,
    options: list[str],
    exit_code: int,
    words: list[str],
) -> None:
    paths = [str(checkpoints) if word == "CHECKPOINTS" else word for word in checkpoint]
    if data in {"EMPTY", "LARGE", "ONE", "DAMAGED"}:
        folder = picture_folder(
            tmp_path / data, size=16 if data == "LARGE" else 8, number={"EMPTY": 0, "ONE": 1}.get(data, 70)
        )
        if data == "DAMAGED":
            damaged = folder / "000.png"
            damaged.write_bytes(damaged.read_bytes()[:60])
        data = str(folder)
    outcome = vaeval("submit", *paths, "--data", data, "--extractor", "pixels-8x8", *options)
    assert outcome.exit_code == exit_code
    assert outcome.out == ""
    assert outcome.err.startswith("error: ")
    assert "Traceback" not in outcome.err
    for word in words:
        assert word in outcome.err
    assert evaluations(vaeval) == []


@pytest.mark.parametrize(
    ("checkpoint", "data", "exit_code"), [("nowhere", "digits:test", 4), (__file__, "digits:test", 2)]
)
def test_run_refuses_what_submit_refuses(
    vaeval: Vaeval, home: Path, checkpoint: str, data: str, exit_code: int
) -> None:
    outcome = vaeval("run", checkpoint, "--data", data, *SMALL)
    assert (outcome.exit_code, outcome.out) == (exit_code, "")
    assert outcome.err.startswith("error: ")
    assert evaluations(vaeval) == []
    assert not (home / "broker").exists()


def test_a_name_of_pictures_that_is_no_png_is_refused_before_the_work(
    vaeval: Vaeval, checkpoints: Path, home: Path
) -> None:
    outcome = vaeval("run", checkpoints, "--data", "digits:test", *SMALL, "--pictures", "sheet.jpg")
    assert outcome.exit_code == 2
    assert "received:  sheet.jpg" in outcome.err
    assert not home.exists()


def test_all_unusable_checkpoints_are_told_at_once(
    vaeval: Vaeval, checkpoints: Path, no_broker: None, tmp_path: Path
) -> None:
    bad = [tmp_path / name for name in ("a.keras", "b.keras")]
    for path in bad:
        path.write_text("no model", encoding="utf-8")
    outcome = vaeval("submit", checkpoints / "step-2", *bad, "--data", "digits:test", *SMALL)
    assert outcome.exit_code == 2
    assert "2 of 3 checkpoints cannot be evaluated" in outcome.err
    lines = [line.strip().removeprefix("received:").strip() for line in outcome.err.splitlines()]
    assert all(f"{path}: The file is no model." in lines for path in bad), "one a line"
    assert evaluations(vaeval) == []


def test_of_very_many_unusable_checkpoints_ten_are_told(vaeval: Vaeval, no_broker: None, tmp_path: Path) -> None:
    for number in range(14):
        (tmp_path / f"vae-{number}.keras").write_text("no model", encoding="utf-8")
    outcome = vaeval("submit", tmp_path, "--data", "digits:test", *SMALL)
    assert "14 of 14 checkpoints cannot be evaluated" in outcome.err
    assert outcome.err.count("The file is no model.") == 10
    assert "and 4 more" in [line.strip() for line in outcome.err.splitlines()]


@pytest.fixture
def at_work(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, checkpoints: Path, finished: Outcome) -> Path:
    """A folder with a home in which work was done, and beside it two checkpoints and the weights of something else."""
    shutil.copytree(checkpoints, tmp_path / "runs")
    save_file({"weight": np.zeros((2, 2), np.float32)}, tmp_path / "runs" / "unet.safetensors")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_search_finds_checkpoints_and_nothing_that_vaeval_stored(vaeval: Vaeval, at_work: Path, home: Path) -> None:
    assert list(home.rglob("*.safetensors")), "there is something to be mistaken for a checkpoint"
    outcome = vaeval("submit", ".", "--data", "digits:test", *SMALL, "--json")
    assert (outcome.exit_code, outcome.document["existing"]) == (0, 2)
    assert f"Not searched: {home}, a home folder of vaeval." in outcome.err


def test_a_home_that_is_named_is_searched_but_for_what_vaeval_stored(
    vaeval: Vaeval, at_work: Path, home: Path, checkpoints: Path
) -> None:
    shutil.copytree(checkpoints / "step-2", home / "runs" / "step-2")
    outcome = vaeval("submit", home, "--data", "digits:test", *SMALL, "--json")
    assert (outcome.exit_code, outcome.document["existing"]) == (0, 1)
    assert "Not searched" not in outcome.err


def test_where_there_are_only_files_of_another_kind_the_error_says_so(
    vaeval: Vaeval, at_work: Path, home: Path
) -> None:
    outcome = vaeval("submit", home / "artifacts", "--data", "digits:test", *SMALL)
    assert outcome.exit_code == 4
    assert "No checkpoint was found." in outcome.err
    assert "passed over .safetensors of another kind: " in outcome.err


def test_a_file_of_another_kind_that_is_named_is_refused_with_its_tensors(vaeval: Vaeval, at_work: Path) -> None:
    outcome = vaeval("submit", "runs/unet.safetensors", "--data", "digits:test", *SMALL)
    assert outcome.exit_code == 2
    assert "unet.safetensors: weight" in outcome.err


def test_unreadable_images_can_be_left_out_and_are_named(
    vaeval: Vaeval, checkpoints: Path, no_broker: None, tmp_path: Path
) -> None:
    folder = picture_folder(tmp_path / "photos")
    (folder / "007.png").write_bytes(b"no picture")
    outcome = vaeval("submit", checkpoints / "step-2", "--data", folder, *SMALL, "--skip-unreadable")
    assert "1 image file cannot be read and is left out: 007.png." in outcome.err
    assert len(evaluations(vaeval)) == 1


def test_images_of_another_size_are_taken_with_resize(
    vaeval: Vaeval, checkpoints: Path, no_broker: None, tmp_path: Path
) -> None:
    folder = picture_folder(tmp_path / "photos", size=16)
    vaeval("submit", checkpoints / "step-2", "--data", folder, *SMALL, "--resize")
    assert vaeval("show", 1, "--json").document["protocol_spec"]["image_fit"] == "crop-bicubic"


def test_a_set_smaller_than_the_protocol_is_used_whole_and_it_is_said(
    vaeval: Vaeval, checkpoints: Path, no_broker: None, tmp_path: Path
) -> None:
    folder = picture_folder(tmp_path / "photos", number=70)
    outcome = vaeval(
        "submit", checkpoints / "step-2", "--data", folder, "--protocol", "quick", "--extractor", "pixels-8x8"
    )
    assert "The data set has 70 images, the protocol quick asks for 500" in outcome.err


@pytest.mark.usefixtures("no_broker")
def test_resize_and_precision_of_the_extractor_are_kept_and_shown(
    vaeval: Vaeval, checkpoints: Path, tmp_path: Path
) -> None:
    protocol = tmp_path / "clean.yaml"
    protocol.write_text("samples: 4\nreconstructions: 0\nextractor_resize: clean\nextractor_precision: bfloat16\n")
    vaeval("submit", checkpoints, "--data", "digits:test", "--protocol", protocol)
    assert "resize clean, bfloat16)" in vaeval("show", 1).out
    outcome = vaeval(
        "submit", checkpoints, "--data", "digits:test", "--protocol", protocol, "--extractor", "pixels-8x8"
    )
    assert outcome.exit_code == 2
    assert "extractor_resize=clean" in outcome.err
    assert "one of area" in outcome.err


def test_waiting_gives_up_after_its_time(
    vaeval: Vaeval, checkpoints: Path, submitted: Outcome, monkeypatch: pytest.MonkeyPatch
) -> None:
    # All is registered already, so no broker is needed; nobody works, so nothing ends.
    outcome = vaeval("submit", checkpoints, "--data", "digits:test", *SMALL, "--wait", "--timeout", "0")
    assert outcome.exit_code == 7
    assert "error: The evaluations were not over within 0 s; the work goes on." in outcome.err.splitlines()
    assert "vaeval status 1 2 --watch" in outcome.err


def test_a_database_of_another_schema_is_refused_with_the_way_out(
    vaeval: Vaeval, checkpoints: Path, submitted: Outcome, home: Path
) -> None:
    import sqlite3

    connection = sqlite3.connect(home / "vaeval.db")
    connection.execute("UPDATE alembic_version SET version_num = 'from-the-future'")
    connection.commit()
    connection.close()
    outcome = vaeval("submit", checkpoints, "--data", "digits:test", *SMALL)
    assert outcome.exit_code == 6
    assert "from-the-future" in outcome.err
    assert "next:" in outcome.err


def test_a_database_that_does_not_answer_is_exit_code_5(
    vaeval: Vaeval, checkpoints: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VAEVAL_DATABASE_URL", "postgresql://me:S3CRET@127.0.0.1:1/vaeval")
    outcome = vaeval("submit", checkpoints, "--data", "digits:test", *SMALL)
    assert outcome.exit_code == 5
    assert "S3CRET" not in outcome.err
    assert "127.0.0.1:1" in outcome.err


@pytest.mark.parametrize("command", [("worker",), ("scheduler",), ("run", "x", "--data", "y")])
def test_a_broker_of_a_kind_we_do_not_know_is_refused(
    vaeval: Vaeval, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    monkeypatch.setenv("VAEVAL_BROKER_URL", "amqp://rabbit:S3CRET@host")
    outcome = vaeval(*command)
    assert outcome.exit_code == 2
    assert "S3CRET" not in outcome.err
    assert "redis://" in outcome.err


def test_a_run_with_the_broker_down_loses_nothing(vaeval: Vaeval, checkpoints: Path, no_broker: None) -> None:
    outcome = vaeval("run", checkpoints, "--data", "digits:test", *SMALL)
    assert outcome.exit_code == 5
    assert "nothing is lost" in outcome.err
    assert len(evaluations(vaeval)) == 2


def test_of_models_of_several_sizes_the_one_that_the_images_do_not_fit_is_named(
    vaeval: Vaeval, checkpoints: Path, no_broker: None, tmp_path: Path
) -> None:
    small = linear_gaussian_vae(np.eye(20, 1), np.full(20, 0.3), 0.01, (5, 4, 1)).save(tmp_path / "small")
    outcome = vaeval("submit", checkpoints, small.parent, "--data", "digits:test", *SMALL)
    assert outcome.exit_code == 2
    assert f"The images do not fit {tmp_path / 'small'}." in outcome.err
    assert "leave that checkpoint out" in outcome.err
    assert evaluations(vaeval) == []
