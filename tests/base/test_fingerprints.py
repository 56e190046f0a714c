"""What counts as a change of code, and what does not."""

import subprocess
import sys

import jupytext
import pytest

from cxr_mtl.base.fingerprints import chapter_code, library_sources
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


def test_data_files_count_once_a_module_beside_them_does(library):
    (library / "evidence").mkdir()
    (library / "evidence/__init__.py").write_text("")
    (library / "evidence/tables.py").write_text("")
    (library / "evidence/paper.json").write_text("{}")
    assert "cxr_mtl/evidence/paper.json" in library_sources(
        ["from cxr_mtl.evidence import tables"], library
    )
    assert "cxr_mtl/evidence/paper.json" not in library_sources(["import cxr_mtl.search"], library)


DOOR = "from cxr_mtl.p.x import f\nfrom cxr_mtl.p.y import g"
BEHIND = {"p/__init__.py": DOOR, "p/x.py": "f = 1", "p/y.py": "g = 1"}


@pytest.mark.parametrize(
    ("sources", "code", "edited", "text"),
    [
        (
            {"a.py": "X = (\n7\n% 3\n)"},
            "from cxr_mtl.a import X\nprint(X)",
            "a.py",
            "X = (\n7\n% 4\n)",
        ),
        (
            {"a.py": 'X = """\n% 1"""'},
            "from cxr_mtl.a import X\nprint(X)",
            "a.py",
            'X = """\n% 2"""',
        ),
        (
            {"a.py": "from cxr_mtl.b import B\nX = (\n'%s'\n% (\nB,\n)\n)", "b.py": "B = 1"},
            "from cxr_mtl.a import X\nprint(X)",
            "b.py",
            "B = 2",
        ),
        (
            {"a.py": "from cxr_mtl.b import B\nX = ('\u2028', B)[1]", "b.py": "B = 1"},
            "from cxr_mtl.a import X\nprint(X)",
            "b.py",
            "B = 2",
        ),
        (
            {
                "p/__init__.py": "from cxr_mtl.p.x import s\nfrom cxr_mtl.p.s import t",
                "p/x.py": "s = 1",
                "p/s.py": "t = 1",
            },
            "from cxr_mtl.p import s\nprint(s.t)",
            "p/s.py",
            "t = 2",
        ),
        (
            {"p/__init__.py": "from cxr_mtl.p.x import *", "p/x.py": "foo = 1", "p/foo.py": ""},
            "from cxr_mtl.p import foo\nprint(foo)",
            "p/x.py",
            "foo = 2",
        ),
        (
            {"p/__init__.py": '__all__ = ["x"]', "p/x.py": "f = 1"},
            "from cxr_mtl.p import *\nprint(x.f)",
            "p/x.py",
            "f = 2",
        ),
        (BEHIND, "import cxr_mtl as c\nimport cxr_mtl.p as p\nprint(c.p.g)", "p/y.py", "g = 2"),
        (
            BEHIND,
            "import cxr_mtl\nfrom cxr_mtl.p import f\nprint(getattr(cxr_mtl, 'p').g)",
            "p/y.py",
            "g = 2",
        ),
        (BEHIND, "import cxr_mtl.p.x\nprint(cxr_mtl.p.g)", "p/y.py", "g = 2"),
        (
            {**BEHIND, "p/x.py": "from .. import p\ndef f(): return p.g"},
            "from cxr_mtl.p import f\nprint(f())",
            "p/y.py",
            "g = 2",
        ),
        (
            {
                "a.py": "from importlib import import_module as i\nX = i('cxr_mtl.b').x",
                "b.py": "x = 1",
            },
            "from cxr_mtl.a import X\nprint(X)",
            "b.py",
            "x = 2",
        ),
        ({"q/x.py": "f = 1"}, "from cxr_mtl.q import x\nprint(x.f)", "q/x.py", "f = 2"),
        (
            {
                "p/__init__.py": "",
                "p/data/a.txt": "1",
                "p/x.py": "from pathlib import Path\n"
                "f = (Path(__file__).parent / 'data/a.txt').read_text()",
            },
            "from cxr_mtl.p.x import f\nprint(f)",
            "p/data/a.txt",
            "2",
        ),
    ],
)
def test_an_edit_that_changes_what_code_prints_changes_its_sources(
    tmp_path, sources, code, edited, text
):
    """The oracle is Python, run before and after the edit."""
    library = tmp_path / "cxr_mtl"
    for name, source in {"__init__.py": "", **sources}.items():
        (library / name).parent.mkdir(parents=True, exist_ok=True)
        (library / name).write_text(source)

    def printed():
        command = [sys.executable, "-B", "-S", "-c", code]
        return subprocess.check_output(command, cwd=tmp_path, env={"PYTHONPATH": str(tmp_path)})

    before, found = printed(), library_sources([code], library)
    (library / edited).write_text(text)
    assert printed() != before
    assert library_sources([code], library) != found


@pytest.mark.parametrize(
    "line", ["%run cxr_mtl/b.py", "fs = !ls cxr_mtl", "%time import cxr_mtl.p"]
)
def test_of_magic_that_names_the_library_all_of_it_counts(library, line):
    assert set(library_sources([f"import os\n{line}"], library)) > {"cxr_mtl/losses.py"}


def test_magic_lines_are_code_wherever_they_stand():
    assert not same_code(
        chapter_text(code="x = 1\n# %run a.py"), chapter_text(code="x = 1\n# %run b.py")
    )
