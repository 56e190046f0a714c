"""Text in Markdown is read back as text by the book's own parser, in paragraphs, tables, code."""

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from lxml import html
from markdown_it.renderer import RendererHTML
from myst_parser.config.main import MdParserConfig
from myst_parser.parsers.mdit import create_md_parser

from cxr_mtl.base.markdown_text import Markdown, code_span, markdown_text
from cxr_mtl.base.table_text import markdown_table
from cxr_mtl.base.terminal import printable

SETTINGS = yaml.safe_load((Path(__file__).parents[2] / "_config.yml").read_text())
PARSER = create_md_parser(
    MdParserConfig(enable_extensions=set(SETTINGS["parse"]["myst_enable_extensions"])), RendererHTML
)
HOSTILE = [
    "a `b` ``c```",
    "`",
    "*a* **b** _c_ __d__ a_b_c a__ ~~e~~",
    "<img src=x onerror=x()>",
    "</td><script>x()</script>",
    "<https://example.org> https://example.org a@example.org",
    "[a](javascript:x()) ![b](https://example.org/x.png)",
    "[a]: https://example.org",
    "[^1]",
    "{num}`01_data?metric=x` {download}`x`",
    "{{ x }} {#a .b}",
    "$\\alpha$ $$x$$ \\(y\\) \\[z\\]",
    "\\begin{equation}x\\end{equation}",
    "cost $5 to $7",
    "&lt;b&gt; &amp; &#60;",
    "a|b\\|c\\\\|d",
    "1. one",
    "12) twelve",
    "- a",
    "+ a",
    "* a",
    "# a",
    "> a",
    "=====",
    "---",
    "+++",
    "% hidden",
    "(target)=",
    ":name: value",
    ": definition",
    "::: note",
    "```{raw} html",
    "    code",
    "\ta",
    "a  \nb\n\n# c\n```\n<b>\n```",
    "a\\",
    "\\",
    "| a | b |",
    "\x00 \x1b[31m \u202e \udcff",
    "",
]


def one_line(text):
    return " ".join(printable(text).split())


def rendered(markdown):
    return html.fragment_fromstring(PARSER.render(markdown), create_parent="div")


def tags(tree):
    return [node.tag for node in tree.iter()][1:]


any_text = st.one_of(st.text(), st.text("`|\\*_{}[]()<>$&~:#-+=%!.1 a\n", max_size=12))


def is_text(text):
    for before, after in (("", ""), ("Words ", " words"), ("In ", " italics")):
        mark = "*" if before == "In " else ""
        tree = rendered(f"{mark}{before}{markdown_text(text)}{after}{mark}")
        assert tree.text_content().strip() == f"{before}{one_line(text)}{after}".strip()
        assert set(tags(tree)) <= {"p", "em"}


def is_a_cell(text):
    lines = markdown_table([text, "b"], [(text, Markdown(f"*{markdown_text('x')}*"))])
    tree = rendered("\n".join(lines))
    assert tags(tree) == ["table", "thead", "tr", "th", "th", "tbody", "tr", "td", "td", "em"]
    assert [cell.text_content() for cell in tree.iter("th", "td")] == [
        one_line(text),
        "b",
        one_line(text),
        "x",
    ]


def is_code(text):
    in_cell = "\n".join(markdown_table(["a"], [(code_span(text),)]))
    for markdown in (code_span(text), f"x {code_span(text)} y", in_cell):
        (code,) = rendered(markdown).iter("code")
        assert code.text_content() == (one_line(text) or " ")
        assert len(code) == 0


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_text_in_paragraphs_tables_and_code(text):
    is_text(text)
    is_a_cell(text)
    is_code(text)


@given(any_text)
def test_any_text_is_text_in_paragraphs(text):
    is_text(text)


@given(any_text)
def test_any_text_is_text_in_tables(text):
    is_a_cell(text)


@given(any_text)
def test_any_text_is_text_in_code(text):
    is_code(text)


def test_plain_words_stay_as_they_are():
    text = "commit 0123456789ab, 2 cores (Intel Chip), 01_data.json: 3.5 %"
    assert markdown_text(text) == text
