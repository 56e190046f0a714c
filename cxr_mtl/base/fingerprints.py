"""Fingerprints: what a chapter's code and the library under it amount to."""

import ast
import functools
import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from cxr_mtl.base.file_hashes import digest
from cxr_mtl.base.files import content_key
from cxr_mtl.base.imports import LIBRARY, imported_files, is_python

if TYPE_CHECKING:
    from nbformat import NotebookNode


def has_tag(cell: "NotebookNode", tag: str) -> bool:
    """Whether a notebook cell carries a tag."""
    return tag in cell.metadata.get("tags", [])


def chapter_code(notebook: "NotebookNode") -> list[str]:
    """What a notebook's code cells compute, in order: comments, layout and values left out.

    Of the parameters cell only names and types count, and injected parameters count nothing, so
    a chapter and its executed copy agree.
    """
    return [
        _declarations(cell.source) if has_tag(cell, "parameters") else _meaning(cell.source)
        for cell in notebook.cells
        if cell.cell_type == "code" and not has_tag(cell, "injected-parameters")
    ]


def library_sources(code: Iterable[str], library: Path = LIBRARY) -> dict[str, str]:
    """Hashes of the library files that pieces of code rest on, directly or through others.

    Comments, docstrings and layout of the modules do not count. Files that are not Python are
    data of the package that they lie in: they count once one of its modules does.
    """
    modules = imported_files(code, library)
    packages = {library / module.parent for module in modules}
    data = [
        path.relative_to(library)
        for path in library.rglob("*")
        if path.is_file() and path.suffix not in (".py", ".pyc") and _package_of(path) in packages
    ]
    keys = {path: digest(library / path) for path in data} | {
        path: content_key(_meaning((library / path).read_text(encoding="utf-8")))
        for path in modules
    }
    return {f"{library.name}/{path}": keys[path] for path in sorted(keys)}


def _package_of(path: Path) -> Path:
    """The nearest folder around a file that is a package."""
    return next(folder for folder in path.parents if (folder / "__init__.py").is_file())


@functools.cache
def _meaning(source: str) -> str:
    """A source's syntax tree without docstrings; the text itself where it is not plain Python."""
    if not is_python(source):
        return source.strip()
    tree = ast.parse(source)
    for node in ast.walk(tree):
        is_scope = isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        if is_scope and ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:]
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest()


def _declarations(source: str) -> str:
    lines = [line for line in ast.parse(source).body if isinstance(line, ast.AnnAssign)]
    return ", ".join(f"{line.target.id}: {ast.unparse(line.annotation)}" for line in lines)
