"""The role `num`: a number of the run in the prose, with its source."""

from typing import Any

from docutils import nodes
from sphinx.util import logging
from sphinx.util.docutils import SphinxRole

from cxr_mtl.base.errors import InputError
from cxr_mtl.base.files import read_json
from cxr_mtl.base.records import find_record
from cxr_mtl.evidence.result_display import UNDEFINED, half_up
from cxr_mtl.pages.edition import edition_of, not_computed

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


def _rounded(value: Any, spec: str) -> str:
    try:
        return format(half_up(value) if isinstance(value, float) and spec else value, spec)
    except (ValueError, TypeError) as error:
        raise InputError(f"{value!r} cannot be written by the format {spec}: {error}") from None
