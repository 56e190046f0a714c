"""The front page's figure: what each protocol finds in the models, and in random vectors."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cxr_mtl.base.errors import InputError
from cxr_mtl.base.files import write_beside
from cxr_mtl.evidence.result_display import NOT_TRAINED, half_up, readable
from cxr_mtl.figures.common import MODEL_COLOURS, shown_once

Record = Mapping[str, Any]

QUESTION = {"metric": "recall", "k": 10, "relevance": "own_study"}
TITLES = {
    "fused": "The paper's protocol: half of the target is the query",
    "cross_modal": "Strict: images against reports only",
}
MARKERS = {"image_to_text": ("o", -0.14), "text_to_image": ("s", 0.14)}
CONTROL, CONTROL_COLOUR = "random", "0.35"


@shown_once
def answer_figure(records: Sequence[Record]) -> Figure:
    """Share of queries with their own study among the first ten, by protocol, model and direction.

    Takes the records of `protocol_evaluation`; draws the trained models and the random vectors,
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


def _asked(record: Record) -> bool:
    return all(record.get(key) == value for key, value in QUESTION.items())


def _panel(axis: Axes, records: Sequence[Record], title: str) -> None:
    names = list(dict.fromkeys(record["model"] for record in records))
    models = [*(name for name in names if name not in NOT_TRAINED), CONTROL]
    colours = dict(zip(models, [*MODEL_COLOURS[: len(models) - 1], CONTROL_COLOUR], strict=True))
    for record in records:
        if record["model"] in colours:
            _point(axis, record, models.index(record["model"]), colours[record["model"]])
        elif record["model"] == "chance":
            axis.axvline(record["value"], color="black", linestyle="--", linewidth=0.8)
    for direction, (marker, _) in MARKERS.items():
        words = readable(direction).split(" ")[0]
        axis.plot([], [], marker, color="0.35", label=f"{words} as query")
    axis.plot([], [], color="black", linestyle="--", linewidth=0.8, label="chance")
    axis.set_yticks(range(len(models)), [readable(model) for model in models])
    axis.set(title=title, ylim=(len(models) - 0.5, -0.5))
    axis.grid(axis="y", visible=False)


def _point(axis: Axes, record: Record, row: int, colour: str) -> None:
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
