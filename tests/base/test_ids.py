"""Ids: what looks the same is the same, what looks otherwise is not."""

import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxr_mtl.base.ids import id_of_file, lost_digits, read_id, written_otherwise

INVISIBLE = "\u200b\u200d\u2060\ufeff\u00ad\u202e\ufe0f\u034f\U000e0001"
TEXT = st.text(st.characters(exclude_categories=["Cs"]))


@given(name=TEXT, data=st.data())
def test_an_id_is_one_however_its_letters_are_composed_and_whatever_stands_there_unseen(name, data):
    read = read_id(name)
    assert read_id(read) == read
    place = data.draw(st.integers(0, len(name)))
    unseen = data.draw(st.sampled_from(INVISIBLE))
    for form in ("NFC", "NFD"):
        assert read_id(unicodedata.normalize(form, name)) == read
        assert read_id(f" {unicodedata.normalize(form, name)}\u00a0\ufeff\t") == read
    assert read_id(name[:place] + unseen + name[place:]) == read


@pytest.mark.parametrize(
    ("one", "other"), [("P-1", "p-1"), ("007", "7"), ("a b", "ab"), ("1", "1.0")]
)
def test_ids_that_can_be_seen_to_differ_stay_two(one, other):
    assert (read_id(one), read_id(other)) == (one, other)
    assert read_id("a\u00a0b\u2003c") == "a b c"


def test_nothing_that_can_be_seen_is_taken_from_an_id():
    for character in map(chr, range(sys.maxunicode + 1)):
        if unicodedata.category(character)[0] in "LNPS" and not read_id(character):
            assert "FILLER" in unicodedata.name(character)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("films/0001.png", "0001"),
        ("a.dcm.JPG", "a.dcm"),
        ("arc/1.2.826.0.1.3680043.8.498.1000.1", "1.2.826.0.1.3680043.8.498.1000.1"),
        ("arc/1.2.826.0.1.3680043.8.498.1000.1.dcm", "1.2.826.0.1.3680043.8.498.1000.1"),
        ("d e/IM001", "IM001"),
        ("Mu\u0308ller .png", "Müller"),
    ],
)
def test_a_files_name_gives_its_id_and_loses_no_number(path, name):
    assert id_of_file(path) == name


@pytest.mark.parametrize("name", ["1.23457E+14", "1,23457E+14", "1E+15", "1.234570e+14"])
def test_an_id_that_a_spreadsheet_rounded_is_told(name):
    said = f"a spreadsheet has rounded '{name}', so format its column as text and export it again"
    assert lost_digits(name) == written_otherwise(["a", name], ["b"]) == said


@pytest.mark.parametrize("name", ["", "E+14", "12E5", "1.5", "A1E+14", "1E+5"])
def test_other_ids_have_lost_no_digits(name):
    assert lost_digits(name) == written_otherwise([name], ["b"]) == ""
