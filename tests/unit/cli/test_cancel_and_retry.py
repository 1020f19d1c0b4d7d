"""`vaeval cancel` and `vaeval retry`: what they change, what they leave, what they say."""

from __future__ import annotations

import json
from collections.abc import Callable

from tests.unit.cli.conftest import Outcome

Vaeval = Callable[..., Outcome]


def states(vaeval: Vaeval) -> dict[int, str]:
    return {entry["id"]: entry["state"] for entry in vaeval("status", "--json").document["evaluations"]}


class TestCancelling:
    def test_a_cancelled_evaluation_is_never_evaluated(
        self, vaeval: Vaeval, submitted: Outcome, work_off: Callable[[], None]
    ) -> None:
        outcome = vaeval("cancel", 1)
        assert outcome.exit_code == 0
        assert outcome.out.splitlines()[1].split()[-2:] == ["queued", "cancelled"]
        assert "1 evaluation cancelled." in outcome.err
        assert "vaeval retry" in outcome.err
        work_off()
        assert states(vaeval) == {1: "cancelled", 2: "finished"}

    def test_as_json_it_says_what_was_before_and_what_is_now(self, vaeval: Vaeval, finished: Outcome) -> None:
        document = vaeval("cancel", 1, 2, 1, "--json").document
        assert document["schema"] == "vaeval.cancel/1"
        assert document["cancelled"] == 0
        assert [(entry["id"], entry["before"], entry["state"]) for entry in document["evaluations"]] == [
            (1, "finished", "finished"),
            (2, "finished", "finished"),
        ]

    def test_what_is_over_already_is_said_and_no_error(self, vaeval: Vaeval, finished: Outcome) -> None:
        outcome = vaeval("cancel", 1)
        assert outcome.exit_code == 0
        assert "0 evaluations cancelled. 1 evaluation had been over before." in outcome.err

    def test_an_unknown_number_is_not_found_and_nothing_is_cancelled(self, vaeval: Vaeval, submitted: Outcome) -> None:
        outcome = vaeval("cancel", 1, 99)
        assert outcome.exit_code == 4
        assert "nothing was changed" in outcome.err
        assert "received:  99" in outcome.err
        assert "vaeval status" in outcome.err
        assert states(vaeval) == {1: "queued", 2: "queued"}

    def test_a_word_is_no_number(self, vaeval: Vaeval, submitted: Outcome) -> None:
        outcome = vaeval("cancel", "runs/beta4")
        assert outcome.exit_code == 2
        assert "runs/beta4" in outcome.err


class TestRetrying:
    def test_a_cancelled_evaluation_is_queued_even_while_the_broker_is_down(
        self, vaeval: Vaeval, submitted: Outcome, work_off: Callable[[], None]
    ) -> None:
        vaeval("cancel", 1, 2)
        outcome = vaeval("retry", 1)
        assert outcome.exit_code == 5, "nobody could be told"
        assert "nothing is lost" in outcome.err
        assert "S3CRET" not in outcome.err
        assert "1 evaluation queued again." in outcome.err
        work_off()
        assert states(vaeval) == {1: "finished", 2: "cancelled"}

    def test_what_neither_failed_nor_was_cancelled_stays(self, vaeval: Vaeval, finished: Outcome) -> None:
        outcome = vaeval("retry", 1)
        assert outcome.exit_code == 0, "the broker, which is down, is not asked where there is nothing to tell"
        assert "0 evaluations queued again. 1 evaluation had neither failed nor been cancelled." in outcome.err

    def test_as_json_the_receipt_comes_before_an_error(self, vaeval: Vaeval, submitted: Outcome) -> None:
        vaeval("cancel", 1)
        decoder, text = json.JSONDecoder(), vaeval("retry", 1, "--json").out
        receipt, end = decoder.raw_decode(text)
        error, _ = decoder.raw_decode(text[end:].lstrip())
        assert (receipt["schema"], receipt["queued"]) == ("vaeval.retry/1", 1)
        assert receipt["evaluations"][0]["before"] == "cancelled"
        assert error["exit_code"] == 5

    def test_an_unknown_number_is_not_found(self, vaeval: Vaeval, submitted: Outcome) -> None:
        outcome = vaeval("retry", 7)
        assert outcome.exit_code == 4
        assert "received:  7" in outcome.err
