"""Figures of the chapters on language models."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import seaborn as sns
from matplotlib.figure import Figure
from torch import Tensor

from cxr_mtl.figures.common import shown_once


@shown_once
def reach_figure(reaches: Mapping[str, Tensor], tokens: Sequence[str]) -> Figure:
    """Which state each token moves, a panel a model: `reach` as [n changed, n moved] each."""
    figure, axes = plt.subplots(1, len(reaches), figsize=(4.2 * len(reaches), 4), squeeze=False)
    for axis, (name, found) in zip(axes[0], reaches.items(), strict=True):
        shares = (found / found.max()).numpy()
        sns.heatmap(
            shares,
            ax=axis,
            cmap="viridis",
            square=True,
            cbar=False,
            vmin=0,
            vmax=1,
            xticklabels=tokens,
            yticklabels=tokens,
        )
        axis.set(title=name, xlabel="the state of this token moves", ylabel="when this one changes")
    figure.tight_layout()
    return figure
