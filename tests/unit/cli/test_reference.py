"""`vaeval reference`: statistics in and out, evaluations against them, and everything that does not fit."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from cli.exit_codes import ExitCode
from tests.unit.cli.conftest import SMALL, UNREACHABLE_BROKER, Outcome, invoke, work_off_everything
from vaeval_core.features.catalogue import load_extractor, resolve_extractor
from vaeval_core.images.digits import digits_images
from vaeval_core.types import IndexRange

pytestmark = pytest.mark.slow

Vaeval = Callable[..., Outcome]
NAME = "digits-train"
SIZES = (
    *("--samples", "40", "--reconstructions", "40", "--interpolations", "0", "--fitted", "0"),
    *("--data", "digits:test"),
)


def pixel_features(split: str, count: int) -> np.ndarray:
    spec = resolve_extractor("pixels-8x8", weights=None, weights_folder=Path())
    pixels = digits_images(split).read(IndexRange(0, count), (8, 8, 1), "exact")  # type: ignore[arg-type]
    return load_extractor(spec, Path()).extract(pixels)


@pytest.fixture(scope="session")
def statistics(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of the first 64 test images in pixels-8x8, as any program would save them."""
    path = tmp_path_factory.mktemp("statistics") / "digits.npz"
    rows = pixel_features("test", 64).astype(np.float64)
    np.savez(path, mu=rows.mean(axis=0), sigma=np.cov(rows, rowvar=False))
    return path


@pytest.fixture
def imported(home: Path, no_broker: None, statistics: Path) -> Outcome:
    return invoke(
        "reference", "import", statistics, "--name", NAME, "--extractor", "pixels-8x8", "--images", "64", "--json"
    )


class TestImport:
    def test_it_says_what_it_took_for_what(self, imported: Outcome, statistics: Path) -> None:
        assert imported.exit_code == 0
        document = imported.document
        assert document["schema"] == "vaeval.reference.import/1"
        assert (document["name"], document["num_images"], document["created"]) == (NAME, 64, True)
        assert document["extractor"]["name"] == "pixels-8x8"
        assert document["source"] == str(statistics)
        assert re.fullmatch(r"[0-9a-f]{64}", document["digest"])

    def test_again_is_the_same_and_says_so(self, imported: Outcome, statistics: Path) -> None:
        outcome = invoke(
            "reference", "import", statistics, "--name", NAME, "--extractor", "pixels-8x8", "--images", "64"
        )
        assert outcome.exit_code == 0
        assert f"{NAME} was imported before" in outcome.err
        assert len(invoke("reference", "list", "--json").document["imported"]) == 1

    def test_other_numbers_under_its_name_are_refused(self, imported: Outcome, tmp_path: Path) -> None:
        np.savez(tmp_path / "other.npz", mu=np.zeros(192), sigma=np.eye(192))
        outcome = invoke("reference", "import", tmp_path / "other.npz", "--name", NAME, "--extractor", "pixels-8x8")
        assert outcome.exit_code == ExitCode.USAGE
        assert f"received:  {NAME}, which was imported from " in outcome.err

    def test_without_a_number_of_images_it_says_what_that_means(self, home: Path, statistics: Path) -> None:
        outcome = invoke("reference", "import", statistics, "--name", NAME, "--extractor", "pixels-8x8")
        assert "How many images it was computed of is not known" in outcome.err
        assert re.search(rf"^{NAME} .* – +no +[0-9a-f]{{12}}$", outcome.out, re.MULTILINE)

    def test_features_of_another_length_are_refused_with_both(self, home: Path, statistics: Path) -> None:
        outcome = invoke("reference", "import", statistics, "--name", NAME, "--extractor", "inception-v3-random")
        assert outcome.exit_code == ExitCode.USAGE
        assert f"received:  192 features in {statistics}" in outcome.err
        assert "expected:  2048, as inception-v3-random has" in outcome.err
        assert invoke("reference", "list", "--json").document["imported"] == []

    @pytest.mark.parametrize("name", ["500", "a b", "", "-x.npz/..", "x" * 65, "ä"])
    def test_what_is_no_name_is_refused(self, home: Path, statistics: Path, name: str) -> None:
        outcome = invoke("reference", "import", statistics, f"--name={name}")
        assert outcome.exit_code == ExitCode.USAGE
        assert f"received:  {name!r}" in outcome.err

    def test_a_missing_file_is_not_found(self, home: Path, tmp_path: Path) -> None:
        outcome = invoke("reference", "import", tmp_path / "nowhere.npz", "--name", NAME, "--json")
        assert outcome.exit_code == ExitCode.NOT_FOUND
        assert outcome.document["error"]["received"] == str(tmp_path / "nowhere.npz")

    def test_a_file_without_statistics_is_refused(self, home: Path, tmp_path: Path) -> None:
        np.savez(tmp_path / "features.npz", features=np.eye(3))
        outcome = invoke("reference", "import", tmp_path / "features.npz", "--name", NAME)
        assert outcome.exit_code == ExitCode.USAGE
        assert "with the arrays features" in outcome.err

    def test_what_a_file_of_ours_says_of_its_extractor_is_taken(self, imported: Outcome, tmp_path: Path) -> None:
        assert invoke("reference", "export", NAME, tmp_path / "out.npz").exit_code == 0
        outcome = invoke("reference", "import", tmp_path / "out.npz", "--name", "copy", "--json")
        assert outcome.document["extractor"]["name"] == "pixels-8x8"
        assert outcome.document["digest"] == imported.document["digest"], "the same numbers to the bit"
        outcome = invoke(
            "reference", "import", tmp_path / "out.npz", "--name", "lie", "--extractor", "inception-v3-random"
        )
        assert outcome.exit_code == ExitCode.USAGE
        assert "inception-v3-random" in outcome.err.split("expected:")[0]
        assert "pixels-8x8" in outcome.err.split("expected:")[0]


@pytest.fixture(scope="session")
def evaluated(tmp_path_factory: pytest.TempPathFactory, checkpoints: Path, statistics: Path) -> Path:
    """Both checkpoints against the imported statistics, ids 1 and 2; then against the same images, computed, 3 and 4."""
    home = tmp_path_factory.mktemp("imported")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VAEVAL_HOME", str(home))
        patch.setenv("VAEVAL_BROKER_URL", UNREACHABLE_BROKER)
        invoke("reference", "import", statistics, "--name", NAME, "--extractor", "pixels-8x8", "--images", "64")
        outcome = invoke("submit", checkpoints, *SIZES, "--reference", NAME)
        assert outcome.exit_code == ExitCode.UNREACHABLE, "the broker; it is written"
        assert "No noise floor: which images the imported reference is of is not known." in " ".join(
            outcome.err.split()
        )
        invoke("submit", checkpoints, "--data", "digits:test", *SMALL, "--noise-floor", "off")
        work_off_everything()
    return home


@pytest.fixture
def vaeval(evaluated: Path, monkeypatch: pytest.MonkeyPatch) -> Vaeval:
    """The program on that home."""
    monkeypatch.setenv("VAEVAL_HOME", str(evaluated))
    monkeypatch.setenv("VAEVAL_BROKER_URL", UNREACHABLE_BROKER)
    return invoke


@pytest.mark.slow
class TestEvaluations:
    def test_the_distance_is_that_to_the_images_behind_the_statistics(self, vaeval: Vaeval) -> None:
        rows = {row["evaluation"]: row for row in vaeval("leaderboard", "--json").document["rows"]}
        for against_statistics, against_images in ((1, 3), (2, 4)):
            for column in ("fid", "rfid"):
                assert rows[against_statistics][column] == pytest.approx(rows[against_images][column], rel=1e-6)
        assert rows[1]["extractor"] == "pixels-8x8", "nobody named one: it is that of the reference"

    def test_they_stand_on_a_board_of_their_own(self, vaeval: Vaeval) -> None:
        document = vaeval("leaderboard", "--json").document
        boards = {row["evaluation"]: (row["fingerprint"], row["protocol"]) for row in document["rows"]}
        assert boards[1] == boards[2] != boards[3]
        assert boards[1][1] == f"standard,samples=40,reconstructions=40,interpolations=0,fitted=0,reference={NAME}"
        assert vaeval("leaderboard").out.count("RANK") == 2

    def test_metrics_of_single_real_images_say_why_they_have_no_number(self, vaeval: Vaeval) -> None:
        scores = {score["metric"]: score for score in vaeval("show", "1", "--json").document["scores"]}
        for name in ("kid", "precision", "recall", "density", "coverage", "authenticity"):
            assert (scores[name]["kind"], scores[name]["value"]) == ("not_applicable", None)
            assert "imported statistics, a mean and a covariance" in scores[name]["reason"]
        assert {scores[name]["kind"] for name in ("fid", "rfid", "mse", "kl", "vendi")} == {"finite"}

    def test_show_says_what_they_were_compared_with(self, vaeval: Vaeval) -> None:
        digest = vaeval("reference", "list", "--json").document["imported"][0]["digest"]
        outcome = vaeval("show", "1")
        assert f"imported statistics, digest {digest[:12]}" in outcome.out
        assert "40 samples, 40 reconstructions; seed 0" in outcome.out
        assert vaeval("show", "1", "--json").document["protocol_spec"]["imported_reference"] == digest

    def test_with_others_they_do_not_compare(self, vaeval: Vaeval) -> None:
        outcome = vaeval("compare", "1", "3")
        assert outcome.exit_code == ExitCode.USAGE
        assert "not evaluated under one protocol" in outcome.err

    def test_a_protocol_file_may_name_it(self, vaeval: Vaeval, checkpoints: Path, tmp_path: Path) -> None:
        file = tmp_path / "team.yaml"
        counts = "samples: 40\nreconstructions: 40\ninterpolations: 0\nfitted: 0\n"
        file.write_text(f"{counts}imported_reference: {NAME}\n")
        words = ("submit", checkpoints, "--data", "digits:test", "--protocol", file, "--json")
        entries = vaeval(*words).document["evaluations"]
        assert [entry["id"] for entry in entries] == [1, 2], "the name of a protocol is not in its fingerprint"
        assert all(not entry["created"] for entry in entries)

    def test_an_extractor_that_is_named_and_another_one_is_refused(self, vaeval: Vaeval, checkpoints: Path) -> None:
        outcome = vaeval("submit", checkpoints, *SIZES, "--reference", NAME, "--extractor", "inception-v3-random")
        assert outcome.exit_code == ExitCode.USAGE
        assert f"The reference {NAME} is of another extractor" in outcome.err
        assert "name=inception-v3-random" in outcome.err
        assert "name=pixels-8x8" in outcome.err

    def test_a_name_that_nobody_imported_is_not_found_with_those_there_are(
        self, vaeval: Vaeval, checkpoints: Path
    ) -> None:
        outcome = vaeval("submit", checkpoints, *SIZES, "--reference", "celeba")
        assert outcome.exit_code == ExitCode.NOT_FOUND
        assert "received:  celeba" in outcome.err
        assert f"expected:  one of {NAME}" in outcome.err

    @pytest.mark.parametrize("word", ["1", "0", "-5", "1.5 images"])
    def test_what_is_neither_a_name_nor_enough_images_is_refused(
        self, vaeval: Vaeval, checkpoints: Path, word: str
    ) -> None:
        outcome = vaeval("submit", checkpoints, *SIZES, f"--reference={word}")
        assert outcome.exit_code == ExitCode.USAGE
        assert "The option --reference has a value that cannot be used." in outcome.err
        assert f"received:  {word}" in outcome.err

    def test_a_noise_floor_is_there_if_its_images_are_named(self, vaeval: Vaeval, checkpoints: Path) -> None:
        words = (*SIZES, "--reference", NAME, "--noise-floor", "digits:train", "--json")
        outcome = vaeval("submit", checkpoints, *words)
        assert '"noise_floor": true' in outcome.out


@pytest.mark.slow
class TestListAndExport:
    def test_both_kinds_are_listed(self, vaeval: Vaeval) -> None:
        document = vaeval("reference", "list", "--json").document
        assert [each["name"] for each in document["imported"]] == [NAME]
        (computed,) = document["computed"]
        assert (computed["dataset"], computed["num_images"]) == ("digits:test", 64)
        lines = vaeval("reference", "list").out.splitlines()
        assert [line.split()[0] for line in lines] == ["REFERENCE", NAME, str(computed["reference"])]

    def test_a_computed_reference_is_written_as_pytorch_fid_reads_it(self, vaeval: Vaeval, tmp_path: Path) -> None:
        (computed,) = vaeval("reference", "list", "--json").document["computed"]
        path = tmp_path / "out.npz"
        outcome = vaeval("reference", "export", computed["reference"], path)
        assert (outcome.exit_code, outcome.out.strip()) == (0, str(path))
        rows = pixel_features("test", 64).astype(np.float64)
        with np.load(path) as arrays:
            np.testing.assert_allclose(arrays["mu"][:], rows.mean(axis=0), rtol=1e-12)
            np.testing.assert_allclose(arrays["sigma"][:], np.cov(rows, rowvar=False), atol=1e-15)
            assert arrays["mu"].dtype == arrays["sigma"].dtype == np.float64

    def test_an_imported_one_comes_out_to_the_bit_as_it_went_in(
        self, vaeval: Vaeval, statistics: Path, tmp_path: Path
    ) -> None:
        document = vaeval("reference", "export", NAME, tmp_path / "out.npz", "--json").document
        assert (document["num_images"], document["num_features"]) == (64, 192)
        with np.load(statistics) as given, np.load(tmp_path / "out.npz") as written:
            for name in ("mu", "sigma"):
                np.testing.assert_array_equal(written[name], given[name])

    def test_a_file_that_is_there_stays_unless_it_may_be_replaced(self, vaeval: Vaeval, tmp_path: Path) -> None:
        path = tmp_path / "out.npz"
        path.write_text("mine")
        outcome = vaeval("reference", "export", NAME, path)
        assert outcome.exit_code == ExitCode.USAGE
        assert f"received:  {path}" in outcome.err
        assert path.read_text() == "mine"
        assert vaeval("reference", "export", NAME, path, "--overwrite").exit_code == 0

    @pytest.mark.parametrize(("word", "what"), [("99", "number"), ("celeba", "name")])
    def test_what_is_not_there_is_not_found(self, vaeval: Vaeval, tmp_path: Path, word: str, what: str) -> None:
        outcome = vaeval("reference", "export", word, tmp_path / "out.npz")
        assert outcome.exit_code == ExitCode.NOT_FOUND
        assert what in outcome.err
        assert f"received:  {word}" in outcome.err
        assert not (tmp_path / "out.npz").exists()

    def test_an_empty_home_has_none_and_says_what_makes_one(self, home: Path) -> None:
        outcome = invoke("reference", "list")
        assert outcome.out == ""
        assert "the first evaluation computes one" in outcome.err


def make_old(file: Path) -> None:
    """An hour: imports write their file before their row, and files are left alone for some minutes."""
    an_hour_ago = file.stat().st_mtime - 3600
    os.utime(file, (an_hour_ago, an_hour_ago))


class TestItsFile:
    def stored(self, home: Path) -> Path:
        (file,) = (home / "artifacts" / "imported").iterdir()
        return file

    def test_gc_leaves_it_alone(self, imported: Outcome, home: Path) -> None:
        make_old(self.stored(home))
        assert invoke("gc", "--delete", "--older-than", "0").exit_code == 0
        assert self.stored(home).is_file()

    def test_one_that_no_row_points_to_is_found(self, imported: Outcome, home: Path) -> None:
        orphan = home / "artifacts" / "imported" / f"{'0' * 64}.safetensors"
        orphan.write_bytes(b"left behind")
        assert invoke("gc", "--older-than", "0", "--json").document["files"] == [], "its row may be about to come"
        make_old(orphan)
        files = invoke("gc", "--older-than", "0", "--json").document["files"]
        assert [file["key"] for file in files] == [f"imported/{'0' * 64}.safetensors"]

    @pytest.mark.slow
    def test_if_it_is_lost_evaluations_say_so_until_it_is_imported_again(
        self, imported: Outcome, home: Path, checkpoints: Path, statistics: Path, work_off: Callable[[], None]
    ) -> None:
        invoke("submit", checkpoints, *SIZES, "--reference", NAME)
        self.stored(home).unlink()
        work_off()
        document = invoke("show", "1", "--json").document
        assert document["state"] == "failed"
        assert "The imported statistics that this is to be compared with are gone." in document["error"]
        invoke("reference", "import", statistics, "--name", NAME, "--extractor", "pixels-8x8", "--images", "64")
        invoke("retry", "1")
        work_off()
        assert invoke("show", "1", "--json").document["state"] == "finished"
