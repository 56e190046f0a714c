"""Fingerprints: what a chapter's code, the library under it and its files amount to."""

import ast
import functools
import hashlib
from collections.abc import Iterable
from pathlib import Path

from nbformat import NotebookNode

from cxr_mtl.files import content_key, sha256_of_file

LIBRARY = Path(__file__).parent


def has_tag(cell: NotebookNode, tag: str) -> bool:
    """Whether a notebook cell carries a tag."""
    return tag in cell.metadata.get("tags", [])


def chapter_code(notebook: NotebookNode) -> list[str]:
    """What a notebook's code cells compute, in order: comments, layout and values left out.

    Of the parameters cell only names and types count, and injected parameters count nothing, so
    a chapter and its executed copy agree.
    """
    return [
        _declarations(cell.source) if has_tag(cell, "parameters") else _meaning(cell.source)
        for cell in notebook.cells
        if cell.cell_type == "code" and not has_tag(cell, "injected-parameters")
    ]


def code_cells(notebook: NotebookNode) -> list[str]:
    """The sources of a notebook's code cells."""
    return [cell.source for cell in notebook.cells if cell.cell_type == "code"]


def library_sources(code: Iterable[str], library: Path = LIBRARY) -> dict[str, str]:
    """Hashes of the library modules that pieces of code import, directly or through others.

    Comments, docstrings and layout of the modules do not count.

    Files of the library that are not Python are data that any module may read: all count, once
    a module does.
    """
    queue = [name for source in code for name in _imports(source, library)]
    found = {
        str(path.relative_to(library)): digest(path)
        for path in library.rglob("*")
        if queue and path.is_file() and path.suffix not in (".py", ".pyc")
    }
    while queue:
        path = queue.pop()
        if str(path) in found:
            continue
        source = (library / path).read_text(encoding="utf-8")
        found[str(path)] = content_key(_meaning(source))
        queue.extend(_imports(source, library))
    return {f"{library.name}/{name}": key for name, key in sorted(found.items())}


def digest(path: Path) -> str:
    """SHA-256 of a file, or a key of the names and hashes of a folder's files."""
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.is_file())
        return content_key([[str(file.relative_to(path)), digest(file)] for file in files])
    state = path.stat()
    return _remembered_sha256(str(path.absolute()), state.st_size, state.st_mtime_ns)


@functools.cache
def _remembered_sha256(path: str, size: int, modified: int) -> str:
    return sha256_of_file(path)


def input_digest(path: Path) -> str | None:
    """A file's SHA-256; of a folder, which may be large, a key of names, sizes and times."""
    if not path.exists():
        return None
    if path.is_file():
        return digest(path)
    states = [(file, file.stat()) for file in sorted(path.rglob("*")) if file.is_file()]
    return content_key(
        [[str(file.relative_to(path)), state.st_size, state.st_mtime_ns] for file, state in states]
    )


@functools.cache
def _meaning(source: str) -> str:
    """A source's syntax tree without docstrings; the text itself where it is not plain Python."""
    tree = _tree(source)
    if tree is None or source.lstrip().startswith(("%", "!")):
        return source.strip()
    for node in ast.walk(tree):
        is_scope = isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        if is_scope and ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:]
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest()


def _tree(source: str) -> ast.Module | None:
    """A cell's or module's syntax tree, its lines of magic or shell left out."""
    lines = [line for line in source.splitlines() if not line.lstrip().startswith(("%", "!"))]
    try:
        return ast.parse("\n".join(lines))
    except SyntaxError:
        return None


def _declarations(source: str) -> str:
    lines = [line for line in ast.parse(source).body if isinstance(line, ast.AnnAssign)]
    return ", ".join(f"{line.target.id}: {ast.unparse(line.annotation)}" for line in lines)


def _imports(source: str, library: Path) -> list[Path]:
    """Files, relative to the library's folder, of the library's modules that a source imports."""
    files = set()
    for name in _imported_names(source, library.name):
        package, *rest = name.split(".")
        if package == library.name:
            files.update({Path("__init__.py"), Path(*rest).with_suffix(".py") if rest else None})
    return sorted(file for file in files if file and (library / file).is_file())


@functools.cache
def _imported_names(source: str, package: str) -> frozenset[str]:
    """Dotted names of all that a source imports; relative ones are of `package`."""
    names = set()
    for node in ast.walk(_tree(source) or ast.Module()):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            if node.level:
                module = f"{package}.{module}".rstrip(".")
            names.update({module, *(f"{module}.{alias.name}" for alias in node.names)})
    return frozenset(names)
