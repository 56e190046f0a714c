"""CSV files: read as they stand, refused by line."""

import pytest

from cxr_mtl.csv_table import read_csv
from cxr_mtl.errors import InputError


def written(tmp_path, content: str | bytes):
    path = tmp_path / "table.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_values_stay_text_as_written(tmp_path):
    table = read_csv(written(tmp_path, "a,b\n007,NA\nnan,\n1e5,None\n"), ["a", "b"])
    assert table.to_numpy().tolist() == [["007", "NA"], ["nan", ""], ["1e5", "None"]]


def test_rows_are_indexed_by_the_line_they_end_on(tmp_path):
    table = read_csv(written(tmp_path, 'a,b\n1,"two\nlines"\n\n2,x\n'), ["a"])
    assert table.index.tolist() == [3, 5]


def test_a_byte_order_mark_is_no_part_of_the_first_name(tmp_path):
    assert list(read_csv(written(tmp_path, b"\xef\xbb\xbfa\n1\n"), ["a"])) == ["a"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a,c\n1,2\n", "lacks the column b: its first line must name a and b"),
        ("a,b,b\n1,2,3\n", "names a column twice"),
        ("a,b\n1,2\n3\n", "line 3, has 1 fields instead of 2"),
        ("a,b\n1,2,3\n", "line 2, has 3 fields"),
        ("a,b\n", "no rows"),
        ("", "lacks the columns a and b: its first line must name a and b"),
        ('a,b\n1,"2\n', "not a readable CSV"),
        (b"a,b\n1,\xe9\n", "not UTF-8"),
        ("a,b\n1,2\n".encode("utf-16"), "not UTF-8"),
    ],
)
def test_a_bad_table_is_refused_by_name(tmp_path, content, message):
    with pytest.raises(InputError, match=rf"table\.csv.*{message}"):
        read_csv(written(tmp_path, content), ["a", "b"])


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    with pytest.raises(InputError, match="is missing"):
        read_csv(tmp_path / "gone.csv", ["a"])
    with pytest.raises(InputError, match="not a readable CSV"):
        read_csv(tmp_path, ["a"])
