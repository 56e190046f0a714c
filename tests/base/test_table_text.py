"""Tables as Markdown and as HTML read back as they were given."""

from lxml import html
from markdown_it import MarkdownIt

from cxr_mtl.base.table_text import NUMBER, TEXT, html_page, html_row, html_table, markdown_table


def test_a_table_is_read_back_as_it_was_given():
    lines = markdown_table(["", "value"], [("a|b", "1"), ("two\nlines", "2")], "lr")
    tokens = MarkdownIt("commonmark").enable("table").parse("\n".join(lines))
    texts = ["".join(child.content for child in t.children) for t in tokens if t.type == "inline"]
    assert texts == ["", "value", "a|b", "1", "two lines", "2"]
    styles = [token.attrGet("style") for token in tokens if token.type == "td_open"]
    assert styles == ["text-align:left", "text-align:right"] * 2


def test_columns_stand_to_the_left_unless_said_otherwise():
    assert markdown_table(["a", "b"], []) == ["| a | b |", "| :-- | :-- |"]


def test_a_page_holds_its_table_and_names_no_other_file():
    rows = [html_row([("a", TEXT), ("1.5", NUMBER)]), html_row([("b", TEXT), ("2", NUMBER)], True)]
    page = html.fromstring(html_page("A title", html_table({"name": TEXT, "value": NUMBER}, rows)))
    assert page.xpath("//title/text()") == page.xpath("//h1/text()") == ["A title"]
    assert page.xpath("//th[@scope='col']/text()") == ["name", "value"]
    assert page.xpath("//tr[@class='moved']/td/text()") == ["b", "2"]
    assert page.xpath("//td[@class='number']/text()") == ["1.5", "2"]
    assert page.xpath("//script | //link | //img") == []


def test_text_is_escaped_in_titles_heads_and_cells():
    page = html_page("<t>", html_table({"<h>": TEXT}, [html_row([("<c> & {x}", TEXT)])]))
    read = html.fromstring(page)
    assert read.xpath("//h1/text()") == ["<t>"]
    assert read.xpath("//th/text()") == ["<h>"]
    assert read.xpath("//td/text()") == ["<c> & {x}"]
