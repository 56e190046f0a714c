"""Sphinx extension for the pages of exercises: their list, and solutions without markers."""

from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Any

import nbformat
from docutils import nodes
from sphinx.application import Sphinx

from cxr_mtl.base.markdown_text import Markdown
from cxr_mtl.base.table_text import markdown_table
from cxr_mtl.pages.directives import MarkdownTable
from cxr_mtl.runs.exercise_cells import exercises_of, without_markers
from cxr_mtl.runs.stages import BOOK, EXERCISES, Chapter, read_exercises

# After the outputs are joined, whose code has the markers.
_LATE = 900


def setup(app: Sphinx) -> dict[str, Any]:
    """Register everything; called by Sphinx."""
    app.add_directive("exercise-list", ExerciseList)
    app.connect("source-read", _drop_markers, priority=_LATE)
    app.connect("doctree-resolved", _drop_shared_ids)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def exercise_table(pages: Iterable[Chapter]) -> list[str]:
    """Markdown of a table of all exercises: chapter (once), exercise with a link, time it takes.

    Raises:
        InputError: an exercise is malformed.
    """
    rows = []
    for page in pages:
        name = PurePosixPath(page.name).name
        chapter = Markdown(f"[{int(name[:2])}]({name})")
        for exercise in exercises_of(page.notebook, page.name):
            link = Markdown(f"[{exercise.title}](#{exercise.label})")
            rows.append([chapter, link, exercise.duration.lower()])
            chapter = ""
    return markdown_table(["chapter", "exercise", "time"], rows)


class ExerciseList(MarkdownTable):
    """`exercise-list`: see `exercise_table`."""

    def markdown(self) -> list[str]:
        """Read the exercises."""
        folder = Path(self.env.srcdir) / BOOK
        pages = read_exercises(folder)
        for page in pages:
            self.env.note_dependency(str(folder / f"{page.name}.py"))
        return exercise_table(pages)


def _drop_markers(app: Sphinx, docname: str, source: list[str]) -> None:
    """Leave out the lines that tell `make teach` what students write."""
    if PurePosixPath(docname).parent.name != EXERCISES:
        return
    notebook = nbformat.reads(source[0], as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.source = without_markers(cell.source)
    source[0] = nbformat.writes(notebook)


def _drop_shared_ids(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Remove ids that sphinx-exercise gives to all exercises alike: an id stands once on a page."""
    for section in doctree.findall(nodes.section):
        section["ids"] = [
            name for name in section["ids"] if name not in ("exercise-content", "solution-content")
        ]
