"""A run that is killed again and again, at any moment, ends as one that was not."""

import random
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from equal_runs import content_of, leavings_of
from faults_asked import KILLS
from killing import KERNEL, Attempt, attempt

from cxr_mtl.base.files import write_json
from cxr_mtl.runs.manifest import git_state, hardware

SEQUENCES = 2  # one for each core of a small machine
REPORTS = Path("_build/faults")


@pytest.mark.parametrize("sequence", range(SEQUENCES))
def test_after_any_kills_the_run_ends_as_the_undisturbed_one(undisturbed, tmp_path, sequence):
    rng = random.Random(sequence)
    folder = undisturbed.fresh_copy(tmp_path / "study")
    kills, ends = [], 0
    while True:
        # A third of the whole is about two chapters: so all of them are met, and some end.
        most = undisturbed.seconds / 3 if len(kills) < KILLS / SEQUENCES else None
        tried = attempt(folder, rng, most)
        if tried.code != 0:
            _check_death(tried)
            kills.append(tried)
            continue
        assert content_of(folder / "runs/tiny") == undisturbed.content
        assert leavings_of(folder / "runs") == []
        ends += 1
        if most is None:
            break
        shutil.rmtree(folder / "runs")
    write_json(REPORTS / f"kills-{sequence}.json", _report(kills, ends))


def _check_death(tried: Attempt) -> None:
    """A run fails for a kill alone, and says so where its driver lives to do it."""
    assert tried.killed, tried.said
    if tried.killed == KERNEL:
        assert tried.code == 1, tried.said
        assert "died (killed, or out of memory): run the same command" in tried.said
    else:
        assert tried.code < 0, tried.said


def _report(kills: list[Attempt], ends: int) -> dict[str, Any]:
    """How often what was killed, by the newest file at that moment."""
    counts = Counter((kill.killed, _place(kill.at)) for kill in kills)
    rows = [{"killed": k, "at": at, "times": n} for (k, at), n in sorted(counts.items())]
    seconds = round(sum(kill.seconds for kill in kills))
    record = {"kills": len(kills), "runs": ends, "seconds": seconds, "rows": rows}
    return {**record, "git": git_state(), "hardware": hardware()}


def _place(path: str) -> str:
    """A file's path without what differs at every time, such as numbers of processes."""
    return path.split("/")[-1].split(".partial")[0].strip(".") if path else "none yet"
