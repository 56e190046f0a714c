"""Sphinx extension for the pages of exercises: their list, and solutions without markers."""

from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Any

import nbformat
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

from cxr_mtl.base.errors import InputError
from cxr_mtl.base.table_text import markdown_table
from cxr_mtl.runs.exercise_cells import exercises_of, without_markers
from cxr_mtl.runs.stages import BOOK, EXERCISES, Chapter, read_exercises

logger = logging.getLogger(__name__)

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
        chapter = f"[{int(name[:2])}]({name})"
        for exercise in exercises_of(page.notebook, page.name):
            link = f"[{exercise.title}](#{exercise.label})"
            rows.append([chapter, link, exercise.duration.lower()])
            chapter = ""
    return markdown_table(["chapter", "exercise", "time"], rows)


class ExerciseList(SphinxDirective):
    """`exercise-list`: see `exercise_table`."""

    def run(self) -> list[nodes.Node]:
        """Read the exercises and parse the table where the directive stands."""
        folder = Path(self.env.srcdir) / BOOK
        try:
            pages = read_exercises(folder)
            for page in pages:
                self.env.note_dependency(str(folder / f"{page.name}.py"))
            return self.parse_text_to_nodes("\n".join(exercise_table(pages)))
        except InputError as error:
            logger.warning("{%s}: %s", self.name, error, location=self.get_location())
            return []


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
