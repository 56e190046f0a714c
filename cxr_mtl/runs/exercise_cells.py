"""Exercises of a notebook: their cells, their solutions, and what of a solution students write."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from nbformat import NotebookNode

from cxr_mtl.base.errors import InputError
from cxr_mtl.base.fingerprints import has_tag

DURATIONS = ("Two minutes", "Ten minutes", "Half an hour", "An afternoon")
BEGIN, END = "### BEGIN SOLUTION", "### END SOLUTION"

_DIRECTIVE = re.compile(r"^[`:]{3,}\{(exercise|solution-start|solution-end)\}[ \t]*(.*)$", re.M)
_LABEL = re.compile(r"^:label:[ \t]*(\S+)[ \t]*$", re.M)
_DURATION = re.compile(rf"^\*({'|'.join(DURATIONS)})\.\*", re.M)


@dataclass(frozen=True)
class Exercise:
    """One exercise of a notebook; `duration` is one of `DURATIONS`.

    `cells` are the places of its cells in the notebook, from the task to the solution's end.
    """

    label: str
    title: str
    duration: str
    cells: range


def directive(cell: NotebookNode) -> tuple[str, str]:
    """Which directive of an exercise a cell holds, and its argument; twice "" where none."""
    found = _DIRECTIVE.search(cell.source) if cell.cell_type == "markdown" else None
    return (found[1], found[2].strip()) if found else ("", "")


def exercises_of(notebook: NotebookNode, source: str) -> list[Exercise]:
    """The exercises of a notebook, in their order.

    Each is a cell with the directive `exercise` (title, label, duration), cells that are given, if
    any, and a solution from `solution-start` to `solution-end` with code cells tagged `solution`
    and `check`.

    Args:
        source: what errors call the notebook, for example its path.

    Raises:
        InputError: an exercise lacks one of these, or the markers of its solution do not pair.
    """
    found: list[Exercise] = []
    starts = [i for i, cell in enumerate(notebook.cells) if directive(cell)[0] == "exercise"]
    for start, following in pairwise([*starts, len(notebook.cells)]):
        exercise = _read(notebook.cells[start:following], start, source)
        if exercise.label in {other.label for other in found}:
            raise InputError(f"{source} has two exercises labelled {exercise.label}: rename one")
        found.append(exercise)
    inside = {i for exercise in found for i in exercise.cells}
    for i, cell in enumerate(notebook.cells):
        if i not in inside and (directive(cell)[0] or has_tag(cell, "solution")):
            raise InputError(f"{source}, cell {i}, is part of a solution but of no exercise")
    return found


def _read(cells: Sequence[NotebookNode], start: int, source: str) -> Exercise:
    title = directive(cells[0])[1]
    label, duration = _LABEL.search(cells[0].source), _DURATION.search(cells[0].source)
    where = f"{source}, exercise {label[1] if label else title}"
    for wanted, there in {
        "a title": title,
        "a line `:label: ex-NN-name`": label,
        f"a duration, one of {', '.join(f'*{words}.*' for words in DURATIONS)}": duration,
    }.items():
        if not there:
            raise InputError(f"{where}: it lacks {wanted}")
    marks = [directive(cell) for cell in cells]
    gates = ("solution-start", label[1]), ("solution-end", "")
    for gate in gates:
        if marks.count(gate) != 1:
            raise InputError(
                f"{where}: it needs one cell with the directive `{' '.join(gate).strip()}`, it has "
                f"{marks.count(gate)}"
            )
    first, last = map(marks.index, gates)
    solution = cells[first : last + 1]
    for tag in ("solution", "check"):
        if not any(cell.cell_type == "code" and has_tag(cell, tag) for cell in solution):
            raise InputError(f"{where}: it has no code cell tagged `{tag}`")
    for cell in solution:
        if cell.cell_type == "code" and has_tag(cell, "solution"):
            student_code(cell.source, where)
    return Exercise(label[1], title, duration[1], range(start, start + last + 1))


def student_code(code: str, where: str) -> str:
    """A solution's code with a stub in the place of what students write.

    Inside a function the stub says, when called, whose code is missing; elsewhere it is `...`.

    Raises:
        InputError: the markers of the solution do not pair, or there are none; the sentence begins
            with `where`.
    """
    lines: list[str] = []
    inside = False
    for line in code.splitlines():
        marker = line.strip() if line.strip() in (BEGIN, END) else ""
        if marker == (BEGIN if inside else END):
            raise InputError(f"{where}: `{marker}` has no partner, see the line `{line}`")
        if marker == BEGIN:
            missing = f'raise NotImplementedError("{where}: your code belongs here")'
            lines.append(line.replace(BEGIN, missing if line.startswith(" ") else "..."))
        if marker:
            inside = not inside
        elif not inside:
            lines.append(line)
    if inside:
        raise InputError(f"{where}: `{BEGIN}` has no partner")
    if BEGIN not in code:
        raise InputError(f"{where}: mark what students write by lines `{BEGIN}` and `{END}`")
    return "\n".join(lines)


def without_markers(code: str) -> str:
    """A solution's code without the lines that mark what students write."""
    return "\n".join(line for line in code.splitlines() if line.strip() not in (BEGIN, END))


def label_at(notebook: NotebookNode, place: int) -> str | None:
    """The label of the exercise that the cell at `place` belongs to, if any."""
    for cell in reversed(notebook.cells[: place + 1]):
        if directive(cell)[0] == "exercise":
            label = _LABEL.search(cell.source)
            return label[1] if label else directive(cell)[1]
    return None
