"""The built pages: outputs and numbers of a run, why some are not shown, everything offline."""

import hashlib
import importlib.util
import re
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import jupytext
import pytest
from nbformat.v4 import new_output

from cxr_mtl.base.file_hashes import digest
from cxr_mtl.pages.build import PagesError, build_html
from cxr_mtl.pages.directives import NumberRole
from cxr_mtl.pages.edition import Edition
from cxr_mtl.pages.sphinx_extension import PHANTOM_BANNER, STAND_INS, banner, mend
from cxr_mtl.runs.freshness import stage_parts
from cxr_mtl.runs.run import Run
from cxr_mtl.runs.stages import executed_copy, read_chapters

ROOT = Path(__file__).parents[2]
SOURCE = """\
# ---
# jupyter:
#   kernelspec: {display_name: Python 3, language: python, name: python3}
#   cxr_mtl: {needs: [], leaves: [results/01_data.json]}
# ---
# %% [markdown]
# # Data
#
# The count is {num}`01_data?metric=count:.1f`.
#
# :::{of-data} phantom openi
# Counted in {num}`01_data?metric=count` reports of Open-I.
# :::
#
# :::{of-data} pairs
# Counted in {num}`01_data?metric=absent` pairs.
# :::
#
# $$ x^2 $$ (eq-square)
# %% tags=["parameters"]
run_dir: str = "runs/demo"
count: int = 3  # studies
# %%
print("outcome")
"""
RETRIEVAL = SOURCE.replace("Data", "Retrieval").replace("eq-square", "eq-other")
RETRIEVAL = RETRIEVAL.replace("needs: []", "needs: [results/01_data.json]")
RETRIEVAL = RETRIEVAL.replace("leaves: [results/01_data", "leaves: [results/05_retrieval")
MAPS = """\
# ---
# jupyter:
#   kernelspec: {display_name: Python 3, language: python, name: python3}
#   cxr_mtl: {needs: [], leaves: [results/06_maps.json]}
# ---
# %% [markdown]
# # Maps
#
# {numref}`fig-maps` shows {num}`06_maps?metric=count` maps.
# %% tags=["parameters"]
run_dir: str = "runs/demo"
# %% mystnb={"figure": {"name": "fig-maps", "caption": "A map."}, "image": {"alt": "A map"}}
print("a map")
"""
INDEX = """\
# A study

See {doc}`01_data`. There are {num}`06_maps?metric=count` maps.

```{model-table} 05_retrieval
found first | metric=accuracy&k=1:.3f
found among five | metric=accuracy&k=5:.3f
```

```{model-table} 06_maps
maps | metric=count
```

```{parameters}
```

```{edition}
```
"""
RECORD = {
    "started": "2026-01-01T00:00:00+00:00",
    "wall_seconds": 12.34,
    "peak_memory_bytes": 2**30,
    "git": {"commit": "0123456789abcdef", "dirty": True},
    "hardware": {"cpu": "Some CPU", "cores": 2, "memory_gib": 23.5, "gpu": None},
    "versions": {"python": "3.11.7", "torch": "2.15.0"},
}
RECORDS = [
    {"model": "tuned", "metric": "accuracy", "k": 1, "value": 0.5, "low": 0.4, "high": 0.6},
    {"model": "tuned", "metric": "accuracy", "k": 5, "value": None},
]


def executed(source):
    """A chapter's copy as the driver leaves it: values put in, outputs attached."""
    notebook = jupytext.reads(source, fmt="py:percent")
    notebook.cells[1].source = notebook.cells[1].source.replace("3", "30")
    for number, cell in enumerate(notebook.cells[1:], start=1):
        cell.execution_count = number
    notebook.cells[2].outputs = [new_output("stream", name="stdout", text="42 outcomes\n")]
    return notebook


def test_the_mathjax_that_is_shipped_is_the_published_one():
    spec = importlib.util.find_spec("sphinx-mathjax-offline")
    script = Path(spec.submodule_search_locations[0]) / "static/mathjax/tex-mml-chtml.js"
    # npm mathjax 3.2.2, es5/tex-mml-chtml.js
    assert hashlib.sha256(script.read_bytes()).hexdigest() == (
        "300480069078b5892d2363a2b65e2dfbbf30fe5c80f83edbfecf4610fd093862"
    )


def make_run(name, dataset, count):
    """A run of the current directory's first two chapters, as the driver leaves it."""
    run = Run(f"runs/{name}")
    run.write_results("01_data", [{"metric": "count", "value": count}])
    run.write_results("05_retrieval", RECORDS)
    for source in read_chapters():
        if source.name == "06_maps":
            continue
        text = Path(f"book/{source.name}.py").read_text()
        jupytext.write(executed(text), executed_copy(run, source.name))
        values = {"run_dir": f"runs/{name}", "count": count}
        record = {
            "parts": stage_parts(source, values, run),
            "parameters": {**values, "dataset": dataset},
            "left": {leaf: digest(run / leaf) for leaf in source.leaves},
        }
        settings = {"settings": {"profile": "demo", "parameters": {}}}
        run.write_stage(source.name, {**record, **RECORD, **settings})


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A book of two chapters that were run and one that was not, with the real configuration."""
    root = tmp_path_factory.mktemp("a book")
    shutil.copy(ROOT / "_config.yml", root)
    shutil.copytree(ROOT / "book/_assets", root / "book/_assets")
    (root / "_toc.yml").write_text(
        "format: jb-book\nroot: book/index\nparts:\n  - caption: The study\n    numbered: true\n"
        "    chapters:\n      - file: book/01_data\n      - file: book/05_retrieval\n"
        "      - file: book/06_maps\n      - file: book/rerun\n"
    )
    (root / "book/references.bib").write_text("")
    (root / "book/index.md").write_text(INDEX)
    (root / "book/rerun.md").write_text("# Running it yourself\n")
    (root / "book/01_data.py").write_text(SOURCE)
    (root / "book/05_retrieval.py").write_text(RETRIEVAL)
    (root / "book/06_maps.py").write_text(MAPS)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        patch.setenv("CXR_MTL_REPOSITORY", "someone/cxr")
        make_run("demo", "phantom", 41)
        make_run("mine", "phantom", 42)
        assert build_html("mine", "demo") == Path("_build/html/index.html")
    return root


def html_of(site, page):
    return (site / f"_build/html/book/{page}.html").read_text()


def text_of(site, page):
    return " ".join(re.sub(r"<[^>]+>", "", html_of(site, page)).split())


def test_a_chapter_that_was_run_shows_outputs_numbers_and_provenance(site):
    text = text_of(site, "01_data")
    assert "42 outcomes" in text
    assert "The count is 42.0." in text
    assert (
        "The last execution of this page took 12 s, not counting work kept from earlier ones, and "
        "at most 1.0 GiB of memory" in text
    )
    assert "How this chapter was run" in text
    assert "2.15.0" in text


def test_a_number_names_its_source_in_its_title(site):
    title = "runs/mine/results/01_data.json: metric=count"
    assert f'<abbr class="num" title="{title}">42.0</abbr>' in html_of(site, "01_data")


def test_prose_of_other_data_sets_falls_away_with_the_numbers_it_asks_for(site):
    text = text_of(site, "01_data")
    assert "Counted in 42 reports of Open-I." in text
    assert "pairs." not in text


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
    assert cells_of(site, "index", 1)[2] == ["count: studies", "int", "–", "3", "–", "1, 5"]
    edition = dict(cells_of(site, "index", 2)[1:])
    assert edition["run"] == "mine"
    assert edition["shown"] == "2 of 3 chapters and sets of exercises"
    assert edition["not shown"].startswith("06_maps (not run yet): cxr-mtl book --run mine")
    assert edition["against demo"].startswith("3 numbers in 2 chapters: 0 moved beyond")


def test_a_stale_chapter_names_the_reason_and_the_remedy_and_shows_no_output(site):
    text = text_of(site, "06_maps")
    assert "No outputs are shown, for 06_maps is stale: not run yet." in text
    assert "cxr-mtl book --run mine computes them." in text
    assert "How this chapter was run" not in text


def test_a_figure_of_a_stale_chapter_keeps_its_number_and_says_what_is_missing(site):
    assert "Fig. 3.1 shows not computed maps." in text_of(site, "06_maps")
    assert 'alt="Not computed: not run yet"' in html_of(site, "06_maps")


def test_numbers_of_a_stale_chapter_are_not_computed_and_tell_why(site):
    title = "06_maps: not run yet; cxr-mtl book --run mine computes it"
    shown = f'<abbr class="num" title="{title}">not computed</abbr>'
    assert html_of(site, "06_maps").count(shown) == 1
    assert html_of(site, "index").count(shown) == 2


def test_a_run_that_is_not_the_reference_says_what_moved(site):
    text = text_of(site, "01_data")
    assert "This run against demo" in text
    assert ["moved, no seed variance known", "1"] in cells_of(site, "01_data", 0)
    assert ["count", "41", "42"] in cells_of(site, "01_data", 1)
    assert 'href="../_static/compare.html"' in html_of(site, "01_data")
    assert "demo and mine compared" in (site / "_build/html/_static/compare.html").read_text()


def test_a_chapter_links_to_its_notebook_at_binder_and_colab(site):
    page = html_of(site, "05_retrieval")
    assert "mybinder.org/v2/gh/someone/cxr/notebooks?urlpath=lab/tree/05_retrieval.ipynb" in page
    assert "github/someone/cxr/blob/notebooks/05_retrieval.ipynb" in page


def test_a_prose_page_tells_of_which_edition_it_is(site):
    text = text_of(site, "rerun")
    assert "Edition: run mine; Open-I reports, drawn phantoms as images; 2 cores (Some CPU" in text
    assert "commit 0123456789ab with uncommitted changes; 1 January 2026" in text


def test_a_run_on_phantoms_says_so_on_every_page(site):
    for page in ("index", "01_data", "05_retrieval", "06_maps", "rerun"):
        assert PHANTOM_BANNER in text_of(site, page)


@pytest.mark.parametrize(
    ("backbone", "told"), [("demo-biomed", True), ("biomedclip", False), (None, True)]
)
def test_the_banner_speaks_of_stand_ins_only_where_both_models_are_such(backbone, told):
    values = [{"dataset": "phantom"}, {"general_model": "demo-general"}]
    values += [{"backbone": backbone}] if backbone else []
    text = banner(SimpleNamespace(parameters=parameters) for parameters in values)
    assert text.startswith(PHANTOM_BANNER)
    assert (STAND_INS in text) == told


def test_stand_ins_are_told_of_on_real_images_too_and_nothing_where_there_are_none():
    def told(**parameters):
        return banner([SimpleNamespace(parameters=parameters)])

    models = {"backbone": "demo-biomed", "general_model": "demo-general"}
    assert told(dataset="pairs", **models) == f"T{STAND_INS[1:]}."
    assert told(dataset="openi", backbone="biomedclip", general_model="clip") is None


def test_a_number_that_rests_on_a_stale_chapter_says_so(site):
    edition = Edition(site, "mine", "demo", "", read_chapters(site / "book"))
    stale = replace(edition.states["01_data"], reason="its code changed")
    edition.states["01_data"] = stale  # read once and kept
    app = SimpleNamespace(cxr_mtl_edition=edition)
    env = SimpleNamespace(app=app, note_dependency=lambda path: None)
    role = NumberRole()
    role.inliner = SimpleNamespace(document=SimpleNamespace(settings=SimpleNamespace(env=env)))
    role.text = "05_retrieval?metric=accuracy&k=1:.3f"
    (number, *_), _ = role.run()
    assert number.astext().startswith("0.500")
    assert number["explanation"] == (
        "runs/mine/results/05_retrieval.json: metric=accuracy, k=1; "
        "rests on what is stale: 01_data (its code changed)"
    )


def test_no_page_names_another_server(site):
    for page in (site / "_build/html").rglob("*.html"):
        assert not re.findall(r'(?:src|href)="(?:https?:)?//[^"]+\.(?:js|css)', page.read_text())
        assert "unpkg" not in page.read_text()
    assert (site / "_build/html/_static/mathjax/tex-mml-chtml.js").exists()


def test_a_failed_build_names_the_fault_and_keeps_the_old_pages(site, monkeypatch):
    monkeypatch.chdir(site)
    make_run("other", "openi", 7)
    Path("runs/other/results/05_retrieval.json").write_text("[]")
    text = INDEX.replace("{num}`06_maps?metric=count`", "{num}`01_data?metric=recall`")
    Path("book/index.md").write_text(text + "\n{num}`07_none?metric=count`\n")
    before = html_of(site, "01_data")
    with pytest.raises(PagesError) as refused:
        build_html("other", "absent")
    said = str(refused.value)
    assert "{num}`01_data?metric=recall`: no record has metric=recall" in said
    assert "{num}`07_none?metric=count`: there is no chapter 07_none" in said
    assert said.count("WARNING") == 2
    assert html_of(site, "01_data") == before
    assert not Path("_build/.html.old").exists()
    # The pages that were refused: of a run on real images, with a stage edited by hand.
    refused_site = site / "_build/.next"
    assert PHANTOM_BANNER not in text_of(refused_site, "index")
    assert "There is no run absent to compare with" in text_of(refused_site, "01_data")
    stale = text_of(refused_site, "05_retrieval")
    assert "05_retrieval is stale: results/05_retrieval.json was changed since." in stale
    assert "42 outcomes" not in stale


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('<th class="blank level0" >&nbsp;</th>', '<td class="blank level0" ></td>'),
        ("<th></th>", "<td></td>"),
        ('<link rel="preload" as="font" href="a.woff2">\n<p>', "<p>"),
        (
            '<summary><span class="toctree-toggle" role="presentation">',
            '<summary aria-label="pages of this part"><span class="toctree-toggle" '
            'role="presentation">',
        ),
        (
            '<div role="list" class="citation-list">\n<div class="citation" id="a" '
            'role="doc-biblioentry">',
            '<div class="citation-list">\n<div class="citation" id="a">',
        ),
        (
            '<dl>\n<dd><em class="sig-param">a</em>,</dd>\n</dl>',
            '<dl role="presentation">\n<dd><em class="sig-param">a</em>,</dd>\n</dl>',
        ),
    ],
)
def test_what_has_no_name_or_a_wrong_role_is_mended(before, after):
    assert mend(before) == after


@pytest.mark.parametrize("html", ["<th>metric</th>", "<summary>Solution</summary>", "<td></td>"])
def test_what_is_well_stays_as_it_is(html):
    assert mend(html) == html
