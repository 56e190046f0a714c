"""No stage that is asked for runs on another that is stale: both are named, and what mends it."""

from itertools import product

import nbformat
import pytest

from cxr_mtl.base.errors import InputError
from cxr_mtl.runs import stale_upstream
from cxr_mtl.runs.planning import Plan
from cxr_mtl.runs.run import Run
from cxr_mtl.runs.settings import Settings
from cxr_mtl.runs.stages import Chapter
from cxr_mtl.runs.stale_upstream import check_upstream

CHAPTERS = {
    "01_data": [],
    "02_model": ["01_data"],
    "03_search": ["01_data", "02_model"],
    "04_training": ["03_search"],
    "05_retrieval": ["04_training"],
    "06_cost": ["02_model"],
}


@pytest.fixture
def planned(monkeypatch):
    """Six chapters, all fresh, and a function that makes some stale."""
    reasons = {}
    monkeypatch.setattr(stale_upstream, "why_run", lambda chapter, *_: reasons.get(chapter.name))
    stages = {
        name: (Chapter(name, nbformat.v4.new_notebook(), {}, needs, [name]), {})
        for name, needs in CHAPTERS.items()
    }
    return Plan(Run("runs/demo"), stages, Settings("demo", {}), None), reasons.update


def refusal(planned, asked, forced=frozenset()):
    try:
        check_upstream(asked, forced, planned, "MEND")
    except InputError as error:
        return str(error)
    return None


def test_one_sentence_names_all_that_is_stale_with_the_reasons_and_the_command(planned):
    plan, stale = planned
    stale({"01_data": "not run yet", "02_model": "not run yet", "03_search": "its code changed"})
    assert refusal(plan, ["04_training", "05_retrieval"]) == (
        "04_training and 05_retrieval would rest on chapters that are not fresh "
        "(01_data and 02_model: not run yet; 03_search: its code changed): "
        "`MEND` runs those first"
    )


def test_stale_chapters_that_nothing_asked_for_rests_on_are_no_matter(planned):
    plan, stale = planned
    stale({"04_training": "its code changed", "06_cost": "not run yet"})
    assert refusal(plan, ["03_search"]) is None


def test_stale_chapters_that_are_asked_for_too_are_run_first(planned):
    plan, stale = planned
    stale({"03_search": "its code changed", "04_training": "not run yet"})
    assert refusal(plan, ["03_search", "04_training", "05_retrieval"]) is None


def test_a_fresh_chapter_between_two_that_run_would_be_stale_in_the_end(planned):
    plan, stale = planned
    stale({"03_search": "the parameter trials changed"})
    said = refusal(plan, ["03_search", "05_retrieval"])
    assert "05_retrieval would rest on" in said
    assert "(04_training: 03_search runs before it)" in said


def test_a_forced_chapter_runs_before_one_that_is_not_asked_for(planned):
    plan, _ = planned
    assert refusal(plan, ["03_search", "05_retrieval"]) is None
    said = refusal(plan, ["03_search", "05_retrieval"], {"03_search", "05_retrieval"})
    assert "(04_training: 03_search runs before it)" in said


def below(name):
    """All chapters that a chapter rests on, by a walk over what each needs."""
    return {other for need in CHAPTERS[name] for other in {need, *below(need)}}


def test_refused_is_whatever_would_leave_one_to_rest_on_what_is_not_fresh_in_the_end(planned):
    """The oracle follows a run of what is asked for, whatever is stale, chapter by chapter."""
    plan, stale = planned
    names = list(CHAPTERS)
    for flags in product((False, True), repeat=2 * len(names)):
        old = {name for name, flag in zip(names, flags[: len(names)], strict=True) if flag}
        asked = [name for name, flag in zip(names, flags[len(names) :], strict=True) if flag]
        stale({name: "stale" if name in old else None for name in names})
        run = {name for name in asked if name in old}
        outdated = {n for n in set(names) - set(asked) if n in old or run & below(n)}
        wrong = any(outdated & below(name) for name in asked)
        assert (refusal(plan, asked) is not None) == wrong, (old, asked)
