"""The role `num`: a number of the run in the prose, with its source."""

from docutils import nodes
from sphinx.util import logging
from sphinx.util.docutils import SphinxRole

from cxr_mtl.edition import edition_of, not_computed
from cxr_mtl.errors import InputError
from cxr_mtl.files import read_json
from cxr_mtl.number_words import number_in_words
from cxr_mtl.records import find_record

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
