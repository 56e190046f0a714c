"""The benchmarks: running them, the table they are shown in, the file they are kept in."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import date
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, get_args

import psutil
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cxr_mtl.base.errors import InputError, check_choice
from cxr_mtl.base.files import check_output, write_json
from cxr_mtl.base.terminal import printable
from cxr_mtl.bench.timing import (
    Device,
    Measurement,
    Report,
    Size,
    compared,
    in_units,
    measure_rates,
    scaled,
    value_in_words,
)
from cxr_mtl.models.features import pick_device
from cxr_mtl.runs.manifest import git_state, hardware, versions
from cxr_mtl.runs.run import Run, existing_run

What = Literal["book", "train", "features", "search", "retrieval"]
MODULES = {
    "train": "cxr_mtl.bench.training",
    "features": "cxr_mtl.bench.features",
    "search": "cxr_mtl.bench.weight_search",
    "retrieval": "cxr_mtl.bench.retrieval",
}
FOLDER = Path("benchmarks")
START = b'{\n "machine": {'
"""How every file of benchmarks begins."""
BUSY_PERCENT = 10
IN_WORDS = ("case", "metric", "target")


def run_benchmarks(
    what: Sequence[str],
    size: Size,
    device: Device,
    run_name: str,
    out: Path | None,
    console: Console,
    report: Report,
) -> list[Path]:
    """Run benchmarks, print a table of each, and return the files written.

    At full size each benchmark has its own file in `benchmarks`; at quick size none is written.

    Args:
        what: their names; all when empty; the book, which takes no time, comes first.
        run_name: the run whose chapters the benchmark `book` reports.
        out: one file for everything instead, at either size.
        report: is told what is being measured.

    Raises:
        InputError: an unknown name or size, no such device or run, or a file that cannot be
            written or is another; found before any work.
    """
    _check(what, size, device)
    names = [name for name in get_args(What) if name in what or not what]
    files = {name: _kept_file(name, size, device, run_name) for name in names}
    outputs = [out] if out else [*files.values()] * (size == "full")
    for path in outputs:
        check_output(path, START, "file of `cxr-mtl bench`")
    written, everything = [], []
    busy = psutil.cpu_percent(interval=0.5)
    if busy > BUSY_PERCENT:
        report(f"other programs keep the processor {busy:.0f} % busy: times will be too long")
    for name, path in files.items():
        if name == "book":
            found = chapter_measurements(existing_run(run_name))
        else:
            found = import_module(MODULES[name]).run(size, device, report)
        console.print(measurement_table(name, found))
        everything += found
        if out is None and size == "full":
            write_json(path, document(found, size, device, busy))
            written.append(path)
    if out is not None:
        write_json(out, document(everything, size, device, busy))
        written.append(out)
    return written


def document(
    measurements: Sequence[Measurement], size: Size, device: Device, busy: float
) -> dict[str, Any]:
    """The measurements with where they come from, as plain values for a JSON file.

    With the machine stand how busy other programs kept it before the start, in percent, and its
    rates when a floor was computed from them.
    """
    machine = {**hardware(), "busy_percent": busy}
    if any(measurement.floor is not None for measurement in measurements):
        machine["rates"] = asdict(measure_rates(device))
    return {
        "machine": machine,
        "versions": versions(),
        "date": date.today().isoformat(),
        "git": git_state(),
        "size": size,
        "device": device,
        "measurements": [asdict(measurement) for measurement in measurements],
    }


def chapter_measurements(run: Run) -> list[Measurement]:
    """Wall time and peak memory of each chapter of a run, from the run's manifest.

    Raises:
        InputError: no chapter of the run was executed yet.
    """
    stages = run.manifest
    if not stages:
        raise InputError(
            f"no chapter of {run.path} was executed yet: run `cxr-mtl run --run {run.path.name}`"
        )
    found = []
    for name, stage in sorted(stages.items()):
        where = stage["hardware"]
        note = f"executed on {stage['started'][:10]}, {where['cpu']}, {where['cores']} cores"
        for metric, key, unit in (
            ("wall time", "wall_seconds", "s"),
            ("peak memory", "peak_memory_bytes", "B"),
        ):
            found.append(compared("book", name, metric, stage[key], unit, note=note))
    seconds = sum(stage["wall_seconds"] for stage in stages.values())
    return [*found, compared("book", "all chapters", "wall time", seconds)]


def measurement_table(title: str, measurements: Sequence[Measurement]) -> Table:
    """A table of measurements: spread, ratio to baseline and floor; notes below, numbered.

    A case is named `name, circumstances`; rows of the same circumstances stand under one heading.
    Columns that would be empty are left out.
    """
    notes = list(dict.fromkeys(m.note for m in measurements if m.note))
    rows = [_cells(measurement, notes) for measurement in measurements]
    columns = [column for column in rows[0] if any(row[column] for row in rows)]
    table = Table(title=title, box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    lines = [f"[{i}] {note}" for i, note in enumerate(notes, 1)]
    if "floor" in columns:
        lines.append("floor: the best that this machine's own rates allow")
    table.caption = "\n".join(lines)
    table.caption_justify = "left"
    for column in columns:
        table.add_column(column, justify="left" if column in IN_WORDS else "right")
    heading = above = ""
    for measurement, row in zip(measurements, rows, strict=True):
        where = measurement.case.partition(", ")[2]
        if where != heading:
            table.add_section()
            table.add_row(Text(printable(where), "bold"))
        name = "" if measurement.case == above else row["case"]
        table.add_row(*({**row, "case": name}[column] for column in columns))
        heading, above = where, measurement.case
    return table


def _kept_file(name: str, size: Size, device: Device, run_name: str) -> Path:
    return FOLDER / (f"book-{run_name}.json" if name == "book" else f"{name}-{device}-{size}.json")


def _check(what: Sequence[str], size: Size, device: Device) -> None:
    for name in what:
        check_choice("what", name, What)
    check_choice("size", size, Size)
    check_choice("device", device, Device)
    pick_device(device)


def _cells(measurement: Measurement, notes: Sequence[str]) -> dict[str, str]:
    m = measurement
    mark = f" [{notes.index(m.note) + 1}]" if m.note else ""
    return {
        "case": m.case.partition(", ")[0],
        "metric": m.metric,
        "value": value_in_words(m) + mark,
        "from – to": "" if m.low is None else _span(m.low, m.high, m.unit),
        "× better than": "" if m.ratio is None else f"{m.ratio:.3g} {_differing(m)}",
        "floor": "" if m.floor is None else in_units(m.floor, m.unit),
        "× floor": "" if m.of_floor is None else f"{m.of_floor:.3g}",
        "target": m.target or "",
    }


def _span(low: float, high: float, unit: str) -> str:
    scale, scaled_unit = scaled(high, unit)
    return f"{low / scale:.3g} – {high / scale:.3g} {scaled_unit}"


def _differing(measurement: Measurement) -> str:
    """The parts of the baseline's name that the case's own name lacks."""
    own = measurement.case.split(", ")
    parts = measurement.baseline.split(", ")
    return ", ".join(part for part in parts if part not in own) or measurement.baseline
