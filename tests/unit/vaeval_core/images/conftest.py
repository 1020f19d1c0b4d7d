"""Image files to test on, made as they are needed."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

SaveImage = Callable[..., Path]


@pytest.fixture
def save_image(tmp_path: Path) -> SaveImage:
    """Write an image below `photos/`: save_image("a.png", level=10, size=(8, 8), mode="RGB").

    The modification time is in the past, as that of files which were not written this second.
    """

    def save(path: str, *, level: int = 0, size: tuple[int, int] = (8, 8), mode: str = "RGB") -> Path:
        file = tmp_path / "photos" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        width, height = size
        pixels = np.full((height, width), level, np.uint8)
        pixels[0, :] = 255  # a row that differs: a picture on its head would be noticed
        picture = Image.fromarray(pixels).convert(mode)
        picture.save(file, quality=95) if file.suffix.lower() in {".jpg", ".jpeg"} else picture.save(file)
        os.utime(file, ns=(10**18, 10**18))
        return file

    return save


@pytest.fixture
def photos(save_image: SaveImage) -> Path:
    """A folder of five grey PNGs of 8×8; the level of image k is 10 k."""
    for number in range(5):
        save_image(f"{number}.png", level=10 * number, mode="L")
    return save_image("0.png", level=0, mode="L").parent
