"""A CSV is read as it was written, or refused by its line and the cause."""

import csv
import gzip
import io
import os
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cxr_mtl.base.csv_files import read_csv, shortened
from cxr_mtl.base.errors import InputError


def written(tmp_path, content: str | bytes):
    path = tmp_path / "table.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_values_stay_text_as_written(tmp_path):
    table = read_csv(written(tmp_path, "a,b\n007,NA\nnan,\n1e5,None\n"), ["a", "b"])
    assert table.to_numpy().tolist() == [["007", "NA"], ["nan", ""], ["1e5", "None"]]


def test_rows_are_indexed_by_the_line_they_begin_on(tmp_path):
    table = read_csv(written(tmp_path, '\na,b\n1,"two\nlines"\n \n2,x'), ["a"])
    assert table.index.tolist() == [3, 6]
    assert table["b"].tolist() == ["two\nlines", "x"]


def test_a_byte_order_mark_is_no_part_of_the_first_name(tmp_path):
    assert list(read_csv(written(tmp_path, b"\xef\xbb\xbfa\n1\n"), ["a"])) == ["a"]


VALUES = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12)
TRICKY = st.text(st.sampled_from('",\n\r ab;\t'), max_size=8)


@settings(max_examples=300, deadline=None)
@given(rows=st.lists(st.tuples(VALUES | TRICKY, VALUES | TRICKY), min_size=1, max_size=4))
def test_whatever_the_csv_module_writes_is_read_back(rows, tmp_path_factory):
    content = io.StringIO()
    csv.writer(content).writerows([("a", "b"), *rows])
    table = read_csv(
        written(tmp_path_factory.getbasetemp(), content.getvalue()), ["a"], prose=["a"]
    )
    assert list(table.itertuples(index=False, name=None)) == rows


@settings(max_examples=300, deadline=None)
@given(rows=st.lists(st.tuples(VALUES | TRICKY, TRICKY), min_size=1, max_size=4), data=st.data())
def test_one_quote_too_many_or_too_few_is_refused(rows, data, tmp_path_factory):
    content = io.StringIO()
    csv.writer(content, quoting=data.draw(st.sampled_from([0, 1]))).writerows([("a", "b"), *rows])
    whole = content.getvalue()
    place = data.draw(st.integers(0, len(whole) - 1))
    wrong = whole[:place] + '"' + whole[place:]
    if whole[place] == '"' and data.draw(st.booleans()):
        wrong = whole[:place] + whole[place + 1 :]
    with pytest.raises(InputError, match=r"double quote|quotes|first line"):
        read_csv(written(tmp_path_factory.getbasetemp(), wrong), ["a", "b"])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a,c\n1,2\n", "lacks the column b: its first line must name a and b, and reads 'a,c'$"),
        ("1,2\n3,4\n", "lacks the columns a and b.* reads '1,2'; if it has no header, add one"),
        ("", "is empty: replace it by the CSV"),
        (" \n", "lacks the columns a and b: its first line must name a and b, and is empty"),
        ("a,b,b\n1,2,3\n", "names a column twice, 'b'"),
        ("a,b,,\n1,2,,\n", "leaves 2 columns without a name"),
        ("a,b\n1,2\n3\n", "line 3, has 1 field instead of 2"),
        ("a,b\n1,2,3\n", "line 2, has 3 fields"),
        ("a,b\n", "no rows"),
        ('a,b\n1,"2\n3,4\n', r"line 2, opens a double quote \('\"2.*never closed"),
        ('a,b\n1,"2\n3,"4"\n', "line 2, opens a double quote.* ends on line 3 before '4"),
        ('a,b\n1,tube of 5" length\n', "line 2, has a double quote within 'tube of 5"),
        ('a,b\n1, "2"\n', "line 2, has a double quote within ' \"2\"'"),
        ('a,b\n"1\n",2\n', r"line 2, has a line break in its a \('1\\n'\)"),
        (b"a,b\n1,\xe9\n", "line 2, is not UTF-8 text .byte 0xe9."),
        ("a,b\n1,2\n".encode("utf-16"), "UTF-16 text, not UTF-8"),
        ("a,b\n1,2\n".encode("utf-16-le"), "UTF-16 text, not UTF-8"),
        (b"a,b\n1,2\n3,\x00\n", "line 3, holds a NUL byte"),
        ("a;b\n1;2\n", "separates its columns by semicolons: save it with commas"),
        ('"A";"b"\n"1";"2"\n', "separates its columns by semicolons"),
        ("a\tb\n1\t2\n", "separates its columns by tabs"),
        ("A,b\n1,2\n", r"names 'A' in its first line: did you mean a\? Write it so"),
        ("a, b,C\n1,2,3\n", r"names ' b' and 'C' in its first line: did you mean b and c\? Write"),
        (
            "sep=,\r\na,b\r\n1,2\r\n",
            "begins with 'sep=,', .* Excel alone: delete this line, and sep",
        ),
        ('\ufeff"sep=;"\na;b\n1;2\n', "begins with '\"sep=;\"', .* delete this line, and separate"),
        (
            "a,b\n1,肺\n".encode("iso2022_jp"),
            "line 2, is ISO-2022-JP text, not UTF-8 .*: save it as",
        ),
        ("a,b\n1,폐\n".encode("iso2022_kr"), "is ISO-2022-KR text.* iconv -f ISO-2022-KR"),
        (gzip.compress(b"a,b\n1,2\n", mtime=0), "compressed by gzip: unpack it"),
        (b"PK\x03\x04....", "an Excel workbook or another ZIP archive: export its sheet as CSV"),
        ("<!DOCTYPE html>\n", "an HTML or XML page"),
        ('{"a": 1}', "JSON"),
        ("version https://git-lfs.github.com/spec/v1\n", "a pointer of git-lfs"),
    ],
)
def test_a_bad_table_is_refused_by_name_and_cause(tmp_path, content, message):
    with pytest.raises(InputError, match=rf"table\.csv.*{message}"):
        read_csv(written(tmp_path, content), ["a", "b"], optional=["c"], prose=["b"])


def test_other_control_codes_in_a_text_stay_as_they_are(tmp_path):
    text = "\x1b[31mred\x1b(B\x1b]0;t\x07\x0e\x7f $B"
    assert read_csv(written(tmp_path, f"a\n{text}\n"), ["a"])["a"].tolist() == [text]


def test_what_is_no_file_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path, message in (
        (tmp_path / "gone.csv", r"gone\.csv is missing: .*correct its path"),
        (tmp_path / ("a" * 300), "cannot be reached .File name too long.: correct its path"),
        ("https://example.org/table.csv", "is an address: download the CSV"),
        (tmp_path, "is a folder, not a file: give the file that holds the CSV"),
        (tmp_path / "pipe", "is a named pipe, not a file"),
    ):
        with pytest.raises(InputError, match=message):
            read_csv(path, ["a"])


def test_a_long_table_is_read_in_the_time_of_its_length(tmp_path):
    words = random.Random(0).choices(["clear", "lung,", '""', "\n"], k=200_000)
    table = read_csv(written(tmp_path, 'a,b\n1,"' + " ".join(words) + '"\n'), ["a"])
    assert len(table["b"].iloc[0]) > 500_000
    with pytest.raises(InputError, match="never closed"):
        read_csv(written(tmp_path, 'a,b\n1,"' + " ".join(words) + "\n"), ["a"])


def test_what_is_shown_of_a_text_is_short_and_visible():
    assert shortened("clear\u200b") == r"'clear\u200b'"
    assert shortened("a" * 50) == repr("a" * 38 + " …")
