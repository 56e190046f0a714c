"""What a screen reader stumbles over in the theme's and pandas' HTML, mended in the built pages."""

import re

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
