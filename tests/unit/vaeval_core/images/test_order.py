"""The reading order: a permutation that anyone can recompute, fair from its first image on."""

from __future__ import annotations

import numpy as np
import pytest

from vaeval_core.errors import InvalidInput
from vaeval_core.images.order import IMAGE_ORDER_KEY, image_order, numbers_in, philox_permutation
from vaeval_core.types import IndexRange

_MASK = 2**64 - 1


def _philox_4x64_10(counter: int, key: int) -> list[int]:
    """Philox4x64-10 from the paper (Salmon et al. 2011), written without NumPy."""
    c = [counter >> 64 * place & _MASK for place in range(4)]
    k = [key & _MASK, key >> 64]
    for _ in range(10):
        first, second = 0xD2E7470EE14C6C93 * c[0], 0xCA5A826395121157 * c[2]
        c = [second >> 64 ^ c[1] ^ k[0], second & _MASK, first >> 64 ^ c[3] ^ k[1], first & _MASK]
        k = [(k[0] + 0x9E3779B97F4A7C15) & _MASK, (k[1] + 0xBB67AE8584CAA73B) & _MASK]
    return c


def test_the_independent_generator_gives_the_published_known_answer() -> None:
    # Random123, kat_vectors: philox4x64 10, counter and key all zero.
    assert _philox_4x64_10(0, 0) == [0x16554D9ECA36314C, 0xDB20FE9D672D0FDC, 0xD7E772CEE186176B, 0x7E68B68AEC7BA23B]


@pytest.mark.parametrize("num_images", [1, 2, 7, 100])
def test_the_order_is_what_an_independent_philox_gives(num_images: int) -> None:
    # NumPy counts up before its first block, so that has counter 1.
    words = [word for block in range(1, num_images // 4 + 2) for word in _philox_4x64_10(block, IMAGE_ORDER_KEY)]
    expected = sorted(range(num_images), key=lambda number: words[number])
    assert image_order(num_images).tolist() == expected


@pytest.mark.parametrize("num_images", [0, 1, 2, 500])
def test_the_order_has_every_image_once(num_images: int) -> None:
    assert sorted(image_order(num_images)) == list(range(num_images))


def test_images_appended_to_a_set_leave_the_order_of_the_others() -> None:
    longer = image_order(150)
    assert longer[longer < 100].tolist() == image_order(100).tolist()


@pytest.mark.parametrize("num_first", [100, 200, 500])
def test_the_first_images_of_a_set_sorted_by_class_have_every_class_about_equally(num_first: int) -> None:
    labels = np.repeat(np.arange(10), 100)
    counts = np.bincount(labels[image_order(1000)[:num_first]], minlength=10)
    # Hypergeometric: 10 classes, drawn without replacement. Four standard deviations allow for chance, not for a bias.
    share = num_first / 10
    deviation = np.sqrt(share * 0.9 * (1000 - num_first) / 999)
    assert np.abs(counts - share).max() < 4 * deviation


def test_another_key_is_another_order() -> None:
    assert philox_permutation(50, key=1).tolist() != philox_permutation(50, key=2).tolist()


def test_a_negative_number_of_images_is_refused() -> None:
    with pytest.raises(InvalidInput) as caught:
        image_order(-1)
    assert caught.value.received == "-1"
    assert caught.value.expected == "0 or more"


def test_places_give_the_numbers_that_stand_there() -> None:
    order = np.array([3, 0, 2, 1])
    assert numbers_in(order, IndexRange(1, 3)).tolist() == [0, 2]


def test_places_past_the_last_image_are_refused() -> None:
    with pytest.raises(InvalidInput) as caught:
        numbers_in(np.arange(4), IndexRange(2, 5))
    assert caught.value.received == "images 2 to 4"
    assert caught.value.expected == "0 to 3"
