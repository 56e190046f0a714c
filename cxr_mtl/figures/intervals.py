"""Figures of results with their intervals: by protocol, by variant, and the front page's answer."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cxr_mtl.base.errors import InputError
from cxr_mtl.base.files import write_beside
from cxr_mtl.evidence.result_display import NOT_TRAINED, SIGNIFICANT, half_up, readable
from cxr_mtl.figures.common import MODEL_COLOURS, shown_once
from cxr_mtl.figures.texts import drawable

Record = Mapping[str, Any]

GREY = "0.45"
QUESTION = {"metric": "recall", "k": 10, "relevance": "own_study"}
TITLES = {
    "fused": "The paper's protocol: half of the target is the query",
    "cross_modal": "Strict: images against reports only",
}
MARKERS = {"image_to_text": ("o", -0.14), "text_to_image": ("s", 0.14)}
CONTROL, CONTROL_COLOUR = "random", "0.35"


@shown_once
def interval_plot(records: Sequence[Record], panel: str, chance: float, title: str) -> Figure:
    """Values with their intervals, a row per model and a panel per value of the key `panel`.

    The first models get the models' colours, in order; the others, controls, are grey. A dashed
    line stands at `chance`.
    """
    panels = list(dict.fromkeys(record[panel] for record in records))
    models = list(dict.fromkeys(record["model"] for record in records))
    figure, axes = plt.subplots(
        1, len(panels), figsize=(3.2 * len(panels), 0.42 * len(models) + 1.1), sharey=True
    )
    for axis, name in zip(np.atleast_1d(axes), panels, strict=True):
        for record in records:
            if record[panel] == name:
                place = models.index(record["model"])
                colour = MODEL_COLOURS[place] if place < len(MODEL_COLOURS) else GREY
                _point(axis, record, place, colour)
        axis.axvline(chance, color="black", linestyle="--", linewidth=0.8)
        axis.set(title=drawable(readable(name)), xlabel=drawable(title))
        axis.margins(x=0.08)
        axis.set_yticks(range(len(models)), [drawable(readable(model)) for model in models])
        axis.grid(axis="y", visible=False)
    np.atleast_1d(axes)[0].invert_yaxis()
    figure.tight_layout()
    return figure


@shown_once
def difference_plot(records: Sequence[Record], band: float | None) -> Figure:
    """Differences from the baseline with their intervals, a row per variant, by group.

    Takes records with group, variant, value, low, high and, where tested, p; the `band` around 0 is
    grey. What has a p below 0.05 and lies outside the band is drawn in colour; without a band
    nothing is.
    """
    figure, axis = plt.subplots(figsize=(7.2, 0.3 * len(records) + 1.2))
    axis.axvspan(-(band or 0), band or 0, color="0.88", zorder=0)
    axis.axvline(0, color="black", linewidth=0.8)
    for place, record in enumerate(records):
        _point(axis, record, place, MODEL_COLOURS[0] if beyond(record, band) else GREY)
        if place and record["group"] != records[place - 1]["group"]:
            axis.axhline(place - 0.5, color="0.8", linewidth=0.8)
    axis.set_yticks(range(len(records)), [_variant(r) for r in records])
    axis.set(xlabel="difference in strict MRR from the baseline", ylim=(len(records) - 0.5, -0.5))
    axis.grid(axis="y", visible=False)
    figure.tight_layout()
    return figure


@shown_once
def interpolation_plot(records: Sequence[Record]) -> Figure:
    """Values with their intervals by `alpha`, the share of the fine-tuned weights."""
    alphas, values, lows, highs = (
        np.array([record[key] for record in records]) for key in ("alpha", "value", "low", "high")
    )
    figure, axis = plt.subplots(figsize=(5.2, 3.2))
    axis.fill_between(alphas, lows, highs, color=MODEL_COLOURS[0], alpha=0.2, linewidth=0)
    axis.plot(alphas, values, "o-", color=MODEL_COLOURS[0])
    axis.set(xlabel="α, share of the fine-tuned weights", ylabel="strict MRR", xticks=alphas)
    axis.set_ylim(bottom=0)
    figure.tight_layout()
    return figure


@shown_once
def answer_figure(records: Sequence[Record]) -> Figure:
    """Share of queries with their own study among the first ten, by protocol, model and direction.

    Takes the records of `evidence.by_protocol`; draws the trained models and the random vectors,
    with 95 % intervals, and chance as a dashed line.

    Raises:
        InputError: there is no such record of a protocol.
    """
    figure, axes = plt.subplots(2, 1, figsize=(6.2, 5.6), sharex=True, layout="constrained")
    for axis, (protocol, title) in zip(axes, TITLES.items(), strict=True):
        found = [r for r in records if r.get("protocol") == protocol and _asked(r)]
        if not found:
            raise InputError(f"there is no recall@10 of the protocol {protocol}: run chapter 08")
        _panel(axis, found, title)
    axes[1].set(
        xlim=(-0.02, 1.14), xlabel="share of queries that find their own study in the top ten"
    )
    axes[1].legend(loc="center right")
    return figure


def write_answer(path: Path, records: Sequence[Record]) -> None:
    """Write `answer_figure` as SVG, the same bytes for the same records."""
    with plt.rc_context({"svg.hashsalt": "cxr_mtl"}), write_beside(path) as beside:
        answer_figure(records).savefig(beside, format="svg", metadata={"Date": None})


def _variant(record: Record) -> str:
    group, variant = record["group"], record["variant"]
    return drawable(variant if group in variant else f"{group}: {variant}")


def beyond(record: Record, band: float | None) -> bool:
    """Whether a difference is significant and also outside the band of the seeds."""
    p = record.get("p")
    return band is not None and p is not None and p < SIGNIFICANT and abs(record["value"]) > band


def _point(axis: Axes, record: Record, place: int, colour: str) -> None:
    inside = "white" if colour == GREY else colour
    axis.plot(record["value"], place, "o", color=colour, markerfacecolor=inside, markersize=5)
    if record["low"] is not None:
        axis.plot([record["low"], record["high"]], [place, place], color=colour, linewidth=1.6)


def _asked(record: Record) -> bool:
    return all(record.get(key) == value for key, value in QUESTION.items())


def _panel(axis: Axes, records: Sequence[Record], title: str) -> None:
    names = list(dict.fromkeys(record["model"] for record in records))
    models = [*(name for name in names if name not in NOT_TRAINED), CONTROL]
    colours = dict(zip(models, [*MODEL_COLOURS[: len(models) - 1], CONTROL_COLOUR], strict=True))
    for record in records:
        if record["model"] in colours:
            _answer_point(axis, record, models.index(record["model"]), colours[record["model"]])
        elif record["model"] == "chance":
            axis.axvline(record["value"], color="black", linestyle="--", linewidth=0.8)
    for direction, (marker, _) in MARKERS.items():
        words = readable(direction).split(" ")[0]
        axis.plot([], [], marker, color="0.35", label=f"{words} as query")
    axis.plot([], [], color="black", linestyle="--", linewidth=0.8, label="chance")
    axis.set_yticks(range(len(models)), [drawable(readable(model)) for model in models])
    axis.set(title=title, ylim=(len(models) - 0.5, -0.5))
    axis.grid(axis="y", visible=False)


def _answer_point(axis: Axes, record: Record, row: int, colour: str) -> None:
    marker, offset = MARKERS[record["direction"]]
    place = row + offset
    axis.plot(record["value"], place, marker, color=colour, markersize=6)
    if record["low"] is not None:
        axis.plot([record["low"], record["high"]], [place, place], color=colour, linewidth=1.8)
    axis.annotate(
        f"{half_up(record['value']):.2f}",
        (max(record["value"], record["high"] or 0), place),
        xytext=(7, 0),
        textcoords="offset points",
        va="center",
        size=8.5,
        color="0.2",
    )
