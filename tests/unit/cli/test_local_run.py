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


@pytest.mark.parametrize("devices", ["gpu", "cpu,banana", ",", "0;1"])
def test_words_that_name_no_device_are_refused_before_anything_is_registered(devices: str) -> None:
    with pytest.raises(InvalidInput, match="names what is no device") as caught:
        Crew(devices=devices)
    assert caught.value.received == devices
    assert "index or UUID" in str(caught.value.expected)


@pytest.mark.parametrize("devices", ["auto", "cpu", "0,1", "gpu:0", "GPU-8f2c", "MIG-1/2/3"])
def test_whatever_the_worker_program_may_know_is_left_to_it(devices: str) -> None:
    assert Crew(devices=devices).devices == devices
