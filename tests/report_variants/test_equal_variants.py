"""Equal variants: another form of the same content, by seed, or None; never a milder normal."""

import random

import pytest
from drawn_reports import REAL_SECTIONS, TEXTS, real_reports, sentence_counts
from hypothesis import assume, given
from hypothesis import strategies as st

from cxr_mtl.base.errors import InputError
from cxr_mtl.report_variants.equal_variants import (
    EQUAL_VARIANTS,
    PARTIAL_VARIANTS,
    equal_variant,
    sections_swapped,
    sentences_shuffled,
)
from cxr_mtl.report_variants.honesty import agrees
from cxr_mtl.report_variants.report_parts import whole_report

VARIANTS = st.sampled_from(EQUAL_VARIANTS)


@given(TEXTS, TEXTS, VARIANTS, st.integers())
def test_any_report_gives_another_text_or_none_and_the_same_by_seed(
    findings, impression, variant, seed
):
    assume(findings.strip() or impression.strip())
    text = equal_variant(findings, impression, variant, random.Random(seed))
    assert text is None or (text.strip() and text != whole_report(findings, impression))
    assert equal_variant(findings, impression, variant, random.Random(seed)) == text


@pytest.mark.parametrize("variant", EQUAL_VARIANTS)
def test_a_report_at_the_upper_limits_of_normal_is_never_called_enlarged(variant):
    for findings, impression in real_reports(1):
        report = whole_report(findings, impression)
        if "upper limit" not in report.lower():
            continue
        text = equal_variant(findings, impression, variant, random.Random(0))
        if text is not None:
            assert text.lower().count("enlarge") <= report.lower().count("enlarge")
            if variant not in PARTIAL_VARIANTS:
                assert text.lower().count("upper limit") == report.lower().count("upper limit")


def test_a_heart_at_the_upper_limits_is_no_normal_sentence():
    report = "Heart size is upper limits of normal. Lungs clear.", "No acute disease."
    text = equal_variant(*report, "normal-omitted", random.Random(0))
    assert text == "Heart size is upper limits of normal."


@given(REAL_SECTIONS, REAL_SECTIONS, st.sampled_from(EQUAL_VARIANTS))
def test_any_real_sentences_are_read_alike_in_every_variant(findings, impression, variant):
    assume(findings or impression)
    text = equal_variant(findings, impression, variant, random.Random(0))
    assert text is None or agrees(variant, whole_report(findings, impression), text)


@given(TEXTS, TEXTS, st.integers())
def test_shuffled_sentences_are_the_same_sentences(findings, impression, seed):
    text = sentences_shuffled(findings, impression, random.Random(seed))
    if text is not None:
        assert sentence_counts(text) <= sentence_counts(whole_report(findings, impression))


def test_a_shuffled_real_report_keeps_all_sentences_and_every_reference():
    report = "Left nodule. This is new. No effusion. Heart normal. It is stable.", ""
    for seed in range(20):
        text = sentences_shuffled(*report, random.Random(seed))
        assert "Left nodule. This is new." in text
        assert "Heart normal. It is stable." in text
        assert sentence_counts(text) == sentence_counts(report[0])
        assert text != report[0]


def test_sections_change_places_unless_the_second_leans_on_the_first():
    assert sections_swapped("Lungs clear", "No disease") == "No disease. Lungs clear"
    assert sections_swapped("Left nodule.", "This is new.") is None
    assert sections_swapped("", "No disease.") is None


@pytest.mark.parametrize("variant", EQUAL_VARIANTS)
def test_a_report_without_text_and_an_unknown_variant_are_refused(variant):
    with pytest.raises(InputError, match="the report is empty"):
        equal_variant(" ", "\n", variant, random.Random(0))
    with pytest.raises(InputError, match="variant='shorter' is no choice"):
        equal_variant("Lungs clear.", "", "shorter", random.Random(0))


def test_every_variant_is_found_among_real_reports():
    for variant in EQUAL_VARIANTS:
        texts = [equal_variant(*pair, variant, random.Random(0)) for pair in real_reports()]
        assert any(texts), variant
