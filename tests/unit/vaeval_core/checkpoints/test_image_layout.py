"""Image shapes behind what networks take and give."""

from __future__ import annotations

import pytest

from vaeval_core.checkpoints.image_layout import image_shape_of, layout_of, require_decoder_fits
from vaeval_core.errors import CheckpointRejected


@pytest.mark.parametrize(
    ("taken", "given", "declared", "expected", "noted"),
    [
        ((28, 28, 1), None, None, (28, 28, 1), False),
        ((28, 20, 3), None, None, (28, 20, 3), False),
        ((28, 20), None, None, (28, 20, 1), True),
        ((784,), None, None, (28, 28, 1), True),
        ((3072,), None, (32, 32, 3), (32, 32, 3), True),
        ((None, None, 3), (64, 48, 3), None, (64, 48, 3), False),
        ((None, None, 3), None, (64, 48, 3), (64, 48, 3), True),
    ],
)
def test_the_image_shape_follows(
    taken: tuple[int | None, ...],
    given: tuple[int, ...] | None,
    declared: tuple[int, int, int] | None,
    expected: tuple[int, int, int],
    noted: bool,
) -> None:
    shape, notes = image_shape_of(taken, given, declared)
    assert shape == expected
    assert bool(notes) is noted


@pytest.mark.parametrize(
    ("taken", "declared", "received", "expected"),
    [
        ((3, 32, 32), None, "(3, 32, 32)", "channels last"),
        ((3072,), None, "(3072,)", "the image shape in words"),
        ((28, 28, 4), None, "(28, 28, 4)", "1 or 3 channels"),
        ((4, 28, 28, 1), None, "(4, 28, 28, 1)", "a flat vector"),
        ((None, None, 3), None, "(None, None, 3)", "a fixed size"),
        ((784,), (28, 28, 3), "image_shape (28, 28, 3), encoder input (784,)", "the same number of pixels"),
    ],
)
def test_what_is_no_image_is_refused(
    taken: tuple[int | None, ...], declared: tuple[int, int, int] | None, received: str, expected: str
) -> None:
    with pytest.raises(CheckpointRejected) as caught:
        image_shape_of(taken, None, declared)
    assert received in str(caught.value.received)
    assert expected in str(caught.value.expected)


@pytest.mark.parametrize("given", [None, (8, 4, 1), (32,), (8, 4), (None, None, 1)])
def test_a_decoder_may_give_images_in_another_layout(given: tuple[int | None, ...] | None) -> None:
    require_decoder_fits(given, (8, 4, 1))


@pytest.mark.parametrize("given", [(4, 8, 1), (31,), (8, 4, 3)])
def test_a_decoder_of_other_images_is_refused(given: tuple[int, ...]) -> None:
    with pytest.raises(CheckpointRejected) as caught:
        require_decoder_fits(given, (8, 4, 1))
    assert f"decoder output {given}" in str(caught.value.received)


def test_a_channels_first_decoder_is_named_as_such() -> None:
    with pytest.raises(CheckpointRejected, match="channels-first"):
        require_decoder_fits((3, 8, 4), (8, 4, 3))


def test_colour_images_have_no_flat_rows() -> None:
    assert layout_of((8, 4), (8, 4, 3)) is None
    assert layout_of((96,), (8, 4, 3)) == (96,)
