"""Sphinx extension for the page of the library: its doors' public names, from their docstrings.

autodoc reads the docstrings and Napoleon their sections; here they get the signatures of the
source, links, and the chapters that use a name. A new public name appears without being named here.
"""

import functools
import inspect
import re
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, get_origin

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util.docutils import SphinxDirective

import cxr_mtl
from cxr_mtl.base.markdown_text import Markdown
from cxr_mtl.base.table_text import markdown_table
from cxr_mtl.pages.directives import MarkdownTable
from cxr_mtl.pages.public_names import paths, public_names, public_thing, uses
from cxr_mtl.pages.written_types import (
    Definition,
    definition,
    own_types,
    type_in_words,
    written_signature,
)
from cxr_mtl.runs.stages import BOOK, read_chapters, read_exercises

_SECTION = re.compile(r"(Args|Attributes|Returns|Yields|Raises):$")
_LABELLED = re.compile(r"(Shapes|Source): (.+)")
# An example, code, or what reST would read as markup.
_CODE_OR_MARK = re.compile(
    r"^>>>(?:.|\n(?!\n))*|(?<![`:])`([^`]+)`(?!`)|([|*]|_(?!\w))", re.MULTILINE
)
_LABELS = ("Shapes", "Source")
_OPTIONS = {"class": ["   :members:"]}
_EARLY = 400  # before Napoleon, whose hook has the usual 500


def setup(app: Sphinx) -> dict[str, Any]:
    """Register everything; called by Sphinx."""
    app.setup_extension("sphinx.ext.autodoc")
    app.setup_extension("sphinx.ext.napoleon")
    app.add_directive("library-names", LibraryNames)
    app.add_directive("library", Library)
    app.connect("autodoc-process-signature", _write_signature)
    app.connect("autodoc-process-docstring", _write_docstring, priority=_EARLY)
    app.connect("missing-reference", _link_type)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


class LibraryNames(MarkdownTable):
    """`library-names`: see `overview`."""

    def markdown(self) -> list[str]:
        """Take the names of all doors."""
        return overview(public_names())


class Library(SphinxDirective):
    """`library`: a section per package with its door's public names, and one of their types."""

    def run(self) -> list[nodes.Node]:
        """Parse what the sections are made of where the directive stands."""
        for file in Path(cxr_mtl.__file__).parent.rglob("*.py"):
            self.env.note_dependency(str(file))
        users = _uses_in(self.env.app)
        sections = [
            section_text(package, names, users) for package, names in public_names().items()
        ]
        text = "\n\n".join([*sections, types_text(library_types())])
        return self.parse_text_to_nodes(text, allow_section_headings=True)


@functools.cache
def library_types() -> list[Definition]:
    """The library's types that stand in signatures of public names without being public."""
    public = map(public_thing, paths().values())
    things = [thing for thing in public if _kind(thing) != "constant"]
    members = [one for thing in things if inspect.isclass(thing) for one in vars(thing).values()]
    methods = [getattr(one, "__func__", one) for one in members]
    own = [one for one in methods if inspect.isfunction(one) and one.__name__[0] != "_"]
    return own_types([*things, *own], known=paths())


def overview(names: Mapping[str, Iterable[str]]) -> list[str]:
    """Markdown of a table of the packages, from low to high, with links to their public names."""
    rows = [
        (
            Markdown(f"{{py:mod}}`{package} <cxr_mtl.{package}>`"),
            Markdown(", ".join(f"{{py:obj}}`~cxr_mtl.{package}.{name}`" for name in listed)),
        )
        for package, listed in names.items()
    ]
    return markdown_table(["package", "public names"], rows)


def section_text(package: str, names: Iterable[str], users: Mapping[str, Iterable[str]]) -> str:
    """Markdown of a package's section, for autodoc to fill; `users` are those of `uses`."""
    door = f"cxr_mtl.{package}"
    lines = [f".. automodule:: {door}", ""]
    for name in names:
        path = f"{door}.{name}"
        kind = _kind(public_thing(path))
        if kind == "constant":
            lines += [*constant_entry(door, name, users[path]), ""]
        else:
            lines += [f".. auto{kind}:: {path}", *_OPTIONS.get(kind, []), ""]
    return "\n".join([f"## {door}", "", "```{eval-rst}", *lines, "```"])


def constant_entry(door: str, name: str, users: Iterable[str]) -> list[str]:
    """reST of a constant: its value, its docstring and its chapters.

    autodoc would show the docstring of the value's class.
    """
    text = docstring_text(definition(door, name).docstring, name).splitlines()
    value = repr(public_thing(f"{door}.{name}")).removeprefix("typing.")
    head = [f".. py:data:: {name}", f"   :module: {door}", f"   :value: {value}"]
    text += ["", _chapters(users)]
    return [*head, "", *(f"   {line}" for line in text)]


def types_text(types: Iterable[Definition]) -> str:
    """Markdown of the section on types: each with its anchor, what it is and its module."""
    lines = [
        "## Types in the signatures",
        "",
        "Names of types above that no door hands on: choices, short forms, and what functions "
        "return. `Tensor` is PyTorch's; `ArrayLike` is NumPy's, all that becomes an array.",
    ]
    for one in types:
        words = f"{type_in_words(one)} [in {one.module}]{{.where}}"
        lines += ["", f"[`{one.name}`]{{#{_anchor(one)}}}", f": {words}"]
    return "\n".join(lines)


def used_in(pages: Iterable[str]) -> str:
    """reST of the chapters and exercises that use a name, each a link."""
    pages = list(pages)
    chapters = [name for name in pages if "/" not in name]
    exercises = [name for name in pages if "/" in name]
    told = [f":doc:`{_title(name)} </{BOOK}/{name}>`" for name in chapters]
    numbers = [f":doc:`{int(PurePosixPath(name).name[:2])} </{BOOK}/{name}>`" for name in exercises]
    if numbers:
        told.append(f"exercises of {', '.join(numbers)}")
    return ", ".join(told) or "none directly"


def docstring_text(docstring: str, own_name: str = "") -> str:
    """A docstring in the project's style as Napoleon reads it: code, links, shapes and source.

    Single backticks are code, and a link where they hold a public name other than `own_name`.
    """
    labelled, lines = _take_labelled(docstring.splitlines())
    first = next((i for i, line in enumerate(lines) if _SECTION.match(line)), len(lines))
    shapes, source = ([text for label, text in labelled if label == key] for key in _LABELS)
    lines[first:first] = ["", *(f":Shapes: {text}" for text in shapes), ""]
    lines += ["", *(f":Source: {text}" for text in source)]
    for place, line in enumerate(lines[:-1]):
        if line == "Returns:":
            lines[place + 1] = _without_type(lines[place + 1])
    text = _CODE_OR_MARK.sub(functools.partial(_code, own_name=own_name), "\n".join(lines))
    return "\n".join(_list_attributes(text.splitlines()))


def _take_labelled(lines: list[str]) -> tuple[list[tuple[str, str]], list[str]]:
    """Paragraphs `Shapes: ...` and `Source: ...` apart from the other lines."""
    labelled: list[tuple[str, str]] = []
    rest: list[str] = []
    inside = False
    for line in lines:
        match = _LABELLED.match(line)
        inside = bool(match) or (inside and bool(line.strip()))
        if match:
            labelled.append((match[1], match[2]))
        elif inside:
            labelled[-1] = (labelled[-1][0], f"{labelled[-1][1]} {line.strip()}")
        else:
            rest.append(line)
    return labelled, rest


def _list_attributes(lines: list[str]) -> list[str]:
    """The section `Attributes` as a field with a list, for Napoleon would call it "Variables"."""
    written: list[str] = []
    inside = False
    for line in lines:
        inside = line == "Attributes:" or (inside and line.startswith(" "))
        if line == "Attributes:":
            written += [":Attributes:", ""]
        elif inside and not line.startswith(" " * 5):
            name, _, words = line.strip().partition(": ")
            written.append(f"    - **{name}** – {words}")
        else:
            written.append(f"      {line.strip()}" if inside else line)
    return written


def _without_type(line: str) -> str:
    """A line with a colon in front: Napoleon takes what stands before the first for a type."""
    return re.sub(r"^(\s*)", r"\1: ", line)


def _code(match: re.Match[str], own_name: str) -> str:
    text, mark = match.groups()
    if mark or not text:
        return f"\\{mark}" if mark else match[0]
    path = paths().get(text)
    return f":py:obj:`~{path}`" if path and text != own_name else f"``{text}``"


def _write_signature(
    app: Sphinx, what: str, name: str, thing: Any, options: Any, signature: str, returned: str
) -> tuple[str, str] | None:
    """Give autodoc the signature of the source."""
    if not name.startswith("cxr_mtl.") or what not in ("function", "class", "exception", "method"):
        return None
    return written_signature(getattr(thing, "__func__", thing))


def _write_docstring(
    app: Sphinx, what: str, name: str, thing: Any, options: Any, lines: list[str]
) -> None:
    """Give Napoleon a docstring that it can read, with the chapters that use the name."""
    own_name = name.rpartition(".")[2]
    lines[:] = docstring_text("\n".join(lines), own_name).splitlines()
    if what == "property":
        lines[0] = _without_type(lines[0])
    if name in paths().values():
        lines += ["", _chapters(_uses_in(app)[name]), ""]


def _chapters(users: Iterable[str]) -> str:
    return f":Chapters: {used_in(users)}"


def _uses_in(app: Sphinx) -> dict[str, list[str]]:
    """As `uses`, of the book that is being built; read at the first call."""
    if not hasattr(app, "cxr_mtl_uses"):
        folder = Path(app.srcdir) / BOOK
        app.cxr_mtl_uses = uses([*read_chapters(folder), *read_exercises(folder)])
    return app.cxr_mtl_uses


def _link_type(
    app: Sphinx, env: BuildEnvironment, node: addnodes.pending_xref, content: nodes.Element
) -> nodes.Node | None:
    """Link the type or error of a signature, which the source names without its package.

    What is not the library's stays plain text. Links in prose are not touched: a wrong one is an
    error of the build.
    """
    entry = _entry(node)
    if node.get("reftype") not in ("class", "exc", "obj") or entry is None:
        return None
    name = node["reftarget"].rpartition(".")[2]
    if name in paths():
        domain = env.get_domain("py")
        page = node.get("refdoc", env.docname)
        return domain.resolve_xref(env, page, app.builder, "obj", paths()[name], node, content)
    defined = definition(public_thing(entry).__module__, name)
    if defined in library_types():
        return nodes.reference("", "", content, internal=True, refid=_anchor(defined))
    return content if node["reftype"] != "obj" else None


def _entry(node: nodes.Node) -> str | None:
    """The path of the public name in whose entry a node stands."""
    entry = None
    while node is not None:
        if isinstance(node, addnodes.desc) and node[0]["ids"]:
            entry = node[0]["ids"][0]  # of a method last that of its class
        node = node.parent
    return entry


def _kind(thing: Any) -> str:
    """What autodoc calls a thing."""
    if inspect.isclass(thing):
        return "exception" if issubclass(thing, BaseException) else "class"
    return "function" if callable(thing) and get_origin(thing) is None else "constant"


def _anchor(defined: Definition) -> str:
    return nodes.make_id(f"type-{defined.module}-{defined.name}")


def _title(page: str) -> str:
    """`03_weight_search` is chapter "3 Weight search"."""
    number, _, words = PurePosixPath(page).name.partition("_")
    return f"{int(number)} {words.replace('_', ' ').capitalize()}"
