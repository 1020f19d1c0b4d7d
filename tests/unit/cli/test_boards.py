"""What a leaderboard says below its tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Engine, event

from cli.board_columns import ScoreColumn
from cli.boards import OWN_WEIGHTS, as_cells, score_warnings, why_not_published
from cli.ties import Ties, about_ties
from tests.unit.cli.conftest import SMALL, Outcome
from vaeval_core.protocol import ExtractorSpec

FEW = "500 images span at most 499 of 2048 feature dimensions."
OUTSIDE = "94.4% of the values that the decoder gives for samples lie outside [0, 1]."


def test_a_warning_of_many_rows_and_metrics_is_one_line() -> None:
    warnings = {number: {"fid": [FEW], "rfid": [FEW]} for number in (1, 2, 3)}
    assert score_warnings(warnings) == [f"fid, rfid (ids 1–3): {FEW}"]


def test_what_few_rows_carry_comes_last_with_their_ids() -> None:
    warnings = {4: {"fid": [OUTSIDE, FEW]}, 9: {"fid": [FEW], "mse": []}}
    assert score_warnings(warnings) == [f"fid (ids 4, 9): {FEW}", f"fid (id 4): {OUTSIDE}"]


def test_one_illness_of_several_checkpoints_is_one_line_that_tells_its_extent() -> None:
    warnings = {1: {"fid": [OUTSIDE]}, 2: {"fid": [OUTSIDE.replace("94.4", "1.0")]}}
    assert score_warnings(warnings) == [
        "fid (ids 1, 2): 1.0% to 94.4% of the values that the decoder gives for samples lie outside [0, 1]."
    ]


def test_a_sentence_with_two_percentages_stays_as_it_is() -> None:
    sentence = "3.0% of the images hold 40.0% of the weight."
    assert score_warnings({1: {"fid": [sentence]}, 2: {"fid": [sentence]}}) == [f"fid (ids 1, 2): {sentence}"]


def test_scores_without_warnings_give_no_line() -> None:
    assert score_warnings({1: {"fid": []}, 2: {}}) == []


@contextmanager
def counted_queries() -> Iterator[list[str]]:
    """The statements that are sent to any database meanwhile."""
    sent: list[str] = []

    def note(connection: object, cursor: object, statement: str, *_: object) -> None:
        sent.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        event.remove(Engine, "before_cursor_execute", note)


def test_more_rows_and_more_tables_take_no_more_queries(
    vaeval: Callable[..., Outcome], checkpoints: Path, finished: Outcome, work_off: Callable[[], None]
) -> None:
    words = ("submit", checkpoints, "--data", "digits:test", *SMALL)

    def queries(*seeds: str) -> list[int]:
        counts = []
        for command in (("leaderboard",), (*words, *seeds, "--wait"), (*words, *seeds, "--wait", "--json")):
            with counted_queries() as sent:
                assert vaeval(*command).exit_code == 0
            counts.append(len(sent))
        return counts

    before = queries()
    vaeval(*words, "--seeds", "0,1,2")
    work_off()
    assert vaeval("leaderboard").out.count("RANK") == 3 + 1, "one for each seed, and the means"
    # Whether ties need a look at the records depends on the numbers: one question then, which takes two statements.
    assert all(more <= few + 2 for more, few in zip(queries("--seeds", "0,1,2"), before, strict=True))
    assert min(before) > 0


def extractor(**changes: object) -> ExtractorSpec:
    fields = {"name": "inception-v3-fid", "version": 1, "weights_digest": "a" * 64, "resize": "tf1-bilinear"}
    return ExtractorSpec.model_validate({**fields, "dimension": 2048, **changes})


def test_fid_of_the_published_features_may_stand_beside_published_fid() -> None:
    assert why_not_published({"protocol": "standard,samples=500"}, extractor()) is None


@pytest.mark.parametrize(
    ("protocol", "changes", "how"),
    [
        ("standard", {"name": "inception-v3-random"}, "inception-v3-random"),
        ("standard", {"name": "inception-v3-keras", "resize": "half-pixel"}, "inception-v3-keras"),
        (f"standard{OWN_WEIGHTS}{'a' * 12}", {}, "inception-v3-fid (weights that nobody publishes)"),
        ("standard", {"resize": "clean"}, "inception-v3-fid (resize clean)"),
        ("standard", {"precision": "bfloat16"}, "inception-v3-fid (bfloat16)"),
        (
            f"standard{OWN_WEIGHTS}{'a' * 12}",
            {"resize": "half-pixel", "precision": "bfloat16"},
            "inception-v3-fid (weights that nobody publishes, resize half-pixel, bfloat16)",
        ),
    ],
)
def test_fid_of_other_features_is_said_to_be_something_else(
    protocol: str, changes: dict[str, object], how: str
) -> None:
    assert why_not_published({"protocol": protocol}, extractor(**changes)) == (
        f"FID on features of {how} ranks these checkpoints; it is not comparable to published FID."
    )


def test_a_rank_that_cannot_be_told_from_the_best_has_a_question_mark() -> None:
    row = {"evaluation": 7, "rank": 3, "checkpoint": "a", "step": None, "fid": 4.0, "noise_floor": False}
    fid = (ScoreColumn("fid", "FID ↓", 0),)
    ranks = [as_cells([row], Ties(standings={7: standing}), scores=fid)[1][0][0] for standing in ("unknown", "worse")]
    assert ranks == ["3?", "3"]
    assert [line.split()[0] for line in about_ties([row], Ties(standings={7: "unknown"}))] == ["?"]
