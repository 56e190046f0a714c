"""What a piece of code imports of the library: the files it rests on, and what is not there."""

import ast
import functools
import re
import symtable
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nbformat import NotebookNode

LIBRARY = Path(__file__).parents[1]
EVERYTHING = "*"
ONLY_CHECKS = Path("runs/notebook_parameters.py")
"""What stands behind this module refuses values; those that pass are in a stage's key."""


@dataclass(frozen=True)
class Import:
    """A module by its dotted name, or one name out of it; `*` are all names."""

    module: str
    name: str | None = None


def code_tree(source: str) -> ast.Module | None:
    """A source's syntax tree; of a cell with lines of magic or shell that of the other lines.

    None where it is not Python.
    """
    for text in (source, without_magic(source)):
        try:
            return ast.parse(text)
        except (SyntaxError, ValueError):
            continue
    return None


def without_magic(source: str) -> str:
    """A cell without its lines of magic or shell, each of which begins with `%` or `!`."""
    return "\n".join(line for line in source.split("\n") if line.lstrip()[:1] not in ("%", "!"))


def code_cells(notebook: "NotebookNode") -> list[str]:
    """The sources of a notebook's code cells."""
    return [cell.source for cell in notebook.cells if cell.cell_type == "code"]


def imported_files(code: Iterable[str], library: Path = LIBRARY) -> list[Path]:
    """Files of the library, relative to its folder, that pieces of code rest on.

    An `__init__` that does nothing but hand names on is a door: of the modules behind it only
    those count from which a name is taken, so they must not act on others when they are imported.
    Every other module counts with all that it imports, and where it cannot be told what code
    reaches, as through a magic or an alias of the library itself, the whole library counts.
    """
    top = library.name
    queue = [taken for source in code for taken in _taken(source, "", top)]
    files: set[Path] = set()
    done: set[Import] = set()
    while queue:
        taken = queue.pop()
        if taken in done:
            continue
        done.add(taken)
        if taken.module == EVERYTHING:
            return sorted(file.relative_to(library) for file in library.rglob("*.py"))
        for package in _packages_around(taken.module):
            if package_file := _file(package, library):
                files.add(package_file)
                if not _is_door(_source(package, library)):
                    queue.append(Import(package))
        if file := _file(taken.module, library):
            files.add(file)
            queue += [] if file == ONLY_CHECKS else _behind(taken, library)
        elif taken.name:  # out of a folder without an `__init__`
            queue.append(Import(f"{taken.module}.{taken.name}"))
    return sorted(files)


def missing_import(code: Iterable[str], library: Path = LIBRARY) -> str | None:
    """A sentence on the first module or name that pieces of code import and the library lacks.

    It names the nearest that is there. None where all is there, or stands in a `try`.
    """
    for taken in (taken for source in code for taken in _surely_imported(source, library.name)):
        module, name = taken.module, taken.name
        file = _file(module, library)
        is_folder = library.joinpath(*module.split(".")[1:]).is_dir()
        if file is None and not is_folder:
            return f"{module} is not there: {_nearest(taken, library)}"
        if (
            name is None
            or name.startswith(("__", EVERYTHING))
            or _file(f"{module}.{name}", library)
        ):
            continue
        known = _names(_source(module, library))
        if name not in known and not known & {EVERYTHING, "__getattr__"}:
            return f"{module} has no `{name}`: {_nearest(taken, library)}"
    return None


def _behind(taken: Import, library: Path) -> list[Import]:
    """What a module's own code imports, or the one thing that its door hands on."""
    module, name, top = taken.module, taken.name, library.name
    source, is_package = _source(module, library), _is_package(module, library)
    beside = [Import(f"{module}.{name}")] if name and _file(f"{module}.{name}", library) else []
    if name == EVERYTHING and is_package:
        folder = library.joinpath(*module.split(".")[1:])
        beside = [Import(_dotted(file, library)) for file in folder.glob("*.py")]
    elif name and is_package and _is_door(source):
        handed_on = _handed_on(source, module, top).get(name)
        if handed_on and handed_on != taken:
            return [handed_on, *beside]
        if beside:
            return beside
    return [*_taken(source, module, top, is_package), *beside]


@functools.cache
def _taken(source: str, module: str, top: str, is_package: bool = False) -> list[Import]:
    """What a source, itself the module `module`, may reach of the library called `top`."""
    tree = code_tree(source)
    if not is_python(source):
        plain = set(without_magic(source).split("\n")) if tree else set()
        if any(top in line for line in source.split("\n") if line not in plain):
            return [Import(EVERYTHING)]
    found = list(_imports(tree, module, is_package)) if tree else []
    in_full, held = 0, 0
    for node in ast.walk(tree) if tree else ():
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name == top and alias.asname:
                    found.append(Import(EVERYTHING))
                elif alias.asname is None:  # the code can now reach all packages on the way
                    found += map(Import, _packages_around(alias.name))
        elif isinstance(node, ast.Attribute):
            path = _attribute_path(node)
            in_full += path.count(".") == 1 and path.split(".")[0] == top
            found.append(Import(path))
        elif isinstance(node, ast.Name):
            held += node.id == top
        elif isinstance(node, ast.Constant) and re.fullmatch(r"\w+(\.\w+)+", str(node.value)):
            found.append(Import(str(node.value)))
    if held > in_full:  # handed to something else than a dot
        found.append(Import(EVERYTHING))
    return [taken for taken in found if taken.module.split(".")[0] in (top, EVERYTHING)]


def is_python(source: str) -> bool:
    """Whether a source is Python as it stands, without magic."""
    try:
        ast.parse(source)
    except (SyntaxError, ValueError):
        return False
    return True


def _imports(tree: ast.AST, module: str, is_package: bool = False) -> Iterator[Import]:
    """What the import statements of a tree name, in absolute names."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (Import(alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            origin = _origin(node, module, is_package)
            yield from (Import(origin, alias.name) for alias in node.names)


def _surely_imported(source: str, top: str) -> list[Import]:
    """The library's modules and names that code imports, but for what it tries to."""
    tree = code_tree(source) or ast.Module([], [])
    tried = {
        taken
        for node in ast.walk(tree)
        if isinstance(node, ast.Try)
        or (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test))
        for taken in _imports(node, "")
    }
    found = [taken for taken in _imports(tree, "") if taken not in tried]
    return [taken for taken in found if taken.module.split(".")[0] == top]


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
    """Whether a source is nothing but a docstring, an `__all__` and imports of names, each once."""
    tree = code_tree(source)
    if tree is None:
        return False
    names = [a.asname or a.name for node in tree.body for a in getattr(node, "names", [])]
    return (
        len(set(names)) == len(names)
        and EVERYTHING not in names
        and all(
            isinstance(node, ast.Import | ast.ImportFrom)
            or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))
            or (isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__")
            for node in tree.body
        )
    )


@functools.cache
def _names(source: str, also_imported: bool = True) -> frozenset[str]:
    """What a module defines at its top level, or imports there; `*` where it imports all names."""
    try:
        symbols = symtable.symtable(source, "module", "exec").get_symbols()
    except (SyntaxError, ValueError):
        return frozenset({EVERYTHING})
    star = {EVERYTHING} if re.search(r"^from \S+ import \*", source, re.MULTILINE) else set()
    return frozenset(star) | {
        s.get_name()
        for s in symbols
        if s.is_assigned() or s.is_namespace() or (also_imported and s.is_imported())
    }


def _nearest(taken: Import, library: Path) -> str:
    """What to import instead: where the name itself stands, else the names most like it."""
    modules = [_dotted(file, library) for file in sorted(library.rglob("*.py"))]
    homes = [
        module
        for module in modules
        if taken.name
        in _names(_source(module, library), also_imported=_is_package(module, library))
    ]
    if homes:
        return f"`{taken.name}` is in {min(homes, key=lambda home: (home.count('.'), home))}"
    alike = get_close_matches(taken.name or "", _names(_source(taken.module, library)), 1)
    if alike:
        return f"the nearest is `{alike[0]}`"
    last = taken.name or taken.module.split(".")[-1]
    by_last: dict[str, list[str]] = {}
    for module in modules:
        by_last.setdefault(module.split(".")[-1], []).append(module)
    near = [
        module for part in get_close_matches(last, by_last, 1, 0.75) for module in by_last[part]
    ]
    if near and near != [taken.module]:
        return f"the nearest is {' or '.join(near)}"
    packages = [module for module in modules if _is_package(module, library) and "." in module]
    return f"the packages are {', '.join(packages)}" if packages else "there are no packages"


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
    return (library / file).read_text(encoding="utf-8-sig") if file else ""
