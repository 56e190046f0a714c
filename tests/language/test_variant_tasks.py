"""Tasks of variants hold what their rules give, and count what they leave out."""

import pytest

from cxr_mtl.base.errors import InputError
from cxr_mtl.data.openi import read_reports
from cxr_mtl.data.splits import normalise_text
from cxr_mtl.language.variant_tasks import STYLES, acronym_search, error_choice, style_searches
from cxr_mtl.report_variants import abbreviated


@pytest.fixture(scope="module")
def reports():
    table, _ = read_reports()
    both = table[(table["findings"] != "") & (table["impression"] != "")]
    return both.head(60)


@pytest.fixture(scope="module")
def findings(reports):
    return list(reports["findings"])


@pytest.fixture(scope="module")
def impressions(reports):
    return list(reports["impression"])


def test_the_right_impression_comes_first_and_all_candidates_differ(findings, impressions):
    made = error_choice("error", findings, impressions, wrong=3, seed=0)
    assert len(made.places) + made.left_out == len(findings)
    for place, query, row in zip(made.places, made.task.queries, made.task.candidates, strict=True):
        assert (query, row[0]) == (findings[place], impressions[place])
        assert len(set(row)) == 4
    again = error_choice("error", findings, impressions, wrong=3, seed=0)
    assert again == made
    assert error_choice("error", findings, impressions, wrong=3, seed=1) != made


def test_each_abbreviated_report_looks_for_its_own_twin(findings):
    made = acronym_search(findings)
    assert made.left_out == sum(abbreviated(text) == text for text in findings)
    for place, query, own in zip(made.places, made.task.queries, made.task.own, strict=True):
        assert query == abbreviated(findings[place])
        assert normalise_text(made.task.items[own]) != normalise_text(query)


def test_searches_of_a_style_have_the_same_items_and_answers_as_those_as_written(
    findings, impressions
):
    searches = style_searches(findings, impressions, seed=0)
    assert set(searches) <= set(STYLES)
    assert len(searches) > 3
    items = {tuple(made.task.items) for pair in searches.values() for made in pair}
    assert len(items) == 1
    for style, (changed, written) in searches.items():
        assert changed.task.variant == style
        assert changed.places == written.places
        assert (changed.task.own == written.task.own).all()
        for place, query, plain in zip(
            changed.places, changed.task.queries, written.task.queries, strict=True
        ):
            assert plain == findings[place] != query
            own = written.task.own[changed.places.index(place)]
            assert normalise_text(written.task.items[own]) == normalise_text(impressions[place])


def test_reports_that_give_no_task_are_refused():
    with pytest.raises(InputError, match="no report has 9 different errors"):
        error_choice("error", ["Clear lungs."], ["Normal."], wrong=9, seed=0)
    with pytest.raises(InputError, match="can be abbreviated"):
        acronym_search(["Clear."])
