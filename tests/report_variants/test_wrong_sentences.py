"""A sentence told wrongly: another severity, side or size, denied, the opposite; or left alone."""

import random

import pytest

from cxr_mtl.report_variants.wrong_sentences import (
    denied,
    opposite,
    other_location,
    other_severity,
    other_size,
)


@pytest.mark.parametrize(
    ("rule", "said", "wrong"),
    [
        (other_severity, "Mild cardiomegaly", "Severe cardiomegaly"),
        (other_severity, "There is a large left effusion", "There is a small left effusion"),
        (other_location, "Left pleural effusion", "Right pleural effusion"),
        (other_location, "Right middle lobe opacity", "Right upper lobe opacity"),
        (other_location, "Bibasilar atelectasis", "Biapical atelectasis"),
        (denied, "Small left pleural effusion", "No left pleural effusion"),
        (denied, "There is mild cardiomegaly", "No cardiomegaly"),
        (denied, "The heart is mildly enlarged", "The heart is not enlarged"),
        (opposite, "No acute cardiopulmonary abnormality", "Acute cardiopulmonary abnormality"),
        (opposite, "The lungs are clear bilaterally", "The lungs are not clear bilaterally"),
        (opposite, "Clear lungs", "The lungs are not clear"),
        (opposite, "Heart size normal", "Heart size abnormal"),
        (opposite, "Negative for acute disease", "Positive for acute disease"),
    ],
)
def test_a_sentence_is_told_wrongly(rule, said, wrong):
    assert rule(said, random.Random(0)) == wrong


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        (other_severity, "No large effusion"),
        (other_severity, "Mild to moderate cardiomegaly"),
        (other_severity, "Dilated small bowel with opacity"),
        (other_severity, "Slight rotation of the patient"),
        (other_location, "Effusions, right greater than left"),
        (other_location, "Bilateral effusions"),
        (other_location, "Right PICC without pneumothorax"),
        (other_location, "No left effusion"),
        (other_location, "Changes of left mastectomy"),
        (denied, "Possible pneumonia"),
        (denied, "No effusion"),
        (denied, "Cardiomegaly and left effusion"),
        (opposite, "Mild cardiomegaly"),
        (opposite, "No change"),
        (opposite, "Heart size is upper limits of normal"),
        (other_size, "Fracture of the 5th rib"),
        (other_size, "Nodule on 3 views"),
    ],
)
def test_a_sentence_that_a_rule_is_not_sure_of_is_left(rule, said):
    assert rule(said, random.Random(0)) is None


def test_a_size_is_doubled_trebled_or_halved():
    wrong = {other_size("A 5 mm nodule", random.Random(seed)) for seed in range(20)}
    assert wrong == {"A 2.5 mm nodule", "A 10 mm nodule", "A 15 mm nodule"}
    assert other_size("A 2.1 x 2 cm mass", random.Random(0)).endswith(" x 2 cm mass")
