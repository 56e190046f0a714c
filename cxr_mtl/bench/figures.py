"""How the cost grows, drawn: an epoch by studies, a step by unfrozen blocks, a search by trials."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from cxr_mtl.bench.costs import PLAIN, SINGLE_QUERY
from cxr_mtl.bench.timing import Timing
from cxr_mtl.figures.common import MODEL_COLOURS, shown_once

PATH_COLOURS = {PLAIN: "0.4", SINGLE_QUERY: MODEL_COLOURS[0]}
_TRIALS = (1, 2, 5, 10)


@shown_once
def growth_figure(
    epochs: Mapping[int, Timing],
    plain_epochs: Mapping[int, float],
    steps: Mapping[str, Mapping[int, Timing]],
    search: pd.DataFrame,
) -> Figure:
    """Three panels on logarithmic scales: measured are points with bars, computed dashed lines.

    Args:
        epochs: measured epochs of the fast path by training studies, as `epoch_timings`.
        plain_epochs: computed seconds of an epoch by plain open_clip, by training studies.
        steps: measured steps by path and unfrozen blocks, as `block_timings`.
        search: computed seconds by trials and path, as `search_seconds`.
    """
    figure, (by_studies, by_blocks, by_trials) = plt.subplots(
        1, 3, figsize=(9.2, 3.8), layout="constrained"
    )
    _measured(by_studies, epochs, SINGLE_QUERY)
    _computed(by_studies, pd.Series(plain_epochs), PLAIN)
    for path, timings in steps.items():
        _measured(by_blocks, timings, path)
        _computed(by_trials, search[path] / 60, path)
    by_blocks.plot([], [], "--", color="black", label="computed, not measured")
    by_studies.set(title="An epoch", xlabel="training studies", ylabel="seconds")
    by_blocks.set(title="A step", xlabel="unfrozen blocks", ylabel="seconds")
    by_trials.set(title="Frozen prefix and search", xlabel="trials", ylabel="minutes")
    by_blocks.set_xticks(list(steps[PLAIN]))
    _log_ticks(by_studies, list(epochs))
    last = search.index[-1]
    _log_ticks(by_trials, [*(trials for trials in _TRIALS if trials < last), last])
    for axis in figure.axes:
        axis.set_yscale("log")
        axis.yaxis.set_major_formatter("{x:g}")
        axis.yaxis.set_minor_formatter(NullFormatter())
    figure.legend(*by_blocks.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


def _measured(axis: Axes, timings: Mapping[int, Timing], path: str) -> None:
    """Medians as points, their bars from the fastest to the slowest repeat."""
    medians = [timing.median for timing in timings.values()]
    bars = [
        [timing.median - timing.low for timing in timings.values()],
        [timing.high - timing.median for timing in timings.values()],
    ]
    axis.errorbar(
        list(timings), medians, bars, fmt="o-", capsize=3, color=PATH_COLOURS[path], label=path
    )


def _computed(axis: Axes, values: pd.Series, path: str) -> None:
    axis.plot(values.index, values, "--", color=PATH_COLOURS[path])


def _log_ticks(axis: Axes, ticks: Sequence[int]) -> None:
    axis.set_xscale("log")
    axis.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
    axis.minorticks_off()
