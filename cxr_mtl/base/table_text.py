"""Tables as text: in Markdown, and on pages of HTML that need no other file."""

from collections.abc import Iterable, Mapping, Sequence
from html import escape

from cxr_mtl.base.markdown_text import as_markdown
from cxr_mtl.base.terminal import printable

TEXT, NUMBER = "text", "number"
"""Kinds of columns: numbers stand to the right."""

PAGE_START = "<!doctype html>\n<!-- written by cxr-mtl -->\n"
"""How every page begins, by which it is known again."""

_PAGE = """<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; --ink: #1c1c1c; --paper: #fff; --line: #d5d5d5;
  --moved: #b3261e; }}
@media (prefers-color-scheme: dark) {{
  :root {{ --ink: #e4e4e4; --paper: #161616; --line: #444; --moved: #ff8a80; }}
}}
body {{ color: var(--ink); background: var(--paper); font: 16px/1.5 system-ui, sans-serif;
  max-width: 90rem; margin: 2rem auto; padding: 0 1rem; }}
div {{ overflow-x: auto; }}
table {{ border-collapse: collapse; font-variant-numeric: tabular-nums; }}
th, td {{ border-bottom: 1px solid var(--line); padding: .2rem .8rem .2rem 0; text-align: left; }}
.number {{ text-align: right; }}
.moved {{ color: var(--moved); }}
</style>
</head>
<body>
<h1>{title}</h1>
{body}
</body>
</html>
"""


def markdown_table(
    heads: Sequence[str], rows: Iterable[Sequence[str]], align: str = ""
) -> list[str]:
    """The lines of a Markdown table; heads and cells are text, or `Markdown`.

    Args:
        align: `l` or `r` per column; all to the left when empty.
    """
    rules = [":--" if side == "l" else "--:" for side in align or "l" * len(heads)]
    head, *body = table_lines([heads, *rows])
    return [head, f"| {' | '.join(rules)} |", *body]


def table_lines(rows: Iterable[Sequence[str]]) -> list[str]:
    """Further lines of a Markdown table; cells are text, or `Markdown`."""
    return [f"| {' | '.join(map(_cell, row))} |" for row in rows]


def html_page(title: str, body: str) -> str:
    """A page around HTML; the title is text."""
    return PAGE_START + _PAGE.format(title=escape(title), body=body)


def html_table(heads: Mapping[str, str], rows: Iterable[str]) -> str:
    """A table of `html_row`s, wide ones scrolling in their own box.

    Args:
        heads: the columns' names, text, with `TEXT` or `NUMBER` each.
    """
    head = "".join(
        f'<th scope="col" class="{kind}">{escape(name)}</th>' for name, kind in heads.items()
    )
    body = "\n".join(rows)
    return (
        f"<div><table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table></div>"
    )


def html_row(cells: Iterable[tuple[str, str]], moved: bool = False) -> str:
    """A row of cells, each a text and its kind; `moved` gives it a colour."""
    inside = "".join(f'<td class="{kind}">{escape(printable(text))}</td>' for text, kind in cells)
    return f'<tr class="moved">{inside}</tr>' if moved else f"<tr>{inside}</tr>"


def _cell(text: str) -> str:
    # A table takes one backslash before each bar away, also in code.
    return as_markdown(text).replace("|", "\\|").replace("\n", " ")
