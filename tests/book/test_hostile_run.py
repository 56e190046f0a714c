"""People's text is text on every page, in every notebook: no script, no request, no mathematics."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

import nbformat
import pandas as pd
import pytest
from built_pages import ROOT
from filelock import FileLock
from hostile_run import CALL, FOLDER, IDS, SILENT, make_book, make_run, write_pairs

from cxr_mtl.base.terminal import printable
from cxr_mtl.runs.compare import compare_page, compare_runs
from cxr_mtl.runs.run import Run
from cxr_mtl.runs.sweep import Point, Sweep, summary_page

PAGES = ("book/index", "book/01_data", "book/11_explorer", "book/rerun", "_static/compare")
FOREIGN = """() => [
    ...document.querySelectorAll(
        "iframe, object, embed, base, [onload], [onerror], [onmouseover], [onfocus], [autofocus]," +
        "img[src='x'], img[src$='/x'], [src*='evil'], [href*='evil']:not([href^='#'])," +
        "[href^='javascript:' i]"
    ),
    ...[...document.querySelectorAll("style")].filter(found => found.textContent.includes("evil")),
].map(found => found.outerHTML.slice(0, 200))"""
MATHS = """async () => {
    if (!window.MathJax?.startup?.promise) return [];
    await MathJax.startup.promise;
    return [...MathJax.startup.document.math].map(item => item.math);
}"""
OF_PEOPLE = ("foo", "href", "frac{1}{2}", "5 to", "x_1", "x^2")


@pytest.fixture(scope="session")
def site(tmp_path_factory, untrained_folder):
    """The repository of a hostile run with its pages, made once for all processes of the tests."""
    root = tmp_path_factory.getbasetemp()
    root = (root.parent if "PYTEST_XDIST_WORKER" in os.environ else root) / "hostile"
    repository = root / "repository"
    with FileLock(root.with_suffix(".lock")):
        if not (repository / "whole").exists():
            _make_site(root, repository, untrained_folder)
            (repository / "whole").touch()
    return repository


def _make_site(root, repository, untrained):
    pairs = write_pairs(root / "home" / FOLDER)
    model = root / "home/aliceprivate" / IDS[2].replace("/", "")
    shutil.copytree(untrained, model)
    make_book(repository)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(repository)
        _write_pages_of_the_command_line(make_run(pairs, model))
        jupyter_book = "from jupyter_book.cli.main import main; main()"
        subprocess.run(
            [sys.executable, "-c", jupyter_book, "build", ".", "-q"],
            env={**os.environ, "CXR_MTL_RUN": "mine", "PYTHONPATH": str(ROOT)},
            capture_output=True,
            check=True,
        )


def _write_pages_of_the_command_line(run):
    Path("commands").mkdir()
    numbers = compare_runs(run, Run("runs/demo"))
    Path("commands/compare.html").write_text(compare_page(numbers, run, run))
    points = [Point(f"s-{n}", {"backbone": text}) for n, text in enumerate(IDS)]
    summary = pd.DataFrame(
        [{"run": p.run, **p.values, "state": f"missing: {IDS[0]}"} for p in points]
    )
    sweep = Sweep("s", IDS[1], [f"backbone={text}" for text in IDS], {"backbone": IDS}, points)
    Path("commands/summary.html").write_text(summary_page(sweep, summary))


def notebooks(site):
    found = sorted((site / "_build/html/_downloads").rglob("*.ipynb"))
    assert {path.name for path in found} == {"01_data.ipynb", "11_explorer.ipynb"}
    return found


@pytest.fixture
def watched(browser):
    """A page on which every dialog and every request to another place is noted."""
    page = browser.new_page()
    page.happened = []
    page.on("dialog", lambda dialog: (page.happened.append(dialog.message), dialog.dismiss()))
    page.on("pageerror", lambda error: page.happened.append(str(error)))
    page.on(
        "request",
        lambda asked: (
            page.happened.append(asked.url)
            if not asked.url.startswith(("file:", "data:", "blob:", "about:"))
            else None
        ),
    )
    yield page
    page.close()


def is_harmless(page):
    maths = page.evaluate(MATHS)
    page.mouse.move(200, 200)
    page.wait_for_timeout(200)
    assert page.evaluate("document.cxrHostile") is None
    assert page.evaluate(FOREIGN) == []
    assert not [found for found in maths if any(text in found for text in OF_PEOPLE)]
    assert page.happened == []


@pytest.mark.parametrize("name", PAGES)
def test_a_page_of_a_hostile_run_is_harmless(site, watched, name):
    watched.goto((site / f"_build/html/{name}.html").as_uri())
    is_harmless(watched)


@pytest.mark.parametrize("name", ["compare", "summary"])
def test_what_the_command_line_writes_as_a_page_is_harmless(site, watched, name):
    watched.goto((site / f"commands/{name}.html").as_uri())
    is_harmless(watched)
    assert printable(IDS[1]) in watched.locator("body").inner_text()


def test_a_hostile_search_is_harmless(site, watched):
    address = (site / "_build/html/search.html").as_uri()
    watched.goto(f"{address}?q={quote(IDS[2])}")
    watched.wait_for_selector("#search-results")
    watched.goto(f"{address}?q=script#{quote(IDS[1])}")
    watched.wait_for_selector("#search-results li, #search-results p")
    # A page from disk may not fetch the others for its summaries.
    watched.happened = [what for what in watched.happened if what != "Failed to fetch"]
    is_harmless(watched)


def test_what_the_first_chapter_leaves_out_and_does_not_read_is_told_and_kept(site):
    said = (site / "said.txt").read_text()
    assert "studies dropped: 1 of 33 (1 x no text); dropped.parquet lists them" in said
    assert said == printable(said)
    dropped = pd.read_parquet(site / "runs/mine/dropped.parquet")
    assert dropped[["study", "reason"]].to_numpy().tolist() == [[SILENT, "no text"]]
    records = Run(site / "runs/mine").results("01_data")
    notices = [record["value"] for record in records if record["metric"] == "notice"]
    assert any(value.startswith("studies dropped: 1 of 33") for value in notices)
    assert all(" ".join(value.split())[:60] in " ".join(said.split()) for value in notices)
    assert len({r["model"] for r in records if r["metric"] == "reports_cut"}) >= 1


def test_texts_are_shown_as_they_are_written(site, watched):
    watched.goto((site / "_build/html/book/11_explorer.html").as_uri())
    told = " ".join(watched.locator("table").first.inner_text().split())
    for text in IDS[:12]:
        assert " ".join(text.split()) in told


def test_the_explorer_shows_every_hostile_study_and_takes_a_hostile_address(site, watched):
    watched.goto((site / "_build/html/book/11_explorer.html").as_uri())
    watched.wait_for_selector("#cxr-explorer[data-ready]")
    studies = watched.evaluate("CXR_EXPLORER.studies.map(({study}) => study)")
    assert len(studies) == 16
    go = "state => { location.hash = new URLSearchParams(state).toString(); }"
    for study in studies:
        watched.evaluate(go, {"study": study, "query": "report"})
        watched.wait_for_function(
            "study => document.querySelector('.cxr-card h3').textContent.includes(study)", arg=study
        )
    watched.evaluate(go, {"study": IDS[0], "model": IDS[1], "text": IDS[2], "query": IDS[3]})
    watched.fill("#cxr-search", "script")
    assert watched.locator("#cxr-explorer .cxr-tile").count() > 0
    is_harmless(watched)


def test_a_downloaded_notebook_shows_nothing_but_text(site, watched):
    for path in notebooks(site):
        notebook = nbformat.read(path, as_version=4)
        outputs = [out for cell in notebook.cells for out in cell.get("outputs", [])]
        shown = [out["data"]["text/html"] for out in outputs if "text/html" in out.get("data", {})]
        assert shown
        for table in shown:
            assert table.count("<table") == table.count("mathjax_ignore")
        watched.set_content("\n".join(shown))
        is_harmless(watched)
        said = [out.text for out in outputs if out.output_type == "stream" and out.name == "stdout"]
        assert all(text == printable(text) for text in said)


def test_no_file_of_the_site_names_a_folder_of_its_maker(site):
    for path in (site / "_build/html").rglob("*"):
        if path.suffix in (".html", ".js", ".json", ".ipynb", ".txt", ".md"):
            text = path.read_text("utf-8")
            assert "aliceprivate" not in text, path
            assert str(site) not in text, path
            assert json.dumps(str(Path.home()))[1:-1] + "/" not in text, path


def test_a_script_would_have_been_noticed(watched):
    watched.set_content(f"<svg onload={CALL}><img src=x onerror=1>")
    watched.wait_for_timeout(200)
    assert watched.happened
    assert watched.evaluate("document.cxrHostile") == 1
    assert len(watched.evaluate(FOREIGN)) == 2
