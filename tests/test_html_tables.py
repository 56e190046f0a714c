"""Pages of tables: whole by themselves, and text is never markup."""

from lxml import html

from cxr_mtl.html_tables import NUMBER, TEXT, html_page, html_row, html_table


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
