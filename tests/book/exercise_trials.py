"""The pages of exercises with answers of other people in the place of the book's solutions."""

import ast
import re
from functools import cache
from pathlib import Path
from typing import Any

from cxr_mtl.base.fingerprints import has_tag
from cxr_mtl.runs.exercise_cells import exercises_of, student_code, without_markers
from cxr_mtl.runs.parameters import write_parameters
from cxr_mtl.runs.stages import read_exercises

ROOT = Path(__file__).parents[2]
ANSWERS = Path(__file__).parent / "exercise_answers"
PAGES = {page.name: page for page in read_exercises(ROOT / "book")}
EXERCISES = {
    exercise.label: (page, exercise)
    for page in PAGES.values()
    for exercise in exercises_of(page.notebook, page.name)
}
_HEADING = re.compile(r"^# %% (ex-[\w-]+), (wrong|right): (.+)$", re.M)


def written_answers(kind: str) -> list[tuple[str, str, str]]:
    """Label, name and code of the answers of a kind, wrong or right, in `exercise_answers`."""
    found = []
    for path in sorted(ANSWERS.glob("*.py")):
        _, *parts = _HEADING.split(path.read_text(encoding="utf-8"))
        for label, its_kind, name, code in zip(*[iter(parts)] * 4, strict=True):
            if its_kind == kind:
                found.append((label, name, code))
    return found


def functions_of(label: str) -> list[str]:
    """The names of the functions that students write."""
    return [
        node.name
        for code in _solutions(label)
        for node in ast.parse(student_code(code, label)).body
        if isinstance(node, ast.FunctionDef) and "NotImplementedError" in ast.unparse(node)
    ]


def unsolved(label: str, functions: list[str]) -> str:
    """These functions as students get them."""
    page, _ = EXERCISES[label]
    return "\n".join(
        ast.unparse(node)
        for code in _solutions(label)
        for node in ast.parse(student_code(code, f"{page.name}, exercise {label}")).body
        if isinstance(node, ast.FunctionDef) and node.name in functions
    )


def space_of(label: str, values: dict[str, str]) -> dict[str, Any]:
    """The names that are there before the exercise: of the page's first cells and its own."""
    page, exercise = EXERCISES[label]
    space = dict(_first_cells(page.name, tuple(values.items())))
    for cell in page.notebook.cells[exercise.cells.start : exercise.cells.stop]:
        if cell.cell_type == "code" and not (has_tag(cell, "solution") or has_tag(cell, "check")):
            exec(compile(cell.source, label, "exec"), space)
    return space


def solve(label: str, space: dict[str, Any], answer: str | None = None) -> Exception | None:
    """Execute the solution; returns what failed first, and as in a notebook stopped its cell only.

    With an answer its functions stand in the place of the solution's, and cells without one of them
    are left out.
    """
    answered = ast.parse(answer or "").body
    own = {node.name: node for node in answered if hasattr(node, "name")}
    asked, failure = functions_of(label), None
    extra = [node for node in answered if getattr(node, "name", None) not in asked]
    for code in _solutions(label):
        tree = ast.parse(without_markers(code))
        names = [getattr(node, "name", "") for node in tree.body]
        if answer is not None and not set(asked) & set(names):
            continue
        tree.body = [own.get(name, node) for name, node in zip(names, tree.body, strict=True)]
        tree.body[:0] = extra
        try:
            exec(compile(tree, label, "exec"), space)
        except Exception as error:
            failure = failure or error
    return failure


def check(label: str, space: dict[str, Any]) -> None:
    """Execute the check of an exercise."""
    page, exercise = EXERCISES[label]
    for cell in page.notebook.cells[exercise.cells.start : exercise.cells.stop]:
        if has_tag(cell, "check"):
            exec(compile(cell.source, label, "exec"), space)


def _solutions(label):
    page, exercise = EXERCISES[label]
    cells = page.notebook.cells[exercise.cells.start : exercise.cells.stop]
    return [c.source for c in cells if c.cell_type == "code" and has_tag(c, "solution")]


@cache
def _first_cells(name, values):
    """Names after the cells that belong to no exercise's solution: all are there from the start."""
    page = PAGES[name]
    inside = {i for exercise in exercises_of(page.notebook, name) for i in exercise.cells}
    space: dict[str, Any] = {"__name__": "student", "display": print, "In": []}
    for i, cell in enumerate(page.notebook.cells):
        if cell.cell_type != "code" or i in inside:
            continue
        code = cell.source
        if has_tag(cell, "parameters"):
            code = write_parameters(code, dict(values))
        space["In"].append(code)  # as a kernel keeps what it executes
        exec(compile(code, name, "exec"), space)
    if "train_toy" in space:
        space["train_toy"] = cache(space["train_toy"])  # every answer trains the same again
    return space
