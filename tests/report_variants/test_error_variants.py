"""Wrong impressions: one sentence differs, by seed, and nothing is wrong that may be right."""

import random

import pytest
from drawn_reports import REAL_SECTIONS, TEXTS, real_reports, sentence_counts
from hypothesis import assume, given
from hypothesis import strategies as st

from cxr_mtl.base.errors import InputError
from cxr_mtl.report_variants.error_variants import ERROR_CLASSES, erroneous

SAID = {
    "severity": ("Small left pleural effusion.", "Effusion."),
    "location": ("Left lower lobe opacity.", "Opacity."),
    "false-prediction": ("No pneumothorax.", "No acute disease."),
    "false-negation": ("Mild cardiomegaly.", "No acute disease."),
    "measurement": ("There is a 5 mm nodule.", "Nodule."),
    "opposite-sentence": ("The lungs are clear.", "Old rib fracture."),
    "device-added": ("Lungs clear.", "No acute disease."),
    "device-renamed": ("Right PICC with tip in the SVC.", "No acute disease."),
    "device-moved": ("Right PICC with tip in the SVC.", "No acute disease."),
}


def differing(impression: str, wrong: str) -> tuple[int, int]:
    """How many sentences of the impression are gone, and how many are new."""
    before, after = sentence_counts(impression), sentence_counts(wrong)
    return (before - after).total(), (after - before).total()


@given(TEXTS, TEXTS, st.sampled_from(ERROR_CLASSES), st.integers())
def test_any_report_gives_a_wrong_impression_or_none_and_the_same_by_seed(
    findings, impression, error_class, seed
):
    assume(findings.strip() or impression.strip())
    wrong = erroneous(findings, impression, error_class, random.Random(seed))
    assert wrong is None or wrong != impression
    assert erroneous(findings, impression, error_class, random.Random(seed)) == wrong


@given(REAL_SECTIONS, REAL_SECTIONS, st.sampled_from(ERROR_CLASSES), st.integers())
def test_a_wrong_impression_of_any_sentences_differs_in_exactly_one(
    findings, impression, error_class, seed
):
    assume(findings or impression)
    wrong = erroneous(findings, impression, error_class, random.Random(seed))
    if wrong is not None:
        assert differing(impression, wrong) in ((1, 1), (0, 1))


@pytest.mark.parametrize("error_class", ERROR_CLASSES)
def test_a_wrong_impression_of_a_real_report_differs_in_exactly_one_sentence(error_class):
    for number, (findings, impression) in enumerate(real_reports(10)):
        wrong = erroneous(findings, impression, error_class, random.Random(number))
        if wrong is not None:
            assert differing(impression, wrong) in ((1, 1), (0, 1))


@pytest.mark.parametrize("error_class", ERROR_CLASSES)
def test_what_only_the_findings_say_is_told_wrongly_in_the_impression(error_class):
    findings, impression = SAID[error_class]
    wrong = erroneous(findings, impression, error_class, random.Random(0))
    assert wrong not in (None, impression)
    assert differing(impression, wrong)[1] == 1


@pytest.mark.parametrize(
    "error_class", sorted(set(ERROR_CLASSES) - {"false-prediction", "device-added"})
)
def test_a_report_that_says_nothing_of_a_class_has_no_error_of_it(error_class):
    assert erroneous("PA view.", "XXXX XXXX.", error_class, random.Random(0)) is None


def test_a_finding_of_both_sides_is_not_told_of_the_other():
    report = "Left pleural effusion. Right pleural effusion.", "Left pleural effusion."
    assert erroneous(*report, "location", random.Random(0)) is None
    report = "Bilateral pleural effusions.", "Left pleural effusion."
    assert erroneous(*report, "location", random.Random(0)) is None


def test_a_falsely_predicted_finding_is_none_that_the_report_has():
    findings = "Left effusion. Right pneumothorax. Pulmonary edema. Cardiomegaly. Nodule. Fracture."
    for seed in range(20):
        wrong = erroneous(findings, "Atelectasis.", "false-prediction", random.Random(seed))
        assert "pneumonia" in wrong or "consolidation" in wrong or "opacity" in wrong


def test_an_added_device_is_of_a_kind_that_the_report_does_not_name():
    findings = "Right PICC. Endotracheal tube."
    for seed in range(20):
        wrong = erroneous(findings, "", "device-added", random.Random(seed))
        assert "pacemaker" in wrong or "defibrillator" in wrong


def test_upper_limits_of_normal_have_no_severity_and_no_opposite():
    report = "Heart size is upper limits of normal.", ""
    for error_class in ("severity", "opposite-sentence", "false-negation"):
        assert erroneous(*report, error_class, random.Random(0)) is None


@pytest.mark.parametrize("error_class", ERROR_CLASSES)
def test_a_report_without_text_and_an_unknown_class_are_refused(error_class):
    with pytest.raises(InputError, match="the report is empty"):
        erroneous("", " ", error_class, random.Random(0))
    with pytest.raises(InputError, match="error_class='spelling' is no choice"):
        erroneous("Lungs clear.", "", "spelling", random.Random(0))
