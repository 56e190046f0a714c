"""Where a result came from, where there is git and where there is none."""

import subprocess
import sys

import numpy
import psutil

from cxr_mtl.runs.provenance import git_state, hardware, versions


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
