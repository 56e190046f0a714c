"""Notebooks for teaching, from the exercises of the book: one for students, one for instructors."""

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path, PurePosixPath

import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell

from cxr_mtl.base.errors import InputError
from cxr_mtl.base.fingerprints import has_tag
from cxr_mtl.pages.own_folder import write_own_folder
from cxr_mtl.pages.plain_markdown import BookWords, plain_markdown
from cxr_mtl.pages.private_paths import private_paths
from cxr_mtl.runs.exercise_cells import directive, exercises_of, student_code, without_markers
from cxr_mtl.runs.freshness import StageState, read_states
from cxr_mtl.runs.parameters import write_parameters
from cxr_mtl.runs.run import Run, existing_run
from cxr_mtl.runs.stages import BOOK, Chapter, executed_copy, read_exercises, read_stages

TEACH = Path("_build/teach")

GO_TO_ROOT = """\
# Run this cell first. It goes to the repository's root, where `make book` has installed the
# environment once (the notebook's kernel is .venv/bin/python) and computed {run_dir}.
import os
from pathlib import Path

roots = [
    folder
    for folder in (Path.cwd(), *Path.cwd().parents)
    if (folder / "book/exercises").is_dir()
]
assert roots, "put this notebook into the repository: it reads the files of a run"
os.chdir(roots[0])
"""


def write_teaching_notebooks(
    run_name: str, folder: Path = TEACH, report: Callable[[str], None] = print
) -> Path:
    """Write `student/NN_name.ipynb` and `instructor/NN_name.ipynb`, all or none; returns `folder`.

    Both come from `book/exercises` and read the files of `runs/<run_name>`. An instructor's
    notebook has the outputs of that run's executed copy where it is fresh, without the folders of
    this machine.

    Raises:
        InputError: there are no exercises or no such run, an exercise is malformed, or as in
            `write_own_folder`.
    """
    run, stages, pages = existing_run(run_name), read_stages(), read_exercises()
    if not pages:
        raise InputError(f"no exercises NN_name.py in {BOOK / 'exercises'}: write some first")
    states = read_states(run_name, stages, Path())
    stale = [name for name, state in states.items() if state.reason]
    words = BookWords(BOOK, stages, run, stale)
    private = private_paths(Path.cwd(), [s.record for s in states.values() if s.record])
    with write_own_folder(folder) as beside:
        for page in pages:
            state, name = states[page.name], PurePosixPath(page.name).name
            for kind, notebook in {
                "student": student_notebook(page, run, state, words),
                "instructor": instructor_notebook(page, run, state, words),
            }.items():
                for cell in notebook.cells:
                    if cell.get("outputs"):
                        cell.outputs = private.hide_all(cell.outputs)
                nbformat.validate(notebook)
                path = beside / kind / f"{name}.ipynb"
                path.parent.mkdir(parents=True, exist_ok=True)
                nbformat.write(notebook, path)
            if state.reason:
                report(f"{name}: the instructor's notebook has no outputs, {state.reason}")
    return folder


def student_notebook(page: Chapter, run: Run, state: StageState, words: BookWords) -> NotebookNode:
    """A page of exercises with a stub in the place of each solution, without outputs.

    Raises:
        InputError: an exercise is malformed, or its text has no plain form.
    """
    notebook = deepcopy(page.notebook)
    labels = {i: exercise for exercise in exercises_of(notebook, page.name) for i in exercise.cells}
    for i, cell in enumerate(notebook.cells):
        if cell.cell_type == "code" and has_tag(cell, "solution"):
            cell.source = student_code(cell.source, f"{page.name}, exercise {labels[i].label}")
    notebook.cells = [
        cell for cell in notebook.cells if cell.cell_type == "code" or not has_tag(cell, "solution")
    ]
    return _plain(notebook, page, run, state, words, "### Your solution")


def instructor_notebook(
    page: Chapter, run: Run, state: StageState, words: BookWords
) -> NotebookNode:
    """A page of exercises with its solutions, and with the run's outputs where it is fresh.

    Raises:
        InputError: an exercise is malformed, or its text has no plain form.
    """
    notebook = deepcopy(page.notebook)
    exercises_of(notebook, page.name)
    if not state.reason:
        executed = nbformat.read(executed_copy(run, page.name), as_version=4)
        copies = [cell for cell in executed.cells if cell.cell_type == "code"]
        cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
        for cell, copy in zip(cells, copies, strict=True):
            cell.outputs, cell.execution_count = copy.outputs, copy.execution_count
    for cell in notebook.cells:
        if has_tag(cell, "solution"):
            cell.source = without_markers(cell.source)
    return _plain(notebook, page, run, state, words, "### Solution")


def _plain(
    notebook: NotebookNode,
    page: Chapter,
    run: Run,
    state: StageState,
    words: BookWords,
    solution_heading: str,
) -> NotebookNode:
    """The notebook as any Jupyter shows and runs it, with the parameters of the run."""
    run_dir = run.path.as_posix()
    values = {**(state.record.parameters if state.record else {}), "run_dir": run_dir}
    setup = new_code_cell(GO_TO_ROOT.format(run_dir=run_dir).rstrip())
    cells = []
    for cell in notebook.cells:
        kind, _ = directive(cell)
        if kind == "solution-end":
            continue
        if kind == "solution-start":
            cell.source = solution_heading
        elif cell.cell_type == "markdown":
            cell.source = plain_markdown(cell.source, page.name, words.roles, words.page)
        elif has_tag(cell, "parameters"):
            cell.source = write_parameters(cell.source, values)
        cells.append(cell)
    notebook.cells = [cells[0], setup, *cells[1:]]
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number}"
        cell.metadata = {"tags": cell.metadata.tags} if cell.metadata.get("tags") else {}
    notebook.metadata = {"kernelspec": notebook.metadata.kernelspec}
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    return notebook
