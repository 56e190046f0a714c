"""Tables as notebooks show them: what stands in cells and headings is text, never markup."""

import math
from numbers import Number
from typing import Any

import pandas as pd
from pandas.io.formats.style import Styler


def styled(table: pd.DataFrame | pd.Series, *, html_cells: bool = False) -> Styler:
    """A styler that shows cells, labels and names as text; pandas' own `style` does not.

    Nothing in it is read as mathematics.

    Args:
        html_cells: the cells, but not the headings, hold HTML in which foreign text is escaped.
    """
    frame = table.to_frame() if isinstance(table, pd.Series) else table
    shown = (frame if html_cells else frame.map(_plain)).rename(index=_plain, columns=_plain)
    return _HtmlStyler(shown) if html_cells else _TextStyler(shown)


class _TextStyler(Styler):
    cells: str | None = "html"

    def __init__(self, data: pd.DataFrame) -> None:
        super().__init__(data)
        for axis in (0, 1):
            self.format_index(escape="html", axis=axis)
            self.format_index_names(escape="html", axis=axis)

    def format(self, *arguments: Any, **options: Any) -> Styler:
        """As pandas', which forgets at every call that text is escaped."""
        return super().format(*arguments, **{**options, "escape": self.cells})

    def to_html(self, *arguments: Any, **options: Any) -> str | None:
        """As pandas', with the class by which MathJax leaves a table alone."""
        with pd.option_context("styler.html.mathjax", False):
            return super().to_html(*arguments, **options)


class _HtmlStyler(_TextStyler):
    cells = None


def _plain(value: Any) -> Any:
    """Pandas escapes what is a `str`: any other object becomes one, numbers and gaps stay."""
    if pd.isna(value) is True:
        return math.nan  # pd.NA would be written as an element, <NA>
    return value if isinstance(value, str | Number) else str(value)
