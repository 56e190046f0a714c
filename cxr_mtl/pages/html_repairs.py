"""Pages that need no network: MathJax from the installed package, no fonts from elsewhere."""

import importlib.util
import re
import shutil
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.config import Config

# What MathJax reads beside its main file; the rest of the package is other output formats.
_MATHJAX_FILES = ("tex-mml-chtml.js", "input/tex/extensions", "output/chtml/fonts/woff-v2")


def use_local_mathjax(app: Sphinx, config: Config) -> None:
    """Let pages load MathJax from the place to which `copy_mathjax` brings it."""
    config.mathjax_path = "mathjax/tex-mml-chtml.js"


def copy_mathjax(app: Sphinx, error: Exception | None) -> None:
    """Copy MathJax from the installed package beside the pages."""
    if error or app.builder.format != "html":
        return
    spec = importlib.util.find_spec("sphinx-mathjax-offline")
    installed = Path(spec.submodule_search_locations[0]) / "static/mathjax"
    for name in _MATHJAX_FILES:
        target = Path(app.outdir) / "_static/mathjax" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if (installed / name).is_dir():
            shutil.copytree(installed / name, target, dirs_exist_ok=True)
        else:
            shutil.copyfile(installed / name, target)


def mend_pages(app: Sphinx, error: Exception | None) -> None:
    """Mend what the theme writes into every page, for readers offline and with screen readers."""
    if error or app.builder.format != "html":
        return
    for page in Path(app.outdir).rglob("*.html"):
        page.write_text(mend(drop_font_preloads(page.read_text("utf-8"))), "utf-8")


def drop_font_preloads(page: str) -> str:
    """A page without the theme's preloads of icon fonts that its icons do not use.

    From `file://` browsers refuse them, with an error in the console.
    """
    return re.sub(r'<link rel="preload" as="font"[^>]*>\s*', "", page)


_EMPTY_HEADER = re.compile(r"<th( [^>]*)?>(?:&nbsp;|\s|<p></p>)*</th>")
_SIDEBAR_SUMMARY = re.compile(r"<summary>(?=<span class=\"toctree-toggle\")")


def mend(page: str) -> str:
    """A page's HTML with an empty table header as a cell, named toggles and known roles alone.

    pandas heads its index with empty `th`; the theme's toggles of the contents have no name;
    docutils gives citations a role that ARIA has deprecated, inside a list that may not hold it.
    """
    page = _EMPTY_HEADER.sub(r"<td\1></td>", page)
    page = _SIDEBAR_SUMMARY.sub('<summary aria-label="pages of this part">', page)
    page = page.replace(' role="doc-biblioentry"', "")
    return page.replace('<div role="list" class="citation-list">', '<div class="citation-list">')
