"""Directive `run-figure`: a figure that a chapter left in the run's folder."""

from docutils import nodes
from sphinx.directives.patches import Figure
from sphinx.util.docutils import SphinxDirective

from cxr_mtl.edition import edition_of, not_computed
from cxr_mtl.errors import InputError
from cxr_mtl.stages import producer


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
