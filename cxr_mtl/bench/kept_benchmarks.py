"""The benchmarks that are kept in files, as tables to read."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import get_args

import pandas as pd
from pandas.io.formats.style import Styler

from cxr_mtl.base.errors import InputError
from cxr_mtl.base.files import read_json
from cxr_mtl.base.markdown_text import code_span, markdown_text
from cxr_mtl.base.styled_tables import styled
from cxr_mtl.bench.timing import Device, Measurement, spread, value_in_words

TITLES = {
    "train": "Training BiomedCLIP's last layer",
    "features": "BiomedCLIP's frozen prefix",
    "search": "The weight search",
}
"""Of the benchmarks that are shown as `measurement_table`."""
_WORDS = ["case", "measured"]
"""The columns of `measurement_frame` that hold words; the others hold numbers."""


@dataclass(frozen=True)
class KeptBenchmark:
    """The measurements of a benchmark's file, and in a sentence where they were made."""

    measurements: list[Measurement]
    device: Device
    origin: str


def shown_benchmarks(folder: Path | str) -> list[str | Styler]:
    """What `folder` keeps, to be shown in this order: Markdown, and below it the table it is about.

    Where nothing was measured, or nothing on a GPU, Markdown says so.

    Raises:
        InputError: as `read_benchmarks`.
    """
    kept = {what: read_benchmarks(folder, what) for what in (*TITLES, "retrieval")}
    devices = {benchmark.device for found in kept.values() for benchmark in found}
    shown: list[str | Styler] = []
    if not devices:
        shown.append(f"No run at full size is kept in {code_span(str(folder))}.")
    if "cuda" not in devices:
        shown.append(f"No run on a GPU is kept in {code_span(str(folder))}.")
    for what, title in TITLES.items():
        for benchmark in kept[what]:
            about = " ".join([benchmark.origin, *measurement_notes(benchmark.measurements)])
            shown.append(f"**{title}.** {markdown_text(about)}")
            shown.append(measurement_table(benchmark.measurements))
    for benchmark in kept["retrieval"]:
        heading = "**Exact search** among *n* vectors, in batches of queries."
        shown += [
            f"{heading} {markdown_text(benchmark.origin)}",
            search_time_table(benchmark.measurements),
        ]
    return shown


def read_benchmarks(folder: Path | str, what: str) -> list[KeptBenchmark]:
    """The runs of benchmark `what` at full size that `folder` keeps: on a CPU, on a GPU.

    Raises:
        InputError: there is no such folder, or a file is not a benchmark's.
    """
    if not os.path.isdir(folder):
        raise InputError(f"{folder} is not a folder: give the folder of the benchmarks' files")
    paths = [Path(folder) / f"{what}-{device}-full.json" for device in get_args(Device)]
    return [_read_benchmark(path) for path in paths if path.exists()]


def measurement_table(measurements: Sequence[Measurement]) -> Styler:
    """`measurement_frame` laid out: words to the left, numbers on one line, room below."""
    frame = measurement_frame(measurements)
    table = styled(frame).set_table_attributes('style="margin-bottom: 1.5em"')
    table.set_properties(_WORDS, **{"text-align": "left"})
    return table.set_properties(frame.columns.drop(_WORDS), **{"white-space": "nowrap"})


def measurement_frame(measurements: Sequence[Measurement]) -> pd.DataFrame:
    """Measurements as words with units, rows numbered from 1; empty columns are left out.

    A ratio names the row of its baseline. The floor is the best that the machine's own rates allow.
    """
    first_row = {m.case: row for row, m in reversed(list(enumerate(measurements, 1)))}
    rows = [
        {
            "case": m.case,
            "measured": m.metric,
            "value": value_in_words(m),
            "from – to": "" if m.low is None else spread(m.low, m.high, m.unit),
            "times better": ""
            if m.ratio is None
            else f"{m.ratio:.3g} × row {first_row[m.baseline]}",
            "floor is better": "" if m.of_floor is None else f"{m.of_floor:.2g} ×",
        }
        for m in measurements
    ]
    frame = pd.DataFrame(rows, index=range(1, len(rows) + 1))
    return frame.loc[:, (frame != "").any()]


def measurement_notes(measurements: Sequence[Measurement]) -> list[str]:
    """What a reader must know, each with the rows of `measurement_frame` that it is about."""
    rows: dict[str, list[int]] = {}
    for row, measurement in enumerate(measurements, 1):
        if measurement.note:
            rows.setdefault(measurement.note, []).append(row)
    found = []
    for note, about in rows.items():
        where = f"{'Row' if len(about) == 1 else 'Rows'} {', '.join(_runs(about))}"
        found.append(f"{'All rows' if len(about) == len(measurements) else where}: {note}.")
    return found


def search_time_table(measurements: Sequence[Measurement]) -> Styler:
    """Times of exact search, a column per way of searching and a row per size of the problem.

    A case is named `way, size of the problem`; measurements of other things are left out.
    """
    rows = [
        (*m.case.split(", ", 1), value_in_words(m))
        for m in measurements
        if m.metric == "search time"
    ]
    table = pd.DataFrame(rows, columns=["by", "size", "time"])
    table = table.pivot_table("time", "size", "by", "first", sort=False)
    return table.rename_axis(index=None, columns=None).pipe(styled).format(na_rep="")


def _runs(numbers: Sequence[int]) -> list[str]:
    """Ascending numbers in words: 1, 2, 3, 7 are `1 to 3` and `7`."""
    by_offset = groupby(enumerate(numbers), lambda pair: pair[1] - pair[0])
    runs = [[number for _, number in run] for _, run in by_offset]
    return [str(run[0]) if len(run) == 1 else f"{run[0]} to {run[-1]}" for run in runs]


def _read_benchmark(path: Path) -> KeptBenchmark:
    kept = read_json(path)
    try:
        machine, versions = kept["machine"], kept["versions"]
        processor = f"{machine['cpu']}, {machine['cores']} cores"
        where = f"a GPU ({machine['gpu']})" if kept["device"] == "cuda" else f"a CPU ({processor})"
        names = ("torch", "open-clip-torch", "faiss-gpu", "faiss-cpu")
        software = "".join(f", {name} {versions[name]}" for name in names if name in versions)
        origin = (
            f"Measured on {kept['date']} on {where} with Python {versions['python']}{software}."
        )
        measurements = [Measurement(**record) for record in kept["measurements"]]
        return KeptBenchmark(measurements, kept["device"], origin)
    except (KeyError, TypeError) as error:
        raise InputError(
            f"{path} is not a benchmark's file ({error}): make it again with `cxr-mtl bench`"
        ) from error
