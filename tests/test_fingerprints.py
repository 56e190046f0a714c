"""What counts as a change of code or files, and what does not."""

import subprocess
import sys

import jupytext
import pytest

from cxr_mtl.fingerprints import chapter_code, code_cells, digest, library_sources

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
    folder.mkdir()
    sources = {
        "__init__.py": "",
        "losses.py": "def clip():\n    return 1",
        "trainer.py": "def train():\n    from cxr_mtl.losses import clip\n    return clip()",
        "figures.py": "from . import losses",
        "search.py": "import cxr_mtl.trainer as t",
        "table.json": "{}",
    }
    for name, source in sources.items():
        (folder / name).write_text(source)
    return folder


@pytest.mark.parametrize(
    ("code", "modules"),
    [
        ("from cxr_mtl import search", {"search", "trainer", "losses"}),
        ("from cxr_mtl.trainer import train", {"trainer", "losses"}),
        ("# %time\nimport cxr_mtl.figures", {"figures", "losses"}),
        ("import cxr_mtl.losses as l, os", {"losses"}),
        ("import numpy", set()),
    ],
)
def test_a_stage_depends_on_every_module_it_imports_also_through_others(library, code, modules):
    found = library_sources(code_cells(notebook(chapter_text(code=code))), library)
    always = {"__init__.py", "table.json"} if modules else set()
    expected = {f"{module}.py" for module in modules} | always
    assert set(found) == {f"cxr_mtl/{name}" for name in expected}


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


def test_the_sources_found_are_all_modules_that_python_imports():
    code = "import sys, cxr_mtl.phantom; print(*(m for m in sys.modules if m[:7] == 'cxr_mtl'))"
    imported = subprocess.check_output([sys.executable, "-c", code], text=True).split()
    found = library_sources(["import cxr_mtl.phantom"])
    modules = {name.removesuffix(".py").replace("/", ".") for name in found if name[-3:] == ".py"}
    assert modules == {f"{m}.__init__" if m == "cxr_mtl" else m for m in imported}
