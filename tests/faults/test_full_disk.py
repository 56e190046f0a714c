"""A disk that fills while a run writes: told in one sentence; with more room nothing is lost."""

import random
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from equal_runs import content_of, leavings_of
from faults_asked import KILLS
from tiny_study import command, environment

SCRIPT = """
mount -t tmpfs -o {first} tmpfs runs || exit 77
{run} > first.txt 2>&1; echo $? > first.code
df --output=avail,iavail runs | tail -n 1 > left.txt
mount -o remount,{then} runs && {run} > then.txt 2>&1; echo $? > then.code
cp -a runs kept
"""
ROOM = "size=1g,nr_inodes=1m"


def in_small_disk(folder: Path, first: str) -> None:
    """Run the chapters with `runs` on a disk of its own, small at first and then large."""
    (folder / "runs").mkdir()
    script = SCRIPT.format(first=first, then=ROOM, run=shlex.join(command()))
    words = ["unshare", "--mount", "--map-root-user", "sh", "-c", script]
    done = subprocess.run(words, cwd=folder, env=environment(), capture_output=True, text=True)
    if done.returncode == 77 or "unshare" in done.stderr:
        pytest.skip(f"no disk can be mounted here: {done.stderr.strip()}")


def total_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("number", range(max(2, KILLS // 10)))
def test_a_disk_that_fills_anywhere_is_told_and_loses_nothing(undisturbed, tmp_path, number):
    rng = random.Random(number)
    study = undisturbed.fresh_copy(tmp_path / "study")
    runs = undisturbed.folder / "runs"
    if number % 2:
        files = sum(1 for _ in runs.rglob("*"))
        first = f"size=1g,nr_inodes={rng.randint(3, files)}"
    else:
        first = f"size={rng.randint(4096, total_bytes(runs))}"
    in_small_disk(study, first)
    said = (study / "first.txt").read_text()
    assert (study / "first.code").read_text().strip() == "2", f"{first}\n{said}"
    last = said.strip().splitlines()[-1]
    assert last.startswith("error: ")
    assert "free some space" in last
    assert "Traceback" not in said
    assert (study / "then.code").read_text().strip() == "0", (study / "then.txt").read_text()
    assert content_of(study / "kept/tiny") == undisturbed.content
    assert leavings_of(study / "kept") == []
    shutil.rmtree(study)
