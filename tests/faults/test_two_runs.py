"""Two runs that begin at the same moment in one folder: one is refused, the other ends whole."""

import subprocess

from equal_runs import content_of, leavings_of
from tiny_study import PATIENCE, command, environment


def test_of_two_runs_at_once_one_is_refused_and_the_other_ends_whole(undisturbed, tmp_path):
    study = undisturbed.fresh_copy(tmp_path / "study")
    both = [
        subprocess.Popen(
            command(),
            cwd=study,
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for _ in range(2)
    ]
    said = [process.communicate(timeout=PATIENCE)[0] for process in both]
    codes = sorted(process.returncode for process in both)
    assert codes == [0, 2], said
    refused = next(s for s, process in zip(said, both, strict=True) if process.returncode == 2)
    (line,) = [line for line in refused.splitlines() if line.strip()]
    assert line.startswith("error: another process is writing runs/tiny: ")
    assert content_of(study / "runs/tiny") == undisturbed.content
    assert leavings_of(study / "runs") == []
