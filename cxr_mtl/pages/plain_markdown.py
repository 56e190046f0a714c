"""The book's Markdown as any notebook shows it: directives, roles and links in plain words."""

import posixpath
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from pybtex.database import parse_file

from cxr_mtl.base.errors import InputError
from cxr_mtl.base.markdown_text import markdown_text
from cxr_mtl.base.records import find_record
from cxr_mtl.pages.directives import number_in_words
from cxr_mtl.runs.exercise_cells import exercises_of
from cxr_mtl.runs.run import Run
from cxr_mtl.runs.stages import EXERCISES, Chapter

Roles = Mapping[str, Callable[[str], str]]

_OPEN = re.compile(r"^(?P<fence>`{3,}|:{3,})\{(?P<name>[\w-]+)\}[ \t]*(?P<argument>.*)$")
_ROLE = re.compile(r"(?<![`\w])\{([\w:-]+)\}`([^`]+)`")
_LINK = re.compile(r"(?<!!)\[([^\]]*)\]\(([^)\s]+)\)")
_LABELLED_MATH = re.compile(r"^(.*\$\$)[ \t]*\([\w-]+\)$", re.M)
_OPTION = re.compile(r"^:[\w-]+:")
_ADMONITIONS = ("note", "tip", "hint", "warning", "important", "caution", "attention", "seealso")
_TARGET = re.compile(r"^(?P<words>.*\S)\s*<(?P<target>[^>]+)>$", re.S)
_EQUATION = re.compile(r"^:label: (eq-[\w-]+)|\$\$[ \t]*\((eq-[\w-]+)\)", re.M)
_FIGURE = re.compile(r"fig-[\w-]+")


class Directive(NamedTuple):
    """A directive of MyST: its name, the text after it, and its lines without the options."""

    name: str
    argument: str
    body: str


def plain_markdown(text: str, source: str, roles: Roles, page: Callable[[str, str], str]) -> str:
    """Directives, roles and links to pages of the book as Markdown that any notebook shows.

    Args:
        text: a Markdown cell.
        source: what errors call it, for example its file.
        roles: for each role what becomes of its content.
        page: what becomes of a link to a page, from its words and its target; links with a scheme
            and links inside the page stay.

    Raises:
        InputError: a directive or a role that this does not know, or a directive without an end.
    """
    blocks = []
    for block in _blocks(text, source):
        if isinstance(block, Directive):
            body = (
                block.body
                if block.name == "math"
                else plain_markdown(block.body, source, roles, page)
            )
            blocks.append(_written(block._replace(body=body), source))
        elif block.startswith("```"):
            blocks.append(block)
        else:
            blocks.append(_inline(block, source, roles, page))
    return "\n".join(blocks)


class BookWords:
    """Chapters, equations, figures, exercises and references by the names that roles call them.

    Args:
        folder: the book's folder, which holds `references.bib`.
        stages: its chapters and exercises.
        run: where numbers are read from.
        stale: the stages that have no numbers to show.

    Raises:
        InputError: an exercise is malformed.
    """

    def __init__(
        self, folder: Path, stages: Iterable[Chapter], run: Run, stale: Iterable[str] = ()
    ) -> None:
        self.run, self.stale = run, set(stale)
        self.references = parse_file(str(folder / "references.bib")).entries
        self.titles: dict[str, str] = {}
        self.labels: dict[str, str] = {}
        for stage in stages:
            self._read(stage)

    def _read(self, stage: Chapter) -> None:
        prose = [cell.source for cell in stage.notebook.cells if cell.cell_type == "markdown"]
        text, number = "\n".join(prose), _number(stage.name)
        self.titles[stage.name] = re.search(r"^# (.+)$", text, re.M)[1]
        for place, found in enumerate(_EQUATION.finditer(text), start=1):
            self.labels[found[1] or found[2]] = f"({number}.{place})"
        for cell in stage.notebook.cells:
            for name in _FIGURE.findall(str(cell.metadata.get("mystnb", ""))):
                self.labels[name] = f"the figure *{name}* of chapter {number}"
        for exercise in exercises_of(stage.notebook, stage.name):
            self.labels[exercise.label] = f"the exercise *{exercise.title}*"

    @property
    def roles(self) -> Roles:
        """For each role what becomes of its content."""
        labelled = dict.fromkeys(("eq", "ref", "numref"), self._label)
        cited = dict.fromkeys(("cite", "cite:p", "cite:t"), self._citation)
        return {
            **labelled,
            **cited,
            "num": self._value,
            "doc": lambda content: self.page(*_target(content)),
            "term": lambda content: _target(content)[0] or content,
            "math": lambda content: f"${content}$",
        }

    def page(self, words: str, target: str) -> str:
        """A link from a page of exercises to another page of the book."""
        path = target.partition("#")[0]
        name = posixpath.normpath(posixpath.join(EXERCISES, path))
        name = re.sub(r"\.(md|py|html)$", "", name)
        words = words or f"*{self.titles.get(name, PurePosixPath(name).name)}*"
        if name not in self.titles:
            return words
        kind = "exercises of chapter" if name.startswith(EXERCISES) else "chapter"
        return f"{words} ({kind} {_number(name)} of the book)"

    def _label(self, content: str) -> str:
        words, label = _target(content)
        if label not in self.labels:
            raise InputError(f"the book has no equation, figure or exercise {label}")
        return words or self.labels[label]

    def _citation(self, content: str) -> str:
        cited = []
        for key in content.split(","):
            if key.strip() not in self.references:
                raise InputError(f"references.bib has no entry {key.strip()}")
            entry = self.references[key.strip()]
            names = [" ".join(person.last_names) for person in entry.persons["author"]]
            who = f"{names[0]} et al." if len(names) > 2 else " and ".join(names)
            cited.append(f"{who}, {entry.fields['year']}")
        return f"({'; '.join(cited)})"

    def _value(self, content: str) -> str:
        question, _, spec = content.partition(":")
        stage, _, query = question.partition("?")
        if stage in self.stale:
            return "(not computed)"
        return markdown_text(number_in_words(find_record(self.run.results(stage), query), spec)[0])


def _blocks(text: str, source: str) -> Iterator[str | Directive]:
    """The text cut into directives, code blocks and what stands between them."""
    lines = text.splitlines()
    plain: list[str] = []
    while lines:
        line = lines.pop(0)
        opened = _OPEN.match(line)
        fence = opened["fence"] if opened else re.match(r"`{3,}|", line)[0]
        if not fence:
            plain.append(line)
            continue
        if plain:
            yield "\n".join(plain)
            plain = []
        closing = re.compile(rf"^{fence[0]}{{{len(fence)},}}[ \t]*$")
        ends = [i for i, later in enumerate(lines) if closing.match(later)]
        if not ends:
            raise InputError(f"{source}: `{line}` has no closing line `{fence}`")
        body, lines = lines[: ends[0]], lines[ends[0] + 1 :]
        if opened:
            while body and (_OPTION.match(body[0]) or not body[0].strip()):
                body.pop(0)
            yield Directive(opened["name"], opened["argument"].strip(), "\n".join(body))
        else:
            yield "\n".join([line, *body, fence])
    if plain:
        yield "\n".join(plain)


def _written(block: Directive, source: str) -> str:
    name, argument, body = block
    if name == "exercise":
        return f"## Exercise: {argument}\n\n{body}"
    if name == "math":
        return f"$$\n{body}\n$$"
    if name in ("code", "code-block"):
        return f"```{argument}\n{body}\n```"
    if name == "admonition" or name in _ADMONITIONS:
        title = argument if name == "admonition" else name.capitalize()
        quoted = "\n".join(f"> {line}".rstrip() for line in body.splitlines())
        return f"> **{title}**\n>\n{quoted}"
    known = ", ".join(["exercise", "math", "code-block", "admonition", *_ADMONITIONS])
    raise InputError(f"{source}: {{{name}}} has no plain form: use one of {known}")


def _inline(text: str, source: str, roles: Roles, page: Callable[[str, str], str]) -> str:
    def role(found: re.Match[str]) -> str:
        name, content = found.groups()
        if name not in roles:
            raise InputError(f"{source}: {{{name}}} has no plain form: use {', '.join(roles)}")
        return roles[name](content)

    def link(found: re.Match[str]) -> str:
        words, target = found.groups()
        stays = re.match(r"\w+:|#", target) is not None
        return found[0] if stays else page(words, target)

    text = _LABELLED_MATH.sub(r"\1", text)
    return _LINK.sub(link, _ROLE.sub(role, text))


def _number(stage: str) -> int:
    return int(PurePosixPath(stage).name[:2])


def _target(content: str) -> tuple[str, str]:
    """The words and the target of a role's content, `words <target>` or the target alone."""
    found = _TARGET.match(content)
    return (found["words"], found["target"]) if found else ("", content.strip())
