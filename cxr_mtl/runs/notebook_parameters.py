"""The parameters of a notebook that runs: read by their declared types, refused before any work."""

import ast
import os
from collections.abc import Iterable, Mapping
from contextlib import chdir
from pathlib import Path
from typing import Any

from cxr_mtl.base.errors import InputError
from cxr_mtl.base.imports import LIBRARY, code_tree
from cxr_mtl.runs.parameters import Parameter, known
from cxr_mtl.runs.run import BOOK, LOCK

CELL = "the parameters cell"
PAPERMILL = "papermill"
_INJECTED = "# Parameters"
"""The first line of the cell that papermill puts behind the parameters cell."""
_BUILTIN = "PAPERMILL_"
_TOLD = ("__file__", "__vsc_ipynb_file__", "PAPERMILL_INPUT_PATH")
"""Where a notebook lies, as Python tells a script, VS Code, and papermill's `--inject-paths`."""


def check_parameters(namespace: dict[str, Any]) -> None:
    """Check a notebook's parameters and go to its repository's root, whence relative paths count.

    A chapter calls it with its `globals()` in the first cell behind the parameters; from then on
    the root is the current folder. It is the first that holds `book` and `requirements.lock`, of
    the folder where the notebook lies, if that is told, and those above it, then of the current one
    and those above it, then of those around the library, as of an editable install. Text that
    papermill's `-p` gives for another type is read as on the command line: `-p depths "[0]"`.

    Raises:
        InputError: papermill gave a parameter that is not declared; a value has the wrong type or
            is out of its range; a path counts from a root that is not found, or is not there; the
            notebook lies in another run than the one it names.
    """
    declared, given = _cells(namespace)
    for name in given:
        known(name, declared, PAPERMILL, "this notebook has no parameter")
    sources = {name: PAPERMILL if name in given else CELL for name in declared}
    root, values = repository(namespace), {}
    for name, parameter in declared.items():
        value = namespace[name]
        read = parameter.parse if name in given and isinstance(value, str) else parameter.check
        values[name] = read(str(value) if isinstance(value, Path) else value, sources[name])
        if values[name] is not None and parameter.is_place:
            _check_path(name, values[name], root, sources[name])
    if "run_dir" not in given:
        _check_own_run(namespace, values.get("run_dir"), root)
    with chdir(root or Path.cwd()):
        for name, parameter in declared.items():
            parameter.check_range(values[name], sources[name])
    namespace.update(values)
    os.chdir(root or Path.cwd())


def repository(namespace: Mapping[str, Any]) -> Path | None:
    """The root of the repository that a notebook works in, as `check_parameters` finds it."""
    told = [Path(namespace[name]).absolute().parent for name in _TOLD if name in namespace]
    for start in (*told, Path.cwd(), LIBRARY):
        for folder in (start, *start.parents):
            if (folder / BOOK).is_dir() and (folder / LOCK).is_file():
                return folder
    return None


def _check_path(name: str, value: str, root: Path | None, source: str) -> None:
    """Refuse a relative path that counts from no root, or that is meant from another folder."""
    if Path(value).is_absolute():
        return
    if root is None:
        raise InputError(
            f"{source}: {name} = {value!r} counts from the root of the study's repository, which "
            f"is neither {Path.cwd()} nor above it nor around the library: start there, or give an "
            "absolute path"
        )
    if source == PAPERMILL and Path(value).exists() and not (root / value).exists():
        raise InputError(
            f"{source}: {name} = {value!r} counts from the repository's root {root}, where it is "
            f"not: give {Path(value).absolute()}"
        )


def _check_own_run(namespace: Mapping[str, Any], run_dir: str | None, root: Path | None) -> None:
    """Refuse a notebook that lies in one run, as far as that is told, and would write another."""
    place = next((Path(namespace[name]).parent for name in _TOLD if name in namespace), Path.cwd())
    run = place.resolve().parent if place.name == "exercises" else place.resolve()
    meant = (root or Path.cwd()) / (run_dir or "")
    if (run / "manifest.json").is_file() and run != meant.resolve():
        raise InputError(
            f"this notebook lies in {run}, and its run_dir is {run_dir}, where it would write: set "
            "run_dir to the run that is meant"
        )


def _cells(namespace: Mapping[str, Any]) -> tuple[dict[str, Parameter], list[str]]:
    """What the last executed parameters cell declares, and the names papermill gave after it."""
    cells = namespace.get("In")  # IPython's history; a script has its text instead
    if cells is None:
        cells = [Path(namespace["__file__"]).read_text(encoding="utf-8")]
    for place in reversed(range(len(cells))):
        if declared := _declared(cells[place]):
            return declared, list(_injected(cells[place + 1 :]))
    raise InputError("the parameters cell was not executed: run it before this one")


def _declared(source: str) -> dict[str, Parameter]:
    """The parameters that a cell declares, from `run_dir` on; none in another cell.

    Defaults are left out: by hand one may be an expression, and its value stands in the namespace.
    """
    declared: dict[str, Parameter] = {}
    tree = code_tree(source)
    for node in tree.body if tree else ():
        is_declaration = isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
        if is_declaration and (declared or node.target.id == "run_dir"):
            name = node.target.id
            declared[name] = Parameter(name, ast.unparse(node.annotation), None, "")
        elif declared:
            break
    return declared


def _injected(cells: Iterable[str]) -> Iterable[str]:
    """The names that papermill assigns, but for its own."""
    for cell in cells:
        tree = code_tree(cell) if cell.startswith(_INJECTED) else None
        for node in ast.walk(tree) if tree else ():
            is_assigned = isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
            if is_assigned and not node.id.startswith(_BUILTIN):
                yield node.id
