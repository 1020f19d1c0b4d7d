"""Where a distance comes from: which gaps are told, from which numbers, and in which words."""

from __future__ import annotations

import math

import pytest

from cli.attribution import attribution, lines, sentences
from vaeval_core.evaluation_result import MetricValue, Score

pytestmark = pytest.mark.slow


def scores(*, num_images: int = 5000, **distances: float | MetricValue) -> list[Score]:
    """Distances by name, each with an error of 0.3 and a bias of 1 unless they are whole values."""
    return [
        Score(
            metric=name,
            version=1,
            value=distance
            if isinstance(distance, MetricValue)
            else MetricValue.of(distance, num_images=num_images, std_error=0.3, bias=1.0),
        )
        for name, distance in distances.items()
    ]


def test_four_distances_stand_in_the_order_in_which_they_explain_each_other() -> None:
    parts = attribution(scores(fid=35.0, rfid=12.0, fid_interpolations=15.0, fid_fitted=20.0, mse=0.1))
    assert [(part.metric, part.against, part.gap) for part in parts] == [
        ("rfid", None, None),
        ("fid_fitted", "rfid", 8.0),
        ("fid", "fid_fitted", 15.0),
        ("fid_interpolations", "rfid", 3.0),
    ]
    assert [part.std_error for part in parts] == [None, *[pytest.approx(0.3 * math.sqrt(2))] * 3]
    assert [line[:4] for line in lines(parts)] == [
        ("reconstructions", "rfid", "12.00 ± 0.30", ""),
        ("fitted", "fid_fitted", "20.00 ± 0.30", "+8 ± 0.42"),
        ("samples", "fid", "35.00 ± 0.30", "+15 ± 0.42"),
        ("interpolations", "fid_interpolations", "15.00 ± 0.30", "+3 ± 0.42"),
    ]


def test_gaps_are_of_distances_without_their_bias() -> None:
    few = MetricValue.of(24.0, num_images=1000, bias=5.0)
    (_, fitted, _) = attribution(scores(rfid=12.0, fid=35.0, fid_fitted=few))
    assert fitted.gap == (24.0 - 5.0) - (12.0 - 1.0)
    assert fitted.std_error is None
    assert [line[3] for line in lines(attribution(scores(rfid=12.0, fid=35.0, fid_fitted=few)))][1] == "+8 ± unreliable"


def test_a_gap_without_an_error_is_not_told_as_if_it_were_certain() -> None:
    few = {
        name: MetricValue.of(number, num_images=90) for name, number in (("rfid", 1.0), ("fid_fitted", 1.5), ("fid", 2))
    }
    (sentence,) = sentences(attribution(scores(**few)))
    assert (
        "+0.5 ± unreliable comes of drawing latents instead of encoding them, and +0.5 ± unreliable of the prior"
        in sentence
    )


def test_different_numbers_of_images_without_known_bias_have_no_gap() -> None:
    few = MetricValue.of(24.0, num_images=1000)
    parts = attribution(scores(rfid=12.0, fid=35.0, fid_fitted=few))
    assert [part.gap for part in parts] == [None, None, None]
    assert [line[3] for line in lines(parts)] == ["", "–", "–"]
    assert "rest on different numbers of images" in sentences(parts)[-1]
    equal = {name: MetricValue.of(number, num_images=1000) for name, number in (("rfid", 12.0), ("fid", 35.0))}
    assert [part.gap for part in attribution(scores(**equal, fid_fitted=few))] == [None, 12.0, 11.0]


@pytest.mark.parametrize(
    "missing", [{"fid_fitted", "fid_interpolations"}, {"rfid", "fid_fitted"}, {"rfid", "fid", "fid_interpolations"}]
)
def test_fewer_than_three_distances_are_not_set_side_by_side(missing: set[str]) -> None:
    whole = {"fid": 35.0, "rfid": 12.0, "fid_interpolations": 15.0, "fid_fitted": 20.0}
    assert attribution(scores(**{name: number for name, number in whole.items() if name not in missing})) == []


def test_a_distance_without_a_number_is_left_out() -> None:
    parts = attribution(
        scores(fid=35.0, rfid=12.0, fid_interpolations=15.0, fid_fitted=MetricValue.not_applicable("513 dimensions"))
    )
    assert [part.metric for part in parts] == ["rfid", "fid", "fid_interpolations"]
    assert parts[1].gap is None, "there is nothing to compare the samples with"


@pytest.mark.parametrize(
    ("distances", "advice"),
    [
        ({"rfid": 30.0, "fid_fitted": 32.0, "fid": 35.0}, "+2 comes of drawing latents"),
        ({"rfid": 30.0, "fid_fitted": 32.0, "fid": 35.0}, "a better decoder would help most"),
        ({"rfid": 5.0, "fid_fitted": 30.0, "fid": 35.0}, "a better density of latents"),
        ({"rfid": 5.0, "fid_fitted": 8.0, "fid": 35.0}, "draws from a fitted density instead of the prior"),
        ({"rfid": 30.0, "fid_fitted": 30.5, "fid": 29.0}, "nothing comes of drawing latents"),
        ({"rfid": 30.0, "fid_fitted": 30.5, "fid": 29.0}, "nothing of the prior"),
    ],
)
def test_the_largest_part_is_named_and_what_helps_against_it(distances: dict[str, float], advice: str) -> None:
    (sentence,) = sentences(attribution(scores(**distances)))
    assert advice in sentence


def test_holes_between_latents_are_told_when_they_cost_as_much_as_the_decoder() -> None:
    for number, is_told in ((25.0, True), (15.0, False)):
        parts = attribution(scores(rfid=12.0, fid=35.0, fid_fitted=20.0, fid_interpolations=number))
        assert any("more than twice as far" in sentence for sentence in sentences(parts)) is is_told
