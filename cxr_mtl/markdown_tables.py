"""Tables written as Markdown."""

from collections.abc import Iterable, Sequence


def markdown_table(
    heads: Sequence[str], rows: Iterable[Sequence[str]], align: str = ""
) -> list[str]:
    """The lines of a Markdown table; a cell may hold Markdown itself.

    Args:
        align: `l` or `r` per column; all to the left when empty.
    """
    rules = [":--" if side == "l" else "--:" for side in align or "l" * len(heads)]
    return [_line(heads), _line(rules), *(_line(map(table_cell, row)) for row in rows)]


def table_cell(text: str) -> str:
    """Text as a cell of a Markdown table."""
    return text.replace("|", "\\|").replace("\n", " ")


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
