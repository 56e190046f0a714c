"""What counts as a change of code or files, and what does not."""

import jupytext
import pytest

from cxr_mtl.base.fingerprints import chapter_code, digest, library_sources
from cxr_mtl.base.imports import code_cells

CHAPTER = """\
# %% [markdown]
# # A chapter
# %% tags=["parameters"]
run_dir: str = "runs/demo"
"""


def chapter_text(parameters="", code=""):
    return f"{CHAPTER}{parameters}\n# %%\n{code}\n"


def notebook(text):
    return jupytext.reads(text, fmt="py:percent")


def same_code(one, other):
    return chapter_code(notebook(one)) == chapter_code(notebook(other))


def test_comments_layout_docstrings_and_prose_are_not_code():
    one = chapter_text(code='def f(x):\n    "Doc."\n    return x+1')
    assert same_code(one, one.replace("# # A chapter", "# # Another title"))
    assert same_code(one, chapter_text(code="# why\ndef f(x):\n    return x + 1  # how"))
    assert not same_code(one, chapter_text(code="def f(x):\n    return x + 2"))
    assert not same_code(chapter_text(code='"text"\nx = 1'), chapter_text(code='y = "text"\nx = 1'))


def test_magic_lines_are_code():
    assert not same_code(chapter_text(code="# %matplotlib inline"), chapter_text(code="# %pylab"))


def test_of_parameters_names_and_types_are_code_and_values_are_not():
    one = chapter_text(parameters="lr: float = 1.0  # rate")
    assert same_code(one, chapter_text(parameters="lr: float = 2.0"))
    assert not same_code(one, chapter_text(parameters="lr: int = 1"))
    assert not same_code(one, chapter_text(parameters="rate: float = 1.0"))


@pytest.fixture
def library(tmp_path):
    folder = tmp_path / "cxr_mtl"
    sources = {
        "__init__.py": "",
        "losses.py": "def clip():\n    return 1",
        "search.py": "from cxr_mtl.losses import clip",
        "table.json": "{}",
    }
    for name, source in sources.items():
        folder.mkdir(exist_ok=True)
        (folder / name).write_text(source)
    return folder


def test_an_edit_of_an_imported_modules_code_changes_its_hash_and_a_comment_does_not(library):
    page = notebook(chapter_text(code="import cxr_mtl.search"))
    before = library_sources(code_cells(page), library)
    (library / "losses.py").write_text('"""Doc."""\n\n\ndef clip():\n    return 1  # one')
    assert library_sources(code_cells(page), library) == before
    (library / "losses.py").write_text("def clip():\n    return 2")
    after = library_sources(code_cells(page), library)
    assert {name for name in after if after[name] != before[name]} == {"cxr_mtl/losses.py"}
    (library / "table.json").write_text("[]")
    assert (
        library_sources(code_cells(page), library)["cxr_mtl/table.json"]
        != after["cxr_mtl/table.json"]
    )


def test_a_folders_digest_follows_its_files_names_and_contents(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a/x").write_text("1")
    first = digest(tmp_path / "a")
    (tmp_path / "a/x").write_text("22")
    second = digest(tmp_path / "a")
    (tmp_path / "a/x").rename(tmp_path / "a/y")
    assert len({first, second, digest(tmp_path / "a")}) == 3


def test_data_files_count_once_a_module_beside_them_does(library):
    (library / "evidence").mkdir()
    (library / "evidence/__init__.py").write_text("")
    (library / "evidence/tables.py").write_text("")
    (library / "evidence/paper.json").write_text("{}")
    assert "cxr_mtl/evidence/paper.json" in library_sources(
        ["from cxr_mtl.evidence import tables"], library
    )
    assert "cxr_mtl/evidence/paper.json" not in library_sources(["import cxr_mtl.search"], library)
