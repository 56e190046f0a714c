"""Sphinx extension of the book: outputs of a run, numbers from its results, offline pages.

The run is `runs/<cxr_mtl_run>`, by default the one named by the variable `CXR_MTL_RUN`, else
`demo`. It is compared with the run `cxr_mtl_reference` (`CXR_MTL_REFERENCE`, else `demo`), and
chapters can be opened elsewhere where `cxr_mtl_repository` (`CXR_MTL_REPOSITORY`) names the
repository at GitHub.
"""

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any, get_args

from sphinx.application import Sphinx
from sphinx.config import Config

from cxr_mtl.models.demo_architecture import DemoName
from cxr_mtl.pages.chapters import read_page
from cxr_mtl.pages.directives import (
    EditionTable,
    ModelTable,
    NumberRole,
    ParameterTable,
    RunFigure,
)
from cxr_mtl.pages.edition import add_config_values, edition_of
from cxr_mtl.pages.html_repairs import copy_mathjax, mend_pages, use_local_mathjax
from cxr_mtl.runs.against_reference import COMPARE_PAGE, write_compare_page
from cxr_mtl.runs.manifest import Record

PHANTOM_BANNER = "Demo edition: the images are drawn phantoms, not radiographs"
STAND_INS = "the baselines are small stand-ins trained on this machine, not BiomedCLIP or CLIP"


def setup(app: Sphinx) -> dict[str, Any]:
    """Register everything; called by Sphinx."""
    add_config_values(app)
    app.add_role("num", NumberRole())
    app.add_directive("model-table", ModelTable)
    app.add_directive("parameters", ParameterTable)
    app.add_directive("edition", EditionTable)
    app.add_directive("run-figure", RunFigure)
    app.connect("config-inited", use_local_mathjax)
    app.connect("config-inited", _set_banner)
    app.connect("source-read", read_page)
    app.connect("build-finished", copy_mathjax)
    app.connect("build-finished", mend_pages)
    app.connect("build-finished", _write_compare_page)
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


def _set_banner(app: Sphinx, config: Config) -> None:
    states = edition_of(app).states.values()
    announcement = banner(state.record for state in states if state.record)
    if announcement:
        config.html_theme_options["announcement"] = announcement


def _write_compare_page(app: Sphinx, error: Exception | None) -> None:
    if error or app.builder.format != "html":
        return
    comparison, folder = edition_of(app).comparison, Path(app.outdir)
    (folder / COMPARE_PAGE).unlink(missing_ok=True)  # of an earlier build in the same folder
    if comparison:
        write_compare_page(comparison, folder)
