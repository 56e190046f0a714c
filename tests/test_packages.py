"""The library's house: doors that say what a package is for, and directions that hold."""

import ast
import doctest
import importlib
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from cxr_mtl.base.imports import LIBRARY
from cxr_mtl.pages.written_types import definition

ROOT = LIBRARY.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LAYERS = PROJECT["tool"]["importlinter"]["contracts"][0]["layers"]
PACKAGES = sorted(path.parent.name for path in LIBRARY.glob("*/__init__.py"))
CHAPTERS = sorted((ROOT / "book").glob("[0-9][0-9]_*.py"))


def door(package):
    return importlib.import_module(f"cxr_mtl.{package}")


@pytest.mark.parametrize("package", PACKAGES)
def test_a_doors_example_runs(package):
    found = doctest.testmod(door(package))
    assert found.attempted > 0
    assert found.failed == 0


@pytest.mark.parametrize("package", PACKAGES)
def test_a_door_holds_a_docstring_and_hands_on_documented_names_and_nothing_else(package):
    tree = ast.parse((LIBRARY / package / "__init__.py").read_text())
    docstring, *imports, names = tree.body
    assert isinstance(docstring, ast.Expr)
    assert all(isinstance(node, ast.ImportFrom) for node in imports)
    assert ast.unparse(names.targets[0]) == "__all__"
    handed_on = [alias.name for node in imports for alias in node.names]
    assert sorted(handed_on) == sorted(door(package).__all__)
    assert all(node.module.startswith(f"cxr_mtl.{package}.") for node in imports)
    for name in handed_on:
        assert definition(f"cxr_mtl.{package}", name).docstring, name


def test_the_library_names_its_packages_from_low_to_high_one_a_line():
    named = re.findall(r"^- `(\w+)`: .+[^.]$", importlib.import_module("cxr_mtl").__doc__, re.M)
    assert named == [layer for layer in reversed(LAYERS) if layer in PACKAGES]
    assert sorted(named) == PACKAGES


def test_the_tests_of_a_package_lie_in_a_folder_of_its_name_and_are_called_after_its_modules():
    across = {"training/a_further_loss"}
    tests = {
        f"{path.parent.name}/{path.stem.removeprefix('test_')}"
        for path in (ROOT / "tests").glob("*/test_*.py")
        if path.parent.name in PACKAGES
    }
    modules = {f"{path.parent.name}/{path.stem}" for path in LIBRARY.glob("*/*.py")}
    assert {name.split("/")[0] for name in tests} == set(PACKAGES)
    assert tests - modules == across


def test_no_module_is_longer_than_a_stranger_reads_at_once():
    lines = {path: len(path.read_text().splitlines()) for path in LIBRARY.rglob("*.py")}
    assert {path.name: count for path, count in lines.items() if count > 320} == {}


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda path: path.stem)
def test_a_chapter_imports_from_few_packages_in_few_lines(chapter):
    lines = re.findall(r"^from cxr_mtl\.(\w+)(\S*) import", chapter.read_text(), flags=re.MULTILINE)
    assert len(lines) <= 10
    assert len({package for package, _ in lines}) <= 8
    assert not [rest for _, rest in lines if rest], "a chapter comes in by the doors"


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("training/losses.py", "from cxr_mtl.pages.build import build_html"),
        ("base/files.py", "import cxr_mtl.data.openi"),
        ("retrieval/metrics.py", "from ..training import losses"),
    ],
)
def test_an_upward_import_breaks_the_contract(tmp_path, module, line):
    shutil.copytree(LIBRARY, tmp_path / "cxr_mtl", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    command = [Path(sys.executable).with_name("lint-imports"), "--no-logo", "--no-cache"]

    def lint():
        return subprocess.run(
            command, cwd=tmp_path, capture_output=True, text=True, env={"PYTHONPATH": "."}
        )

    assert lint().returncode == 0
    planted = tmp_path / "cxr_mtl" / module
    planted.write_text(planted.read_text() + f"\n\n{line}\n")
    assert lint().returncode == 1
    assert "Lower packages never import higher ones BROKEN" in lint().stdout
