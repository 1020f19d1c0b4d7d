"""`--noise-floor`: a row of real images on the leaderboard, what it is scored on, and when there is none."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from cli.exit_codes import ExitCode
from tests.unit.cli.conftest import UNREACHABLE_BROKER, Outcome, invoke, work_off_everything
from vaeval_core.features.pixels import PixelExtractor, load_pixels
from vaeval_core.images.digits import digits_images
from vaeval_core.metrics.catalogue import is_of_samples
from vaeval_core.metrics.fidelity import frechet_distance
from vaeval_core.presets import ProtocolRequest
from vaeval_core.protocol import ExtractorSpec
from vaeval_core.types import IndexRange

pytestmark = pytest.mark.slow

Vaeval = Callable[..., Outcome]
SIZES = (
    *("--data", "digits:test", "--extractor", "pixels-8x8", "--reconstructions", "20"),
    *("--interpolations", "0", "--fitted", "0"),
)
FITTING = (*SIZES, "--samples", "220", "--reference", "260")
NAME = "noise floor: digits:test"


@pytest.fixture(scope="session")
def evaluated(tmp_path_factory: pytest.TempPathFactory, checkpoints: Path) -> Path:
    """Both checkpoints with the floor of their own set, ids 1 to 3; a floor of another set besides, id 4."""
    home = tmp_path_factory.mktemp("floors")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VAEVAL_HOME", str(home))
        patch.setenv("VAEVAL_BROKER_URL", UNREACHABLE_BROKER)
        for words in (FITTING, (*FITTING, "--noise-floor", "digits:train")):
            assert invoke("submit", checkpoints, *words).exit_code == ExitCode.UNREACHABLE, "written all the same"
        work_off_everything()
    return home


@pytest.fixture
def vaeval(evaluated: Path, monkeypatch: pytest.MonkeyPatch) -> Vaeval:
    """The program on that home."""
    monkeypatch.setenv("VAEVAL_HOME", str(evaluated))
    monkeypatch.setenv("VAEVAL_BROKER_URL", UNREACHABLE_BROKER)
    return invoke


def rows(outcome: Outcome) -> dict[int, dict]:
    return {row["evaluation"]: row for row in outcome.document["rows"]}


def features(split: str, first: int, last: int):
    extractor: PixelExtractor = load_pixels(spec_of_pixels(), Path())
    pixels = digits_images(split).read(IndexRange(first, last), (8, 8, 1), "exact")  # type: ignore[arg-type]
    return extractor.extract(pixels)


def spec_of_pixels() -> ExtractorSpec:
    from vaeval_core.features.catalogue import resolve_extractor

    return resolve_extractor("pixels-8x8", weights=None, weights_folder=Path())


def test_its_fid_is_that_of_the_real_images_after_the_reference(vaeval: Vaeval) -> None:
    reference = features("test", 0, 260)
    found = rows(vaeval("leaderboard", "--json"))
    assert found[3]["fid"] == pytest.approx(frechet_distance(features("test", 260, 480), reference).value, rel=1e-12)
    assert found[4]["fid"] == pytest.approx(frechet_distance(features("train", 0, 220), reference).value, rel=1e-12)
    assert found[3]["num_samples"] == 220


def test_it_is_below_every_checkpoint_and_has_no_rank(vaeval: Vaeval) -> None:
    document = vaeval("leaderboard", "--json").document
    found = {row["evaluation"]: row for row in document["rows"]}
    assert found[3]["fid"] < min(found[1]["fid"], found[2]["fid"])
    assert [found[number]["rank"] for number in (3, 4)] == [None, None]
    assert [found[number]["noise_floor"] for number in (1, 2, 3, 4)] == [False, False, True, True]
    assert set(document["standings"]) == {"1", "2"}
    assert document["standings"]["2"] == "best"


def test_people_see_it_at_the_end_of_the_board_with_its_name_and_what_it_means(vaeval: Vaeval) -> None:
    outcome = vaeval("leaderboard")
    lines = outcome.out.splitlines()
    assert [line.split()[0] for line in lines[2:]] == ["1", "2", "–", "–"]
    assert re.match(rf" *–  {NAME} ", lines[4])
    assert outcome.err.count("A noise floor is as many real images, none of them in the reference") == 1


def test_the_best_rows_come_with_it(vaeval: Vaeval) -> None:
    assert [row["evaluation"] for row in vaeval("leaderboard", "--top", "1", "--json").document["rows"]] == [2, 3, 4]


def test_every_metric_of_samples_has_one_and_no_other_metric(vaeval: Vaeval) -> None:
    scores = {score["metric"]: score for score in vaeval("show", "3", "--json").document["scores"]}
    with_number = {name for name, score in scores.items() if score["value"] is not None}
    assert {"fid", "kid", "precision", "coverage", "vendi"} <= with_number
    assert {name for name in scores if name not in with_number} == {name for name in scores if not is_of_samples(name)}
    assert {"rfid", "mse", "psnr", "kl"} <= scores.keys() - with_number
    assert "nothing was encoded or reconstructed" in scores["mse"]["reason"]
    assert scores["precision"]["value"] > 0.5


def test_show_says_what_it_is_of(vaeval: Vaeval) -> None:
    outcome = vaeval("show", "4")
    assert "220 real images in the place of samples, 260 for reference; seed 0" in outcome.out
    assert "noise floor: digits:train" in outcome.out
    assert vaeval("show", "4", "--json").document["noise_floor"] is True


def test_markdown_and_csv_have_it_too(vaeval: Vaeval) -> None:
    assert f"| – | {NAME} |" in vaeval("leaderboard", "--format", "markdown").out
    header, *lines = vaeval("leaderboard", "--format", "csv").out.splitlines()
    assert header.endswith(",noise_floor")
    assert [line.endswith("True") for line in lines] == [False, False, True, True]


def test_a_checkpoint_compares_with_it_but_not_by_common_noise(vaeval: Vaeval) -> None:
    outcome = vaeval("compare", "3", "2")
    assert re.search(rf"^fid: {NAME} is better than .*, on 220 images of each\.$", outcome.out, re.MULTILINE)
    assert "rfid: cannot be told." in outcome.out


def test_a_second_submission_adds_none(vaeval: Vaeval, checkpoints: Path) -> None:
    document = vaeval("submit", checkpoints, *FITTING, "--json").document
    assert [(entry["id"], entry["noise_floor"], entry["created"]) for entry in document["evaluations"]] == [
        (1, False, False),
        (2, False, False),
        (3, True, False),
    ]


def test_each_seed_has_its_own_board_and_so_its_own_floor(home: Path, no_broker: None, checkpoints: Path) -> None:
    document = invoke("submit", checkpoints, *FITTING, "--seeds", "0,1", "--json")
    found = first_document(document)["evaluations"]
    assert [(entry["seed"], entry["noise_floor"]) for entry in found[-2:]] == [(0, True), (1, True)]


def first_document(outcome: Outcome) -> dict:
    """What stands before the error about the broker."""
    import json

    return json.JSONDecoder().raw_decode(outcome.out)[0]


class TestWithout:
    def submitted(self, checkpoints: Path, *words: str) -> tuple[int, str]:
        outcome = invoke("submit", checkpoints, *words, "--json")
        return len(first_document(outcome)["evaluations"]), " ".join(outcome.err.split())

    def test_off_leaves_it_out_without_a_word(self, home: Path, no_broker: None, checkpoints: Path) -> None:
        number, notes = self.submitted(checkpoints, *FITTING, "--noise-floor", "off")
        assert number == 2
        assert "noise floor" not in notes

    def test_too_few_images_are_told_with_both_numbers(self, home: Path, no_broker: None, checkpoints: Path) -> None:
        number, notes = self.submitted(checkpoints, *SIZES, "--samples", "300", "--reference", "260")
        assert number == 2
        assert "No noise floor: it would take 300 real images" in notes
        assert "digits:test has 240. --noise-floor SET names others." in notes

    def test_without_samples_there_is_nothing_to_be_low(self, home: Path, no_broker: None, checkpoints: Path) -> None:
        number, notes = self.submitted(checkpoints, *SIZES, "--samples", "0", "--reference", "260")
        assert number == 2
        assert "noise floor" not in notes


def test_a_folder_of_images_serves_as_well(home: Path, no_broker: None, checkpoints: Path, tmp_path: Path) -> None:
    """Its files are listed for the workers, as those of --data are."""
    pixels = digits_images("train").read(IndexRange(0, 30), (8, 8, 1), "exact")
    for number, image in enumerate(pixels):
        Image.fromarray(image[:, :, 0]).save(tmp_path / f"{number:02}.png")
    words = (*SIZES, "--samples", "20", "--reference", "260", "--noise-floor", tmp_path)
    invoke("submit", checkpoints / "step-2", *words)
    work_off_everything()
    (row,) = [row for row in invoke("leaderboard", "--json").document["rows"] if row["noise_floor"]]
    assert row["checkpoint"] == f"noise floor: {tmp_path.name}"
    assert row["fid"] is not None
    assert invoke("gc", "--older-than", "0", "--json").document["files"] == []


def test_a_folder_that_was_moved_is_the_same_floor_without_a_word(
    home: Path, no_broker: None, checkpoints: Path, tmp_path: Path
) -> None:
    """Checkpoints that are known by another name are told; these are no checkpoints."""
    pixels = digits_images("train").read(IndexRange(0, 30), (8, 8, 1), "exact")
    for number, image in enumerate(pixels):
        (tmp_path / "here").mkdir(exist_ok=True)
        Image.fromarray(image[:, :, 0]).save(tmp_path / "here" / f"{number:02}.png")
    words = ("submit", checkpoints / "step-2", *SIZES, "--samples", "20", "--reference", "260", "--json")
    invoke(*words, "--noise-floor", tmp_path / "here")
    (tmp_path / "here").rename(tmp_path / "there")
    again = invoke(*words, "--noise-floor", tmp_path / "there")
    assert [entry["created"] for entry in first_document(again)["evaluations"]] == [False, False]
    assert "same content" not in again.err


def test_a_set_that_was_named_and_is_too_small_is_refused(home: Path, checkpoints: Path) -> None:
    words = (*SIZES, "--samples", "300", "--reference", "260", "--noise-floor", "digits:test")
    outcome = invoke("submit", checkpoints, *words)
    assert outcome.exit_code == ExitCode.USAGE
    assert "received:  240 images of digits:test that are not in the reference" in outcome.err
    assert "expected:  300" in outcome.err


def test_a_set_that_does_not_exist_is_not_found(home: Path, checkpoints: Path) -> None:
    outcome = invoke("submit", checkpoints, *FITTING, "--noise-floor", "digits:tast")
    assert outcome.exit_code == ExitCode.NOT_FOUND
    assert "received:  digits:tast" in outcome.err


def test_images_of_another_size_are_refused(home: Path, checkpoints: Path) -> None:
    outcome = invoke("submit", checkpoints, *FITTING, "--noise-floor", "shapes:test")
    assert outcome.exit_code == ExitCode.USAGE
    assert "shapes:test[0] is 32×32" in outcome.err


def test_the_demo_has_images_enough_for_one() -> None:
    from cli.demo import DEFAULT_IMAGES, PROTOCOL_TEXT

    text = PROTOCOL_TEXT.format(path="demo.yaml", images=DEFAULT_IMAGES, extractor="pixels-8x8")
    import yaml

    request = ProtocolRequest.model_validate({"name": "demo", **yaml.safe_load(text)})
    assert request.reference + request.samples <= len(digits_images("test"))
