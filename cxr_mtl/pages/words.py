"""What the book's roles and links say in words, for notebooks that are read outside of it."""

import posixpath
import re
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from pybtex.database import parse_file

from cxr_mtl.base.errors import InputError
from cxr_mtl.base.records import find_record
from cxr_mtl.pages.num_role import number_in_words
from cxr_mtl.pages.plain_markdown import Roles
from cxr_mtl.runs.exercise_cells import exercises_of
from cxr_mtl.runs.run import Run
from cxr_mtl.runs.stages import EXERCISES, Chapter

_TARGET = re.compile(r"^(?P<words>.*\S)\s*<(?P<target>[^>]+)>$", re.S)
_EQUATION = re.compile(r"^:label: (eq-[\w-]+)|\$\$[ \t]*\((eq-[\w-]+)\)", re.M)
_FIGURE = re.compile(r"fig-[\w-]+")


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
        return number_in_words(find_record(self.run.results(stage), query), spec)[0]


def _number(stage: str) -> int:
    return int(PurePosixPath(stage).name[:2])


def _target(content: str) -> tuple[str, str]:
    """The words and the target of a role's content, `words <target>` or the target alone."""
    found = _TARGET.match(content)
    return (found["words"], found["target"]) if found else ("", content.strip())
