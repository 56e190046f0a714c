"""A stage: a chapter or its exercises, their files and their order."""

import heapq
from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from pathlib import Path, PurePosixPath
from typing import Any

import jupytext
from nbformat import NotebookNode

from cxr_mtl.base.errors import InputError
from cxr_mtl.base.fingerprints import has_tag
from cxr_mtl.base.imports import code_cells, missing_import
from cxr_mtl.runs.parameters import Parameter, read_parameters, write_parameters
from cxr_mtl.runs.run import BOOK, Run

EXERCISES = "exercises"
CHAPTERS = "chapters"
ASKS = {
    "train": "training studies",
    "train_per_label": "training studies of each label",
    "validation": "validation studies",
    "test": "test studies",
    "test_per_label": "test studies of each label",
}
"""What a chapter may ask of the data, in numbers, and in words."""


@dataclass(frozen=True)
class Chapter:
    """A chapter, or the exercises of one, as written: a py:percent notebook with its declarations.

    `name` is `NN_name`, of exercises `exercises/NN_name`: the path in the book without its ending.
    `needs` and `leaves` are paths relative to the run's folder, from the header's `cxr_mtl`, as is
    `alone`: no other stage runs beside it, since it uses all cores or measures times. `asks` says
    how many studies it needs, as `ASKS` names them.
    """

    name: str
    notebook: NotebookNode
    parameters: Mapping[str, Parameter]
    needs: Sequence[str]
    leaves: Sequence[str]
    alone: bool = False
    asks: Mapping[str, int] = field(default_factory=dict)

    def notebook_with(self, values: Mapping[str, Any]) -> NotebookNode:
        """A copy of the notebook with these values in its parameters cell."""
        notebook = deepcopy(self.notebook)
        for cell in notebook.cells:
            if has_tag(cell, "parameters"):
                cell.source = write_parameters(cell.source, values)
        return notebook


def read_chapter(path: Path) -> Chapter:
    """Read one chapter, or the exercises of one where `path` lies in a folder `exercises`.

    Raises:
        InputError: it has not exactly one parameters cell, or a path that leaves the run's folder,
            or exercises that leave files, or imports of the library what is not there.
    """
    notebook = jupytext.reads(path.read_text(encoding="utf-8"), fmt="py:percent")
    tagged = [cell for cell in notebook.cells if has_tag(cell, "parameters")]
    if len(tagged) != 1:
        raise InputError(f"{path} needs exactly one cell tagged `parameters`, it has {len(tagged)}")
    missing = missing_import(code_cells(notebook))
    if missing:
        raise InputError(f"{path}: {missing}")
    parameters = read_parameters(tagged[0].source, str(path))
    if "run_dir" not in parameters:
        raise InputError(f'{path}: its parameters cell lacks `run_dir: str = "runs/demo"`')
    header = notebook.metadata.get("cxr_mtl", {})
    files = {
        key: [str(file).rstrip("/") for file in header.get(key, [])] for key in ("needs", "leaves")
    }
    alone = header.get("alone", False)
    if not isinstance(alone, bool):
        raise InputError(f"{path}: `alone` in its header is {alone!r}: give true or false")
    for file in [*files["needs"], *files["leaves"]]:
        if PurePosixPath(file).is_absolute() or ".." in PurePosixPath(file).parts:
            raise InputError(f"{path}: {file} must lie inside the run's folder")
    asks = header.get("asks", {})
    if not isinstance(asks, dict) or not set(asks) <= set(ASKS):
        raise InputError(
            f"{path}: `asks` in its header is {asks!r}: name some of {', '.join(ASKS)}"
        )
    name = path.stem
    if path.parent.name == EXERCISES:
        name = f"{EXERCISES}/{name}"
        if files["leaves"]:
            raise InputError(f"{path} leaves {files['leaves'][0]}: exercises leave no files")
    return Chapter(name, notebook, parameters, files["needs"], files["leaves"], alone, asks)


def read_chapters(folder: Path = BOOK) -> list[Chapter]:
    """Read the chapters `NN_name.py`, each after those whose files it needs.

    Raises:
        InputError: a needed file is left by no chapter, or by two, or the needs form a circle.
    """
    return _in_order(_read_folder(folder), folder)


def read_exercises(folder: Path = BOOK) -> list[Chapter]:
    """Read the exercises `exercises/NN_name.py` of the chapters, by number.

    Raises:
        InputError: as in `read_chapter`.
    """
    return list(_read_folder(folder / EXERCISES).values())


def read_stages(folder: Path = BOOK) -> list[Chapter]:
    """Read the chapters and their exercises, each after those whose files it needs.

    Raises:
        InputError: as in `read_chapters`.
    """
    return _in_order({**_read_folder(folder), **_read_folder(folder / EXERCISES)}, folder)


def _read_folder(folder: Path) -> dict[str, Chapter]:
    chapters = [read_chapter(path) for path in sorted(folder.glob("[0-9][0-9]_*.py"))]
    return {chapter.name: chapter for chapter in chapters}


def _in_order(chapters: Mapping[str, Chapter], folder: Path) -> list[Chapter]:
    """Chapters after those whose files they need, otherwise by name: exercises come last."""
    if not chapters:
        raise InputError(f"no chapter NN_name.py in {folder}: run this from the repository's root")
    leaves = [leaf for chapter in chapters.values() for leaf in chapter.leaves]
    twice = sorted({leaf for leaf in leaves if leaves.count(leaf) > 1})
    if twice:
        raise InputError(f"two chapters leave {twice[0]}: rename one of them")
    sorter = TopologicalSorter(
        {
            name: {producer(need, chapters.values(), name) for need in chapter.needs}
            for name, chapter in chapters.items()
        }
    )
    try:
        sorter.prepare()
    except CycleError as error:
        raise InputError(
            f"chapters need each other's files: {' -> '.join(error.args[1])}"
        ) from None
    order, ready = [], list(sorter.get_ready())
    while ready:
        heapq.heapify(ready)
        name = heapq.heappop(ready)
        order.append(chapters[name])
        sorter.done(name)
        ready.extend(sorter.get_ready())
    return order


def producer(need: str, chapters: Iterable[Chapter], user: str) -> str:
    """The name of the chapter that leaves the file `need`, itself or as part of a folder.

    Raises:
        InputError: none does, or several do.
    """
    path = PurePosixPath(need)
    names = {
        chapter.name
        for chapter in chapters
        for leaf in map(PurePosixPath, chapter.leaves)
        if path == leaf or leaf in path.parents or path in leaf.parents
    } - {user}
    if len(names) != 1:
        found = f"left by {' and '.join(sorted(names))}" if names else "left by no chapter"
        raise InputError(f"{user} needs {need}, which is {found}: mend the chapters' headers")
    return names.pop()


def upstream(name: str, chapters: Sequence[Chapter]) -> list[str]:
    """The names of the chapters whose files a chapter needs, directly or through others.

    Args:
        chapters: in their order, as `read_chapters` gives them; the names keep it.
    """
    by_name = {chapter.name: chapter for chapter in chapters}
    found, queue = set(), [name]
    while queue:
        user = queue.pop()
        makers = {producer(need, chapters, user) for need in by_name[user].needs}
        queue += makers - found
        found |= makers
    return [chapter.name for chapter in chapters if chapter.name in found]


def chosen_stages(words: Iterable[str], names: Sequence[str]) -> set[str]:
    """The stages that words of the command line mean, of all `names`; all when there is no word.

    A word is a chapter's number, name or file; exercises are meant by `exercises/05` and the like,
    all of them by `exercises`, and all chapters without them by `chapters`.

    Raises:
        InputError: a word means none.
    """
    chosen: set[str] = set()
    for word in words:
        found = [name for name in names if _is_called(name, PurePosixPath(word))]
        if not found:
            raise InputError(f"no chapter is called {word}: take one of {', '.join(names)}")
        chosen.update(found)
    return chosen or set(names)


def _is_called(name: str, word: PurePosixPath) -> bool:
    stage = PurePosixPath(name)
    is_exercises = stage.parent.name == EXERCISES
    if word.name in (CHAPTERS, EXERCISES):
        return is_exercises == (word.name == EXERCISES)
    alike = word.stem in (stage.stem, *stage.stem.split("_", 1))
    return alike and (word.parent.name == EXERCISES) == is_exercises


def executed_copy(run: Run, name: str) -> Path:
    """Where the executed notebook of a chapter, or of its exercises, lies."""
    return run / f"{name}.ipynb"
