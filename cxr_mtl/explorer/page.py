"""Sphinx extension of the explorer: `{explorer}` places the app, and a run's files go beside it."""

import shutil
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from cxr_mtl.explorer import web_runtime
from cxr_mtl.explorer.bundle import DATA, SHEET, TOWER
from cxr_mtl.pages.edition import edition_of, not_computed, stage_of

FOLDER = "explorer"
STATIC = f"_static/{FOLDER}"
SCRIPTS = (
    DATA,
    "tokenizer.js",
    "retrieval.js",
    "tower.js",
    "map.js",
    "view.js",
    "page.js",
    "app.js",
)

_PAGE = """\
<link rel="stylesheet" href="{root}explorer.css">
<div id="cxr-explorer" class="full-width" data-root="{root}" data-runtime="{runtime}">
<noscript>
<p>Here one picks an image or a report of the test studies, or types a report, and sees the nearest
studies. That is computed in the page, by JavaScript, which is switched off. What such searches find
on average stands in <a href="05_retrieval.html">the retrieval chapter</a>, and the map of the
studies in <a href="06_embedding_maps.html">the chapter on maps</a>.</p>
</noscript>
</div>
{scripts}
"""


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directive and the copying; called by Sphinx."""
    app.setup_extension("cxr_mtl.pages.sphinx_extension")  # knows which run the book shows
    app.add_directive("explorer", Explorer)
    app.connect("build-finished", _copy_files)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


class Explorer(SphinxDirective):
    """`{explorer}`: the app over the run's studies, or a sentence where there are none yet."""

    def run(self) -> list[nodes.Node]:
        """Emit the app's root element and its scripts, all beside the page."""
        edition = edition_of(self.env.app)
        made = edition.root / edition.run / FOLDER
        self.env.note_dependency(str(made / DATA))
        state = edition.state(stage_of(self.env.docname))
        if state.reason:
            return [nodes.paragraph("", "", not_computed(state, edition.mend))]
        root = "../" * self.env.docname.count("/") + STATIC + "/"
        html = _PAGE.format(
            root=root,
            runtime="present" if _can_type(made) else "absent",
            scripts="\n".join(f'<script defer src="{root}{name}"></script>' for name in SCRIPTS),
        )
        return [nodes.raw("", html, format="html")]


def _can_type(made: Path) -> bool:
    return any(made.glob(f"{TOWER}_*.js")) and web_runtime.TARBALL.exists()


def _copy_files(app: Sphinx, error: Exception | None) -> None:
    """Put the run's files, and what runs its text tower, beside the app's own.

    Those of a stale explorer stay out: they hold reports and embeddings that no page may show.
    """
    if error or app.builder.format != "html":
        return
    target = Path(app.outdir) / STATIC
    for old in (target / DATA, target / SHEET, *target.glob(f"{TOWER}*.js")):
        old.unlink(missing_ok=True)  # of an earlier build in the same folder
    edition = edition_of(app)
    makers = [chapter.name for chapter in edition.chapters if FOLDER in chapter.leaves]
    if not makers or edition.state(makers[0]).reason:
        return
    made = edition.root / edition.run / FOLDER
    shutil.copytree(made, target, dirs_exist_ok=True)
    if _can_type(made):
        web_runtime.write_runtime(target, web_runtime.TARBALL, web_runtime.INTEGRITY)
