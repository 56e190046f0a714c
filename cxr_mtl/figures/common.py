"""The book's figures, in one style: colour-blind safe, one colour per label and per model."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from typing import Any, TypeVar

import matplotlib.pyplot as plt
import numpy as np
import optuna
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter
from optuna.importance import get_param_importances

from cxr_mtl.data.images import read_image
from cxr_mtl.evidence.result_display import half_up, readable
from cxr_mtl.figures.texts import drawable
from cxr_mtl.retrieval.tsne_maps import EmbeddingMap
from cxr_mtl.training.losses import LOSS_TERMS, PAPER_WEIGHTS, LossWeights
from cxr_mtl.training.weight_search import RANGES

_COLOURS = sns.color_palette("colorblind").as_hex()
LABEL_NAMES = {0: "normal", 1: "abnormal"}
"""The labels in words."""
LABEL_COLOURS = {"normal": _COLOURS[0], "abnormal": _COLOURS[1]}
MODEL_COLOURS = [_COLOURS[2], _COLOURS[4], _COLOURS[5]]
LOSS_COLOURS = {"total": "black"} | {name: term.colour for name, term in LOSS_TERMS.items()}
LOSS_WORDS = {"total": "weighted sum"} | {name: term.title for name, term in LOSS_TERMS.items()}


Plot = TypeVar("Plot", bound=Callable[..., Figure])


def shown_once(plot: Plot) -> Plot:
    """Close the figure that `plot` returns: a notebook then shows the return value alone.

    No text in it is read as mathematics, so a logarithmic axis needs a formatter without.
    """

    @wraps(plot)
    def closed(*arguments: Any, **options: Any) -> Figure:
        with plt.rc_context({"text.parse_math": False}):
            figure = plot(*arguments, **options)
        plt.close(figure)
        return figure

    return closed


def use_theme() -> None:
    """Set the seaborn theme that all figures of the book share.

    A character that no font has is drawn as a box, without a warning. Tables of a notebook are not
    read as mathematics.
    """
    pd.set_option("display.html.use_mathjax", False)
    warnings.filterwarnings("ignore", r"Glyph \d+ .*missing from font")
    sns.set_theme(context="notebook", style="whitegrid", palette="colorblind")
    plt.rcParams.update({"figure.dpi": 110, "savefig.bbox": "tight", "axes.titlesize": "medium"})


@shown_once
def contact_sheet(
    paths: Sequence[str], captions: Sequence[str], columns: int, width: float = 1.75
) -> Figure:
    """Images in a grid, `width` inches wide, each with its caption below, cut where it is long."""
    captions = [drawable(caption, lines=8, width=36) for caption in captions]
    rows = -(-len(paths) // columns)
    lines = max(caption.count("\n") for caption in captions) + 1
    below = 0.17 * lines + 0.25
    figure, axes = plt.subplots(
        rows,
        columns,
        figsize=(width * columns, (width + below) * rows),
        gridspec_kw={"wspace": 0.08, "hspace": below / width, "left": 0, "right": 1},
    )
    for axis in np.ravel(axes):
        axis.axis("off")
    for axis, path, caption in zip(np.ravel(axes), paths, captions, strict=False):
        axis.imshow(read_image(path).convert("L"), cmap="gray", vmin=0, vmax=255)
        axis.text(0.5, -0.03, caption, ha="center", va="top", size=9, transform=axis.transAxes)
    return figure


@shown_once
def training_curves(steps: pd.DataFrame, epochs: pd.DataFrame) -> Figure:
    """Losses and learning rates of every step, and validation retrieval of every epoch."""
    figure, (losses, rates, retrieval) = plt.subplots(1, 3, figsize=(9.2, 4), layout="constrained")
    below = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.2), "fontsize": "small"}
    for name, colour in LOSS_COLOURS.items():
        losses.plot(steps["step"], steps[name], color=colour, alpha=0.25, linewidth=0.8)
        smooth = steps[name].rolling(15, min_periods=1, center=True).mean()
        losses.plot(steps["step"], smooth, color=colour, label=LOSS_WORDS[name])
    losses.set(xlabel="step", ylabel="loss", title="Training losses")
    losses.legend(**below)
    rates.plot(steps["step"], steps["learning_rate"], label="last layer")
    head = {"linestyle": "--", "label": "fusion head"}  # dashed: the two may coincide
    rates.plot(steps["step"], steps["head_learning_rate"], **head)
    rates.set(xlabel="step", ylabel="learning rate", yscale="log", title="Learning rates")
    rates.yaxis.set_major_formatter("{x:g}")
    rates.yaxis.set_minor_formatter(NullFormatter())
    rates.legend(**below)
    for name, label in (
        ("mrr_image_to_text", "image → report"),
        ("mrr_text_to_image", "report → image"),
    ):
        retrieval.plot(epochs["epoch"], epochs[name], marker="o", markersize=3, label=label)
    retrieval.set(xlabel="epoch", ylabel="MRR", title="Validation, strict")
    retrieval.legend(**below)
    return figure


@shown_once
def search_history(study: optuna.Study) -> Figure:
    """Objective of every trial, the best so far, and how much each weight mattered."""
    trials = _trials(study)
    figure, (history, importance) = plt.subplots(1, 2, figsize=(8.8, 3.4), layout="constrained")
    history.scatter(trials["number"], trials["value"], label="trial")
    best = trials["value"].cummax()
    history.step(trials["number"], best, where="post", color="black", label="best so far")
    history.set(xlabel="trial", ylabel="validation MRR", title="Search history")
    history.xaxis.get_major_locator().set_params(integer=True)
    history.legend(loc="lower right")
    shares = _importances(study)
    importance.barh([str(LOSS_TERMS[n]) for n in shares], list(shares.values()), color="0.45")
    if not shares:
        importance.text(0.5, 0.5, "undefined: the trials\ndo not differ", ha="center", va="center")
        importance.set_yticks([])
    importance.invert_yaxis()
    importance.set(xlim=(0, 1), xlabel="share of variance", title="Importance (fANOVA)")
    return figure


def _importances(study: optuna.Study) -> dict[str, float]:
    """The share of the objective's variance by weight; nothing where there is no variance."""
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
    try:
        return get_param_importances(study, evaluator=evaluator)
    # Of its trees, when no two trials in them came to different values.
    except RuntimeError as error:
        if "zero total variance" not in str(error):
            raise
        return {}


@shown_once
def search_slices(study: optuna.Study) -> Figure:
    """Objective against each weight; dashed: the paper's weight."""
    trials = _trials(study)
    whole = {"clip_on": False, "zorder": 3}  # a weight at an end of its range lies on the frame
    figure, axes = plt.subplots(
        1, len(RANGES), figsize=(9.2, 3.4), sharey=True, layout="constrained"
    )
    for axis, (name, ends) in zip(axes, RANGES.items(), strict=True):
        points = axis.scatter(
            trials[name], trials["value"], c=trials["number"], cmap="viridis", **whole
        )
        axis.axvline(getattr(PAPER_WEIGHTS, name), color="black", linestyle="--", label="paper")
        best = trials.loc[trials["value"].idxmax()]
        axis.scatter(
            best[name], best["value"], marker="*", s=220, color=_COLOURS[3], label="best", **whole
        )
        axis.set(xlim=ends, xlabel=str(LOSS_TERMS[name]))
    axes[0].set(ylabel="validation MRR")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    figure.colorbar(points, ax=axes, label="trial")
    return figure


@shown_once
def search_parallel_coordinates(study: optuna.Study, best: LossWeights) -> Figure:
    """Every trial as a line over the weights; dashed: the paper's weights."""
    trials = _trials(study)
    figure, axis = plt.subplots(figsize=(8.4, 4), layout="constrained")
    colours = plt.get_cmap("viridis")
    low, high = trials["value"].min(), trials["value"].max()
    for trial in trials.sort_values("value").itertuples():
        share = (trial.value - low) / (high - low) if high > low else 1.0
        axis.plot(_scaled(trial), color=colours(share), alpha=0.75)
    axis.plot(_scaled(best), color=_COLOURS[3], linewidth=3, label="best")
    axis.plot(_scaled(PAPER_WEIGHTS), color="black", linestyle="--", linewidth=2, label="paper")
    labels = [f"{LOSS_TERMS[n]}\n{low:g} to {high:g}" for n, (low, high) in RANGES.items()]
    axis.set_xticks(range(len(RANGES)), labels)
    axis.set(ylim=(-0.02, 1.02), ylabel="place in the range")
    axis.legend()
    scale = plt.cm.ScalarMappable(plt.Normalize(low, high), colours)
    figure.colorbar(scale, ax=axis, label="validation MRR")
    return figure


@shown_once
def embedding_maps(maps: Mapping[str, EmbeddingMap], labels: np.ndarray) -> Figure:
    """One t-SNE panel per model, coloured by label, its two measures below."""
    figure, axes = plt.subplots(
        1, len(maps), figsize=(3 * len(maps), 3.8), layout="constrained", squeeze=False
    )
    for axis, (name, found) in zip(axes[0], maps.items(), strict=True):
        for label, label_name in LABEL_NAMES.items():
            x, y = found.coordinates[labels == label].T
            axis.scatter(x, y, s=9, alpha=0.8, color=LABEL_COLOURS[label_name], label=label_name)
        axis.set(xticks=[], yticks=[], title=drawable(readable(name)))
        axis.set_xlabel(
            f"label accuracy {half_up(found.label_accuracy):.3f}\n"
            f"trustworthiness {half_up(found.trustworthiness):.3f}",
            fontsize="small",
        )
    axes[0, 0].legend(loc="best")
    return figure


def _trials(study: optuna.Study) -> pd.DataFrame:
    """The complete trials, numbered from 1."""
    complete = study.get_trials(states=(optuna.trial.TrialState.COMPLETE,), deepcopy=False)
    rows = [{"number": t.number + 1, "value": t.value, **t.params} for t in complete]
    return pd.DataFrame(rows)


def _scaled(weights: LossWeights) -> list[float]:
    """Place of each weight in its range, from 0 to 1."""
    return [(getattr(weights, name) - low) / (high - low) for name, (low, high) in RANGES.items()]
