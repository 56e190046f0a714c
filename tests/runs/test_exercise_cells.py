"""Exercises: what each must have, and what of a solution students get."""

import ast
import re
from pathlib import Path

import jupytext
import pytest

from cxr_mtl.base.errors import InputError
from cxr_mtl.base.fingerprints import has_tag
from cxr_mtl.runs.exercise_cells import (
    DURATIONS,
    directive,
    exercises_of,
    label_at,
    student_code,
    without_markers,
)
from cxr_mtl.runs.stages import read_chapters, read_exercises

BOOK = Path(__file__).parents[2] / "book"
PAGES = {page.name: page for page in read_exercises(BOOK)}
SOLUTION = """\
def double(x):
    \"\"\"Twice x.\"\"\"
    ### BEGIN SOLUTION
    return 2 * x
    ### END SOLUTION


double(2)
"""
PAGE = f"""\
# %% [markdown]
# # Exercises: numbers
# %% [markdown]
# ```{{exercise}} Twice
# :label: ex-01-twice
#
# *Two minutes.* Write `double(x)`.
# ```
# %%
given = 3
# %% [markdown]
# ```{{solution-start}} ex-01-twice
# :class: dropdown
# ```
# %% tags=["solution"]
{SOLUTION}
# %% tags=["check"]
assert double(3) == 6, "twice 3 is 6"
# %% [markdown]
# ```{{solution-end}}
# ```
"""


def page(text=PAGE):
    return jupytext.reads(text, fmt="py:percent")


def test_an_exercise_has_a_label_a_title_a_duration_and_its_cells():
    (exercise,) = exercises_of(page(), "numbers")
    assert (exercise.label, exercise.title) == ("ex-01-twice", "Twice")
    assert exercise.duration == "Two minutes"
    kinds = [directive(page().cells[i])[0] for i in exercise.cells]
    assert kinds == ["exercise", "", "solution-start", "", "", "solution-end"]
    assert [label_at(page(), i) for i in range(7)] == [None] + 6 * ["ex-01-twice"]


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("# :label: ex-01-twice\n", "", "numbers, exercise Twice: it lacks a line `:label:"),
        ("Twice\n# :label", "\n# :label", "exercise ex-01-twice: it lacks a title"),
        ("*Two minutes.*", "*Soon.*", "exercise ex-01-twice: it lacks a duration, one of"),
        ("-start} ex-01-twice", "-start} ex-02", "the directive `solution-start ex-01-twice`, it"),
        ("{solution-end}", "{note}", "the directive `solution-end`, it has 0"),
        ('tags=["check"]', "", "exercise ex-01-twice: it has no code cell tagged `check`"),
        ('tags=["solution"]', "", "exercise ex-01-twice: it has no code cell tagged `solution`"),
        ("    ### END SOLUTION\n", "", "`### BEGIN SOLUTION` has no partner"),
        ("    ### BEGIN SOLUTION\n", "", "`### END SOLUTION` has no partner"),
        ("# # Exer", '# x\n# %% tags=["solution"]\n#', "part of a solution but of no exercise"),
    ],
)
def test_a_malformed_exercise_is_named_with_its_file(old, new, sentence):
    text = PAGE.replace(old, new, 1)
    assert text != PAGE
    with pytest.raises(InputError) as error:
        exercises_of(page(text), "numbers")
    assert str(error.value).startswith("numbers, ")
    assert sentence in str(error.value)


def test_two_exercises_of_a_page_may_not_share_a_label():
    with pytest.raises(InputError, match="numbers has two exercises labelled ex-01-twice"):
        exercises_of(page(PAGE + PAGE), "numbers")


def test_students_get_a_stub_in_the_place_of_each_solution_indented_alike():
    code = SOLUTION + "### BEGIN SOLUTION\nx = 1\ny = 2\n### END SOLUTION\nz = 3"
    missing = 'raise NotImplementedError("here: your code belongs here")'
    expected = f'def double(x):\n    """Twice x."""\n    {missing}\n\n\ndouble(2)\n...\nz = 3'
    assert student_code(code, "here") == expected
    ast.parse(expected)


def test_a_page_shows_the_solution_without_its_markers():
    assert without_markers(SOLUTION) == re.sub(r" *### .*\n", "", SOLUTION).rstrip("\n")


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        ("x = 1", "here: mark what students write by lines"),
        ("### BEGIN SOLUTION\n### BEGIN SOLUTION\n### END SOLUTION", "has no partner"),
        ("### END SOLUTION", "here: `### END SOLUTION` has no partner"),
        ("### BEGIN SOLUTION\nx = 1", "here: `### BEGIN SOLUTION` has no partner"),
    ],
)
def test_markers_that_do_not_pair_are_refused(code, sentence):
    with pytest.raises(InputError) as error:
        student_code(code, "here")
    assert sentence in str(error.value)


def test_every_chapter_has_a_page_of_exercises_and_every_page_a_chapter():
    assert {f"exercises/{chapter.name}" for chapter in read_chapters(BOOK)} == set(PAGES)


@pytest.mark.parametrize("name", PAGES)
def test_a_chapter_has_four_exercises_or_more_from_two_minutes_to_an_afternoon(name):
    exercises = exercises_of(PAGES[name].notebook, name)
    assert len(exercises) >= 4
    lengths = [DURATIONS.index(exercise.duration) for exercise in exercises]
    assert lengths == sorted(lengths)
    assert (lengths[0], lengths[-1]) == (0, 3)


def test_labels_name_their_chapter_and_are_unique_in_the_book():
    labels = []
    for name, each in PAGES.items():
        own = [exercise.label for exercise in exercises_of(each.notebook, name)]
        assert all(re.fullmatch(rf"ex-{name[10:12]}-[a-z0-9-]+", label) for label in own), name
        labels += own
    assert len(set(labels)) == len(labels)


@pytest.mark.parametrize("name", PAGES)
def test_a_check_expects_in_words_and_says_last_that_it_passed(name):
    notebook = PAGES[name].notebook
    for exercise in exercises_of(notebook, name):
        (check,) = (
            notebook.cells[i] for i in exercise.cells if has_tag(notebook.cells[i], "check")
        )
        tree = ast.parse(check.source)
        calls = [ast.unparse(each.func) for each in ast.walk(tree) if isinstance(each, ast.Call)]
        assert any(call.startswith("expect_") for call in calls)
        # A bare assert would not say what was expected and what was found.
        assert not any(isinstance(node, ast.Assert) for node in ast.walk(tree))
        assert ast.unparse(tree.body[-1]) == f"print('{exercise.label}: passed')"


@pytest.mark.parametrize("name", PAGES)
def test_a_page_names_the_files_it_needs_and_leaves_none(name):
    chapter = PAGES[name]
    code = "\n".join(cell.source for cell in chapter.notebook.cells if cell.cell_type == "code")
    used = set(re.findall(r'run / f?"([\w.]+)', code))
    assert used <= {need.split("/")[0] for need in chapter.needs}
