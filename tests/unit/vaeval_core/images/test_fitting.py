"""How stored images become model inputs: channels, crop, resampling."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from vaeval_core.errors import ImagesRejected
from vaeval_core.images.fitting import centre_crop_box, first_of, fit_arrays, fit_image, require_fit
from vaeval_core.types import Uint8


def _picture(pixels: list[list[int]]) -> Image.Image:
    return Image.fromarray(np.array(pixels, dtype=np.uint8))


@pytest.mark.parametrize(
    ("size", "target", "box"),
    [
        ((100, 50), (64, 64), (25, 0, 75, 50)),  # wide: the sides go
        ((50, 100), (64, 64), (0, 25, 50, 75)),  # tall: top and bottom go
        ((101, 50), (64, 64), (25, 0, 75, 50)),  # 51 pixels too wide: 25 go at the left, 26 at the right
        ((64, 48), (32, 24), (0, 0, 64, 48)),  # the aspect ratio is right already
        ((100, 10), (3, 2), (42, 0, 57, 10)),  # 10 · 3 / 2 = 15 columns, 85 too many
        ((10, 3), (3, 2), (2, 0, 7, 3)),  # 4.5 columns round up to 5
        ((3, 10), (2, 3), (0, 2, 3, 7)),  # the same upright
        ((1000, 1), (1, 4), (499, 0, 500, 1)),  # a quarter of a column becomes one
    ],
)
def test_the_crop_is_centred_and_has_the_aspect_ratio_of_the_target(
    size: tuple[int, int], target: tuple[int, int], box: tuple[int, int, int, int]
) -> None:
    assert centre_crop_box(*size, *target) == box


def test_a_crop_that_has_the_right_size_keeps_the_pixels() -> None:
    image = _picture([[1, 2, 3, 4, 5, 6], [7, 8, 9, 10, 11, 12]])
    fitted = fit_image(image, (2, 2, 1), "crop-bicubic", "image")
    assert fitted[:, :, 0].tolist() == [[3, 4], [9, 10]]


def test_an_image_of_the_right_size_keeps_its_pixels_under_either_fit() -> None:
    image = _picture([[0, 255], [7, 31]])
    for fit in ("exact", "crop-bicubic"):
        assert fit_image(image, (2, 2, 1), fit, "image")[:, :, 0].tolist() == [[0, 255], [7, 31]]


def _antialiased_bicubic(row: list[int], num_pixels: int) -> list[float]:
    """One row shrunk by Keys' cubic (a = -½), the kernel stretched by the scale: written from the formula."""

    def kernel(x: float) -> float:
        x = abs(x)
        if x < 1:
            return 1.5 * x**3 - 2.5 * x**2 + 1
        return -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2 if x < 2 else 0.0

    scale = len(row) / num_pixels
    shrunk = []
    for place in range(num_pixels):
        centre = (place + 0.5) * scale
        weights = [kernel((source + 0.5 - centre) / scale) for source in range(len(row))]
        shrunk.append(sum(w * value for w, value in zip(weights, row, strict=True)) / sum(weights))
    return shrunk


def test_shrinking_is_antialiased_bicubic() -> None:
    row = [10, 200, 30, 90, 120, 60, 250, 20, 70, 140, 5, 180]
    image = _picture([row] * 12)
    fitted = fit_image(image, (4, 4, 1), "crop-bicubic", "image")
    expected = np.clip(_antialiased_bicubic(row, 4), 0, 255)
    # Pillow works in fixed point and rounds once per direction: one level at most.
    assert np.abs(fitted[1, :, 0] - expected).max() <= 1


def test_grey_becomes_colour_by_repetition() -> None:
    fitted = fit_image(_picture([[0, 100], [200, 255]]), (2, 2, 3), "exact", "image")
    assert fitted.tolist() == [[[0] * 3, [100] * 3], [[200] * 3, [255] * 3]]


def test_colour_becomes_grey_by_luma() -> None:
    image = Image.new("RGB", (1, 1), (100, 200, 50))
    # ITU-R 601: 0.299 · 100 + 0.587 · 200 + 0.114 · 50 = 153.0
    assert fit_image(image, (1, 1, 1), "exact", "image").tolist() == [[[153]]]


@pytest.mark.parametrize(
    ("mode", "pixel", "colour"),
    [
        ("RGBA", (10, 20, 30, 0), [10, 20, 30]),  # fully transparent, and still itself
        ("LA", (40, 0), [40, 40, 40]),
        ("1", 1, [255, 255, 255]),
        ("CMYK", (255, 0, 0, 0), [0, 255, 255]),
    ],
)
def test_other_modes_become_colour(mode: str, pixel: object, colour: list[int]) -> None:
    image = Image.new(mode, (1, 1), pixel)  # type: ignore[arg-type]
    assert fit_image(image, (1, 1, 3), "exact", "image").tolist() == [[colour]]


def test_a_palette_becomes_colour() -> None:
    image = Image.new("P", (1, 1), 1)
    image.putpalette([0, 0, 0, 9, 8, 7])
    assert fit_image(image, (1, 1, 3), "exact", "image").tolist() == [[[9, 8, 7]]]


def test_arrays_are_fitted_as_files_are() -> None:
    images: Uint8 = np.random.Generator(np.random.Philox(1)).integers(0, 256, (3, 9, 12, 3), dtype=np.uint8)
    fitted = fit_arrays(images, (4, 4, 1), "crop-bicubic", ["a", "b", "c"])
    one_by_one = [fit_image(Image.fromarray(image), (4, 4, 1), "crop-bicubic", "image") for image in images]
    assert np.array_equal(fitted, np.stack(one_by_one))


def test_another_size_is_refused_with_both_sizes_and_the_option_that_helps() -> None:
    with pytest.raises(ImagesRejected) as caught:
        fit_image(_picture([[1, 2, 3]]), (28, 32, 1), "exact", "cats/a.png")
    assert caught.value.what == "An image has another size than the model takes."
    assert caught.value.received == "cats/a.png is 3×1"
    assert caught.value.expected == "32×28 pixels (width × height)"
    assert "--resize" in str(caught.value.next_step)


def test_images_of_another_size_are_counted_and_the_first_are_named() -> None:
    sizes = [("right.png", 8, 8), *((f"{number}.png", 9, 8) for number in range(5))]
    with pytest.raises(ImagesRejected) as caught:
        require_fit(sizes, (8, 8, 3), "exact")
    assert caught.value.what == "5 of 6 images have another size than the model takes."
    assert caught.value.received == "0.png is 9×8; 1.png is 9×8; 2.png is 9×8; and 2 more"


def test_one_image_of_another_size_among_good_ones_is_named() -> None:
    with pytest.raises(ImagesRejected) as caught:
        require_fit([("a.png", 8, 8), ("b.png", 8, 9)], (8, 8, 3), "exact")
    assert caught.value.what == "1 of 2 images has another size than the model takes."
    assert caught.value.received == "b.png is 8×9"


def test_any_size_fits_where_images_are_resized() -> None:
    require_fit([("a.png", 1, 1), ("b.png", 999, 3)], (8, 8, 3), "crop-bicubic")


def test_a_model_of_two_channels_is_refused() -> None:
    with pytest.raises(ImagesRejected) as caught:
        require_fit([], (8, 8, 2), "crop-bicubic")
    assert caught.value.received == "a model of 2 channels"
    assert "1 channel" in str(caught.value.expected)


def test_three_parts_are_all_shown() -> None:
    assert first_of(["a", "b", "c"]) == "a; b; c"
