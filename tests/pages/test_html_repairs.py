"""Built pages: what screen readers stumble over is mended, and nothing else changes."""

import pytest

from cxr_mtl.pages.html_repairs import mend


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('<th class="blank level0" >&nbsp;</th>', '<td class="blank level0" ></td>'),
        ("<th></th>", "<td></td>"),
        (
            '<summary><span class="toctree-toggle" role="presentation">',
            '<summary aria-label="pages of this part"><span class="toctree-toggle" '
            'role="presentation">',
        ),
        (
            '<div role="list" class="citation-list">\n<div class="citation" id="a" '
            'role="doc-biblioentry">',
            '<div class="citation-list">\n<div class="citation" id="a">',
        ),
    ],
)
def test_what_has_no_name_or_a_wrong_role_is_mended(before, after):
    assert mend(before) == after


@pytest.mark.parametrize("html", ["<th>metric</th>", "<summary>Solution</summary>", "<td></td>"])
def test_what_is_well_stays_as_it_is(html):
    assert mend(html) == html
