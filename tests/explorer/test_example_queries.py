"""The queries shown to readers: what answers them, by codes."""

import pytest

from cxr_mtl.data.mesh_codes import parse_code
from cxr_mtl.explorer.example_queries import EXAMPLE_QUERIES, ODD, TRIED, ExampleQuery
from cxr_mtl.phantoms.vocabulary import TERMS

FLUID = ExampleQuery("fluid on the right", "", ("Pleural Effusion/right",))
NO_FLUID = ExampleQuery("no fluid", "", ("Pleural Effusion",), negated=True)


@pytest.mark.parametrize(
    ("codes", "fluid", "no_fluid"),
    [
        (["Pleural Effusion/right"], True, False),
        (["Pleural Effusion/right/small"], True, False),
        (["Pleural Effusion/left"], False, False),
        (["Opacity/lung/right", "Pleural Effusion/left"], False, False),
        (["Opacity/lung/right"], False, True),
        (["normal"], False, True),
        ([], False, True),
    ],
)
def test_a_study_answers_by_a_code_with_the_heading_and_all_qualifiers(codes, fluid, no_fluid):
    assert FLUID.is_answered_by(codes) == fluid
    assert NO_FLUID.is_answered_by(codes) == no_fluid


def test_there_are_twelve_each_with_a_reason_and_headings_that_are_drawn():
    assert len({query.text for query in EXAMPLE_QUERIES}) == 12
    for query in EXAMPLE_QUERIES:
        assert query.reason
        assert query.findings
        assert {parse_code(code).heading for code in query.findings} <= set(TERMS)


def test_fifty_different_texts_are_tried_the_twelve_and_the_odd_ones_among_them():
    assert len(set(TRIED)) == len(TRIED) == 50
    assert {query.text for query in EXAMPLE_QUERIES} | set(ODD) <= set(TRIED)
