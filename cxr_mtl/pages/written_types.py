"""Signatures as their source writes them, and what the names of types in them stand for.

At run time `ArrayLike` is a union of eight classes and a choice between words has lost its name;
the source says both shortly.
"""

import ast
import functools
import importlib
import inspect
import textwrap
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

LIBRARY = "cxr_mtl"
_SHORT = 40


@dataclass(frozen=True)
class Definition:
    """Where a name of the library is defined, the syntax of it, and the docstring it has there."""

    name: str
    module: str
    node: ast.ClassDef | ast.FunctionDef | ast.expr
    docstring: str


@functools.cache
def definition(module: str, name: str) -> Definition | None:
    """What defines a name that a module has; None of a name that is not the library's own."""
    body = _tree(module).body
    for node, following in zip(body, [*body[1:], None], strict=True):
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == name:
            return Definition(name, module, node, ast.get_docstring(node) or "")
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name:
            return Definition(name, module, node.value, _text(following))
    for node in ast.walk(_tree(module)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(f"{LIBRARY}."):
            for alias in node.names:
                if (alias.asname or alias.name) == name:
                    return definition(node.module, alias.name)
    return None


def written_signature(thing: Any) -> tuple[str, str]:
    """The arguments in brackets, and what is returned, as the source of a callable writes them.

    A class has those of its `__init__`, or the fields that stand in its place. Without arguments
    for want of either, as an exception, it has an empty text.
    """
    node = _node(thing)
    if isinstance(node, ast.FunctionDef):
        return f"({_arguments(node, thing.__module__)})", _readable(node.returns)
    init = [one for one in node.body if getattr(one, "name", "") == "__init__"]
    if init and init[0].args.args[1:] + init[0].args.kwonlyargs:
        return f"({_arguments(init[0], thing.__module__)})", ""
    fields = [one for one in node.body if _is_field(one)]
    if not fields:
        return "", ""
    written = [_field(one) for one in fields]
    by_name = issubclass(thing, BaseModel)  # pydantic takes no argument by its place
    return f"({', '.join(['*', *written] if by_name else written)})", ""


def own_types(things: Iterable[Callable[..., Any]], known: Iterable[str]) -> list[Definition]:
    """Types of the library in the signatures of callables, by name, less those that are `known`.

    Those that a type is written with are among them. One name may have two definitions.
    """
    queue = [(thing.__module__, name) for thing in things for name in _type_names(thing)]
    found: dict[tuple[str, str], Definition] = {}
    while queue:
        defined = definition(*queue.pop())
        if defined is None or defined.name in known:
            continue
        if (defined.name, defined.module) not in found and isinstance(defined.node, ast.expr):
            queue += [(defined.module, other) for other in _names(defined.node)]
        found[defined.name, defined.module] = defined
    return sorted(found.values(), key=lambda one: (one.name.lower(), one.module))


def type_in_words(defined: Definition) -> str:
    """Markdown of a type: its choices, what it is short for, or what a class is and holds."""
    node = defined.node
    if isinstance(node, ast.Subscript) and ast.unparse(node.value) == "Literal":
        choices = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        return _listed([f'`"{ast.literal_eval(choice)}"`' for choice in choices], "or")
    if isinstance(node, ast.expr):
        return " – ".join(
            filter(None, [f"`{_readable(node)}`", _first_paragraph(defined.docstring)])
        )
    fields = [one.target.id for one in node.body if _is_field(one)]
    held = f" It holds {_listed([f'`{name}`' for name in fields], 'and')}." if fields else ""
    return _first_paragraph(defined.docstring) + held


def _listed(words: list[str], last: str) -> str:
    return f" {last} ".join(filter(None, [", ".join(words[:-1]), words[-1]]))


def _first_paragraph(docstring: str) -> str:
    """The first paragraph of a docstring, on one line."""
    return " ".join(docstring.split("\n\n")[0].split())


@functools.cache
def _tree(module: str) -> ast.Module:
    return ast.parse(inspect.getsource(importlib.import_module(module)))


def _node(thing: Any) -> ast.FunctionDef | ast.ClassDef:
    return ast.parse(textwrap.dedent(inspect.getsource(inspect.unwrap(thing)))).body[0]


def _text(node: ast.stmt | None) -> str:
    """The string that a statement is, as the docstring of a constant; else nothing."""
    value = getattr(node, "value", None)
    is_text = isinstance(node, ast.Expr) and isinstance(value, ast.Constant)
    return inspect.cleandoc(value.value) if is_text else ""


def _arguments(node: ast.FunctionDef, module: str) -> str:
    """Arguments but for `self` and `cls`, with defaults that are short instead of their names."""
    arguments = node.args
    if arguments.args and arguments.args[0].arg in ("self", "cls"):
        arguments.args = arguments.args[1:]
    for one in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs):
        one.annotation = _bare(one.annotation)
    arguments.defaults = [_default(one, module) for one in arguments.defaults]
    arguments.kw_defaults = [one and _default(one, module) for one in arguments.kw_defaults]
    return ast.unparse(arguments)


def _default(node: ast.expr, module: str) -> ast.expr:
    """The value of a default that is a constant of the library with a short one."""
    defined = definition(module, node.id) if isinstance(node, ast.Name) else None
    if defined is None or not isinstance(defined.node, ast.expr):
        return node
    return defined.node if len(ast.unparse(defined.node)) <= _SHORT else node


def _is_field(node: ast.stmt) -> bool:
    return isinstance(node, ast.AnnAssign) and not ast.unparse(node.target).startswith("_")


def _field(node: ast.AnnAssign) -> str:
    """A field of a dataclass or a pydantic model as an argument."""
    value = node.value
    if isinstance(value, ast.Call) and ast.unparse(value.func) == "Field" and value.args:
        value = value.args[0]
    default = f" = {ast.unparse(value)}" if value else ""
    return f"{node.target.id}: {_readable(node.annotation)}{default}"


def _bare(node: ast.expr | None) -> ast.expr | None:
    """An annotation without quotes, and without what `Annotated` adds."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return ast.parse(node.value, mode="eval").body
    if isinstance(node, ast.Subscript) and ast.unparse(node.value) == "Annotated":
        return node.slice.elts[0]
    return node


def _readable(node: ast.expr | None) -> str:
    return ast.unparse(_bare(node)) if node else ""


def _type_names(thing: Any) -> Iterator[str]:
    """The plain names in the annotations of a callable's signature."""
    arguments, returned = written_signature(thing)
    if arguments:
        function = ast.parse(f"def f{arguments}: ...").body[0]
        for node in ast.walk(function):
            if isinstance(node, ast.arg) and node.annotation:
                yield from _names(node.annotation)
    if returned:
        yield from _names(ast.parse(returned, mode="eval"))


def _names(node: ast.AST) -> Iterator[str]:
    return (one.id for one in ast.walk(node) if isinstance(one, ast.Name))
