"""Chapters as notebooks for Colab and Binder: valid, and with all they need."""

import ast
import shutil
from pathlib import Path

import nbformat
import pytest

from cxr_mtl.base.errors import InputError
from cxr_mtl.pages.launch import check_repository, launch_links, write_notebooks
from cxr_mtl.pages.own_folder import RECORD

SOURCE = """\
# ---
# jupyter:
#   kernelspec: {{display_name: Python 3, language: python, name: python3}}
#   cxr_mtl: {{needs: [{needs}], leaves: [{leaves}]}}
# ---
# %% [markdown]
# # A chapter
# %% tags=["parameters"]
run_dir: str = "runs/demo"
count: int = 3  # studies
# %%
print(count)
"""


@pytest.fixture
def written(tmp_path, monkeypatch):
    """The notebooks of three chapters, of which the last needs the second and so the first."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "book/profiles").mkdir(parents=True)
    for name, needs, leaves in (
        ("01_maps", "model", "maps"),
        ("02_data", "", "studies"),
        ("03_model", "studies", "model"),
    ):
        (tmp_path / f"book/{name}.py").write_text(SOURCE.format(needs=needs, leaves=leaves))
    (tmp_path / "book/profiles/demo.yml").write_text("count: 30\n")
    (tmp_path / "environment.yml").write_text("dependencies:\n  - faiss-gpu>=1.12\n")
    write_notebooks(tmp_path / "out", "someone/cxr")
    return tmp_path / "out"


def read(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    return notebook


def test_every_chapter_is_a_valid_notebook_with_the_values_of_the_demo(written):
    names = sorted(path.name for path in written.iterdir() if path.name != RECORD)
    assert names == ["01_maps.ipynb", "02_data.ipynb", "03_model.ipynb", "environment.yml"]
    packages = (written / "environment.yml").read_text()
    assert packages == "dependencies:\n  - faiss-cpu>=1.12\n"  # Binder has no GPU
    for path in written.glob("*.ipynb"):
        notebook = read(path)
        assert notebook.metadata.kernelspec.name == "python3"
        assert "count: int = 30  # studies" in [cell.source for cell in notebook.cells][2]
        assert notebook.cells[1].source == "# A chapter"


def first_cell(path):
    return read(path).cells[0].source


def test_the_first_cell_clones_installs_and_runs_what_is_needed_in_order(written):
    cell = first_cell(written / "01_maps.ipynb")
    ast.parse(cell)
    assert "https://github.com/someone/cxr" in cell
    assert "for chapter in ['02_data', '03_model']:" in cell
    order = ("clone", "chdir", '"pip", "install"', '"cxr_mtl", "run"')
    assert sorted(order, key=cell.index) == list(order)
    assert "for chapter in []:" in first_cell(written / "02_data.ipynb")


def test_the_first_cell_does_that_once(written, monkeypatch):
    """Executed twice, with the commands put on a list: cloned once, and only from outside."""
    commands = []

    def run(command, check):
        commands.append(command[1:])
        if command[0] == "git":
            (written / "cxr/cxr_mtl").mkdir(parents=True)
            (written / "cxr/cxr_mtl/__init__.py").touch()

    monkeypatch.chdir(written)
    monkeypatch.setattr("subprocess.run", run)
    for _ in range(2):
        exec(first_cell(written / "01_maps.ipynb"), {})
    assert [command[0] for command in commands].count("clone") == 1
    run_of = ["-m", "cxr_mtl", "run"]
    assert commands[2:4] == [[*run_of, "02_data"], [*run_of, "03_model"]]
    shutil.rmtree(written / "cxr")


def test_what_was_written_before_is_replaced_as_a_whole(written):
    (written.parent / "book/01_maps.py").unlink()
    write_notebooks(written, "someone/cxr")
    names = sorted(path.name for path in written.glob("*.ipynb"))
    assert names == ["02_data.ipynb", "03_model.ipynb"]


def test_the_links_open_the_notebook_of_the_chapter():
    links = launch_links("someone/cxr", "05_retrieval")
    assert links == {
        "Binder": "https://mybinder.org/v2/gh/someone/cxr/notebooks"
        "?urlpath=lab/tree/05_retrieval.ipynb",
        "Colab": "https://colab.research.google.com/github/someone/cxr/blob/notebooks/"
        "05_retrieval.ipynb",
    }


def test_neither_a_file_nor_the_repository_itself_is_replaced(written):
    with pytest.raises(InputError, match=r"environment\.yml is a file: name a folder"):
        write_notebooks(written / "environment.yml", "someone/cxr")
    with pytest.raises(InputError, match="would be replaced as a whole"):
        write_notebooks(Path(), "someone/cxr")
    assert Path("book/01_maps.py").exists()


@pytest.mark.parametrize(
    "name",
    ["", "cxr", "https://github.com/a/b", "a/b/c", "a b/c", "a/..", "a/b.git", "é/b", "a/b\n"],
)
def test_what_names_no_repository_is_refused(name):
    with pytest.raises(InputError, match="write OWNER/NAME in --repository or CXR_MTL_REPOSITORY"):
        check_repository(name)
