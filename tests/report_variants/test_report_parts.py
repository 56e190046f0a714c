"""Parts of a report: nothing added, nothing lost between halves, only normal sentences omitted."""

import pytest
from drawn_reports import TEXTS, real_reports, sentence_counts
from hypothesis import given

from cxr_mtl.report_variants.report_parts import (
    anatomical_parts,
    halves,
    impression_only,
    normal_omitted,
    states_normality,
    whole_report,
)


@given(TEXTS, TEXTS)
def test_both_halves_are_the_report(findings, impression):
    both = halves(findings, impression)
    if both is not None:
        said = sentence_counts(both[0]) + sentence_counts(both[1])
        assert said <= sentence_counts(whole_report(findings, impression))


def test_both_halves_of_a_real_report_are_all_of_its_sentences_and_about_as_long():
    for pair in real_reports():
        both = halves(*pair)
        if both is not None:
            whole = sentence_counts(whole_report(*pair))
            said = sentence_counts(both[0]) + sentence_counts(both[1])
            assert {s for s in whole if any(map(str.isalnum, s))} == set(said)
            longest = max(map(len, said))
            assert abs(len(both[0]) - len(both[1])) <= 3 * longest


def test_halves_leave_a_sentence_that_refers_back_with_its_own():
    assert halves("Left nodule. This is new.", "No effusion.") == (
        "Left nodule. This is new.",
        "No effusion.",
    )
    assert halves("Left nodule. This is new.", "") is None


def test_headings_are_not_cut_from_what_they_head():
    report = "Chest. Lungs clear. Pelvis. No fracture.", ""
    assert halves(*report) is None
    assert normal_omitted(*report) is None


@given(TEXTS, TEXTS)
def test_no_part_adds_a_sentence(findings, impression):
    whole = sentence_counts(whole_report(findings, impression))
    for part in anatomical_parts(findings, impression).values():
        assert sentence_counts(part) <= whole


def test_an_anatomical_part_holds_the_sentences_on_it():
    parts = anatomical_parts(
        "The lungs are clear. Heart size normal. Left PICC in the SVC. Old rib fracture.", ""
    )
    assert parts == {
        "lungs": "The lungs are clear.",
        "heart and mediastinum": "Heart size normal.",
        "bones": "Old rib fracture.",
        "devices": "Left PICC in the SVC.",
    }


@pytest.mark.parametrize(
    "sentence",
    [
        "The lungs are clear.",
        "Heart size within normal limits.",
        "2. No acute cardiopulmonary abnormality.",
        "There is no pneumothorax or pleural effusion.",
        "Normal heart size and mediastinal contours.",
        "Negative for pneumothorax.",
    ],
)
def test_a_normal_sentence_is_known(sentence):
    assert states_normality(sentence)
    assert normal_omitted(sentence, "Old rib fracture.") == "Old rib fracture."


@pytest.mark.parametrize(
    "sentence",
    [
        "Heart size is upper limits of normal.",
        "No change in the left effusion.",
        "No large effusion.",
        "No acute disease, but a nodule.",
        "Mild cardiomegaly.",
        "The lungs are clear with old granulomas.",
        "The lungs are hyperexpanded.",
    ],
)
def test_a_sentence_that_says_more_is_never_omitted(sentence):
    assert not states_normality(sentence)
    assert normal_omitted(sentence, "Lungs clear.") == sentence


def test_a_report_that_is_all_normal_or_has_nothing_normal_loses_no_sentence():
    assert normal_omitted("Lungs clear.", "No acute disease.") is None
    assert normal_omitted("Mild cardiomegaly.", "Cardiomegaly.") is None


def test_an_impression_stands_for_the_report_only_where_both_have_words():
    assert impression_only("Lungs clear.", "No disease. ") == "No disease."
    assert impression_only("", "No disease.") is None
    assert impression_only("Lungs clear.", "XXXX.") is None
