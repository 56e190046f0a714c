"""Sphinx extension of the book: pages from a run's outputs and numbers, for readers offline too.

The run is `runs/<cxr_mtl_run>`, by default the one named by the variable `CXR_MTL_RUN`, else
`demo`. It is compared with the run `cxr_mtl_reference` (`CXR_MTL_REFERENCE`, else `demo`), and
chapters can be opened elsewhere where `cxr_mtl_repository` (`CXR_MTL_REPOSITORY`) names the
repository at GitHub.
"""

import importlib.util
import re
import shutil
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any, get_args

import nbformat
from sphinx.application import Sphinx
from sphinx.config import Config

from cxr_mtl.models.demo_architecture import DemoName
from cxr_mtl.pages.chapters import read_page
from cxr_mtl.pages.directives import (
    EditionTable,
    ModelTable,
    NumberRole,
    OfData,
    ParameterTable,
    RunFigure,
)
from cxr_mtl.pages.edition import add_config_values, edition_of
from cxr_mtl.runs.against_reference import write_compare_page
from cxr_mtl.runs.manifest import Record

PHANTOM_BANNER = "Demo edition: the images are drawn phantoms, not radiographs"
STAND_INS = "the baselines are small stand-ins, not BiomedCLIP or CLIP"

# What MathJax reads beside its main file; the rest of the package is other output formats.
_MATHJAX_FILES = ("tex-mml-chtml.js", "input/tex/extensions", "output/chtml/fonts/woff-v2")

_FONT_PRELOAD = re.compile(r'<link rel="preload" as="font"[^>]*>\s*')
_EMPTY_HEADER = re.compile(r"<th( [^>]*)?>(?:&nbsp;|\s|<p></p>)*</th>")
_SIGNATURE = '<dl role="presentation">\n<dd><em class="sig-param">'
_SIDEBAR_SUMMARY = re.compile(r"<summary>(?=<span class=\"toctree-toggle\")")


def setup(app: Sphinx) -> dict[str, Any]:
    """Register everything; called by Sphinx."""
    add_config_values(app)
    app.add_role("num", NumberRole())
    app.add_directive("model-table", ModelTable)
    app.add_directive("of-data", OfData)
    app.add_directive("parameters", ParameterTable)
    app.add_directive("edition", EditionTable)
    app.add_directive("run-figure", RunFigure)
    app.connect("config-inited", _configure)
    app.connect("source-read", read_page)
    app.connect("build-finished", _finish)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def banner(records: Iterable[Record]) -> str | None:
    """What every page says of phantoms and stand-ins; None of a run that has neither."""
    values = defaultdict(set)
    for record in records:
        for name in ("dataset", "backbone", "general_model"):
            if name in record.parameters:
                values[name].add(record.parameters[name])
    models = values["backbone"] | values["general_model"]
    stand_ins = STAND_INS if models and models <= set(get_args(DemoName)) else ""
    # Where the record of the data is lost, the numbers of the others are still those of a demo.
    if not values or values["dataset"] - {"phantom"}:
        return f"{stand_ins[:1].upper()}{stand_ins[1:]}." if stand_ins else None
    return ", and ".join(filter(None, [PHANTOM_BANNER, stand_ins])) + "."


def mend(page: str) -> str:
    """A page's HTML mended for readers offline and with screen readers.

    Browsers refuse the theme's preloads of icon fonts from `file://`, with an error in the console;
    its icons do not use them. pandas heads its index with empty `th`, which become cells. The
    theme's toggles of the contents have no name and get one. docutils gives citations a role that
    ARIA has deprecated, inside a list that may not hold it: both roles go. Sphinx lays long
    signatures out as a list of descriptions without terms, which is no list to be read out.
    """
    page = _FONT_PRELOAD.sub("", page)
    page = _EMPTY_HEADER.sub(r"<td\1></td>", page)
    page = _SIDEBAR_SUMMARY.sub('<summary aria-label="pages of this part">', page)
    page = page.replace(' role="doc-biblioentry"', "")
    page = page.replace('<dl>\n<dd><em class="sig-param">', _SIGNATURE)
    return page.replace('<div role="list" class="citation-list">', '<div class="citation-list">')


def _configure(app: Sphinx, config: Config) -> None:
    """Let pages load the MathJax that lies beside them, and say of which edition they are."""
    config.mathjax_path = "mathjax/tex-mml-chtml.js"
    states = edition_of(app).states.values()
    announcement = banner(state.record for state in states if state.record)
    if announcement:
        config.html_theme_options["announcement"] = announcement


def _finish(app: Sphinx, error: Exception | None) -> None:
    """Put MathJax beside the pages, write the comparison of two runs, and mend all pages.

    What can be downloaded and what lies on the pages names no folder of this machine.
    """
    if error or app.builder.format != "html":
        return
    folder, edition = Path(app.outdir), edition_of(app)
    _copy_mathjax(folder / "_static/mathjax")
    write_compare_page(edition.comparison, folder)
    for page in folder.rglob("*.html"):
        page.write_text(edition.private.hide(mend(page.read_text("utf-8"))), "utf-8")
    for path in folder.glob("_downloads/**/*.ipynb"):
        notebook = edition.private.hide_all(nbformat.read(path, as_version=nbformat.NO_CONVERT))
        path.write_text(nbformat.writes(notebook, version=nbformat.NO_CONVERT), "utf-8")


def _copy_mathjax(folder: Path) -> None:
    """Copy MathJax from the installed package."""
    spec = importlib.util.find_spec("sphinx-mathjax-offline")
    installed = Path(spec.submodule_search_locations[0]) / "static/mathjax"
    for name in _MATHJAX_FILES:
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if (installed / name).is_dir():
            shutil.copytree(installed / name, target, dirs_exist_ok=True)
        else:
            shutil.copyfile(installed / name, target)
