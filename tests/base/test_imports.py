"""Which files of the library a piece of code rests on, and what it imports that is not there."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from cxr_mtl.base.imports import LIBRARY, imported_files, missing_import

SOURCES = {
    "__init__.py": '"""The library."""',
    "base/__init__.py": '"""Files."""\n\nfrom cxr_mtl.base.files import read',
    "base/files.py": "def read():\n    return 1",
    "training/__init__.py": """
from cxr_mtl.training import toy as playground
from cxr_mtl.training.losses import clip_loss
from cxr_mtl.training.trainer import fit as train

from . import history

__all__ = ["clip_loss", "history", "playground", "train"]
""",
    "training/losses.py": "def clip_loss():\n    return 1",
    "training/trainer.py": "from ..base.files import read\ndef fit():\n    return clip()\n"
    "def clip():\n    from .losses import clip_loss\n    return clip_loss()",
    "training/history.py": "x = 1",
    "training/toy.py": "from . import losses",
    "training/search/__init__.py": "from .. import history\nfrom ...base import read\nPAPER = 1",
    "figures.py": "import cxr_mtl.base.files as f",
}
LOSSES = ("training/losses.py",)
TRAINER = ("training/trainer.py", "base/__init__.py", "base/files.py", *LOSSES)
DOOR = ("__init__.py", "training/__init__.py")


@pytest.fixture
def library(tmp_path):
    folder = tmp_path / "cxr_mtl"
    for name, source in SOURCES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(source)
    return folder


def found(library, *code):
    return {str(file) for file in imported_files(code, library)}


@pytest.mark.parametrize(
    ("code", "files"),
    [
        ("import numpy", ()),
        ("from cxr_mtl.training.losses import clip_loss", (*DOOR, *LOSSES)),
        ("from cxr_mtl.training import losses", (*DOOR, *LOSSES)),
        ("from cxr_mtl.training import clip_loss", (*DOOR, *LOSSES)),
        ("from cxr_mtl.training import train as fit", (*DOOR, *TRAINER)),
        ("from cxr_mtl.training import history", (*DOOR, "training/history.py")),
        ("from cxr_mtl.training import playground", (*DOOR, "training/toy.py", *LOSSES)),
        ("import cxr_mtl.training.toy as t", (*DOOR, "training/toy.py", *LOSSES)),
        (
            "# %time\nimport cxr_mtl.figures",
            ("__init__.py", "figures.py", "base/__init__.py", "base/files.py"),
        ),
        (
            "def f():\n    import cxr_mtl.training.losses as l, os",
            (*DOOR, *LOSSES),
        ),
    ],
)
def test_code_rests_on_what_it_takes_through_a_door_and_on_what_that_imports(library, code, files):
    assert found(library, code) == set(files)


@pytest.mark.parametrize(
    "code",
    [
        "from cxr_mtl import training",
        "import cxr_mtl.training as t",
        "import cxr_mtl.training",
        "import cxr_mtl.training.losses",
        "import cxr_mtl\nfrom os import path\nprint(cxr_mtl.training.train())",
        "from cxr_mtl.training import *",
    ],
)
def test_code_that_holds_a_package_rests_on_all_that_its_door_hands_on(library, code):
    behind = {"training/toy.py", "training/history.py", *TRAINER, *DOOR}
    assert found(library, code) == behind


def test_an_init_that_does_more_than_hand_on_counts_whole(library):
    search = {*DOOR, "training/search/__init__.py", "training/history.py", "base/__init__.py"}
    assert found(library, "from cxr_mtl.training.search import PAPER") == {*search, "base/files.py"}


def test_relative_imports_of_a_package_start_in_it_and_those_of_a_module_beside_it(library):
    (library / "training/search/inner.py").write_text("from . import PAPER\nfrom .. import losses")
    files = found(library, "from cxr_mtl.training.search import inner")
    assert {"training/search/inner.py", *LOSSES} <= files


@pytest.mark.parametrize(
    "line",
    [
        "from cxr_mtl.base.imports import imported_files",
        "import cxr_mtl.phantoms.archive as drawing",
        "from cxr_mtl.training import losses",
    ],
)
def test_a_library_of_only_the_files_found_still_imports(tmp_path, line):
    """The oracle is Python itself: what was left out must not be missed, doors cut to what is."""
    files = imported_files([line])
    for file in files:
        copy = tmp_path / LIBRARY.name / file
        copy.parent.mkdir(parents=True, exist_ok=True)
        text = (LIBRARY / file).read_text()
        is_door = file.name == "__init__.py" and file.parent != Path(".")
        copy.write_text("" if is_door else text)
    loaded = f"{line}; import sys, cxr_mtl; print(*(m for m in sys.modules if m[:7] == 'cxr_mtl'))"
    names = subprocess.check_output(
        [sys.executable, "-c", loaded], text=True, cwd=tmp_path, env={"PYTHONPATH": str(tmp_path)}
    ).split()
    stems = {".".join((LIBRARY.name, *file.with_suffix("").parts)) for file in files}
    found = {name.removesuffix(".__init__") for name in stems}
    sources = "\n".join((LIBRARY / file).read_text() for file in files)
    later = set(re.findall(r"^ +from (cxr_mtl\.\S+) import", sources, flags=re.MULTILINE))
    assert set(names) <= found <= set(names) | later


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        (
            "from cxr_mtl.trainer import fit",
            "cxr_mtl.trainer is not there: `fit` is in cxr_mtl.training.trainer",
        ),
        (
            "import cxr_mtl.trainer",
            "cxr_mtl.trainer is not there: the nearest is cxr_mtl.training.trainer",
        ),
        (
            "import cxr_mtl.trainings",
            "cxr_mtl.trainings is not there: the nearest is cxr_mtl.training",
        ),
        (
            "from cxr_mtl.training import trian",
            "cxr_mtl.training has no `trian`: the nearest is `train`",
        ),
        (
            "x = 1\nfrom cxr_mtl.training import read",
            "cxr_mtl.training has no `read`: `read` is in cxr_mtl.base",
        ),
        ("from cxr_mtl import trainer", "cxr_mtl has no `trainer`: the nearest is"),
        ("from cxr_mtl.training import train, losses\nimport cxr_mtl.base.files", None),
        ("import torch.nowhere", None),
        ("import cxr_mtl\nprint(cxr_mtl.__version__, cxr_mtl.training.train)", None),
        ("try:\n    from cxr_mtl.old import f\nexcept ImportError:\n    f = None", None),
        ("from cxr_mtl.training import __doc__, history", None),
        ("from cxr_mtl.training import *", None),
        (
            "from cxr_mtl.files import read",
            "cxr_mtl.files is not there: `read` is in cxr_mtl.base",
        ),
        (
            "import cxr_mtl.uncertainty",
            "cxr_mtl.uncertainty is not there: the packages are cxr_mtl.base, cxr_mtl.training",
        ),
        (
            "from cxr_mtl.toy import losses",
            "cxr_mtl.toy is not there: the nearest is cxr_mtl.training.losses",
        ),
    ],
)
def test_an_import_of_what_is_not_there_names_the_nearest_that_is(library, code, sentence):
    said = missing_import([code], library)
    assert said == sentence or (sentence and said.startswith(sentence)), said


def test_of_a_name_that_many_modules_import_the_one_that_defines_it_is_named(library):
    (library / "base/again.py").write_text("from cxr_mtl.training.trainer import fit")
    said = missing_import(["from cxr_mtl import fit"], library)
    assert said == "cxr_mtl has no `fit`: `fit` is in cxr_mtl.training.trainer"


def test_a_module_that_is_not_python_hides_no_answer(library):
    (library / "base/broken.py").write_text("def (:")
    said = missing_import(["from cxr_mtl.training import trian"], library)
    assert said == "cxr_mtl.training has no `trian`: the nearest is `train`"
