"""The undisturbed run that all disturbed ones are compared with."""

import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from equal_runs import content_of
from faults_asked import KILLS, WHY_NOT
from filelock import FileLock
from tiny_study import finish, prepare


@dataclass(frozen=True)
class Undisturbed:
    """A study that was run once: its folder, what the run holds, and how long it took."""

    folder: Path
    content: dict[str, Any]
    seconds: float

    def fresh_copy(self, folder: Path) -> Path:
        """The study in a new folder, data and models included, with nothing run."""
        leave = shutil.ignore_patterns("runs", "said.txt", "seconds.txt")
        return shutil.copytree(self.folder, folder, symlinks=True, ignore=leave)


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory):
    if not KILLS:
        pytest.skip(WHY_NOT)
    root = tmp_path_factory.getbasetemp()
    # Made once for all processes of the tests.
    folder = (root.parent if "PYTEST_XDIST_WORKER" in os.environ else root) / "undisturbed"
    took = folder / "seconds.txt"
    with FileLock(folder.with_suffix(".lock")):
        if not took.exists():
            folder.mkdir()
            prepare(folder)
            began = time.monotonic()
            code, said = finish(folder)
            assert code == 0, said
            took.write_text(str(time.monotonic() - began))
    return Undisturbed(folder, content_of(folder / "runs/tiny"), float(took.read_text()))
