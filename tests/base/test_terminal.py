"""What is printed is text: byte for byte, on a terminal and into a pipe, in any encoding."""

import ast
import io
import re
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.table import Table

from cxr_mtl.base.terminal import PlainConsole, filled, one_line, printable

STEERS = {
    "a colour": "\x1b[31m",
    "a window's title": "\x1b]0;owned\x07",
    "a link": "\x1b]8;;https://example.org\x1b\\here\x1b]8;;\x1b\\",
    "C1": "\x9b31m",
    "backspace": "ab\x08\x08",
    "carriage return": "all is well\rfailed",
    "NUL": "\x00",
    "bidi override": "\u202egnp.exe",
    "bidi isolate": "\u2067x\u2069",
    "zero width": "a\u200bb\ufeff",
    "a tag": "a\U000e0041b",
    "a line of another kind": "a\u2028b\x85c",
    "a lone surrogate": "\udcff",
}
MARKUP = [
    "[red]x[/]",
    "[/]",
    "[link=https://example.org]x[/link]",
    "\\[bold]",
    ":smile:",
    "a[0] 'b' 1",
]


def steering(text):
    """The characters of a text that are not shown but do something or hide."""
    return [
        c
        for c in text
        if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp") and c not in "\n\t"
    ]


@pytest.mark.parametrize("text", STEERS.values(), ids=STEERS)
def test_what_steers_a_terminal_is_written_visibly(text):
    shown = printable(text)
    assert steering(shown) == []
    assert all(c.encode("unicode_escape").decode() in shown for c in steering(text))


@given(st.text())
def test_any_text_becomes_printable_and_what_is_printable_stays(text):
    shown = printable(text)
    assert steering(shown) == []
    assert printable(shown) == shown
    if not steering(text):
        assert shown == text


def test_words_in_any_script_line_ends_and_blanks_stay():
    text = "Größe − λ₁ ≤ 3\u00a0mm\n\t肺炎\u3000ריאה 🫁"
    assert printable(text) == text
    assert printable("a\r\nb") == "a\nb"


def test_filled_lines_break_at_blanks_only():
    path = "local-dir:/a-very/long-path/" + "x" * 40
    assert filled(f"Some words, {path} and\x1b more.", 20).split("\n") == [
        "Some words,",
        path,
        r"and\x1b more.",
    ]


def everywhere(text, terminal, encoding="utf-8"):
    """The bytes of a text printed as a line, as a title and in a table."""
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    colours = "standard" if terminal else None
    console = PlainConsole(file=file, force_terminal=terminal, width=400, color_system=colours)
    table = Table(text, title=text, caption=text)
    table.add_row(text)
    console.print(table)
    console.print(text, style="dim", soft_wrap=True)
    file.flush()
    return file.buffer.getvalue()


@pytest.mark.parametrize("terminal", [True, False])
@pytest.mark.parametrize("text", [*STEERS.values(), *MARKUP])
def test_a_text_comes_out_as_itself_wherever_it_is_printed(text, terminal):
    printed = everywhere(text, terminal).decode()
    own = re.sub(r"\x1b\[[0-9;]*m", "", printed) if terminal else printed
    assert steering(own) == []
    assert own.count(printable(text)) == 5
    # Of Rich's own codes, only those of the styles that are asked for.
    styles = {f"\x1b[{number}m" for number in ("0", "1", "2", "3", "2;3")}
    assert set(re.findall(r"\x1b\[[0-9;]*m", printed)) <= styles


def test_the_library_prints_through_no_other_console():
    for path in sorted((Path(__file__).parents[2] / "cxr_mtl").rglob("*.py")):
        called = [
            node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)
        ]
        names = [ast.unparse(node.func) for node in called]
        assert "Console" not in names, path
        assert "Text.from_markup" not in names, path
        printed = [ast.unparse(node) for node in called if ast.unparse(node.func) == "print"]
        own = ["print(printable_json(hits))", "print(words, file=sys.stderr, flush=True)"]
        assert set(printed) <= set(own), path


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "latin-1", "utf-8"])
def test_an_encoding_that_lacks_a_character_gets_its_escape_and_tables_stay_straight(encoding):
    lines = everywhere("B − A, λ", False, encoding).decode(encoding).splitlines()
    shown = "B − A, λ" if encoding == "utf-8" else r"B \u2212 A, \u03bb"
    assert all(shown in line for line in lines if line.strip() and "A" in line)
    framed = [line for line in lines if line[0] in "+|┏┃┡│└"]
    assert len(framed) == 5
    assert len(set(map(len, framed))) == 1


def test_a_sentence_is_one_line_and_keeps_both_ends_of_a_long_value():
    assert one_line("pairs.csv, line 2, has the label '\n\r\u2028': write 0") == (
        "pairs.csv, line 2, has the label '\\n\\n\\n': write 0"
    )
    said = one_line(f"-p: epochs = {'[' * 9000} is not of type int: give a number")
    assert len(said) < 700
    assert said.startswith("-p: epochs = [[[")
    assert said.endswith("[[[ is not of type int: give a number")
