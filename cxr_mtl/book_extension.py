"""Sphinx extension of the book: outputs of a run, numbers from its results, offline pages.

The run is `runs/<cxr_mtl_run>`, by default the one named by the variable `CXR_MTL_RUN`, else
`demo`.
"""

import importlib.util
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jupytext
import nbformat
from docutils import nodes
from nbformat import NotebookNode
from nbformat.v4 import new_markdown_cell
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.util import logging
from sphinx.util.docutils import SphinxRole

from cxr_mtl.book_tables import ModelTable, ParameterTable, table_cell
from cxr_mtl.errors import InputError
from cxr_mtl.files import read_json
from cxr_mtl.fingerprints import chapter_code, has_tag
from cxr_mtl.pages import RUN_VARIABLE
from cxr_mtl.records import find_record
from cxr_mtl.result_tables import half_up
from cxr_mtl.runs import RUNS

logger = logging.getLogger(__name__)

PHANTOM_BANNER = (
    "Demo edition: the images are drawn phantoms, not radiographs, and the baselines are small "
    "stand-ins trained on this machine, not BiomedCLIP or CLIP."
)
# What MathJax reads beside its main file; the rest of the package is other output formats.
_MATHJAX_FILES = ("tex-mml-chtml.js", "input/tex/extensions", "output/chtml/fonts/woff-v2")


def setup(app: Sphinx) -> dict[str, Any]:
    """Register everything; called by Sphinx."""
    app.add_config_value("cxr_mtl_run", os.environ.get(RUN_VARIABLE, "demo"), "env", [str])
    app.add_role("num", NumberRole())
    app.add_directive("model-table", ModelTable)
    app.add_directive("parameters", ParameterTable)
    app.connect("config-inited", _configure)
    app.connect("source-read", _read_chapter)
    app.connect("build-finished", _copy_mathjax)
    app.connect("build-finished", _drop_font_preloads)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


# Outputs ----------------------------------------------------------------------------------------


def join_outputs(chapter: NotebookNode, executed: NotebookNode) -> NotebookNode | None:
    """Give a chapter as written the outputs of its executed copy; None where their code differs.

    The parameters are shown with the values they were run with.
    """
    if chapter_code(chapter) != chapter_code(executed):
        return None
    done = [cell for cell in executed.cells if cell.cell_type == "code"]
    joined = []
    for cell in chapter.cells:
        joined.append(cell)
        if cell.cell_type != "code":
            continue
        ran = done.pop(0)
        cell.outputs, cell.execution_count = ran.outputs, ran.execution_count
        if has_tag(cell, "parameters"):
            cell.source = ran.source
            if done and has_tag(done[0], "injected-parameters"):
                joined.append(done.pop(0))
    chapter.cells = joined
    return chapter


def provenance(record: Mapping[str, Any], executed: str) -> str:
    """Markdown of a collapsed table: how a chapter was run, by its entry in the manifest."""
    git, hardware = record["git"], record["hardware"]
    commit = "not in a git repository"
    if git:
        commit = git["commit"][:12] + (" with uncommitted changes" if git["dirty"] else "")
    rows = {
        "run at": record["started"],
        "wall time": f"{record['wall_seconds']:.1f} s",
        "peak memory": f"{record['peak_memory_bytes'] / 2**30:.2f} GiB",
        "source": commit,
        "processor": f"{hardware['cpu']}, {hardware['cores']} cores, "
        f"{hardware['memory_gib']} GiB of memory",
        "GPU": hardware["gpu"] or "none",
        "versions": ", ".join(f"{name} {number}" for name, number in record["versions"].items()),
        "executed notebook": f"{{download}}`{Path(executed).name} </{executed}>`",
    }
    parameters = {f"`{name}`": f"`{value!r}`" for name, value in record["parameters"].items()}
    lines = [f"| {name} | {table_cell(text)} |" for name, text in {**rows, **parameters}.items()]
    table = "\n".join(["| what | value |", "|:--|:--|", *lines])
    return f"````{{dropdown}} How this chapter was run\n{table}\n````"


def _read_chapter(app: Sphinx, docname: str, source: list[str]) -> None:
    """Turn a chapter's py:percent source into a notebook with the outputs of the run."""
    if not str(app.env.doc2path(docname)).endswith(".py"):
        return
    name = Path(docname).name
    run = RUNS / app.config.cxr_mtl_run
    path = Path(app.srcdir) / run / f"{name}.ipynb"
    app.env.note_dependency(str(path))
    chapter = jupytext.reads(source[0], fmt="py:percent")
    chapter.metadata.pop("cxr_mtl", None)
    joined, state = None, "has not been run"
    if path.exists():
        joined = join_outputs(chapter, nbformat.read(path, as_version=4))
        state = "has changed since it was run"
    if joined is None:
        warning = f":::{{warning}}\nThis chapter {state}: run `make book` for its outputs.\n:::"
        chapter.cells.insert(1, new_markdown_cell(warning))
    elif name in (manifest := _manifest(app)):
        executed = (run / f"{name}.ipynb").as_posix()
        chapter.cells.append(new_markdown_cell(provenance(manifest[name], executed)))
    source[0] = nbformat.writes(chapter)


def _manifest(app: Sphinx) -> dict[str, Any]:
    path = Path(app.srcdir) / RUNS / app.config.cxr_mtl_run / "manifest.json"
    return read_json(path) if path.exists() else {}


# Numbers ----------------------------------------------------------------------------------------


class NumberRole(SphinxRole):
    """`` {num}`stage?key=value&key=value:format` ``: the value of the one record that matches.

    Reads `results/<stage>.json` of the run; `format` is Python's, for example `.3f` or `.1%`.
    A record with an interval, `low` and `high`, is written with it, and a value that is null as
    undefined. No match, or several, is a warning, and so an error of the build.
    """

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        """Make the number, with a title that names its source."""
        question, _, spec = self.text.partition(":")
        stage, _, query = question.partition("?")
        path = RUNS / self.config.cxr_mtl_run / f"results/{stage}.json"
        self.env.note_dependency(str(Path(self.env.srcdir) / path))
        try:
            record = find_record(read_json(Path(self.env.srcdir) / path), query)
            number, interval = _in_words(record, spec)
        except (InputError, ValueError, TypeError) as error:
            logger.warning("{num}`%s`: %s", self.text, error, location=self.get_location())
            return [nodes.strong("", "?")], []
        source = f"{path.as_posix()}: {query.replace('&', ', ')}"
        shown = nodes.abbreviation(number, number, explanation=source, classes=["num"])
        if interval:
            shown += nodes.inline(interval, interval, classes=["interval"])
        return [shown], []


def _in_words(record: dict[str, Any], spec: str) -> tuple[str, str]:
    """A record's value, and its interval or nothing."""
    if record["value"] is None:
        return "undefined", ""
    number = _rounded(record["value"], spec)
    if record.get("low") is None:
        return number, ""
    return number, f" [{_rounded(record['low'], spec)}, {_rounded(record['high'], spec)}]"


def _rounded(value: Any, spec: str) -> str:
    return format(half_up(value) if isinstance(value, float) and spec else value, spec)


# Offline ----------------------------------------------------------------------------------------


def _configure(app: Sphinx, config: Config) -> None:
    """Set the banner of a run on phantoms, and MathJax from the installed package."""
    stages = _manifest(app).values()
    if any(stage["parameters"].get("dataset") == "phantom" for stage in stages):
        config.html_theme_options["announcement"] = PHANTOM_BANNER
    config.mathjax_path = "mathjax/tex-mml-chtml.js"


def _copy_mathjax(app: Sphinx, error: Exception | None) -> None:
    if error or app.builder.format != "html":
        return
    spec = importlib.util.find_spec("sphinx-mathjax-offline")
    installed = Path(spec.submodule_search_locations[0]) / "static/mathjax"
    for name in _MATHJAX_FILES:
        target = Path(app.outdir) / "_static/mathjax" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if (installed / name).is_dir():
            shutil.copytree(installed / name, target, dirs_exist_ok=True)
        else:
            shutil.copyfile(installed / name, target)


def _drop_font_preloads(app: Sphinx, error: Exception | None) -> None:
    """The theme preloads icon fonts that its icons, drawn by a script, do not use.

    From `file://` browsers refuse them, with an error in the console.
    """
    if error or app.builder.format != "html":
        return
    for page in Path(app.outdir).rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        page.write_text(re.sub(r'<link rel="preload" as="font"[^>]*>\s*', "", text), "utf-8")
