"""From words to a wish: tags, seeds, and options laid over a protocol."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.gathering import Wish, read_seeds, read_tags, wished_protocol
from vaeval_core.errors import InvalidInput


def wish(**changes: object) -> Wish:
    return Wish(**{"checkpoints": ["runs"], "data": "digits:test", "protocol": "quick", **changes})  # type: ignore[arg-type]


def test_tags_become_words_by_key() -> None:
    assert read_tags(["beta=4", "note=a=b", "empty="]) == {"beta": "4", "note": "a=b", "empty": ""}


@pytest.mark.parametrize("word", ["beta", "=4", ""])
def test_a_tag_without_key_or_value_is_refused(word: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        read_tags([word])
    assert caught.value.received == f"--tag {word}"
    assert "key=value" in str(caught.value.expected)


def test_a_tag_with_two_values_is_refused_and_the_same_twice_is_not() -> None:
    assert read_tags(["beta=4", "beta=4"]) == {"beta": "4"}
    with pytest.raises(InvalidInput, match="The tag beta has two values"):
        read_tags(["beta=4", "beta=5"])


def test_seeds_are_numbers_between_commas() -> None:
    assert read_seeds(None, "0, 1,2") == (0, 1, 2)
    assert read_seeds(7, None) == (7,)
    assert read_seeds(None, None) is None


@pytest.mark.parametrize("words", ["", "1,,2", "a", "-1", "1.5", str(2**63)])
def test_seeds_that_are_no_numbers_are_refused(words: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        read_seeds(None, words)
    assert caught.value.received == words
    assert "whole numbers" in str(caught.value.expected)


def test_seed_and_seeds_exclude_each_other() -> None:
    with pytest.raises(InvalidInput) as caught:
        read_seeds(1, "2,3")
    assert caught.value.received == "--seed 1 --seeds 2,3"


def test_a_preset_is_taken_as_it_is() -> None:
    request = wished_protocol(wish())
    assert (request.name, request.samples, request.reconstructions, request.reference) == ("quick", 500, 500, 500)


def test_another_count_changes_the_name_for_it_ranks_separately() -> None:
    request = wished_protocol(wish(samples=2000, reference=1000))
    assert (request.name, request.samples, request.reconstructions, request.reference) == (
        "quick,samples=2000,reference=1000",
        2000,
        500,
        1000,
    )


def test_the_same_count_changes_nothing() -> None:
    assert wished_protocol(wish(samples=500)).name == "quick"


def test_other_streams_can_be_asked_for_and_fewer_samples_make_fewer_fitted_draws() -> None:
    request = wished_protocol(wish(interpolations=100, fitted=60))
    assert (request.interpolations, request.fitted) == (100, 60)
    assert request.name == "quick,interpolations=100,fitted=60"
    standard = wished_protocol(wish(protocol="standard", samples=40))
    assert (standard.fitted, standard.name) == (40, "standard,samples=40")
    assert wished_protocol(wish(protocol="standard", samples=40, fitted=300)).fitted == 300
    assert wished_protocol(wish(protocol="standard", samples=20_000)).fitted == 5000


def test_extractor_and_resize_are_laid_over_the_protocol() -> None:
    request = wished_protocol(wish(extractor="pixels-8x8", resize=True))
    assert (request.name, request.extractor, request.resize) == ("quick", "pixels-8x8", True)


def test_too_small_a_reference_is_refused_with_the_option_s_name() -> None:
    with pytest.raises(InvalidInput) as caught:
        wished_protocol(wish(reference=1))
    assert "--reference" in caught.value.what
    assert caught.value.received == "1"
    assert caught.value.expected == "at least 2"


def test_an_unknown_protocol_names_the_known_ones() -> None:
    with pytest.raises(InvalidInput) as caught:
        wished_protocol(wish(protocol="standart"))
    assert caught.value.received == "standart"
    assert "quick, standard, full" in str(caught.value.expected)


def test_a_protocol_file_is_named_by_its_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("samples: 64\nreconstructions: 0\n", encoding="utf-8")
    request = wished_protocol(wish(protocol=str(path)))
    assert (request.name, request.samples, request.reconstructions) == ("mine", 64, 0)


def test_resize_and_precision_of_the_extractor_come_from_the_protocol_file(tmp_path: Path) -> None:
    path = tmp_path / "clean.yaml"
    path.write_text("extractor: pixels-8x8\nextractor_resize: clean\nextractor_precision: bfloat16\n", encoding="utf-8")
    request = wished_protocol(wish(protocol=str(path)))
    assert (request.extractor_resize, request.extractor_precision) == ("clean", "bfloat16")
    request = wished_protocol(wish(protocol=str(path), extractor="inception-v3-random"))
    assert (request.extractor, request.extractor_resize) == ("inception-v3-random", "clean")
