"""The built pages: whole, offline, readable on a phone."""

import re
from functools import cache
from pathlib import Path
from urllib.parse import unquote, urlsplit

import nbformat
import pytest
from built_pages import PAGE_NAMES, PAGES, ROOT, needs_pages
from lxml import html

from cxr_mtl.base.files import read_json
from cxr_mtl.pages.sphinx_extension import PHANTOM_BANNER

# What a browser fetches by itself to show a page.
FETCHED = (
    "//script/@src | //link[@rel!='canonical']/@href | //img/@src | //iframe/@src | //source/@src"
)

pytestmark = needs_pages


@cache
def parsed(path: Path) -> html.HtmlElement:
    return html.fromstring(path.read_bytes())


@pytest.mark.parametrize("name", PAGE_NAMES)
def test_every_page_of_the_contents_is_built(name):
    assert parsed(PAGES / name).xpath("//article//h1")


@pytest.mark.parametrize("name", PAGE_NAMES)
def test_a_page_names_no_resource_of_another_server(name):
    page = parsed(PAGES / name)
    outside = [url for url in page.xpath(FETCHED) if urlsplit(url).netloc]
    assert outside == []
    assert not [style for style in page.xpath("//style/text()") if "url(http" in style]


@pytest.mark.parametrize("name", PAGE_NAMES)
def test_links_inside_the_book_lead_somewhere(name):
    broken = []
    for href in parsed(PAGES / name).xpath("//a/@href | //img/@src | //link/@href"):
        url = urlsplit(href)
        if url.scheme or url.netloc:
            continue
        target = ((PAGES / name).parent / unquote(url.path)).resolve() if url.path else PAGES / name
        if not target.exists():
            broken.append(href)
        elif url.fragment and target.suffix == ".html":
            ids = parsed(target).xpath("//@id | //a/@name")
            if unquote(url.fragment) not in {*ids, ""}:
                broken.append(href)
    assert broken == []


@pytest.mark.parametrize("name", PAGE_NAMES)
def test_every_picture_says_in_words_what_it_shows(name):
    pictures = parsed(PAGES / name).xpath("//article//img")
    silent = [picture.get("src")[:80] for picture in pictures if not _is_described(picture)]
    assert silent == []


def _is_described(picture: html.HtmlElement) -> bool:
    alt = (picture.get("alt") or "").strip()
    # Without a description MyST-NB falls back on the file's name.
    return bool(alt) and Path(picture.get("src")).name not in alt


@pytest.mark.parametrize("name", PAGE_NAMES)
def test_the_demo_edition_says_on_every_page_that_its_images_are_phantoms(name):
    manifest = read_json(ROOT / "runs/demo/manifest.json")
    phantoms = any(s["parameters"].get("dataset") == "phantom" for s in manifest.values())
    assert phantoms, "`make book` builds the demo edition"
    assert PHANTOM_BANNER in " ".join(parsed(PAGES / name).text_content().split())


@pytest.mark.parametrize("name", [n for n in PAGE_NAMES if n.split("/")[-1][:1].isdigit()])
def test_a_chapter_shows_its_outputs_and_how_it_was_run(name):
    text = parsed(PAGES / name).text_content()
    assert "No outputs are shown" not in text
    assert "How this chapter was run" in text


@pytest.mark.parametrize("name", [n for n in PAGE_NAMES if n.split("/")[-1][:1].isdigit()])
def test_what_the_pages_leave_out_of_a_chapter_is_only_its_progress(name):
    stage = name.removeprefix("book/").removesuffix(".html")
    notebook = nbformat.read(ROOT / f"runs/demo/{stage}.ipynb", as_version=4)
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    said = [output.text for output in outputs if output.get("name") == "stderr"]
    lines = "".join(said).splitlines()
    assert [line for line in lines if not re.fullmatch(r"\w+  [\d,]+ of .* left", line)] == []


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("name", [*PAGE_NAMES, "search.html"])
def test_a_page_opens_offline_without_a_complaint(browser, name, width):
    page = browser.new_page(viewport={"width": width, "height": 844})
    requests, complaints = [], []
    page.on("request", lambda request: requests.append(request.url))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on(
        "console",
        lambda line: complaints.append(line.text) if line.type in ("error", "warning") else None,
    )
    page.goto((PAGES / name).as_uri())
    page.evaluate("window.MathJax?.startup?.promise")
    page.wait_for_timeout(500)  # whatever a script asks for once the page is there
    equations, rendered, wrong = (
        page.locator(selector).count()
        for selector in (".math.notranslate", ".math mjx-container", "mjx-merror")
    )
    overflow = page.evaluate("document.documentElement.scrollWidth") - width
    page.close()
    assert [url for url in requests if not url.startswith(("file:", "data:", "blob:"))] == []
    assert complaints == []
    assert (rendered >= equations, wrong) == (True, 0)
    assert overflow <= 0
