"""Tables on the book's prose pages: a run's records by model, and the parameters of all chapters.

Both are written as Markdown with the book's own roles and links: a number keeps its source.
"""

import ast
from abc import ABC, abstractmethod
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml
from docutils import nodes
from docutils.statemachine import StringList
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

from cxr_mtl.errors import InputError
from cxr_mtl.files import read_json
from cxr_mtl.records import find_records
from cxr_mtl.result_tables import readable
from cxr_mtl.runs import RUNS
from cxr_mtl.stages import BOOK, Chapter, read_chapters

logger = logging.getLogger(__name__)


def model_table(stage: str, records: list[dict[str, Any]], rows: Iterable[str]) -> list[str]:
    """Markdown of a table with one column per model of a stage's records, in their order.

    A row is written `words | query:format`, as in the role `num` but without the model. A model
    that has no such record has an empty cell.

    Raises:
        InputError: no model has a record of a row, or one has several.
    """
    models = list(dict.fromkeys(record["model"] for record in records if "model" in record))
    names = " | ".join(readable(name) for name in models)
    lines = [f"| | {names} |", "|:--" * (len(models) + 1) + "|"]
    for row in rows:
        words, _, query = (part.strip() for part in row.rpartition("|"))
        found = find_records(records, query.partition(":")[0])
        cells = [
            f"{{num}}`{stage}?model={name}&{query}`"
            if any(record.get("model") == name for record in found)
            else ""
            for name in models
        ]
        lines.append(f"| {words} | {' | '.join(cells)} |")
    return lines


def parameter_table(chapters: Iterable[Chapter]) -> list[str]:
    """Markdown of a table of all chapters' parameters, each with the chapters that take it.

    Defaults are spelt as in a profile.
    """
    chapters = list(chapters)
    lines = ["| parameter | default | meaning (type or choices; chapters) |", "|:--|:--|:--|"]
    for name in dict.fromkeys(name for chapter in chapters for name in chapter.parameters):
        users = [chapter for chapter in chapters if name in chapter.parameters]
        parameter = users[0].parameters[name]
        default = yaml.safe_dump(parameter.default).splitlines()[0]
        links = ", ".join(f"[{user.name[:2].lstrip('0')}]({user.name})" for user in users)
        meaning = f"{parameter.comment} ({_type(parameter.annotation)}; {links})"
        cells = (f"`{name}`", f"`{default}`", meaning)
        lines.append(f"| {' | '.join(map(table_cell, cells))} |")
    return lines


def table_cell(text: str) -> str:
    """Text as a cell of a Markdown table."""
    return text.replace("|", "\\|").replace("\n", " ")


def _type(annotation: str) -> str:
    if annotation.startswith("Literal["):
        choices = ast.literal_eval(annotation.removeprefix("Literal"))
        return " or ".join(f"`{choice}`" for choice in choices)
    return f"*{annotation.replace('|', 'or')}*"


class _Table(SphinxDirective, ABC):
    """A table written as Markdown by `markdown`; bad input is a warning, an error of the build."""

    @abstractmethod
    def markdown(self) -> list[str]:
        """The lines of the table."""

    def run(self) -> list[nodes.Node]:
        """Parse the table where the directive stands."""
        parent = nodes.Element()
        try:
            self.state.nested_parse(StringList(self.markdown()), self.content_offset, parent)
        except InputError as error:
            logger.warning("{%s}: %s", self.name, error, location=self.get_location())
        return parent.children


class ModelTable(_Table):
    """`model-table` with a stage as argument: see `model_table`."""

    required_arguments = 1
    has_content = True

    def markdown(self) -> list[str]:
        """Read the run's records."""
        stage = self.arguments[0]
        run = Path(self.env.srcdir) / RUNS / self.config.cxr_mtl_run
        path = run / f"results/{stage}.json"
        self.env.note_dependency(str(path))
        return model_table(stage, read_json(path), self.content)


class ParameterTable(_Table):
    """`parameters`: see `parameter_table`."""

    def markdown(self) -> list[str]:
        """Read the chapters."""
        folder = Path(self.env.srcdir) / BOOK
        chapters = sorted(read_chapters(folder), key=lambda chapter: chapter.name)
        for chapter in chapters:
            self.env.note_dependency(str(folder / f"{chapter.name}.py"))
        return parameter_table(chapters)
