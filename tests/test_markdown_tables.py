"""Tables as Markdown."""

from markdown_it import MarkdownIt

from cxr_mtl.markdown_tables import markdown_table


def test_a_table_is_read_back_as_it_was_given():
    lines = markdown_table(["", "value"], [("a|b", "1"), ("two\nlines", "2")], "lr")
    tokens = MarkdownIt("commonmark").enable("table").parse("\n".join(lines))
    texts = [token.content for token in tokens if token.type == "inline"]
    assert texts == ["", "value", "a|b", "1", "two lines", "2"]
    styles = [token.attrGet("style") for token in tokens if token.type == "td_open"]
    assert styles == ["text-align:left", "text-align:right"] * 2


def test_columns_stand_to_the_left_unless_said_otherwise():
    assert markdown_table(["a", "b"], []) == ["| a | b |", "| :-- | :-- |"]
