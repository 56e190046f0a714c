"""Short and long forms: each for the other, whole words only, and the content kept."""

import pytest
from drawn_reports import TEXTS, real_reports
from hypothesis import given

from cxr_mtl.report_variants.abbreviations import abbreviated, abbreviations, expanded
from cxr_mtl.report_variants.report_parts import whole_report


def words(text: str) -> list[str]:
    return text.lower().split()


@given(TEXTS)
def test_expanding_a_shortened_text_gives_the_expanded_text(text):
    assert words(expanded(abbreviated(text))) == words(expanded(text))


@given(TEXTS)
def test_what_is_expanded_holds_no_short_form(text):
    assert expanded(expanded(text)) == expanded(text)


def test_every_real_report_says_the_same_short_and_long():
    for findings, impression in real_reports():
        text = whole_report(findings, impression)
        assert words(expanded(abbreviated(text))) == words(expanded(text))


def test_the_table_has_one_meaning_for_a_short_form_and_a_source_for_each():
    table = abbreviations()
    assert len(table) >= 60
    assert len({row.short.lower() for row in table}) == len(table)
    assert all(row.long and row.source for row in table)
    assert all(expanded(row.short).lower() == row.long for row in table)


@pytest.mark.parametrize(
    ("text", "short"),
    [
        ("Pneumothorax is absent.", "PTX is absent."),
        ("With bilateral effusions.", "W/ b/l effusions."),
        ("1. Bilateral effusions.", "1. B/l effusions."),
        ("Right  upper lobe pneumonia", "RUL PNA"),
        ("clear without effusion", "clear w/o effusion"),
        ("findings consistent with pneumonia", "findings c/w PNA"),
        ("withdrawn, pneumonias, hydropneumothorax", "withdrawn, pneumonias, hydropneumothorax"),
    ],
)
def test_long_forms_are_written_short_within_word_borders(text, short):
    assert abbreviated(text) == short


@pytest.mark.parametrize(
    ("text", "long"),
    [
        ("PTX. PNA.", "Pneumothorax. Pneumonia."),
        ("w/o PNA", "without pneumonia"),
        ("A satin dish.", "A satin dish."),
        ("on the PA view", "on the posteroanterior view"),
        ("The PA is enlarged, the AP window is normal.",) * 2,
        ("PTXs and CTs", "PTXs and CTs"),
        ("NG tube, NGT", "Nasogastric tube, nasogastric tube"),
    ],
)
def test_only_sure_short_forms_are_written_long(text, long):
    assert expanded(text) == long
