"""Chapters as pages: a run's outputs, and what surrounds them."""

import html
import re

import jupytext
import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_markdown_cell, new_output
from sphinx.application import Sphinx

from cxr_mtl.base.errors import InputError
from cxr_mtl.base.fingerprints import has_tag
from cxr_mtl.base.markdown_text import code_span, markdown_text
from cxr_mtl.base.terminal import printable
from cxr_mtl.pages.edition import Edition, edition_of, stage_of
from cxr_mtl.pages.launch import launch_links
from cxr_mtl.pages.provenance_page import chapter_footer, edition_line, lesson_line
from cxr_mtl.runs.against_reference import COMPARE_PAGE, reference_section
from cxr_mtl.runs.freshness import StageState

_BLANK = """<svg xmlns="http://www.w3.org/2000/svg" width="720" height="60">
<rect width="720" height="60" fill="#eee"/>
<text x="20" y="36" font-family="sans-serif" font-size="15">Not computed: {reason}</text>
</svg>"""


def read_page(app: Sphinx, docname: str, source: list[str]) -> None:
    """Make a notebook with outputs of a chapter's source, and put the edition below a prose page.

    Called by Sphinx with the text of every page.
    """
    edition = edition_of(app)
    if not str(app.env.doc2path(docname)).endswith(".py"):
        source[0] += f"\n\n{edition_line(edition.run_name, edition.states)}\n"
        return
    stage = stage_of(docname)
    app.env.note_dependency(str(edition.root / edition.run / "manifest.json"))
    app.env.note_dependency(str(edition.root / edition.run / f"{stage}.ipynb"))
    chapter = jupytext.reads(source[0], fmt="py:percent")
    chapter.metadata.pop("cxr_mtl", None)
    page = chapter_page(chapter, docname, edition)
    source[0] = nbformat.writes(edition.private.hide_all(page))


def chapter_page(chapter: NotebookNode, docname: str, edition: Edition) -> NotebookNode:
    """A chapter as written, with its run's outputs and provenance where it is fresh.

    Else a warning names the reason and the command that mends it, and no output is shown.
    """
    state = edition.state(stage_of(docname))
    if state.reason is None:
        copy = edition.root / edition.run / f"{state.name}.ipynb"
        chapter = join_outputs(chapter, nbformat.read(copy, as_version=4))
    else:
        _blank_figures(chapter, state)
    _insert_below_title(chapter, _head(state, edition))
    chapter.cells += [new_markdown_cell(text) for text in _foot(state, docname, edition)]
    return chapter


def join_outputs(chapter: NotebookNode, executed: NotebookNode) -> NotebookNode:
    """Give a chapter as written the outputs of its executed copy, which has the same code.

    The parameters are shown with the values they were run with.
    """
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


def _head(state: StageState, edition: Edition) -> list[str]:
    """Paragraphs for the top of a page: what it was run on, what is stale, where to open it."""
    if state.reason:
        lines = [
            f":::{{warning}}\nNo outputs are shown, for {state.name} is stale: "
            f"{markdown_text(state.reason)}.\n{code_span(edition.mend)} computes them.\n:::"
        ]
    else:
        lines = [lesson_line(state.record), *_stale_upstream(state, edition)]
    if edition.repository:
        links = launch_links(edition.repository, state.name)
        places = " · ".join(f"[{name}]({url})" for name, url in links.items())
        lines.append(f"Open, install and run this chapter on {places}")
    return lines


def _stale_upstream(state: StageState, edition: Edition) -> list[str]:
    """A note where a chapter below would run again: what it then leaves may be other files."""
    stale = edition.rests_on_stale(state.name)
    if not stale:
        return []
    return [
        f":::{{note}}\nThis chapter is as the files are that it needs, but what it rests on is "
        f"stale: {markdown_text(stale)}. {code_span(edition.mend)} brings all up to date.\n:::"
    ]


def _foot(state: StageState, docname: str, edition: Edition) -> list[str]:
    """Cells for the foot of a page: the reference, and how the chapter was run."""
    if state.reason:
        return [edition_line(edition.run_name, edition.states)]
    texts = []
    if edition.comparison:
        link = "../" * docname.count("/") + COMPARE_PAGE
        texts.append(reference_section(edition.comparison, state.name, link))
    (chapter,) = (one for one in edition.chapters if one.name == state.name)
    executed = (edition.run / f"{state.name}.ipynb").as_posix()
    return [*texts, chapter_footer(chapter, state.record, executed, edition.chapters)]


def _insert_below_title(chapter: NotebookNode, paragraphs: list[str]) -> None:
    first = chapter.cells[0]
    title = re.search(r"^# .*$", first.source, flags=re.MULTILINE)
    if not title:
        raise InputError("a chapter's first cell must hold its title, a line `# Title`")
    texts = [first.source[: title.end()], *paragraphs, first.source[title.end() :].strip()]
    first.source = "\n\n".join(text for text in texts if text)


def _blank_figures(chapter: NotebookNode, state: StageState) -> None:
    """Give the figures of a stale chapter a blank, so that references to them still lead there."""
    for cell in chapter.cells:
        shown = cell.metadata.get("mystnb", {})
        if "figure" in shown:
            data = {"image/svg+xml": _BLANK.format(reason=html.escape(printable(state.reason)))}
            cell.outputs = [new_output("display_data", data=data)]
            shown["image"] = {**shown.get("image", {}), "alt": f"Not computed: {state.reason}"}
