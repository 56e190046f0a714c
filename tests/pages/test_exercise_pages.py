"""The pages of exercises: solutions folded with their outputs, and one list of them all."""

import shutil
from pathlib import Path

import pytest
from lxml import html

from cxr_mtl.base.errors import InputError
from cxr_mtl.pages.build import build_html
from cxr_mtl.pages.exercise_pages import exercise_table
from cxr_mtl.runs.stages import read_exercises

ROOT = Path(__file__).parents[2]
HEADER = """\
# ---
# jupyter:
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---
# %% [markdown]
# # %s
# %% tags=["parameters"]
run_dir: str = "runs/demo"
"""
EXERCISE = """\
# %% [markdown]
# ```{exercise} SLUG of $x$
# :label: ex-01-SLUG
#
# *Two minutes.* Write `f(x)`.
# ```
# %% [markdown]
# ```{solution-start} ex-01-SLUG
# :class: dropdown
# ```
# %% tags=["solution"]
def f(x):
    ### BEGIN SOLUTION
    return x
    ### END SOLUTION
# %% tags=["check"]
assert f(1) == 1, "f(1) is 1"
print("passed")
# %% [markdown]
# ```{solution-end}
# ```
"""
PAGE = (
    HEADER.replace("%s", "Exercises: numbers")
    + EXERCISE.replace("SLUG", "once")
    + EXERCISE.replace("SLUG", "twice")
)


@pytest.fixture(scope="module")
def book(tmp_path_factory):
    """A book of a page, a chapter and its exercises, without a run."""
    root = tmp_path_factory.mktemp("a book")
    (root / "book/exercises").mkdir(parents=True)
    (root / "book/index.md").write_text("# Exercises\n\n```{exercise-list}\n```\n")
    (root / "book/rerun.md").write_text("# Running it yourself\n")
    (root / "book/01_data.py").write_text(HEADER.replace("%s", "Data"))
    (root / "book/exercises/01_data.py").write_text(PAGE)
    (root / "book/references.bib").write_text("")
    (root / "_toc.yml").write_text(
        "format: jb-book\nroot: book/index\nchapters:\n  - file: book/01_data\n"
        "  - file: book/rerun\n  - glob: book/exercises/[0-9][0-9]_*\n"
    )
    return root


@pytest.fixture(scope="module")
def pages(book):
    """Its pages, built with the real configuration; the exercises as if they had been run."""
    shutil.copy(ROOT / "_config.yml", book)
    shutil.copytree(ROOT / "book/_assets", book / "book/_assets")
    (book / "runs/demo").mkdir(parents=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(book)
        patch.setenv("PYTHONPATH", str(ROOT))
        build_html("demo")
    return book / "_build/html/book"


def test_the_list_names_a_chapter_once_and_every_exercise_with_its_time(book):
    rows = exercise_table(read_exercises(book / "book"))[2:]
    assert rows == [
        "| [1](01_data) | [once of $x$](#ex-01-once) | two minutes |",
        "|  | [twice of $x$](#ex-01-twice) | two minutes |",
    ]


def test_the_list_refuses_a_malformed_exercise(tmp_path):
    (tmp_path / "exercises").mkdir()
    (tmp_path / "exercises/01_data.py").write_text(PAGE.replace("*Two minutes.*", ""))
    with pytest.raises(InputError, match="exercises/01_data, exercise ex-01-once: it lacks a dur"):
        exercise_table(read_exercises(tmp_path))


def test_the_links_of_the_list_lead_to_the_exercises(pages):
    links = html.parse(pages / "index.html").xpath("//article//td//a/@href")
    anchors = ["exercises/01_data.html#ex-01-once", "exercises/01_data.html#ex-01-twice"]
    assert links == ["01_data.html", *anchors]


def test_a_solution_is_folded_with_its_check_and_shows_no_marker(pages):
    page = html.parse(pages / "exercises/01_data.html")
    ids = page.xpath("//article//@id")
    assert {"ex-01-once", "ex-01-twice"} <= set(ids)
    assert len(set(ids)) == len(ids)
    folded = page.xpath("//article//div[contains(@class, 'dropdown') and .//pre]")
    assert len(folded) == 2
    for solution in folded:
        text = solution.text_content()
        assert "return x" in text
        assert "assert f(1)" in text
    assert "### " not in page.getroot().text_content()
