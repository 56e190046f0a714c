"""The built page of the library: every public name, anchored, with its signature; whole links."""

import ast
import importlib
import inspect
import re
from functools import cache
from typing import Literal, get_args, get_origin
from urllib.parse import unquote, urlsplit

import pytest
from built_pages import PAGES, ROOT
from lxml import html
from lxml.html import soupparser

PAGE = PAGES / "book/library.html"
DOORS = sorted(file.parent.name for file in (ROOT / "cxr_mtl").glob("*/__init__.py"))
NAMES = [
    f"cxr_mtl.{door}.{name}"
    for door in DOORS
    for name in importlib.import_module(f"cxr_mtl.{door}").__all__
]

pytestmark = pytest.mark.skipif(
    not PAGE.exists(), reason="no built page of the library: `make book` builds it"
)


@cache
def page():
    # A signature is a list inside a heading of a list, which lxml's own parser would tear apart.
    return soupparser.fromstring(PAGE.read_text(), features="html.parser")


def entry(path):
    """The heading of a public name, which has its signature, and what stands below."""
    heading = by_id(path)
    return heading, heading.getnext()


def by_id(name):
    (found,) = page().xpath("//*[@id=$name]", name=name)
    return found


def words(element):
    return " ".join("".join(element.itertext()).split())


@pytest.mark.parametrize("door", DOORS)
def test_a_package_has_a_section_with_its_doors_docstring_and_example(door):
    docstring = importlib.import_module(f"cxr_mtl.{door}").__doc__
    section = by_id(f"module-cxr_mtl.{door}")
    while section.tag != "section":
        section = section.getparent()
    assert words(section.xpath("./h2")[0]).startswith(f"cxr_mtl.{door}")
    assert docstring.split("\n")[0][:40] in words(section)
    lines = [line.partition("  # doctest:")[0] for line in docstring.splitlines()]
    example = [line for line in lines if line.startswith(">>>")]
    shown = "\n".join("".join(block.itertext()) for block in section.xpath(".//pre"))
    assert example
    assert set(example) <= set(map(str.rstrip, shown.splitlines()))


@pytest.mark.parametrize("path", NAMES)
def test_a_public_name_has_an_anchor_its_signature_its_docstring_and_its_chapters(path):
    heading, below = entry(path)
    door, _, name = path.rpartition(".")
    thing = getattr(importlib.import_module(door), name)
    assert name in words(heading)
    if get_origin(thing) is Literal:
        assert all(repr(choice) in words(heading) for choice in get_args(thing))
    elif callable(thing) and not (inspect.isclass(thing) and issubclass(thing, BaseException)):
        shown = heading.xpath(".//*[contains(@class, 'sig-param')]/*[contains(@class, 'n')][1]")
        arguments = [words(one) for one in shown if words(one).isidentifier()]
        assert arguments == list(inspect.signature(thing).parameters)
        first = re.split(r"[`|*\"']", inspect.getdoc(thing).split("\n")[0])[0].strip()
        assert first in words(below)
    assert "Chapters" in [words(one).rstrip(":") for one in below.xpath("./dl/dt")]


@pytest.mark.parametrize("path", NAMES)
def test_an_error_that_the_docstring_names_is_told(path):
    door, _, name = path.rpartition(".")
    thing = getattr(importlib.import_module(door), name)
    docstring = (inspect.getdoc(thing) or "") if callable(thing) else ""
    errors = re.findall(r"^    (\w+Error): ", docstring.partition("Raises:")[2], re.MULTILINE)
    told = [words(one) for one in entry(path)[1].xpath("./dl/dd//strong | ./dl/dd//a")]
    assert set(errors) <= set(told)


def test_a_chapter_that_imports_a_name_is_linked_from_it():
    missing = []
    for chapter in sorted((ROOT / "book").glob("[0-9][0-9]_*.py")):
        for node in ast.walk(ast.parse(chapter.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("cxr_mtl."):
                for path in (f"{node.module}.{alias.name}" for alias in node.names):
                    if path in NAMES:
                        links = entry(path)[1].xpath("./dl/dd//a/@href")
                        missing += [] if f"{chapter.stem}.html" in links else [(path, chapter.stem)]
    assert missing == []


def test_no_markup_is_left_in_the_text():
    texts = page().xpath("//article//text()[not(ancestor::pre or ancestor::code or ancestor::dt)]")
    left = re.findall(r"\S*(?:`|:py:|:doc:|\{#|\]\{|\*\*)\S*", " ".join(texts))
    assert left == []


def test_every_link_of_the_page_leads_to_an_anchor_that_is_there():
    broken = []
    for href in page().xpath("//article//a/@href | //*[@id='pst-page-toc-nav']//a/@href"):
        url = urlsplit(href)
        if url.scheme or url.netloc:
            continue
        target = (PAGE.parent / unquote(url.path)).resolve() if url.path else PAGE
        ids = html.fromstring(target.read_bytes()).xpath("//@id") if url.path else page_ids()
        if url.fragment and unquote(url.fragment) not in ids:
            broken.append(href)
    assert broken == []


@cache
def page_ids():
    return set(page().xpath("//@id"))
