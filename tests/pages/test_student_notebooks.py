"""Notebooks for teaching: without solutions for students, with them for instructors."""

import re
import shutil
from pathlib import Path

import jupytext
import nbformat
import papermill
import pytest
from typer.testing import CliRunner

from cxr_mtl import cli
from cxr_mtl.base.errors import InputError
from cxr_mtl.base.fingerprints import has_tag
from cxr_mtl.base.terminal import PlainConsole
from cxr_mtl.pages.plain_markdown import BookWords
from cxr_mtl.pages.student_notebooks import student_notebook, write_teaching_notebooks
from cxr_mtl.runs.driver import run_chapters
from cxr_mtl.runs.exercise_cells import BEGIN, END
from cxr_mtl.runs.freshness import StageState
from cxr_mtl.runs.run import Run
from cxr_mtl.runs.stage_runner import ChapterError
from cxr_mtl.runs.stages import read_exercises, read_stages
from cxr_mtl.runs.status import chapter_states

ROOT = Path(__file__).parents[2]
QUIET = PlainConsole(quiet=True)
HEADER = """\
# ---
# jupyter:
#   kernelspec: {display_name: Python 3, language: python, name: python3}
#   cxr_mtl: {needs: [%s], leaves: [%s]}
# ---
# %%%% [markdown]
# # %s
# %%%% tags=["parameters"]
run_dir: str = "runs/demo"  # folder of the run
"""
DATA = (
    HEADER % ("", "numbers.txt, results/01_data.json", "Numbers")
    + """\
# %% [markdown]
# ```{math}
# :label: eq-twice
# y = 2 x
# ```
# %%
import json
from pathlib import Path

Path(run_dir, "results").mkdir(exist_ok=True)
Path(run_dir, "results/01_data.json").write_text('[{"metric": "count", "value": 2.5}]')
Path(run_dir, "numbers.txt").write_text("3 4")
"""
)
EXERCISES = (
    HEADER % ("numbers.txt", "", "Exercises: numbers")
    + """\
# %% [markdown]
# These go with [the chapter](../01_data) of {cite}`someone2020`.
# %%
from pathlib import Path

numbers = [int(word) for word in Path(run_dir, "numbers.txt").read_text().split()]
# %% [markdown]
# ```{exercise} Twice
# :label: ex-01-twice
#
# *Two minutes.* Write `double(x)` of {eq}`eq-twice`; {num}`01_data?metric=count:.1f` is the mean.
# ```
# %% [markdown]
# ```{solution-start} ex-01-twice
# :class: dropdown
# ```
# %% tags=["solution"]
def double(x):
    ### BEGIN SOLUTION
    return x + x  # the secret
    ### END SOLUTION


double(numbers[0])
# %% [markdown] tags=["solution"]
# It was a secret.
# %% tags=["check"]
assert double(numbers[1]) == 8, "twice 4 is 8"
print("ex-01-twice: passed")
# %% [markdown]
# ```{solution-end}
# ```
"""
)
REFERENCE = "@misc{someone2020, author = {One, Some and Two, Any}, title = {T}, year = {2020}}\n"


@pytest.fixture(scope="module")
def executed(tmp_path_factory):
    """A repository of a chapter and its exercises, both executed."""
    root = tmp_path_factory.mktemp("a study")
    (root / "book/profiles").mkdir(parents=True)
    (root / "book/exercises").mkdir()
    (root / "book/profiles/demo.yml").write_text("{}\n")
    (root / "book/references.bib").write_text(REFERENCE)
    (root / "book/01_data.py").write_text(DATA)
    (root / "book/exercises/01_data.py").write_text(EXERCISES)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        run_chapters(console=QUIET)
    return root


@pytest.fixture
def study(executed, tmp_path, monkeypatch):
    """A copy of that repository, and the current directory."""
    root = tmp_path / "a study"
    shutil.copytree(executed, root)
    monkeypatch.chdir(root)
    return root


def written(kind, name="01_data"):
    return nbformat.read(f"_build/teach/{kind}/{name}.ipynb", as_version=4)


def edit(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_exercises_run_after_their_chapter_and_stand_in_the_manifest(study):
    manifest = Run("runs/demo").manifest
    assert list(manifest) == ["01_data", "exercises/01_data"]
    assert list(manifest["exercises/01_data"]["parts"]["needs"]) == ["numbers.txt"]
    assert Path("runs/demo/exercises/01_data.ipynb").exists()
    assert chapter_states() == {"01_data": None, "exercises/01_data": None}


def test_a_wrong_solution_fails_the_run_and_is_named_with_its_message(study):
    edit(study / "book/exercises/01_data.py", "return x + x", "return x + x + 1")
    with pytest.raises(ChapterError) as error:
        run_chapters(console=QUIET)
    assert str(error.value).startswith(
        "exercises/01_data, exercise ex-01-twice, failed in cell [4] with AssertionError: "
        "twice 4 is 8"
    )
    assert Path("runs/demo/exercises/01_data.failed.ipynb").exists()
    assert not list(Path("runs/demo").rglob("*.partial.ipynb"))


@pytest.fixture
def notebooks(study):
    lines = []
    assert write_teaching_notebooks("demo", report=lines.append) == Path("_build/teach")
    assert lines == []
    return written


def test_both_notebooks_are_valid_and_free_of_the_books_syntax(notebooks):
    for kind in ("student", "instructor"):
        notebook = notebooks(kind)
        nbformat.validate(notebook)
        text = "\n".join(cell.source for cell in notebook.cells)
        assert not re.search(r"\{[a-z-]+\}|:label:|```|### (BEGIN|END)", text)
        assert "the chapter (chapter 1 of the book) of (One and Two, 2020)" in text
        assert "`double(x)` of (1.1); 2.5 is the mean" in text
        assert "## Exercise: Twice" in text


def test_students_get_no_line_of_a_solution_and_no_output(notebooks):
    text = Path("_build/teach/student/01_data.ipynb").read_text()
    assert "secret" not in text
    notebook = notebooks("student")
    (solution,) = (cell for cell in notebook.cells if has_tag(cell, "solution"))
    assert solution.source.startswith("def double(x):\n    raise NotImplementedError(")
    assert solution.source.endswith('belongs here")\n\n\ndouble(numbers[0])')
    assert not any(cell.get("outputs") for cell in notebook.cells)


def test_instructors_get_the_solutions_with_the_outputs_of_the_run(notebooks):
    cells = notebooks("instructor").cells
    code, prose = (cell for cell in cells if has_tag(cell, "solution"))
    assert code.source.startswith("def double(x):\n    return x + x  # the secret\n\n\ndouble")
    assert code.outputs[0].data["text/plain"] == "6"
    assert prose.source == "It was a secret."


def test_instructors_of_a_stale_run_get_no_outputs_and_are_told(study):
    edit(study / "book/exercises/01_data.py", "double(numbers[0])", "double(numbers[1])")
    lines = []
    write_teaching_notebooks("demo", report=lines.append)
    assert lines == ["01_data: the instructor's notebook has no outputs, its code changed"]
    assert not any(cell.get("outputs") for cell in written("instructor").cells)


def test_notebooks_are_the_same_when_they_are_written_again(notebooks):
    before = {path: path.read_bytes() for path in Path("_build/teach").rglob("*.ipynb")}
    assert len(before) == 2
    write_teaching_notebooks("demo")
    assert {path: path.read_bytes() for path in before} == before


def test_the_instructors_notebook_runs_where_it_lies(notebooks):
    folder = Path("_build/teach/instructor")
    papermill.execute_notebook(folder / "01_data.ipynb", None, cwd=folder, progress_bar=False)


def test_the_command_says_where_the_notebooks_lie(study):
    result = CliRunner().invoke(cli.app, ["teach"])
    assert result.exit_code == 0
    assert "Written: _build/teach/student and _build/teach/instructor" in result.stdout
    assert written("student").cells


def test_a_notebook_that_was_worked_on_is_not_replaced(notebooks, study):
    mine = next(Path("_build/teach/student").glob("*.ipynb"))
    mine.write_text(mine.read_text() + " ")
    with pytest.raises(InputError, match=rf"student/{mine.name} was changed since it was written"):
        write_teaching_notebooks("demo")
    assert mine.read_text().endswith(" ")


def test_an_exercise_that_cannot_be_written_leaves_the_old_notebooks(notebooks, study):
    edit(study / "book/exercises/01_data.py", f"    {END}\n", "")
    with pytest.raises(InputError, match=f"exercises/01_data, exercise ex-01-twice: `{BEGIN}` has"):
        write_teaching_notebooks("demo")
    assert "secret" in str(written("instructor"))
    shutil.rmtree(study / "book/exercises")
    with pytest.raises(InputError, match=r"no exercises NN_name\.py in book/exercises"):
        write_teaching_notebooks("demo")


def test_a_name_that_the_book_does_not_have_is_refused(study):
    for old, new, sentence in [
        ("eq-twice", "eq-thrice", "the book has no equation, figure or exercise eq-thrice"),
        ("someone2020", "nobody2020", "references.bib has no entry nobody2020"),
        ("metric=count", "metric=sum", "no record has metric=sum"),
    ]:
        text = EXERCISES.replace(old, new)
        (study / "book/exercises/01_data.py").write_text(text)
        with pytest.raises(InputError, match=sentence):
            write_teaching_notebooks("demo")


REAL = {page.name: page for page in read_exercises(ROOT / "book")}
DEMO = ROOT / "runs/demo"


@pytest.fixture(scope="module")
def words():
    stages = read_stages(ROOT / "book")
    return BookWords(ROOT / "book", stages, Run(DEMO), [stage.name for stage in stages])


@pytest.mark.parametrize("name", REAL)
def test_every_page_of_the_book_has_a_students_notebook(name, words):
    state = StageState(name, None, "not run yet")
    notebook = student_notebook(REAL[name], Run(DEMO), state, words)
    nbformat.validate(notebook)
    text = "\n".join(cell.source for cell in notebook.cells)
    assert BEGIN not in text
    jupytext.reads(jupytext.writes(notebook, "py:percent"), "py:percent")
