"""A manifest tells how a run was made: enough to repeat it, and to say what has changed since."""

import io
import json
import subprocess
import sys
from pathlib import Path

import numpy
import psutil
import pytest

from cxr_mtl.base.errors import InputError
from cxr_mtl.base.terminal import PlainConsole
from cxr_mtl.runs.driver import run_chapters
from cxr_mtl.runs.manifest import git_state, hardware, manifest_values, versions, what_differs
from cxr_mtl.runs.run import Run
from cxr_mtl.runs.stages import read_chapters
from cxr_mtl.runs.status import chapter_states

QUIET = PlainConsole(quiet=True)

HEADER = """\
# ---
# jupyter:
#   kernelspec: {display_name: Python 3, language: python, name: python3}
#   cxr_mtl: {needs: [%s], leaves: [%s]}
# ---
# %%%% [markdown]
# # A chapter
# %%%%
from typing import Optional
# %%%% tags=["parameters"]
run_dir: str = "runs/demo"
seed: int = 0
"""
CHAPTERS = {
    "01_data": HEADER % ("", "draws.txt")
    + """\
scale: float = 1.0
# %%
import random
from pathlib import Path

draws = random.Random(seed)
Path(run_dir, "draws.txt").write_text(" ".join(str(scale * draws.random()) for _ in range(9)))
""",
    "02_model": HEADER % ("draws.txt", "results/02_model.json")
    + """\
weights: Optional[list[float]] = None
# %%
import io
import json
import subprocess
import sys
from pathlib import Path

numbers = map(float, Path(run_dir, "draws.txt").read_text().split())
Path(run_dir, "results").mkdir(exist_ok=True)
records = [{"metric": "sum", "value": sum(numbers) + sum(weights or [])}]
Path(run_dir, "results/02_model.json").write_text(json.dumps(records))
""",
}
MANIFEST = Path("runs/first/manifest.json")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A run of two chapters, with values from a profile and from the command line."""
    root = tmp_path_factory.mktemp("a study")
    (root / "book").mkdir()
    for name, text in CHAPTERS.items():
        (root / f"book/{name}.py").write_text(text)
    (root / "mine.yml").write_text("seed: 7\nscale: 0.1\n")
    (root / "requirements.lock").write_text("numpy==1\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        run_chapters("mine.yml", "first", ["weights=[0.5, 0.25, 0.0]"], console=QUIET)
    return root


@pytest.fixture
def study(made, monkeypatch):
    """That repository as current directory."""
    monkeypatch.chdir(made)
    return made


def manifest(tmp_path, **stages):
    path = tmp_path / "manifest.json"
    path.write_text(json.dumps({name: {"parameters": values} for name, values in stages.items()}))
    return path


def test_a_run_repeated_from_its_manifest_has_the_same_results_bit_for_bit(study):
    said = PlainConsole(record=True, file=io.StringIO(), width=200)
    run_chapters(str(MANIFEST), "again", console=said)
    for name in ("draws.txt", "results/02_model.json"):
        first, again = (study / f"runs/{run}/{name}" for run in ("first", "again"))
        assert again.read_bytes() == first.read_bytes()
    assert chapter_states(str(MANIFEST), "again") == {"01_data": None, "02_model": None}
    assert "Repeating runs/first/manifest.json: commit, lock file" in said.export_text()


def test_a_run_is_fresh_for_what_it_was_made_with_and_a_new_one_does_not_know_of_it(study):
    assert chapter_states(run_name="first") == {"01_data": None, "02_model": None}
    assert chapter_states("mine.yml", "first") == {
        "01_data": None,
        "02_model": "the parameter weights changed",
    }


def test_the_values_are_those_of_all_chapters_but_the_runs_folder(study):
    assert manifest_values(MANIFEST) == {"seed": 7, "scale": 0.1, "weights": [0.5, 0.25, 0.0]}


def test_an_override_still_wins(study):
    states = chapter_states(str(MANIFEST), "first", ["scale=2.0"])
    assert states == {"01_data": "the parameter scale changed", "02_model": None}


def test_chapters_that_disagree_are_refused(tmp_path):
    path = manifest(tmp_path, a={"seed": 1}, b={"seed": 2, "run_dir": "x"})
    with pytest.raises(InputError, match="a was run with seed = 1 and b with seed = 2"):
        manifest_values(path)


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"01_data": {}}', '{"01_data": 3}'])
def test_what_is_no_manifest_is_refused(tmp_path, text):
    path = tmp_path / "manifest.json"
    path.write_text(text)
    with pytest.raises(InputError, match=r"manifest\.json is (not valid JSON|no manifest)"):
        manifest_values(path)


@pytest.mark.parametrize(
    "damage",
    [
        {"parts": []},
        {"parts": {"library": None}},
        {"versions": None},
        {"hardware": "a"},
        {"git": 3},
    ],
)
def test_an_entry_edited_by_hand_is_refused_before_anything_runs(study, tmp_path, damage):
    path = tmp_path / "manifest.json"
    path.write_text(json.dumps({"01_data": {"parameters": {}, **damage}}))
    with pytest.raises(InputError, match=r"manifest\.json is no manifest of a run"):
        run_chapters(str(path), "new", console=QUIET)
    assert not Path("runs/new").exists()


def test_a_missing_manifest_is_named(study):
    with pytest.raises(InputError, match=r"runs/other/manifest\.json is missing"):
        run_chapters("runs/other/manifest.json", "new", console=QUIET)
    assert not Path("runs/new").exists()


def test_a_parameter_that_is_no_more_is_named_with_the_nearest(study, tmp_path):
    path = manifest(tmp_path, **{"01_data": {"scales": 2.0}})
    with pytest.raises(InputError, match="no chapter has a parameter scales: did you mean scale"):
        run_chapters(str(path), "new", console=QUIET)


def test_one_line_names_all_that_is_not_as_it_was(study, tmp_path):
    records = Run("runs/first").manifest
    records["01_data"]["git"] = {"commit": "0123456789abcdef", "dirty": True}
    records["01_data"]["parts"]["lock"] = "another"
    records["01_data"]["versions"]["torch"] = "1.0"
    records["01_data"]["hardware"]["cores"] = 4096
    records["01_data"]["parts"]["code"] = "another"
    del records["02_model"]
    path = tmp_path / "manifest.json"
    path.write_text(json.dumps(records))
    line = what_differs(path, read_chapters())
    assert "\n" not in line
    for words in (
        "but numbers may differ: made at 0123456789ab, this is no commit",
        "made with uncommitted changes",
        "requirements.lock differs",
        "the code of 01_data differs",
        "versions differ in torch",
        "hardware differ in cores",
        "it has no entry of 02_model, which take their defaults",
    ):
        assert words in line


def git(*words):
    identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run(["git", *identity, *words], check=True, capture_output=True)


def test_git_state_names_the_commit_and_whether_tracked_files_differ(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert git_state() is None
    git("init")
    assert git_state() is None
    (tmp_path / "a").write_text("1")
    git("add", "a")
    git("commit", "-m", "first")
    clean = git_state()
    assert len(clean["commit"]) == 40
    assert not clean["dirty"]
    (tmp_path / "untracked").write_text("1")
    assert git_state() == clean
    (tmp_path / "a").write_text("2")
    assert git_state() == {**clean, "dirty": True}


def test_without_git_there_is_no_state(monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert git_state() is None


def test_versions_are_those_installed():
    found = versions()
    assert found["numpy"] == numpy.__version__
    assert found["python"] == ".".join(map(str, sys.version_info[:3]))
    assert any(name.startswith("faiss-") for name in found)


def test_hardware_is_that_of_this_machine():
    found = hardware()
    assert found["memory_gib"] == round(psutil.virtual_memory().total / 2**30, 1)
    assert 1 <= found["cores"] <= psutil.cpu_count()
    assert found["cpu"]
