"""The explorer's place in a page: relative files, a word to readers without scripts or a run."""

import base64
import hashlib
import io
import tarfile
from pathlib import Path
from types import SimpleNamespace

import pytest
from docutils import nodes
from lxml import html

from cxr_mtl.explorer import page as explorer_page
from cxr_mtl.explorer import web_runtime
from cxr_mtl.explorer.page import SCRIPTS, Explorer, setup
from cxr_mtl.runs.freshness import StageState
from cxr_mtl.runs.stages import Chapter

ROOT = Path(__file__).parents[2]


@pytest.fixture
def book(tmp_path, monkeypatch):
    """A book of a run with an explorer, no runtime, and what Sphinx gives to an extension."""
    made = tmp_path / "runs/demo/explorer"
    made.mkdir(parents=True)
    for name in ("data.js", "text_tower_01.js", "thumbnails.jpg"):
        (made / name).write_text(name)
    monkeypatch.setattr(web_runtime, "TARBALL", tmp_path / "none.tgz")
    return SimpleNamespace(
        srcdir=tmp_path,
        outdir=tmp_path / "html",
        config=SimpleNamespace(cxr_mtl_run="demo"),
        builder=SimpleNamespace(format="html"),
        made=made,
        reason=None,
        static=tmp_path / "html/_static/explorer",
        noted=[],
    )


def packed(path, monkeypatch):
    """Put a small package in the place of onnxruntime-web."""
    with tarfile.open(path, "w:gz") as archive:
        for name in (
            "ort.wasm.min.js",
            "ort-wasm-simd-threaded.mjs",
            "ort-wasm-simd-threaded.wasm",
        ):
            member = tarfile.TarInfo(f"package/dist/{name}")
            archive.addfile(member, io.BytesIO())
    digest = base64.b64encode(hashlib.sha512(path.read_bytes()).digest()).decode()
    monkeypatch.setattr(web_runtime, "TARBALL", path)
    monkeypatch.setattr(web_runtime, "INTEGRITY", f"sha512-{digest}")


def built(book):
    """The application that builds a book whose chapter 11 leaves the explorer."""
    state = StageState("11_explorer", None, book.reason)
    book.cxr_mtl_edition = SimpleNamespace(
        root=book.srcdir,
        run=Path("runs") / book.config.cxr_mtl_run,
        chapters=[Chapter("11_explorer", None, {}, [], ["explorer"])],
        state=lambda stage: state,
        mend="make book",
    )
    return book


def placed(book, docname="book/11_explorer"):
    """What the directive puts into a page."""
    env = SimpleNamespace(
        app=built(book),
        srcdir=book.srcdir,
        docname=docname,
        config=book.config,
        note_dependency=book.noted.append,
    )
    document = SimpleNamespace(settings=SimpleNamespace(env=env))
    state = SimpleNamespace(document=document)
    machine = SimpleNamespace(reporter=None)
    directive = Explorer("explorer", [], {}, [], 1, 0, "", state, machine)
    (node,) = directive.run()
    return node


def page(book, docname="book/11_explorer"):
    node = placed(book, docname)
    assert isinstance(node, nodes.raw)
    assert node["format"] == "html"
    return html.fragment_fromstring(node.astext(), create_parent="article")


def test_the_page_loads_its_files_from_beside_it_in_order(book):
    found = page(book)
    sources = [script.get("src") for script in found.xpath(".//script")]
    assert sources == [f"../_static/explorer/{name}" for name in SCRIPTS]
    assert all(script.get("defer") is not None for script in found.xpath(".//script"))
    assert found.xpath(".//link/@href") == ["../_static/explorer/explorer.css"]
    (root,) = found.xpath(".//div[@id='cxr-explorer']")
    assert root.get("data-root") == "../_static/explorer/"
    deeper = page(book, "book/part/11_explorer").xpath(".//div/@data-root")
    assert deeper == ["../../_static/explorer/"]


def test_readers_without_scripts_get_words_and_links_to_chapters_that_exist(book):
    (words,) = page(book).xpath(".//noscript")
    assert "JavaScript" in words.text_content()
    links = [Path(link).stem for link in words.xpath(".//a/@href")]
    assert links == ["05_retrieval", "06_embedding_maps"]
    assert all((ROOT / f"book/{link}.py").exists() for link in links)


def test_the_scripts_are_the_ones_the_book_carries():
    carried = {path.name for path in (ROOT / "book/_assets/explorer").glob("*.js")}
    assert set(SCRIPTS) - {"data.js"} == carried


def test_a_stale_explorer_gets_the_reason_and_what_mends_it(book):
    book.reason = "not run yet"
    node = placed(book)
    assert isinstance(node, nodes.paragraph)
    assert "not computed" in node.astext()
    assert node[0]["explanation"] == "11_explorer: not run yet; make book computes it"


def test_a_page_is_read_again_when_the_runs_data_change(book):
    placed(book)
    assert book.noted == [str(book.made / "data.js")]


@pytest.mark.parametrize("tower", [True, False])
@pytest.mark.parametrize("runtime", [True, False])
def test_typing_is_offered_only_with_a_tower_and_a_runtime(book, tower, runtime, monkeypatch):
    if not tower:
        (book.made / "text_tower_01.js").unlink()
    if runtime:
        packed(book.srcdir / "ort.tgz", monkeypatch)
    state = "present" if tower and runtime else "absent"
    assert page(book).xpath(".//div/@data-runtime") == [state]
    explorer_page._copy_files(built(book), None)
    copied = {path.name for path in book.static.iterdir()}
    assert {"data.js", "thumbnails.jpg"} <= copied
    assert ("text_tower_01.js" in copied) == tower
    assert ({"runtime.js", "ort.wasm.min.js"} <= copied) == (tower and runtime)


def test_nothing_is_copied_after_an_error_or_for_another_format(book):
    explorer_page._copy_files(built(book), RuntimeError())
    book.builder.format = "latex"
    explorer_page._copy_files(built(book), None)
    assert not book.static.exists()


def test_reports_of_a_stale_explorer_are_not_copied(book):
    book.reason = "its code changed"
    explorer_page._copy_files(built(book), None)
    assert not book.static.exists()


def test_reports_of_an_earlier_build_go_when_the_explorer_is_stale(book):
    explorer_page._copy_files(built(book), None)
    (book.static / "app.js").touch()
    book.reason = "its code changed"
    explorer_page._copy_files(built(book), None)
    assert [path.name for path in book.static.iterdir()] == ["app.js"]


def test_a_book_without_an_explorer_gets_no_files(book):
    built(book).cxr_mtl_edition.chapters.clear()
    explorer_page._copy_files(book, None)
    assert not book.static.exists()


def test_sphinx_learns_the_directive_and_the_copying():
    heard = []
    app = SimpleNamespace(
        setup_extension=lambda name: heard.append(name),
        add_directive=lambda name, kind: heard.append((name, kind)),
        connect=lambda event, _: heard.append(event),
    )
    assert setup(app)["parallel_read_safe"]
    assert heard == ["cxr_mtl.pages.sphinx_extension", ("explorer", Explorer), "build-finished"]
