"""What two runs of the same values must share to the last bit, and what may differ between them."""

import hashlib
import json
import sqlite3
from pathlib import Path
from typing import Any

import pandas as pd

TIMES = ("started", "finished", "wall_seconds", "peak_memory_bytes", "executed", "left")
"""What the manifest says of one execution; `left` names the same files as are compared here."""


def content_of(run: Path) -> dict[str, Any]:
    """Every file of a run that a reader uses, by path, as its hash or as what it says.

    Not compared are the executed chapters, which hold times; of the manifest and the results the
    times; of the search's database all but the trials; of the files that are watched the times.
    """
    found: dict[str, Any] = {}
    for path in sorted(run.rglob("*")):
        name = path.relative_to(run).as_posix()
        left_out = path.suffix == ".ipynb" or name in (".lock", "watched/hashes.parquet")
        if path.is_dir() or left_out:
            continue
        if name == "manifest.json":
            found[name] = _manifest(path)
        elif name == "search.db":
            found[name] = _trials(path)
        elif name.startswith("watched/"):
            found[name] = pd.read_parquet(path)[["path", "bytes", "sha256"]].to_dict()
        elif name.startswith("results/"):
            found[name] = [r for r in json.loads(path.read_text()) if not _is_time(r)]
        else:
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def _manifest(path: Path) -> dict[str, Any]:
    stages = json.loads(path.read_text())
    return {
        name: {key: value for key, value in record.items() if key not in TIMES}
        for name, record in stages.items()
    }


def _is_time(record: dict[str, Any]) -> bool:
    return "seconds" in record["metric"]


def _trials(path: Path) -> list[tuple[Any, ...]]:
    with sqlite3.connect(path) as database:
        return database.execute(
            "select number, state, param_name, param_value, value from trials"
            " join trial_params using (trial_id) join trial_values using (trial_id)"
            " order by number, param_name"
        ).fetchall()


def leavings_of(runs: Path) -> list[str]:
    """Files that were begun and are neither whole nor gone."""
    return sorted(str(p.relative_to(runs)) for p in runs.rglob("*") if ".partial" in p.name)
