"""What a piece of code imports of the library: the files it rests on, and what is not there."""

import ast
import functools
import symtable
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from nbformat import NotebookNode

LIBRARY = Path(__file__).parents[1]


@dataclass(frozen=True)
class Import:
    """A module by its dotted name, or one name out of it."""

    module: str
    name: str | None = None


def code_tree(source: str) -> ast.Module | None:
    """A source's syntax tree, lines of magic or shell left out; None where it is not Python."""
    lines = [line for line in source.splitlines() if not line.lstrip().startswith(("%", "!"))]
    try:
        return ast.parse("\n".join(lines))
    except SyntaxError:
        return None


def code_cells(notebook: NotebookNode) -> list[str]:
    """The sources of a notebook's code cells."""
    return [cell.source for cell in notebook.cells if cell.cell_type == "code"]


def imported_files(code: Iterable[str], library: Path = LIBRARY) -> list[Path]:
    """Files of the library, relative to its folder, that pieces of code rest on.

    An `__init__` that does nothing but hand names on is a door: of the modules behind it only
    those count from which a name is taken. Every other module counts with all that it imports.
    """
    top = library.name
    queue = [t for source in code for t in (*_imports(source, "", top), *_reached(source, top))]
    files: set[Path] = set()
    done: set[Import] = set()
    while queue:
        taken = queue.pop()
        if taken in done or not (file := _file(taken.module, library)):
            continue
        done.add(taken)
        files.add(file)
        for package in _packages_around(taken.module):
            files.add(_file(package, library) or file)
            if not _is_door(_source(package, library)):
                queue.append(Import(package))
        queue += _behind(taken, library)
    return sorted(files)


def missing_import(code: Iterable[str], library: Path = LIBRARY) -> str | None:
    """A sentence on the first module or name that pieces of code import and the library lacks.

    It names the nearest that is there. None where all is there.
    """
    for taken in (taken for source in code for taken in _imports(source, "", library.name)):
        module, name = taken.module, taken.name
        if _file(module, library) is None:
            return f"{module} is not there: {_nearest(taken, library)}"
        known = _names(_source(module, library))
        if name and name not in known and not _file(f"{module}.{name}", library):
            return f"{module} has no `{name}`: {_nearest(taken, library)}"
    return None


def _behind(taken: Import, library: Path) -> list[Import]:
    """What a module's own code imports, or the one thing that its door hands on."""
    module, name = taken.module, taken.name
    source = _source(module, library)
    submodule = Import(f"{module}.{name}")
    beside = [submodule] if name and _file(submodule.module, library) else []
    if name and _is_package(module, library) and _is_door(source):
        handed_on = _handed_on(source, module, library.name).get(name)
        if handed_on and handed_on != taken:
            return [handed_on]
        if beside:
            return beside
    top, is_package = library.name, _is_package(module, library)
    return [*_imports(source, module, top, is_package), *_reached(source, top), *beside]


@functools.cache
def _imports(source: str, module: str, top: str, is_package: bool = False) -> list[Import]:
    """What a source, itself the module `module`, takes from the library called `top`."""
    found = []
    for node in ast.walk(code_tree(source) or ast.Module([], [])):
        if isinstance(node, ast.Import):
            for alias in node.names:
                found.append(Import(alias.name))
                if alias.asname is None:  # the code can now reach all packages on the way
                    found += map(Import, _packages_around(alias.name))
        elif isinstance(node, ast.ImportFrom):
            origin = _origin(node, module, is_package)
            found += [Import(origin, None if a.name == "*" else a.name) for a in node.names]
    return [taken for taken in found if taken.module.split(".")[0] == top]


@functools.cache
def _reached(source: str, top: str) -> list[Import]:
    """What may be modules among the attributes of the library that a source names in full."""
    nodes = ast.walk(code_tree(source) or ast.Module([], []))
    paths = (_attribute_path(node) for node in nodes if isinstance(node, ast.Attribute))
    return [Import(path) for path in paths if path.split(".")[0] == top]


def _attribute_path(node: ast.Attribute) -> str:
    """`a.b.c` of the code `a.b.c`; what starts from another thing than a name is no module."""
    parts, value = [node.attr], node.value
    while isinstance(value, ast.Attribute):
        parts, value = [value.attr, *parts], value.value
    return ".".join([value.id if isinstance(value, ast.Name) else "", *parts])


def _origin(node: ast.ImportFrom, module: str, is_package: bool) -> str:
    """The absolute name of the module that a `from ... import` names."""
    around = module.split(".")
    start = around[: len(around) - node.level + is_package] if node.level else []
    return ".".join([*start, *([node.module] if node.module else [])])


def _handed_on(source: str, package: str, top: str) -> dict[str, Import]:
    """What each name of a door stands for."""
    found = {}
    for node in (code_tree(source) or ast.Module([], [])).body:
        for alias in getattr(node, "names", []):
            if isinstance(node, ast.ImportFrom):
                origin = _origin(node, package, is_package=True)
                found[alias.asname or alias.name] = Import(origin, alias.name)
            elif alias.asname:
                found[alias.asname] = Import(alias.name)
    return {name: taken for name, taken in found.items() if taken.module.split(".")[0] == top}


@functools.cache
def _is_door(source: str) -> bool:
    """Whether a source has nothing but a docstring, imports and an `__all__`."""
    return all(
        isinstance(node, ast.Import | ast.ImportFrom)
        or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))
        or (isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__")
        for node in (code_tree(source) or ast.Module([], [])).body
    )


@functools.cache
def _names(source: str) -> frozenset[str]:
    """What a module defines or imports at its top level."""
    symbols = symtable.symtable(source, "module", "exec").get_symbols()
    return frozenset(s.get_name() for s in symbols if s.is_assigned() or s.is_imported())


def _nearest(taken: Import, library: Path) -> str:
    """What to import instead: where the name itself stands, else the name most like it."""
    modules = {_dotted(file, library): file for file in sorted(library.rglob("*.py"))}
    names = {
        module: _names((library / file).read_text(encoding="utf-8"))
        for module, file in modules.items()
    }
    homes = [module for module, known in names.items() if taken.name in known]
    if homes:
        return f"`{taken.name}` is in {min(homes, key=lambda home: (home.count('.'), home))}"
    alike = get_close_matches(taken.name or "", names.get(taken.module, ()), 1)
    if alike:
        return f"the nearest is `{alike[0]}`"
    last = taken.name or taken.module.split(".")[-1]
    same = [module for module in modules if module.split(".")[-1] == last]
    wanted = f"{taken.module}.{taken.name}" if taken.name else taken.module
    return f"the nearest is {(same or get_close_matches(wanted, modules, 1, cutoff=0))[0]}"


def _dotted(file: Path, library: Path) -> str:
    parts = file.relative_to(library.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _packages_around(module: str) -> list[str]:
    """`a.b.c` lies in `a` and `a.b`."""
    parts = module.split(".")
    return [".".join(parts[:end]) for end in range(1, len(parts))]


def _file(module: str, library: Path) -> Path | None:
    """The file of a module, relative to the library's folder; None where there is none."""
    here = Path(*module.split(".")[1:])
    for file in (here / "__init__.py", here.parent / f"{here.name}.py"):
        if (library / file).is_file():
            return file
    return None


def _is_package(module: str, library: Path) -> bool:
    return (library.joinpath(*module.split(".")[1:]) / "__init__.py").is_file()


def _source(module: str, library: Path) -> str:
    file = _file(module, library)
    return (library / file).read_text(encoding="utf-8") if file else ""
