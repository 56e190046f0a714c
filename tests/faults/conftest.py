"""The undisturbed run that all disturbed ones are compared with."""

import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from equal_runs import content_of
from faults_asked import KILLS, WHY_NOT
from tiny_study import finish, prepare


@dataclass(frozen=True)
class Undisturbed:
    """A study that was run once: its folder, what the run holds, and how long it took."""

    folder: Path
    content: dict[str, Any]
    seconds: float

    def fresh_copy(self, folder: Path) -> Path:
        """The study in a new folder, data and models included, with nothing run."""
        return shutil.copytree(
            self.folder, folder, symlinks=True, ignore=shutil.ignore_patterns("runs", "said.txt")
        )


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory):
    if not KILLS:
        pytest.skip(WHY_NOT)
    folder = prepare(tmp_path_factory.mktemp("undisturbed"))
    began = time.monotonic()
    code, said = finish(folder)
    assert code == 0, said
    return Undisturbed(folder, content_of(folder / "runs/tiny"), time.monotonic() - began)
