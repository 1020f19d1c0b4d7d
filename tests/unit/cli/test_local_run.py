"""What a crew may be, how many it is, and what it does with the work of others."""

from __future__ import annotations

import pytest

from cli.local_run import Crew, about_others
from vaeval_core.errors import InvalidInput


def test_inline_is_one_worker() -> None:
    with pytest.raises(InvalidInput) as caught:
        Crew(inline=True, workers=2)
    assert caught.value.received == "--inline --workers 2"


@pytest.mark.parametrize(
    ("crew", "slots"),
    [
        (Crew(), None),
        (Crew(workers=4), 4),
        (Crew(inline=True), 1),
        (Crew(devices="cpu"), 1),
        (Crew(devices="0,2, 3"), 3),
        (Crew(devices="0,2", workers=4), 4),
    ],
)
def test_the_number_of_workers_is_known_but_where_the_machine_decides(crew: Crew, slots: int | None) -> None:
    assert crew.slots == slots


def test_what_becomes_of_other_evaluations_is_said() -> None:
    told = "Besides, 1 evaluation is unfinished; this run leaves it alone. Next for the rest: vaeval worker"
    assert about_others(1) == told
    assert about_others(1_200) == told.replace("1 evaluation is", "1,200 evaluations are").replace(
        "it alone", "them alone"
    )
