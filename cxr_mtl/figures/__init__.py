"""Figures of the chapters, in one theme.

>>> import torch
>>> from cxr_mtl.figures import heat_maps, use_theme
>>> use_theme()
>>> figure = heat_maps({"": (torch.eye(2), torch.eye(2, dtype=torch.bool))}, "ab", "AB", (0, 1))
>>> figure.axes[0].get_xticklabels()[1].get_text()
'B'
"""

from cxr_mtl.figures.common import (
    LABEL_NAMES,
    contact_sheet,
    embedding_maps,
    training_curves,
    use_theme,
)
from cxr_mtl.figures.intervals import difference_plot, interval_plot
from cxr_mtl.figures.lessons import heat_maps, pairs_on_circle

__all__ = [
    "LABEL_NAMES",
    "contact_sheet",
    "difference_plot",
    "embedding_maps",
    "heat_maps",
    "interval_plot",
    "pairs_on_circle",
    "training_curves",
    "use_theme",
]
