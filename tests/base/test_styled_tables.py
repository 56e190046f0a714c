"""What stands in a table is text wherever it stands, and no table of the project escapes less."""

import ast
import re
from pathlib import Path

import jupytext
import pandas as pd
import pytest
from lxml import html

from cxr_mtl.base.styled_tables import styled

ROOT = Path(__file__).parents[2]
HOSTILE = [
    "<script>x()</script>",
    "<svg onload=x()>",
    '"><img src=x onerror=x()>',
    "<a href='javascript:x()'>a</a>",
    "&lt;b&gt;",
    r"$\alpha$ \(x\)",
    "{0} {num} %s",
    "a\n<b>b</b>",
]


def texts(styler):
    """The cells of a rendered table, in which there is no element but those of a table."""
    tree = html.fragment_fromstring(styler.to_html(), create_parent="div")
    assert {node.tag for node in tree.iter()} <= {
        "div",
        "style",
        "table",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
    }
    assert "mathjax_ignore" in tree.find("table").get("class")
    return [cell.text_content() for cell in tree.iter("th", "td")]


@pytest.mark.parametrize("text", HOSTILE)
def test_text_is_text_in_cells_labels_and_names(text):
    frame = pd.DataFrame(
        {text: [text, None], ("other"): [[text], 1.5]}, index=pd.Index([text, "y"], name=text)
    ).rename_axis(columns=f"n{text}")
    shown = texts(styled(frame))
    assert shown.count(text) == 4
    assert f"n{text}" in shown
    assert str([text]) in shown


@pytest.mark.parametrize("text", HOSTILE)
def test_text_is_text_in_headings_of_several_levels(text):
    index = pd.MultiIndex.from_tuples([(text, 1), (text, (2, text))], names=[text, "b"])
    columns = pd.MultiIndex.from_tuples([(text, text)])
    frame = pd.DataFrame([[1.0], [2.0]], index=index, columns=columns)
    shown = texts(styled(frame))
    assert shown.count(text) == 4
    assert str((2, text)) in shown


@pytest.mark.parametrize(
    "change",
    [
        lambda styler: styler.format(thousands=","),
        lambda styler: styler.format(na_rep=""),
        lambda styler: styler.format({"n": "{:.3f}"}, na_rep="–"),
        lambda styler: styler.format("{}", subset=["t"]),
        lambda styler: styler.format(str).hide(),
        lambda styler: styler.hide(),
        lambda styler: styler.set_table_attributes('style="margin: 0"').format(precision=2),
    ],
)
def test_no_later_format_undoes_it(change):
    frame = pd.DataFrame({"t": HOSTILE, "n": range(len(HOSTILE))})
    shown = texts(change(styled(frame)))
    assert set(HOSTILE) <= set(shown)


def test_numbers_and_gaps_are_shown_as_pandas_shows_them():
    frame = pd.DataFrame({"a": [1, 2000], "b": [0.5, None], "c": [True, False]})
    assert texts(styled(frame)) == texts(frame.style.set_table_attributes('class="mathjax_ignore"'))
    assert texts(styled(pd.Series([pd.NA, None, pd.NaT], dtype=object)))[-5::2] == ["nan"] * 3
    assert texts(styled(frame["b"]).format("{:.1%}", na_rep="–"))[-3:] == ["50.0%", "1", "–"]


def test_cells_of_html_stay_and_their_headings_are_text():
    frame = pd.DataFrame({"<i>": ["<b>1</b>"]})
    page = styled(frame, html_cells=True).to_html()
    assert "<b>1</b>" in page
    assert "&lt;i&gt;" in page


def sources():
    """All code of the library, the chapters and their exercises."""
    for path in sorted((ROOT / "cxr_mtl").rglob("*.py")):
        yield pytest.param(path.read_text(), id=str(path.relative_to(ROOT)))
    for path in sorted((ROOT / "book").rglob("[0-9][0-9]_*.py")):
        cells = jupytext.read(path, fmt="py:percent").cells
        code = "\n".join(cell.source for cell in cells if cell.cell_type == "code")
        yield pytest.param(code, id=str(path.relative_to(ROOT)))


@pytest.mark.parametrize("code", sources())
def test_no_other_styler_is_made_and_no_table_is_written_unescaped(code):
    found = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Attribute)]
    names = {node.attr for node in found}
    assert names.isdisjoint({"style", "set_caption", "set_tooltips", "from_custom_template"})
    assert not re.search(r"escape\s*=\s*(None|False)", code)
