"""Figures of the lessons: heat maps with the positives outlined, and pairs on the unit circle."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke
from numpy.typing import ArrayLike

from cxr_mtl.figures.common import LABEL_COLOURS, LABEL_NAMES, shown_once
from cxr_mtl.figures.texts import drawable
from cxr_mtl.training.toy_batch import ToyBatch

_CELL_INCHES = 0.52
_NEIGHBOUR_DEGREES = 14
_IMAGE = {"marker": "o", "markersize": 8, "linestyle": ""}
_REPORT = {
    "marker": "s",
    "markersize": 13,
    "linestyle": "",
    "markerfacecolor": "none",
    "markeredgewidth": 1.8,
}


@shown_once
def heat_maps(
    panels: Mapping[str, tuple[ArrayLike, ArrayLike]],
    rows: Sequence[str],
    columns: Sequence[str],
    span: tuple[float, float],
) -> Figure:
    """Matrices of one shape side by side by their titles, every cell with its number.

    A panel is a matrix [rows, columns], NaN where a cell stays blank, and a boolean one of the same
    shape that says which cells are outlined. `span` holds the values at the ends of the colours.
    """
    rows, columns = ([drawable(name) for name in names] for names in (rows, columns))
    longest = max(map(len, columns))
    upright = longest <= 6
    beside = 0.09 * max(map(len, rows)) + 0.15 * len(panels) + 1.0  # row names, gaps, scale
    below = 0.3 if upright else 0.09 * longest
    width = _CELL_INCHES * len(columns) * len(panels) + beside
    height = _CELL_INCHES * len(rows) + below + 0.4
    figure, axes = plt.subplots(
        1,
        len(panels),
        figsize=(width, height),
        sharey=True,
        squeeze=False,
        layout="constrained",
    )
    for axis, (title, (values, outlined)) in zip(axes[0], panels.items(), strict=True):
        sns.heatmap(
            np.asarray(values, dtype=float),
            annot=True,
            fmt=".2f",
            annot_kws={"size": 9},
            cmap="viridis",
            vmin=span[0],
            vmax=span[1],
            square=True,
            cbar=False,
            xticklabels=columns,
            yticklabels=rows,
            ax=axis,
        )
        _outline(axis, np.asarray(outlined, dtype=bool))
        axis.set_title(drawable(title, lines=2))
        axis.grid(False)
        axis.tick_params(axis="x", rotation=0 if upright else 90)
        axis.tick_params(axis="y", rotation=0)
    figure.colorbar(axes[0, 0].collections[0], ax=axes[0], shrink=0.8)
    return figure


def _outline(axis: Axes, cells: np.ndarray) -> None:
    """Frame the cells in black with a white rim, to be seen on dark and on light colours."""
    rim = [withStroke(linewidth=4.5, foreground="white")]
    for row, column in np.argwhere(cells):
        frame = Rectangle((column + 0.06, row + 0.06), 0.88, 0.88, fill=False)
        frame.set(edgecolor="black", linewidth=2, path_effects=rim)
        axis.add_patch(frame)


@shown_once
def pairs_on_circle(panels: Mapping[str, ToyBatch]) -> Figure:
    """Every pair of each batch on a unit circle: image and report joined, coloured by label.

    At most three panels stand in a row, four as two by two.
    The name of a pair stands outside, by its image; images that lie close together share a place.
    """
    panels = {drawable(title, lines=2): batch for title, batch in panels.items()}
    columns = 2 if len(panels) == 4 else min(len(panels), 3)
    rows = -(-len(panels) // columns)
    title_lines = max(title.count("\n") + 1 for title in panels)
    figure, axes = plt.subplots(
        rows,
        columns,
        figsize=(3.1 * columns, (2.4 + 0.25 * title_lines) * rows + 0.4),
        squeeze=False,
        layout="constrained",
    )
    for axis in axes.flat[len(panels) :]:
        axis.remove()
    for axis, (title, batch) in zip(axes.flat, panels.items(), strict=False):
        axis.add_patch(plt.Circle((0, 0), 1, fill=False, color="0.8"))
        for image, report, label in zip(
            batch.images, batch.reports, batch.labels.tolist(), strict=True
        ):
            colour = LABEL_COLOURS[LABEL_NAMES[label]]
            axis.plot(*np.stack([image, report], axis=1), color=colour, linewidth=1.5)
            axis.plot(*image, color=colour, **_IMAGE)
            axis.plot(*report, color=colour, **_REPORT)
        for text, place in _names_outside(batch):
            side = "center" if abs(place[0]) < 0.4 else "left" if place[0] > 0 else "right"
            axis.text(*place, text, ha=side, va="center", size=11)
        axis.set(xlim=(-1.6, 1.6), ylim=(-1.3, 1.3), aspect="equal", title=title)
        axis.axis("off")
    figure.legend(handles=_legend(), loc="outside lower center", ncols=4, frameon=False)
    return figure


def _names_outside(batch: ToyBatch) -> list[tuple[str, np.ndarray]]:
    """The names of neighbouring images together, in their order around the circle, and a place."""
    points = batch.images.numpy()
    angles = np.degrees(np.arctan2(points[:, 1], points[:, 0])) % 360
    order = np.argsort(angles)
    gaps = np.diff(angles[order], prepend=angles[order[-1]] - 360)
    order, gaps = (np.roll(x, -np.argmax(gaps)) for x in (order, gaps))
    groups = np.split(order, np.flatnonzero(gaps[1:] > _NEIGHBOUR_DEGREES) + 1)
    middles = [points[group].mean(axis=0) for group in groups]
    return [
        (drawable(" ".join(batch.names[i] for i in group)), 1.23 * middle / np.linalg.norm(middle))
        for group, middle in zip(groups, middles, strict=True)
    ]


def _legend() -> list[Line2D]:
    kinds = [
        Line2D([], [], color="0.3", label="image", **_IMAGE),
        Line2D([], [], color="0.3", label="its report", **(_REPORT | {"markersize": 10})),
    ]
    return kinds + [
        Line2D([], [], color=colour, linewidth=4, label=name)
        for name, colour in LABEL_COLOURS.items()
    ]
