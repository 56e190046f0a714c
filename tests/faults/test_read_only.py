"""A run in a folder that cannot be written: refused before any work, and nothing is lost."""

import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest
from equal_runs import content_of
from tiny_study import command, environment, finish

# Root may write everywhere by these rights, which can be taken from a process.
AS_ANYONE = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-all"]


def run_without_rights(folder: Path) -> tuple[int, str]:
    if os.geteuid() == 0 and not shutil.which("setpriv"):
        pytest.skip("root writes everywhere, and setpriv is not installed")
    words = [*(AS_ANYONE if os.geteuid() == 0 else []), *command()]
    done = subprocess.run(
        words, cwd=folder, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    return done.returncode, done.stdout.decode()


@pytest.mark.parametrize("closed", ["runs", "runs/tiny", "runs/cache", "runs/tiny/results"])
def test_a_folder_that_is_closed_is_named_before_any_work(undisturbed, tmp_path, closed):
    study = undisturbed.fresh_copy(tmp_path / "study")
    shutil.copytree(undisturbed.folder / "runs", study / "runs")
    (study / "runs/tiny/split.csv").unlink()
    if closed == "runs/cache":
        shutil.rmtree(study / "runs/cache/features")
    if closed == "runs":
        shutil.rmtree(study / "runs/tiny")
    before = sorted((study / "runs").rglob("*"))
    (study / closed).chmod(stat.S_IRUSR | stat.S_IXUSR)
    code, said = run_without_rights(study)
    assert code == 2, said
    (line,) = [line for line in said.splitlines() if line.startswith("error: ")]
    assert closed in line
    assert "Traceback" not in said
    assert sorted((study / "runs").rglob("*")) == before
    (study / closed).chmod(0o755)
    code, said = finish(study)
    assert code == 0, said
    assert content_of(study / "runs/tiny") == undisturbed.content
