"""The library's public names, which are those of its doors, and the pages whose code uses them."""

import ast
import functools
import importlib
import re
from collections.abc import Iterable
from typing import Any

import cxr_mtl
from cxr_mtl.base.imports import code_cells, code_tree
from cxr_mtl.runs.stages import Chapter


@functools.cache
def public_names() -> dict[str, list[str]]:
    """The names that each door hands on, by package from low to high, in the door's order."""
    packages = re.findall(r"^- `(\w+)`: ", cxr_mtl.__doc__, flags=re.MULTILINE)
    return {package: list(_door(package).__all__) for package in packages}


@functools.cache
def paths() -> dict[str, str]:
    """The whole path of each public name, for example `cxr_mtl.retrieval.searches`."""
    return {
        name: f"cxr_mtl.{package}.{name}"
        for package, names in public_names().items()
        for name in names
    }


def public_thing(path: str) -> Any:
    """What a path as `cxr_mtl.retrieval.searches` stands for."""
    _, package, name = path.split(".")
    return getattr(_door(package), name)


def uses(pages: Iterable[Chapter]) -> dict[str, list[str]]:
    """The pages whose code takes a public name, by the name's path.

    It comes from the door, or out of the module that defines it and that the door handed over.
    """
    found: dict[str, list[str]] = {path: [] for path in paths().values()}
    for page in pages:
        taken = names_taken("\n".join(code_cells(page.notebook)))
        for path, users in found.items():
            name = path.rpartition(".")[2]
            home = getattr(public_thing(path), "__module__", "")
            if taken & {path, f"{home}.{name}"}:
                users.append(page.name)
    return found


def names_taken(code: str) -> set[str]:
    """The paths of the names that code takes out of modules, by `from` or as their attributes."""
    nodes = list(ast.walk(code_tree(code) or ast.Module([], [])))
    local = {
        alias.asname or alias.name: f"{node.module}.{alias.name}"
        for node in nodes
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    attributes = {
        f"{local[node.value.id]}.{node.attr}"
        for node in nodes
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id in local
    }
    return attributes | set(local.values())


def _door(package: str) -> Any:
    return importlib.import_module(f"cxr_mtl.{package}")
