"""The paper that pictures are laid out on: a figure addressed in whole dots, so that each pixel is a square of one size.

No global state of matplotlib is touched: sheets can be made in threads and notebooks alike.
"""

from __future__ import annotations

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from vaeval_core.types import Uint8

INK, QUIET, LINE = "#1a1a1a", "#737373", "#e2e2e2"
PAPER = (255, 255, 255)
GAP_COLOUR = (222, 222, 222)  # seen between black images as well as between white ones

_DPI = 128  # a power of two: any whole number of dots is an exact number of inches


class Sheet:
    """A figure addressed in dots from its top left corner.

    Args:
        width: Dots.
        height: Dots.

    Attributes:
        figure: With an Agg canvas; `savefig` as it is keeps each dot.
    """

    def __init__(self, width: int, height: int) -> None:
        self._width, self._height = width, height
        self.figure = Figure(figsize=(width / _DPI, height / _DPI), dpi=_DPI, facecolor="white")
        FigureCanvasAgg(self.figure)  # becomes the figure's canvas

    def place(self, picture: Uint8, left: int, top: int) -> None:
        """Draw a picture (h, w, 3) dot by dot."""
        height, width = picture.shape[:2]
        bottom = self._height - top - height
        box = (left / self._width, bottom / self._height, width / self._width, height / self._height)
        axes = self.figure.add_axes(box)
        axes.set_axis_off()
        axes.imshow(picture, interpolation="nearest", aspect="auto", resample=False)

    def rule(self, top: float, left: float, right: float) -> None:
        """Draw a thin horizontal line."""
        x, y = (left / self._width, right / self._width), 1 - top / self._height
        self.figure.add_artist(Line2D(x, (y, y), color=LINE, linewidth=0.6, transform=self.figure.transFigure))

    def write(
        self,
        left: float,
        top: float,
        text: str,
        *,
        colour: str,
        size: float = 8.5,
        weight: str = "normal",
        style: str = "normal",
        align: str = "left",
        vertical: str = "top",
        room: float | None = None,
    ) -> None:
        """Write a text at a place; cut it in the middle if it takes more dots than there is `room`."""
        written = self.figure.text(
            left / self._width,
            1 - top / self._height,
            text,
            color=colour,
            fontsize=size,
            fontweight=weight,
            fontstyle=style,
            ha=align,
            va=vertical,
            parse_math=False,  # a dollar sign in a path is a dollar sign
        )
        while room is not None and written.get_window_extent().width > room:
            shown = written.get_text()
            middle = len(shown) // 2
            written.set_text(f"{shown[: middle - 2].rstrip('…')}…{shown[middle + 2 :].lstrip('…')}")
