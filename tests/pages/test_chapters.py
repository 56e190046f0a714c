"""Chapters as pages: joined with a run, or with the reason why not."""

import jupytext
import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_output

from cxr_mtl.base.errors import InputError
from cxr_mtl.pages.chapters import chapter_page, join_outputs
from cxr_mtl.pages.edition import Edition
from cxr_mtl.runs.freshness import StageState
from cxr_mtl.runs.manifest import Record
from cxr_mtl.runs.stages import Chapter

SOURCE = """\
# ---
# jupyter:
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---
# %% [markdown]
# (label)=
# # Model
#
# First words.
# %% tags=["parameters"]
run_dir: str = "runs/demo"
count: int = 3  # studies
# %% mystnb={"figure": {"name": "fig-x", "caption": "X"}, "image": {"alt": "X"}}
print("outcome")
"""
PARTS = ("parameters", "inputs", "library", "needs")
RECORD = Record.model_validate(
    {
        "parts": {**{name: {} for name in PARTS}, "code": "c", "lock": None, "python": "3.11"},
        "parameters": {},
        "left": {},
        "started": "2026-01-02T03:04:05+00:00",
        "wall_seconds": 12.0,
        "peak_memory_bytes": 2**30,
        "git": None,
        "versions": {},
        "hardware": {"cpu": "Some CPU", "cores": 2, "memory_gib": 23.5, "gpu": None},
    }
)


def chapter():
    return jupytext.reads(SOURCE, fmt="py:percent")


def executed():
    """A chapter's copy as the driver leaves it: values put in, outputs attached."""
    notebook = chapter()
    notebook.cells[1].source = notebook.cells[1].source.replace("3", "30")
    for number, cell in enumerate(notebook.cells[1:], start=1):
        cell.execution_count = number
    notebook.cells[2].outputs = [new_output("stream", name="stdout", text="42 outcomes\n")]
    return notebook


def page(root, repository="", **reasons):
    """The page of the second of two chapters, `reasons` telling which are stale."""
    chapters = [
        Chapter("01_data", None, {}, [], ["studies"]),
        Chapter("02_model", None, {}, ["studies"], []),
    ]
    edition = Edition(root, "demo", "demo", repository, chapters)
    names = {"01_data": reasons.get("data"), "02_model": reasons.get("model")}
    states = {name: StageState(name, RECORD, reason) for name, reason in names.items()}
    edition.__dict__["states"] = states  # as if read
    (root / "runs/demo").mkdir(parents=True, exist_ok=True)
    nbformat.write(executed(), root / "runs/demo/02_model.ipynb")
    return chapter_page(chapter(), "book/02_model", edition)


def test_outputs_are_those_of_the_run_and_prose_is_the_newest():
    page = chapter()
    page.cells[0].source = "# Newer prose"
    joined = join_outputs(page, executed())
    assert joined.cells[0].source == "# Newer prose"
    assert joined.cells[2].outputs[0].text == "42 outcomes\n"
    assert "count: int = 30  # studies" in joined.cells[1].source


def test_parameters_injected_by_papermill_are_shown():
    copy = executed()
    injected = new_code_cell("count = 5", metadata={"tags": ["injected-parameters"]})
    copy.cells.insert(2, injected)
    joined = join_outputs(chapter(), copy)
    assert [cell.source for cell in joined.cells[2:]] == ["count = 5", 'print("outcome")']
    assert joined.cells[3].outputs[0].text == "42 outcomes\n"


def test_the_lines_of_the_run_stand_between_title_and_first_words(tmp_path):
    top = page(tmp_path).cells[0].source.split("\n\n")
    assert top[0] == "(label)=\n# Model"
    assert top[1].startswith("*The last execution of this page took 12 s")
    assert top[2:] == ["First words."]


def test_links_to_open_a_chapter_stand_only_where_a_repository_is_named(tmp_path):
    assert "Binder" not in page(tmp_path).cells[0].source
    assert "[Binder](https://mybinder.org/v2/gh/a/b" in page(tmp_path, "a/b").cells[0].source


def test_a_fresh_chapter_on_a_stale_one_is_shown_with_a_note(tmp_path):
    made = page(tmp_path, data="its code changed")
    assert "what it rests on is stale: 01_data (its code changed)" in made.cells[0].source
    assert made.cells[2].outputs[0].text == "42 outcomes\n"


def test_a_stale_chapter_has_a_reason_and_a_blank_for_each_figure(tmp_path):
    made = page(tmp_path, model="a < b changed")
    assert r"02_model is stale: a \< b changed." in made.cells[0].source
    assert "`cxr-mtl book --run demo` computes them" in made.cells[0].source
    (blank,) = made.cells[2].outputs
    assert "Not computed: a &lt; b changed" in blank.data["image/svg+xml"]
    assert made.cells[2].metadata.mystnb["figure"]["name"] == "fig-x"
    assert made.cells[2].metadata.mystnb["image"]["alt"] == "Not computed: a < b changed"


def test_a_chapter_without_a_title_is_refused(tmp_path, monkeypatch):
    monkeypatch.setitem(globals(), "SOURCE", SOURCE.replace("# # Model", "# Model"))
    with pytest.raises(InputError, match="first cell must hold its title"):
        page(tmp_path)
