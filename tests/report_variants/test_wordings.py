"""Other words: whole sentences that a rule knows are reworded, all others stay as they are."""

import pytest
from drawn_reports import TEXTS
from hypothesis import given

from cxr_mtl.report_variants.sentences import split_sentences
from cxr_mtl.report_variants.sides import sides_reworded
from cxr_mtl.report_variants.wordings import full_style, negations_reworded, telegraphic

RULES = [telegraphic, full_style, negations_reworded, sides_reworded]


@pytest.mark.parametrize("rule", RULES)
@given(text=TEXTS)
def test_a_rule_takes_any_text_and_gives_another_or_none(rule, text):
    reworded = rule(text)
    assert reworded is None or reworded.split() != text.split()


@pytest.mark.parametrize("rule", RULES)
@given(text=TEXTS)
def test_a_rule_rewords_sentences_and_neither_adds_nor_drops_one(rule, text):
    reworded = rule(text)
    if reworded is not None:
        assert len(split_sentences(reworded)) == len(split_sentences(text))


@pytest.mark.parametrize(
    ("whole", "short"),
    [
        ("The heart is normal in size.", "Heart normal in size."),
        ("The lungs are clear.", "Lungs clear."),
        ("There is no pleural effusion.", "No pleural effusion."),
        ("There are mild degenerative changes.", "Mild degenerative changes."),
        ("No pneumothorax is seen.", "No pneumothorax."),
        ("1. There is a small effusion.", "1. Small effusion."),
    ],
)
def test_a_whole_sentence_is_put_in_note_style(whole, short):
    assert telegraphic(whole) == short


@pytest.mark.parametrize(
    ("short", "whole"),
    [
        ("Heart normal in size.", "The heart is normal in size."),
        ("Lungs clear.", "The lungs are clear."),
        ("Clear lungs.", "The lungs are clear."),
        ("Normal heart size.", "The heart size is normal."),
        (
            "No pleural effusions or pneumothorax.",
            "There are no pleural effusions or pneumothorax.",
        ),
        ("2. No acute disease.", "2. There is no acute disease."),
        ("Heart size upper limits of normal.", "The heart size is upper limits of normal."),
    ],
)
def test_a_note_is_put_in_a_whole_sentence(short, whole):
    assert full_style(short) == whole


@pytest.mark.parametrize(
    ("said", "otherwise"),
    [
        ("No pleural effusion.", "Pleural effusion is absent."),
        ("No effusion or pneumothorax.", "Effusion and pneumothorax are absent."),
        ("Negative for pneumothorax.", "No pneumothorax."),
        ("Lungs clear without infiltrate.", "Lungs clear with no infiltrate."),
        ("Lungs clear with no infiltrate.", "Lungs clear without infiltrate."),
        (
            "The lungs are free of focal airspace disease.",
            "The lungs are without focal airspace disease.",
        ),
    ],
)
def test_a_negation_is_said_otherwise(said, otherwise):
    assert negations_reworded(said) == otherwise


@pytest.mark.parametrize(
    ("said", "otherwise"),
    [
        ("Left pleural effusion.", "Pleural effusion on the left."),
        ("Small pleural effusion on the left.", "Small left pleural effusion."),
        ("There is a left lower lobe opacity.", "There is an opacity in the left lower lobe."),
        ("An opacity in the right upper lobe.", "A right upper lobe opacity."),
    ],
)
def test_a_side_is_said_otherwise(said, otherwise):
    assert sides_reworded(said) == otherwise


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        (telegraphic, "There is a nodule which is calcified."),
        (telegraphic, "It is unchanged."),
        (telegraphic, "The heart appears normal."),
        (full_style, "Left basilar atelectasis"),
        (full_style, "No effusion but a nodule."),
        (negations_reworded, "No definite effusion."),
        (negations_reworded, "No change in the effusion."),
        (negations_reworded, "No effusion, stable cardiomegaly."),
        (sides_reworded, "Right and left pleural effusions."),
        (sides_reworded, "Bilateral effusions, right greater than left pleural effusion."),
        (sides_reworded, "Left pleural effusion and pneumothorax."),
        (sides_reworded, "Left pleural effusion/hemothorax."),
        (sides_reworded, "Left lower lobe mass lesion."),
    ],
)
def test_a_rule_that_is_not_sure_leaves_the_sentence(rule, text):
    assert rule(text) is None
