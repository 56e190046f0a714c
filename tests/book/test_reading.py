"""The built pages as their readers use them: search, dark mode, screen readers, no script."""

import pytest
from built_pages import PAGE_NAMES, PAGES, needs_pages

pytestmark = needs_pages

# The theme's own: its logo lies outside all landmarks, and links named otherwise than they read.
OF_THE_THEME = {"region", "label-content-name-mismatch"}


# What passes need not be described at length.
FAILURES = {"resultTypes": ["violations"]}
# Structure is the same in both; in the dark only colours can differ.
RULES = {"light": FAILURES, "dark": FAILURES | {"runOnly": ["color-contrast"]}}


@pytest.mark.parametrize("scheme", RULES)
@pytest.mark.parametrize("name", PAGE_NAMES)
def test_axe_finds_nothing_but_what_the_theme_is_known_for(browser, name, scheme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    page = browser.new_page(color_scheme=scheme, viewport={"width": 1280, "height": 900})
    page.goto((PAGES / name).as_uri())
    assert page.evaluate("document.documentElement.dataset.theme") == scheme
    # Colours fade from one theme to the other: what is half-way has no contrast.
    page.evaluate("Promise.all(document.getAnimations().map(fading => fading.finished))")
    found = axe.run(page, options=RULES[scheme]).response["violations"]
    page.close()
    violations = {
        violation["id"]: violation["nodes"][0]["html"][:200]
        for violation in found
        if violation["id"] not in OF_THE_THEME
    }
    assert violations == {}


@pytest.mark.parametrize(
    ("term", "expected"), [("temperature", "02_model"), ("Holm", "08_evidence")]
)
def test_the_search_finds_a_term_in_its_chapter(browser, term, expected):
    page = browser.new_page()
    page.goto(f"{(PAGES / 'search.html').as_uri()}?q={term}")
    found = page.locator("#search-results li a")
    found.first.wait_for()
    links = [link.get_attribute("href") for link in found.all()]
    page.close()
    assert any(expected in link for link in links)


@pytest.mark.parametrize("name", PAGE_NAMES)
def test_a_page_reads_without_a_script(browser, name):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto((PAGES / name).as_uri())
    assert page.locator("article h1").is_visible()
    assert len(page.locator("article").inner_text()) > 200
    context.close()
