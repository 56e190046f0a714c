"""Sentences: cut where they end and nowhere else, joined again without loss."""

import pytest
from drawn_reports import TEXTS, real_reports
from hypothesis import given

from cxr_mtl.report_variants.sentences import (
    blocks,
    closed,
    is_heading,
    join_sentences,
    numbered,
    refers_back,
    split_sentences,
)


def characters(text: str) -> str:
    return "".join(text.split())


@given(TEXTS)
def test_joined_sentences_are_the_text_but_for_white_space(text):
    sentences = split_sentences(text)
    assert characters(join_sentences(sentences)) == characters(text)
    assert all(sentence == sentence.strip() != "" for sentence in sentences)


@given(TEXTS)
def test_joined_sentences_are_cut_in_the_same_places(text):
    sentences = split_sentences(text)
    assert split_sentences(join_sentences(sentences)) == sentences


def test_every_real_section_is_joined_again_as_it_was():
    for pair in real_reports():
        for section in pair:
            assert characters(join_sentences(split_sentences(section))) == characters(section)


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("Heart normal. Lungs clear.", ["Heart normal.", "Lungs clear."]),
        ("A 3.5 cm mass. No effusion.", ["A 3.5 cm mass.", "No effusion."]),
        ("Discussed with Dr. XXXX XXXX. Stable.", ["Discussed with Dr. XXXX XXXX.", "Stable."]),
        ("Seen at 5 p.m. on XXXX.", ["Seen at 5 p.m. on XXXX."]),
        ("1. No disease. 2. Old rib fracture.", ["1. No disease.", "2. Old rib fracture."]),
        ("1. Cardiomegaly 2. Effusion", ["1. Cardiomegaly", "2. Effusion"]),
        ("1.No disease. 2.Scar.", ["1.No disease.", "2.Scar."]),
        ("Heart size normal.No change.", ["Heart size normal.", "No change."]),
        ("No acute disease. .", ["No acute disease. ."]),
        ("No acute disease..", ["No acute disease.."]),
        ("Compared with XXXX. Stable", ["Compared with XXXX.", "Stable"]),
        ("Fracture of T12. Scoliosis.", ["Fracture of T12.", "Scoliosis."]),
        (" \n ", []),
        ("", []),
        (".", ["."]),
    ],
)
def test_a_text_is_cut_where_its_sentences_end(text, sentences):
    assert split_sentences(text) == sentences


@pytest.mark.parametrize(
    ("sentence", "number", "rest"),
    [
        ("1. No disease.", "1. ", "No disease."),
        ("12) Scar.", "12) ", "Scar."),
        ("3.5 cm mass.", "", "3.5 cm mass."),
        ("8 mm nodule.", "", "8 mm nodule."),
    ],
)
def test_a_list_number_is_told_from_a_size(sentence, number, rest):
    assert numbered(sentence) == (number, rest)


@pytest.mark.parametrize("text", ["Clear", "Clear.", "Clear..", "Clear. .", "Clear "])
def test_a_closed_sentence_ends_in_one_full_stop(text):
    assert closed(text) == "Clear."


@pytest.mark.parametrize(
    "sentence",
    ["This may be scar.", "It is unchanged.", "The nodule is stable.", "Lungs otherwise clear."],
)
def test_a_sentence_that_refers_back_stays_behind_its_own(sentence):
    assert refers_back(sentence)
    assert blocks(f"Left nodule. {sentence} No effusion.") == [
        f"Left nodule. {sentence}",
        "No effusion.",
    ]


def test_a_name_of_a_region_is_a_heading_and_a_finding_is_none():
    assert is_heading("Pelvis.")
    assert is_heading("2. Chest and ribs:")
    assert not is_heading("Emphysema.")
    assert not is_heading("Clear lungs.")
