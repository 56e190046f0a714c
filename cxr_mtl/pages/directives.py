"""The book's role and directives: numbers, tables and figures of a run where a page names them.

Tables are written as Markdown with the book's own role and links: a number keeps its source.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any, get_args
from urllib.parse import quote

import yaml
from docutils import nodes
from sphinx.directives.patches import Figure
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective, SphinxRole

from cxr_mtl.base import choices
from cxr_mtl.base.errors import InputError, check_choice
from cxr_mtl.base.files import read_json
from cxr_mtl.base.markdown_text import Markdown, code_span
from cxr_mtl.base.records import find_record, find_records
from cxr_mtl.base.table_text import markdown_table, table_lines
from cxr_mtl.evidence.result_display import UNDEFINED, half_up, readable
from cxr_mtl.pages.edition import edition_of, not_computed
from cxr_mtl.pages.provenance_page import edition_table
from cxr_mtl.runs.against_reference import COMPARE_PAGE, reference_summary
from cxr_mtl.runs.parameter_ranges import UNITS, range_in_words
from cxr_mtl.runs.stages import BOOK, Chapter, producer

logger = logging.getLogger(__name__)


class NumberRole(SphinxRole):
    """`` {num}`stage?key=value&key=value:format` ``: the value of the one record that matches.

    Reads `results/<stage>.json` of the run; `format` is Python's, for example `.3f` or `.1%`.
    A record with an interval, `low` and `high`, is written with it, and a value that is null as
    undefined. A stale stage has no numbers: "not computed" stands there, with the reason. The note
    on a number says too when what its stage rests on is stale. No match, or several, is a warning,
    and so an error of the build.
    """

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        """Make the number, with a title that names its source."""
        question, _, spec = self.text.partition(":")
        stage, _, query = question.partition("?")
        edition = edition_of(self.env.app)
        path = edition.run / f"results/{stage}.json"
        self.env.note_dependency(str(edition.root / path))
        try:
            state = edition.state(stage)
            if state.reason:
                return [not_computed(state, edition.mend)], []
            record = find_record(read_json(edition.root / path), query)
            number, interval = number_in_words(record, spec)
        except (InputError, ValueError, TypeError) as error:
            logger.warning("{num}`%s`: %s", self.text, error, location=self.get_location())
            return [nodes.strong("", "?")], []
        source = f"{path.as_posix()}: {query.replace('&', ', ')}"
        stale = edition.rests_on_stale(stage)
        if stale:
            source += f"; rests on what is stale: {stale}"
        shown = nodes.abbreviation(number, number, explanation=source, classes=["num"])
        if interval:
            shown += nodes.inline(interval, interval, classes=["interval"])
        return [shown], []


class RunFigure(SphinxDirective, Figure):
    """As `figure`, with a path relative to the run's folder; a note where it is not computed."""

    def run(self) -> list[nodes.Node]:
        """Make the figure, unless the chapter that leaves it is stale."""
        edition = edition_of(self.env.app)
        try:
            state = edition.state(producer(self.arguments[0], edition.chapters, "the page"))
        except InputError as error:
            raise self.error(str(error)) from None
        path = edition.run / self.arguments[0]
        self.env.note_dependency(str(edition.root / path))
        if state.reason:
            return [nodes.paragraph("", "", not_computed(state, edition.mend))]
        self.arguments[0] = f"/{path.as_posix()}"
        return Figure.run(self)


class OfData(SphinxDirective):
    """`of-data` with names of data sets: its content, where the run was made of one of them.

    Where no chapter says what the run was made of, the content stands.
    """

    required_arguments = 1
    final_argument_whitespace = True
    has_content = True

    def run(self) -> list[nodes.Node]:
        """Parse the content, or leave it out."""
        names = self.arguments[0].split()
        try:
            for name in names:
                check_choice("data set", name, choices.DatasetName)
        except InputError as error:
            raise self.error(str(error)) from None
        dataset = edition_of(self.env.app).dataset
        if dataset is not None and dataset not in names:
            return []
        return self.parse_content_to_nodes()


class MarkdownTable(SphinxDirective, ABC):
    """A table written as Markdown by `markdown`; bad input is a warning, an error of the build."""

    @abstractmethod
    def markdown(self) -> list[str]:
        """The lines of the table."""

    def run(self) -> list[nodes.Node]:
        """Parse the table where the directive stands."""
        try:
            return self.parse_text_to_nodes("\n".join(self.markdown()))
        except InputError as error:
            logger.warning("{%s}: %s", self.name, error, location=self.get_location())
            return []


class ModelTable(MarkdownTable):
    """`model-table` with a stage as argument: see `model_table`; not computed where it is stale."""

    required_arguments = 1
    has_content = True

    def run(self) -> list[nodes.Node]:
        """Make the table, or say why there is none."""
        edition = edition_of(self.env.app)
        state = edition.states.get(self.arguments[0])
        if state and state.reason:
            return [nodes.paragraph("", "", not_computed(state, edition.mend))]
        return super().run()

    def markdown(self) -> list[str]:
        """Read the run's records."""
        edition = edition_of(self.env.app)
        stage = edition.state(self.arguments[0]).name
        path = edition.root / edition.run / f"results/{stage}.json"
        self.env.note_dependency(str(path))
        return model_table(stage, read_json(path), self.content)


class ParameterTable(MarkdownTable):
    """`parameters`: see `parameter_table`; exercises take their chapter's."""

    def run(self) -> list[nodes.Node]:
        """Make the table, which takes the margin's room too."""
        return [nodes.compound("", *super().run(), classes=["full-width"])]

    def markdown(self) -> list[str]:
        """Take the chapters by their numbers."""
        edition = edition_of(self.env.app)
        chapters = sorted(edition.chapters, key=lambda chapter: chapter.name)
        for chapter in chapters:
            self.env.note_dependency(str(edition.root / BOOK / f"{chapter.name}.py"))
        return parameter_table(one for one in chapters if "/" not in one.name)


class EditionTable(MarkdownTable):
    """`edition`: see `provenance_page.edition_table`; of another run also what moved."""

    def markdown(self) -> list[str]:
        """Read the manifest, and the reference's."""
        edition = edition_of(self.env.app)
        lines = edition_table(edition.run_name, edition.states, edition.mend)
        if edition.comparison:
            link = "../" * self.env.docname.count("/") + COMPARE_PAGE
            name = Markdown(f"against *{edition.reference_name}*")
            lines += table_lines([(name, reference_summary(edition.comparison, link))])
        return lines


def number_in_words(record: dict[str, Any], spec: str) -> tuple[str, str]:
    """A record's value by a format such as `.3f`, and its interval with a space before, or nothing.

    A value that is None is written as undefined.

    Raises:
        InputError: the format does not suit the value.
    """
    if record["value"] is None:
        return UNDEFINED, ""
    number = _rounded(record["value"], spec)
    if record.get("low") is None:
        return number, ""
    return number, f" [{_rounded(record['low'], spec)}, {_rounded(record['high'], spec)}]"


def model_table(stage: str, records: list[dict[str, Any]], rows: Iterable[str]) -> list[str]:
    """Markdown of a table with one column per model of a stage's records, in their order.

    A row is written `words | query:format`, as in the role `num` but without the model. A model
    that has no such record has an empty cell.

    Raises:
        InputError: no model has a record of a row, or one has several.
    """
    models = list(dict.fromkeys(record["model"] for record in records if "model" in record))
    lines = []
    for row in rows:
        words, _, query = (part.strip() for part in row.rpartition("|"))
        found = find_records(records, query.partition(":")[0])
        cells = [
            Markdown(f"{{num}}`{stage}?model={quote(name, safe='')}&{query}`")
            if any(record.get("model") == name for record in found)
            else ""
            for name in models
        ]
        lines.append((Markdown(words), *cells))
    return markdown_table(["", *map(readable, models)], lines)


def parameter_table(chapters: Iterable[Chapter]) -> list[str]:
    """Markdown of a table of all chapters' parameters, each with the chapters that take it.

    Defaults are spelt as in a profile.
    """
    chapters = list(chapters)
    rows = []
    for name in dict.fromkeys(name for chapter in chapters for name in chapter.parameters):
        users = [chapter for chapter in chapters if name in chapter.parameters]
        parameter = users[0].parameters[name]
        spelt = yaml.safe_dump(parameter.default, default_flow_style=True, width=math.inf)
        default = spelt.splitlines()[0]  # without the end mark of a lone value
        links = ", ".join(f"[{user.name[:2].lstrip('0')}]({user.name})" for user in users)
        rows.append(
            (
                Markdown(f"{code_span(name)}: {parameter.comment}"),
                Markdown(_type(parameter.annotation)),
                UNITS.get(name, "–"),
                code_span(default),
                range_in_words(name) or "–",
                Markdown(links),
            )
        )
    heads = ["parameter", "type or choices", "unit", "default", "range", "chapters"]
    return markdown_table(heads, rows)


def _rounded(value: Any, spec: str) -> str:
    try:
        return format(half_up(value) if isinstance(value, float) and spec else value, spec)
    except (ValueError, TypeError) as error:
        raise InputError(f"{value!r} cannot be written by the format {spec}: {error}") from None


def _type(annotation: str) -> str:
    if annotation.startswith("Optional["):
        return f"{_type(annotation[len('Optional[') : -1])} or None"
    words = get_args(getattr(choices, annotation, None))
    return " or ".join(f"`{word}`" for word in words) or annotation
