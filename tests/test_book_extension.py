"""The pages: outputs joined by code, numbers by record, everything offline."""

import hashlib
import importlib.util
import re
import shutil
from pathlib import Path

import jupytext
import pytest
from nbformat.v4 import new_code_cell, new_output

from cxr_mtl.book_extension import PHANTOM_BANNER, join_outputs, provenance
from cxr_mtl.pages import PagesError, build_html
from cxr_mtl.runs import Run

ROOT = Path(__file__).parents[1]
SOURCE = """\
# ---
# jupyter:
#   kernelspec: {display_name: Python 3, language: python, name: python3}
#   cxr_mtl: {leaves: [studies.parquet]}
# ---
# %% [markdown]
# # Data
#
# The count is {num}`01_data?metric=count:.1f`.
#
# $$ x^2 $$ (eq-square)
# %% tags=["parameters"]
run_dir: str = "runs/demo"
count: int = 3  # studies
# %%
print("outcome")
"""
RECORD = {
    "parameters": {"dataset": "phantom", "rule": "a|b"},
    "started": "2026-01-01T00:00:00+00:00",
    "wall_seconds": 12.34,
    "peak_memory_bytes": 2**30,
    "git": {"commit": "0123456789abcdef", "dirty": True},
    "hardware": {"cpu": "Some CPU", "cores": 2, "memory_gib": 23.5, "gpu": None},
    "versions": {"python": "3.11.7", "torch": "2.15.0"},
}

INDEX = """\
# A study

See {doc}`01_data`.

```{model-table} 05_retrieval
found first | metric=accuracy&k=1:.3f
found among five | metric=accuracy&k=5:.3f
```

```{parameters}
```
"""


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


def test_outputs_are_joined_where_the_code_is_the_same_and_prose_is_the_newest():
    page = chapter()
    page.cells[0].source = "# Newer prose"
    joined = join_outputs(page, executed())
    assert joined.cells[0].source == "# Newer prose"
    assert joined.cells[2].outputs[0].text == "42 outcomes\n"
    assert "count: int = 30  # studies" in joined.cells[1].source


def test_outputs_of_other_code_are_not_shown():
    page = chapter()
    page.cells[2].source = "print('other')"
    assert join_outputs(page, executed()) is None


def test_parameters_injected_by_papermill_are_shown():
    copy = executed()
    injected = new_code_cell("count = 5", metadata={"tags": ["injected-parameters"]})
    copy.cells.insert(2, injected)
    joined = join_outputs(chapter(), copy)
    assert [cell.source for cell in joined.cells[2:]] == ["count = 5", 'print("outcome")']
    assert joined.cells[3].outputs[0].text == "42 outcomes\n"


def test_provenance_names_parameters_time_memory_versions_and_commit():
    text = provenance(RECORD, "runs/demo/01_data.ipynb")
    for words in (
        "12.3 s",
        "1.00 GiB",
        "0123456789ab with uncommitted changes",
        "Some CPU, 2 cores",
        "torch 2.15.0",
        "| `rule` | `'a\\|b'` |",
        "{download}`01_data.ipynb </runs/demo/01_data.ipynb>`",
    ):
        assert words in text
    assert "not in a git repository" in provenance({**RECORD, "git": None}, "x")


RECORDS = [
    {"model": "tuned", "metric": "accuracy", "k": 1, "value": 0.5, "low": 0.4, "high": 0.6},
    {"model": "tuned", "metric": "accuracy", "k": 5, "value": None},
]


def test_the_mathjax_that_is_shipped_is_the_published_one():
    spec = importlib.util.find_spec("sphinx-mathjax-offline")
    script = Path(spec.submodule_search_locations[0]) / "static/mathjax/tex-mml-chtml.js"
    # npm mathjax 3.2.2, es5/tex-mml-chtml.js
    assert hashlib.sha256(script.read_bytes()).hexdigest() == (
        "300480069078b5892d2363a2b65e2dfbbf30fe5c80f83edbfecf4610fd093862"
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A book of one chapter that was run and one that was not, with the real configuration."""
    root = tmp_path_factory.mktemp("a book")
    shutil.copy(ROOT / "_config.yml", root)
    shutil.copytree(ROOT / "book/_assets", root / "book/_assets")
    (root / "_toc.yml").write_text(
        "format: jb-book\nroot: book/index\nparts:\n  - caption: The study\n    numbered: true\n"
        "    chapters:\n      - file: book/01_data\n      - file: book/02_model\n"
    )
    (root / "book/references.bib").write_text("")
    (root / "book/index.md").write_text(INDEX)
    (root / "book/01_data.py").write_text(SOURCE)
    unrun = SOURCE.replace("eq-square", "eq-other").replace("# # Data", "# # Model")
    unrun = unrun.replace("leaves: [studies.parquet]", "needs: [studies.parquet]")
    (root / "book/02_model.py").write_text(unrun)
    run = Run(root / "runs/demo")
    jupytext.write(executed(), run / "01_data.ipynb")
    run.write_stage("01_data", RECORD)
    run.write_results("01_data", [{"metric": "count", "value": 42}])
    run.write_results("05_retrieval", RECORDS)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        assert build_html("demo") == Path("_build/html/index.html")
    return root


def html_of(site, page):
    return (site / f"_build/html/book/{page}.html").read_text()


def text_of(site, page):
    return " ".join(re.sub(r"<[^>]+>", "", html_of(site, page)).split())


def test_a_chapter_that_was_run_shows_outputs_numbers_and_provenance(site):
    text = text_of(site, "01_data")
    assert "42 outcomes" in text
    assert "The count is 42.0." in text
    assert "How this chapter was run" in text
    assert "2.15.0" in text


def test_a_number_names_its_source_in_its_title(site):
    title = "runs/demo/results/01_data.json: metric=count"
    assert f'<abbr class="num" title="{title}">42.0</abbr>' in html_of(site, "01_data")


def cells_of(site, page, table):
    found = re.findall(r"<table.*?</table>", html_of(site, page), re.DOTALL)[table]
    rows = re.findall(r"<tr.*?</tr>", found, re.DOTALL)
    cells = [re.findall(r"<t[hd].*?</t[hd]>", row, re.DOTALL) for row in rows]
    return [[re.sub(r"<[^>]+>", "", cell).strip() for cell in row] for row in cells]


def test_tables_are_made_where_their_directives_stand(site):
    assert cells_of(site, "index", 0) == [
        ["", "tuned"],
        ["found first", "0.500 [0.400, 0.600]"],
        ["found among five", "undefined"],
    ]
    assert cells_of(site, "index", 1)[2] == ["count", "3", "studies (int; 1, 2)"]


def test_a_chapter_that_was_not_run_says_so(site):
    text = text_of(site, "02_model")
    assert "This chapter has not been run: run make book for its outputs." in text
    assert "42 outcomes" not in text


def test_a_run_on_phantoms_says_so_on_every_page(site):
    for page in ("index", "01_data", "02_model"):
        assert PHANTOM_BANNER in text_of(site, page)


def test_no_page_names_another_server(site):
    for page in (site / "_build/html").rglob("*.html"):
        assert not re.findall(r'(?:src|href)="(?:https?:)?//[^"]+\.(?:js|css)', page.read_text())
        assert "unpkg" not in page.read_text()
    assert (site / "_build/html/_static/mathjax/tex-mml-chtml.js").exists()


def test_a_failed_build_names_the_fault_and_keeps_the_old_pages(site, monkeypatch):
    monkeypatch.chdir(site)
    (site / "runs/other").mkdir()
    manifest = {**RECORD, "parameters": {"dataset": "openi"}}
    Run("runs/other").write_stage("01_data", manifest)
    before = html_of(site, "01_data")
    with pytest.raises(PagesError, match=r"01_data\.json is missing: run the step"):
        build_html("other")
    assert html_of(site, "01_data") == before
    assert not Path("_build/.html.old").exists()
    # The pages that were refused: built of another run, they carry no banner.
    assert PHANTOM_BANNER not in (site / "_build/.next/_build/html/book/index.html").read_text()
