"""A run's folder as a stranger may give it: manifest, results, split, executed chapters."""

import json
import random
from functools import cache
from pathlib import Path
from typing import Any

import jupytext
from damage import damaged_json
from door import Door
from hostile import seeds
from hypothesis import strategies as st
from mutation import mutated

from cxr_mtl.base.file_hashes import digest
from cxr_mtl.base.files import content_key, sha256_of_file, write_json
from cxr_mtl.runs.compare import compare_page, compare_runs, tables_of_what_moved
from cxr_mtl.runs.freshness import StageState, read_states, stage_parts
from cxr_mtl.runs.manifest import git_state, hardware, manifest_values, versions, what_differs
from cxr_mtl.runs.parameters import resolve
from cxr_mtl.runs.run import Run
from cxr_mtl.runs.settings import settings_of
from cxr_mtl.runs.stages import Chapter, executed_copy, read_chapter
from doors.parameters import declared

CHAPTER = """\
# ---
# jupyter:
#   kernelspec: {display_name: Python 3, language: python, name: python3}
#   cxr_mtl: {needs: [studies.parquet], leaves: [results/05_retrieval.json]}
# ---
# %% tags=["parameters"]
run_dir: str = "runs/demo"  # folder of the run
seed: int = 0  # seed of every random choice
# %%
seed + 1
"""
RECORDS = [
    {"metric": "mrr", "value": 0.5, "low": 0.4, "high": 0.6, "protocol": "fused", "k": None},
    {"metric": "recall", "value": 0.1, "k": 10, "direction": "image_to_text"},
    {"metric": "recall", "value": None, "k": 1, "direction": "image_to_text"},
]
SEEDS_RECORDS = [
    {"table": "seeds", "model": "fine_tuned", "metric": "mrr", "value": 0.5, "seed_sd": 0.1}
    | {"seeds": 5}
]
SPLIT = "study,split\n1,train\n2,validation\n3,test\n"
RUN = "stranger"


def _chapter(folder: Path) -> Chapter:
    path = folder / "05_retrieval.py"
    path.write_text(CHAPTER)
    return read_chapter(path)


@cache
def _facts() -> dict[str, Any]:
    return {"git": git_state(), "versions": versions(), "hardware": hardware()}


def _whole_run(root: Path, run: Run, chapter: Chapter) -> None:
    """A run of one chapter that is fresh."""
    values = {"run_dir": f"runs/{RUN}", "seed": 0}
    run.path.mkdir(parents=True)
    (run / "studies.parquet").write_bytes(b"studies")
    (run / "split.csv").write_text(SPLIT)
    write_json(run / "results/05_retrieval.json", RECORDS)
    write_json(run / "results/09_ablations.json", SEEDS_RECORDS)
    executed = executed_copy(run, chapter.name)
    jupytext.write(chapter.notebook, executed, fmt="ipynb")
    parts = stage_parts(chapter, values, run, root / "requirements.lock")
    record = {
        "key": content_key(parts),
        "parts": parts,
        "parameters": values,
        "left": {"results/05_retrieval.json": digest(run / "results/05_retrieval.json")},
        "executed": sha256_of_file(executed),
        "started": "2026-01-01T00:00:00+00:00",
        "finished": "2026-01-01T00:00:01+00:00",
        "wall_seconds": 1.0,
        "peak_memory_bytes": 1,
        "settings": {"profile": "demo", "parameters": {"seed": 0}},
    }
    write_json(run / "manifest.json", {chapter.name: record | _facts()})


DAMAGED = (
    "manifest.json",
    "manifest.json",
    "manifest.json",
    "results/05_retrieval.json",
    "results/05_retrieval.json",
    "results/09_ablations.json",
    "split.csv",
    "05_retrieval.ipynb",
)


def _lay_run(folder: Path, seed: int | None) -> tuple[Path, Chapter]:
    run, chapter = Run(folder / "runs" / RUN), _chapter(folder)
    _whole_run(folder, run, chapter)
    if seed is not None:
        rng = random.Random(seed)
        for name in {rng.choice(DAMAGED) for _ in range(rng.choice((1, 1, 2)))}:
            content = (run / name).read_bytes()
            is_json = name.endswith((".json", ".ipynb"))
            damage = damaged_json if is_json and rng.random() < 0.9 else mutated
            (run / name).write_bytes(damage(content, rng))
    return folder, chapter


def _read_states(argument: tuple[Path, Chapter]) -> dict[str, StageState]:
    folder, chapter = argument
    return read_states(RUN, [chapter], folder)


def _check_states(argument: Any, seed: int | None, states: dict[str, StageState]) -> None:
    """What is fresh is whole; nothing is raised."""
    (state,) = states.values()
    assert state.name == "05_retrieval"
    if seed is None:
        assert state.reason is None
    if state.reason is None:
        assert state.record is not None
        assert json.loads((argument[0] / f"runs/{RUN}/results/05_retrieval.json").read_text())


def _repeat(argument: tuple[Path, Chapter]) -> Any:
    folder, chapter = argument
    path = folder / f"runs/{RUN}/manifest.json"
    values = manifest_values(path)
    called = settings_of(Run(path.parent))
    return resolve(declared(), values, str(path)), what_differs(path, [chapter]), called


def _compare(argument: tuple[Path, Chapter]) -> str:
    run = Run(argument[0] / "runs" / RUN)
    rows = compare_runs(run, run)
    list(tables_of_what_moved(rows))
    return compare_page(rows, run, run)


def _check_page(argument: Any, seed: Any, page: str) -> None:
    body = page[page.index("<body>") :]
    assert "<script" not in body
    assert "<img" not in body


PROGRAMS = frozenset({"subprocess.Popen", "os.posix_spawn", "os.fork", "os.exec"})
"""Git and nvidia-smi, which are asked for the state of the source and the name of the GPU."""

maybe_seeds = st.none() | seeds

DOORS = [
    Door(
        "states of a run",
        maybe_seeds,
        _lay_run,
        _read_states,
        None,
        250,
        _check_states,
        refuses=False,
    ),
    Door("manifest", maybe_seeds, _lay_run, _repeat, None, 120, may=PROGRAMS),
    Door("results", maybe_seeds, _lay_run, _compare, None, 200, _check_page),
]
