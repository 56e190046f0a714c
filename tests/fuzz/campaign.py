"""A long campaign over all doors, `make fuzz`: resumed where it was stopped, told by a table.

`CXR_MTL_FUZZ` says how many times the inputs of `make test` are tried, 50 where it is not set.
What is found lies in `_build/fuzz`; delete that folder to begin anew.
"""

import atexit
import os
import re
import sys
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from datetime import date
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from doors import all_doors
from guard import FAULT, REFUSED, TAKEN, Guard
from hypothesis import HealthCheck, Phase, given, seed, settings
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from cxr_mtl.base.files import read_json, write_json
from cxr_mtl.base.processes import end_with_parent, usable_cores
from cxr_mtl.runs.manifest import git_state, hardware

FOLDER = Path("_build/fuzz")
DOORS = {door.name: (family, door) for family, door in all_doors()}
NEW = {"rounds": [], "inputs": 0, TAKEN: 0, REFUSED: 0, "seconds": 0.0, "faults": {}}


def main(words: list[str]) -> int:
    """Run the rounds that are left of every door whose name holds one of `words`, or of all."""
    rounds = int(os.environ.get("CXR_MTL_FUZZ", "50"))
    names = [name for name in DOORS if not words or any(word in name for word in words)]
    found = {name: _found(name) for name in names}
    left = [(n, i) for n in names for i in range(rounds) if i not in found[n]["rounds"]]
    console = Console()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeRemainingColumn(), console=console) as progress, _pool() as pool:
        bar = progress.add_task("rounds", total=len(left))
        for future in as_completed([pool.submit(_round, name, i) for name, i in left]):
            name, number, counts, faults = future.result()
            _add(found[name], number, counts, faults)
            write_json(_place(name), found[name])
            progress.update(bar, advance=1, description=name)
    console.print(_table(found))
    report = FOLDER / "report.json"
    state = {"date": date.today().isoformat(), "git": git_state(), "hardware": hardware()}
    write_json(report, state | {"doors": [{"door": n, **_row(f)} for n, f in found.items()]})
    console.print(f"Written: {report}; the inputs at fault stand in the files beside it")
    return 1 if any(record["faults"] for record in found.values()) else 0


@contextmanager
def _pool() -> Iterator[ProcessPoolExecutor]:
    pool = ProcessPoolExecutor(usable_cores(), get_context("spawn"), initializer=end_with_parent)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


_GUARDS: list[Guard] = []
"""The guard of this process of the pool."""


def _round(name: str, number: int) -> tuple[str, int, dict[str, float], list[tuple[str, str, str]]]:
    """Try the inputs of one round; its counts, and mark, report and input of each fault."""
    if not _GUARDS:
        _GUARDS.append(Guard(FOLDER / "faults"))
        atexit.register(_GUARDS[0].__exit__)
    family, door = DOORS[name]
    counts: dict[str, float] = {TAKEN: 0, REFUSED: 0, FAULT: 0}
    faults: list[tuple[str, str, str]] = []

    @seed(number)
    @settings(
        max_examples=door.inputs,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(door.values)
    def enter(value: Any) -> None:
        verdict = _GUARDS[0].enter(door, value, family)
        counts[verdict.kind] += 1
        if verdict.kind == FAULT:
            faults.append((verdict.mark, verdict.detail, repr(value)))

    started = time.perf_counter()
    try:
        enter()
    except AssertionError as error:
        faults.append(("sound input", str(error), repr(door.sound)))
    return name, number, counts | {"seconds": time.perf_counter() - started}, faults


def _add(
    found: dict[str, Any],
    number: int,
    counts: Mapping[str, float],
    faults: list[tuple[str, str, str]],
) -> None:
    """Put one round to what was found; of the faults of one mark the shortest input is kept."""
    found["rounds"].append(number)
    found["inputs"] += counts[TAKEN] + counts[REFUSED] + counts[FAULT]
    found["seconds"] = round(found["seconds"] + counts["seconds"], 1)
    for kind in (TAKEN, REFUSED):
        found[kind] += counts[kind]
    for mark, detail, value in faults:
        old = found["faults"].get(mark)
        times = old["times"] + 1 if old else 1
        keep = old and len(old["input"]) <= len(value)
        kept = old if keep else {"detail": detail, "input": value}
        found["faults"][mark] = {**kept, "times": times}


def _found(name: str) -> dict[str, Any]:
    path = _place(name)
    return read_json(path) if path.exists() else {**NEW, "rounds": [], "faults": {}}


def _place(name: str) -> Path:
    return FOLDER / f"{re.sub(r'[^a-z0-9]+', '-', name.lower())}.json"


def _row(found: Mapping[str, Any]) -> dict[str, Any]:
    row = {key: found[key] for key in ("inputs", TAKEN, REFUSED, "seconds")}
    return {**row, "faults": len(found["faults"])}


def _table(found: Mapping[str, Mapping[str, Any]]) -> Table:
    table = Table("door", title="Inputs tried")
    rows = {name: _row(record) for name, record in found.items()}
    columns = ("inputs", TAKEN, REFUSED, "seconds", "faults")
    for column in columns:
        table.add_column(column, justify="right")
    for name, row in rows.items():
        table.add_row(name, *(f"{row[column]:,}" for column in columns))
    table.add_section()
    sums = (sum(row[column] for row in rows.values()) for column in columns)
    table.add_row("all", *(f"{total:,.10g}" for total in sums))
    return table


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
