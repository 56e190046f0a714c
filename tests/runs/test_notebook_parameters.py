"""Parameters in a notebook: read as on the command line, from wherever the notebook is opened."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Optional

import jupytext
import nbformat
import pytest

from cxr_mtl.base.choices import DatasetName
from cxr_mtl.base.errors import InputError
from cxr_mtl.base.files import read_json
from cxr_mtl.base.fingerprints import library_sources
from cxr_mtl.base.imports import LIBRARY
from cxr_mtl.runs import notebook_parameters
from cxr_mtl.runs.notebook_parameters import check_parameters, repository

CELL = """\
run_dir: str = "runs/demo"  # folder of the run
epochs: int = 20  # passes
depths: list[int] = [0, 2]  # blocks
temperature: Optional[float] = 0.07  # of the losses
pairs_csv: Optional[Path] = None  # pairs
dataset: DatasetName = "openi"  # which
backbone: str = "clip"  # a name
"""
NAMES = ["run_dir", "epochs", "depths", "temperature", "pairs_csv", "dataset", "backbone"]
HEADER = """\
# ---
# jupyter:
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---
# %% tags=["hide-input"]
from typing import Optional

from cxr_mtl.runs import check_parameters, open_run

# %% tags=["parameters"]
run_dir: str = "runs/demo"  # folder of the run
temperature: Optional[float] = 0.07  # of the losses
depths: list[int] = [0, 2]  # blocks

# %%
check_parameters(globals())
run = open_run(run_dir)
run.write_results("06_maps", [{"metric": "given", "value": f"{temperature} {depths}"}])
"""


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A repository, and the current folder is that of a run in it."""
    (tmp_path / "a study/book").mkdir(parents=True)
    (tmp_path / "a study/requirements.lock").touch()
    (tmp_path / "a study/runs/demo").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "a study/runs/demo")
    return tmp_path / "a study"


def opened(injected="", cell=CELL, **by_hand):
    """What a notebook's `globals()` holds once its parameters were executed."""
    names = {"In": ["", "import os", cell, *([injected] if injected else []), "check()"]}
    names |= {"Path": Path, "Optional": Optional, "DatasetName": DatasetName}
    exec(cell, names)
    exec(injected, names)
    return names | by_hand


def read(injected="", **by_hand):
    namespace = opened(injected, **by_hand)
    check_parameters(namespace)
    return {name: namespace[name] for name in NAMES}


def test_a_notebook_goes_to_the_root_above_it_and_keeps_its_own_values(root):
    values = read()
    assert Path.cwd() == root
    assert values == {
        "run_dir": "runs/demo",
        "epochs": 20,
        "depths": [0, 2],
        "temperature": 0.07,
        "pairs_csv": None,
        "dataset": "openi",
        "backbone": "clip",
    }
    assert read() == values  # a cell may be executed again


@pytest.mark.usefixtures("root")
@pytest.mark.parametrize(
    ("line", "value"),
    [
        ('depths = "[0]"', [0]),
        ('depths = "1, 2"', [1, 2]),
        ("depths = [3]", [3]),
        ("temperature = None", None),
        ('temperature = "None"', None),
        ('temperature = "0.05"', 0.05),
        ("temperature = 1", 1.0),
        ('pairs_csv = "None"', None),
        ('pairs_csv = "own/pairs.csv"', "own/pairs.csv"),
        ('epochs = "5"', 5),
        ('dataset = "pairs"', "pairs"),
        ('run_dir = "7"', "7"),
    ],
)
def test_what_papermill_gives_is_read_by_the_declared_type(line, value):
    name = line.split()[0]
    found = read(f"# Parameters\n{line}\n")[name]
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("epoch = 5", "papermill: this notebook has no parameter epoch: did you mean epochs"),
        ("tau = 5", "no parameter tau: did you mean temperature"),
        ("seeds = 5", "no parameter seeds: known are backbone, dataset, depths, epochs"),
        ('epochs = "many"', "papermill: epochs = 'many' is not of type int"),
        ("epochs = 1.5", "papermill: epochs = 1.5 is not of type int"),
        ('depths = "[0, x]"', r"papermill: depths = '\[0, x\]' is not of type list\[int\]"),
        ('dataset = "guess"', "is not of type DatasetName: input should be 'phantom', 'openi' or"),
        ("epochs = 0", "papermill: epochs = 0 is out of range"),
        ("temperature = -1", "papermill: temperature = -1.0 is out of range"),
    ],
)
def test_what_cannot_be_meant_is_refused_and_nothing_changes(root, line, sentence):
    namespace = opened(f"# Parameters\n{line}\n")
    before = dict(namespace)
    with pytest.raises(InputError, match=sentence):
        check_parameters(namespace)
    assert namespace == before
    assert Path.cwd() == root / "runs/demo"


def test_a_range_that_asks_for_a_folder_asks_at_the_root(root):
    (root / "models/mine").mkdir(parents=True)
    given = 'backbone = "local-dir:models/mine"'
    assert read(f"# Parameters\n{given}")["backbone"] == "local-dir:models/mine"
    with pytest.raises(InputError, match="no such folder"):
        read(f'# Parameters\n{given[:-1]}s"')


@pytest.mark.parametrize("inner", ["", "exercises"])
def test_a_notebook_of_a_copied_run_does_not_write_into_the_other(root, monkeypatch, inner):
    for run in ("demo", "copy"):
        (root / "runs" / run / inner).mkdir(parents=True, exist_ok=True)
        (root / "runs" / run / "manifest.json").touch()
    monkeypatch.chdir(root / "runs/demo" / inner)
    read()
    monkeypatch.chdir(root / "runs/copy" / inner)
    with pytest.raises(InputError, match=r"lies in .*runs/copy, and its run_dir is runs/demo"):
        read()
    assert read('# Parameters\nrun_dir = "runs/demo"')["run_dir"] == "runs/demo"
    monkeypatch.chdir(root)
    with pytest.raises(InputError, match="set run_dir to the run that is meant"):
        read(PAPERMILL_INPUT_PATH=str(root / "runs/copy" / inner / "06.ipynb"))
    read(PAPERMILL_INPUT_PATH=str(root / "runs/demo" / inner / "06.ipynb"))


@pytest.mark.usefixtures("root")
def test_names_that_nobody_gave_for_parameters_are_free():
    assert read("epoch = 5")["epochs"] == 20  # an own cell
    assert read('# Parameters\nPAPERMILL_INPUT_PATH = "/x/06.ipynb"\nepochs = 3')["epochs"] == 3


@pytest.mark.usefixtures("root")
def test_a_value_set_by_hand_is_checked_too():
    assert read(pairs_csv=Path("/own/pairs.csv"), epochs=3)["pairs_csv"] == "/own/pairs.csv"
    with pytest.raises(InputError, match="the parameters cell: epochs = '3' is not of type int"):
        read(epochs="3")


@pytest.mark.usefixtures("root")
def test_the_last_executed_parameters_cell_counts():
    namespace = opened("# Parameters\nepoch = 5\n")
    namespace["In"] += [CELL, "check()"]
    check_parameters(namespace)
    with pytest.raises(InputError, match="the parameters cell was not executed: run it before"):
        check_parameters({**namespace, "In": ["", "run_dir = 'runs/demo'", "check()"]})


@pytest.mark.usefixtures("root")
def test_a_cell_that_was_edited_or_formatted_by_hand_is_read():
    edited = CELL.replace("= 20", "= 4 * 5").replace("[0, 2]", "[\n    0,\n    2,\n]")
    namespace = opened(cell=edited)
    check_parameters(namespace)
    assert (namespace["epochs"], namespace["depths"]) == (20, [0, 2])


@pytest.mark.usefixtures("root")
def test_a_script_is_checked_by_its_own_text(tmp_path):
    script = tmp_path / "06_maps.py"
    code = "check_parameters(globals())\nx: int = 3\n"
    script.write_text(f'# %% tags=["parameters"]\n{CELL}\n# %%\n{code}')
    namespace = opened()
    del namespace["In"]
    check_parameters({**namespace, "__file__": str(script)})
    with pytest.raises(InputError, match="epochs = 0 is out of range"):
        check_parameters({**namespace, "__file__": str(script), "epochs": 0})


def test_the_root_is_found_from_the_notebook_then_the_current_folder_then_the_library(
    root, tmp_path, monkeypatch
):
    other = tmp_path / "other/runs/x"
    other.mkdir(parents=True)
    assert repository({}) == root
    for folder in (other.parents[1], tmp_path / "installed"):
        (folder / "book").mkdir(parents=True)
        (folder / "requirements.lock").touch()
    for name in ("__file__", "__vsc_ipynb_file__", "PAPERMILL_INPUT_PATH"):
        assert repository({name: str(other / "06.ipynb")}) == other.parents[1]
    monkeypatch.chdir(tmp_path)
    assert repository({}) == LIBRARY.parent
    monkeypatch.setattr(notebook_parameters, "LIBRARY", tmp_path / "installed/cxr_mtl")
    assert repository({}) == tmp_path / "installed"


def test_without_a_repository_paths_must_be_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(notebook_parameters, "LIBRARY", tmp_path / "site-packages/cxr_mtl")
    said = f"run_dir = 'runs/demo' counts from the root .* neither {tmp_path} nor above it"
    with pytest.raises(InputError, match=said):
        read()
    assert read(f"# Parameters\nrun_dir = '{tmp_path}/x'")["run_dir"] == f"{tmp_path}/x"
    assert list(tmp_path.iterdir()) == []


def test_a_path_meant_from_the_callers_folder_is_told_whole(root):
    Path("pairs.csv").touch()
    said = f"counts from the repository's root {root}, where it is not: give {root}/runs/demo/pairs"
    with pytest.raises(InputError, match=said):
        read('# Parameters\npairs_csv = "pairs.csv"')


def test_what_only_checks_makes_no_chapter_stale():
    code = ["from cxr_mtl.runs import check_parameters"]
    assert "cxr_mtl/runs/notebook_parameters.py" in library_sources(code)
    assert not library_sources(code).keys() & {
        "cxr_mtl/runs/parameter_ranges.py",
        "cxr_mtl/training/losses.py",
    }


def call(folder, library, *command):
    """What a program beside this Python answers in a folder; kernels import the library there."""
    environment = {**os.environ, "PYTHONPATH": str(library), "JUPYTER_PREFER_ENV_PATH": "1"}
    program = Path(sys.executable).with_name(command[0])
    return subprocess.run(
        [program, *command[1:]], cwd=folder, env=environment, capture_output=True, text=True
    )


def given(root):
    return read_json(root / "runs/demo/results/06_maps.json")[0]["value"]


def test_jupyter_and_papermill_run_an_executed_copy_from_any_folder(root, tmp_path):
    (root / "cxr_mtl").symlink_to(LIBRARY)  # as an editable install
    executed = root / "runs/demo/06_maps.ipynb"
    nbformat.write(jupytext.reads(HEADER, "py:percent"), executed)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    before = sorted(tmp_path.rglob("*"))

    done = call(root, root, "jupyter-execute", "runs/demo/06_maps.ipynb")
    assert done.returncode == 0, done.stderr
    assert given(root) == "0.07 [0, 2]"

    out = tmp_path / "out.ipynb"
    values = ["-p", "depths", "[1]", "-p", "temperature", "None"]
    done = call(elsewhere, root, "papermill", executed, out, *values)
    assert done.returncode == 0, done.stderr
    assert "unknown" not in done.stderr
    assert given(root) == "None [1]"

    done = call(elsewhere, root, "papermill", executed, out, "-p", "depth", "[3]")
    assert done.returncode != 0
    assert "Passed unknown parameter: depth" in done.stderr
    assert "this notebook has no parameter depth: did you mean depths?" in done.stderr
    assert given(root) == "None [1]"

    done = call(elsewhere, root, "papermill", executed, out, "-p", "run_dir", "runs/new")
    assert "there is no run runs/new: make it with `cxr-mtl run --run new`" in done.stderr

    made = set(tmp_path.rglob("*")) - set(before)
    assert made == {out, root / "runs/demo/results", root / "runs/demo/results/06_maps.json"}
