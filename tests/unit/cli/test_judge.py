"""`vaeval judge`: people's judgement of two checkpoints, or of one and reality."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from cli.exit_codes import ExitCode
from tests.unit.cli.conftest import Outcome
from vaeval_core.metrics.preference import sides

pytestmark = pytest.mark.slow

Vaeval = Callable[..., Outcome]


def always_the_first(vaeval: Vaeval, first: object, second: object) -> str:
    """Answers of somebody who always chooses FIRST, 16 of them."""
    known_by = [
        word if word == "real" else vaeval("show", word, "--json").document["checkpoint_digest"]
        for word in (first, second)
    ]
    return "".join("L" if left else "R" for left in sides(*known_by, 16))


def test_a_sheet_is_drawn_and_its_answers_are_counted(vaeval: Vaeval, finished: Outcome, tmp_path: Path) -> None:
    drawn = vaeval("judge", 1, 2, "--sheet", tmp_path / "new" / "pairs.png")
    assert drawn.exit_code == ExitCode.OK
    assert "16 pairs. Which one looks better, left or right?" in drawn.err
    assert "vaeval judge 1 2 --answers LLLLLLLLLLLLLLLL" in drawn.err
    with Image.open(tmp_path / "new" / "pairs.png") as sheet:
        assert sheet.width > 600
    answers = always_the_first(vaeval, 1, 2)
    told = vaeval("judge", 1, 2, "--answers", answers).out.splitlines()
    assert [line.split()[-1] for line in told[:2]] == ["16", "0"]
    assert told[0].endswith("step-2  16")
    assert "was chosen in 100% of 16 decided pairs (95 % interval 0.79 to 1.0), p < 0.0001" in told[2]


def test_the_order_of_the_two_changes_neither_sheet_nor_meaning(
    vaeval: Vaeval, finished: Outcome, tmp_path: Path
) -> None:
    for words in ((1, 2), (2, 1)):
        vaeval("judge", *words, "--sheet", tmp_path / f"{words[0]}.png")
    assert (tmp_path / "1.png").read_bytes() == (tmp_path / "2.png").read_bytes()
    answers = always_the_first(vaeval, 1, 2)
    assert vaeval("judge", 2, 1, "--answers", answers, "--json").document["chosen"] == {"first": 0, "second": 16}


def test_a_document_has_every_number(vaeval: Vaeval, finished: Outcome) -> None:
    answers = always_the_first(vaeval, 1, 2)
    document = vaeval("judge", 1, 2, "--answers", f"-{answers[1:]}", "--json").document
    assert document["schema"] == "vaeval.judge/1"
    assert document["chosen"] == {"first": 15, "second": 0}
    assert (document["num_pairs"], document["share"]) == (16, 1)
    assert document["p_value"] == pytest.approx(2 / 2**15)
    assert document["interval"] == [pytest.approx(0.025 ** (1 / 15)), 1]


def test_samples_are_judged_against_real_images(vaeval: Vaeval, finished: Outcome, tmp_path: Path) -> None:
    assert "Which one is real" in vaeval("judge", 2, "real", "--sheet", tmp_path / "real.png").err
    answers = always_the_first(vaeval, 2, "real")
    told = vaeval("judge", 2, "real", "--answers", answers.replace("L", "-")).out.splitlines()
    assert told[1] == "real images  0"
    assert told[2] == f"neither  {answers.count('L')}"


def test_reconstructions_are_judged_beside_their_image(vaeval: Vaeval, finished: Outcome, tmp_path: Path) -> None:
    for kind in ("samples", "reconstructions"):
        assert vaeval("judge", 1, 2, "--of", kind, "--sheet", tmp_path / f"{kind}.png").exit_code == ExitCode.OK
    widths = []
    for kind in ("samples", "reconstructions"):
        with Image.open(tmp_path / f"{kind}.png") as sheet:
            widths.append(sheet.width)
    assert widths[1] > widths[0], "three pictures instead of two"


@pytest.mark.parametrize(
    ("words", "received", "expected"),
    [
        (("1", "2"), "neither --sheet nor --answers", "first the sheet"),
        (("1", "2", "--sheet", "pairs.png", "--answers", "L"), "--sheet and --answers", "one of them"),
        (("1", "2", "--answers", "LRL"), "3 answers: LRL", "16 letters, each L, R or -"),
        (("1", "2", "--of", "faces", "--sheet", "pairs.png"), "--of faces", "samples"),
        (("1", "real", "--of", "reconstructions", "--sheet", "pairs.png"), "against real images", "samples"),
        (("1", "2", "--sheet", "pairs.jpg"), "pairs.jpg", ".png"),
        (("1", "1", "--sheet", "pairs.png"), "1 and 1", "two checkpoints"),
    ],
)
def test_what_cannot_be_judged_is_refused(
    vaeval: Vaeval, finished: Outcome, words: tuple[str, ...], received: str, expected: str
) -> None:
    refused = vaeval("judge", *words)
    assert refused.exit_code == ExitCode.USAGE
    assert received in refused.err
    assert expected in refused.err


def test_what_has_no_pictures_or_is_several_evaluations_is_told(
    vaeval: Vaeval, checkpoints: Path, no_broker: None, work_off: Callable[[], None], tmp_path: Path
) -> None:
    without_samples = ("--samples", "0", "--reconstructions", "40", "--reference", "64", "--extractor", "pixels-8x8")
    vaeval("submit", checkpoints, "--data", "digits:test", *without_samples, "--seeds", "0,1")
    work_off()
    name = str(vaeval("show", 1, "--json").document["checkpoint"])
    several = vaeval("judge", name, "real", "--sheet", tmp_path / "pairs.png")
    assert several.exit_code == ExitCode.USAGE
    assert f"{name}, as evaluations " in several.err
    numbers = [vaeval("show", number, "--json").document for number in range(1, 5)]
    of_one_seed = [document["id"] for document in numbers if document["protocol_spec"]["seed"] == 0]
    refused = vaeval("judge", *of_one_seed, "--sheet", tmp_path / "pairs.png")
    assert refused.exit_code == ExitCode.NOT_FOUND
    assert "no samples" in refused.err
    assert not (tmp_path / "pairs.png").exists()
    drawn = vaeval("judge", *of_one_seed, "--of", "reconstructions", "--sheet", tmp_path / "pairs.png")
    assert drawn.exit_code == ExitCode.OK
