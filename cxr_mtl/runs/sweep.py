"""The study once per point of a grid of parameters: which runs that makes, and their summary."""

import html
import itertools
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from rich.table import Table

from cxr_mtl.base.errors import InputError
from cxr_mtl.base.files import read_json
from cxr_mtl.base.records import find_record
from cxr_mtl.base.table_text import TEXT, html_page, html_row, html_table
from cxr_mtl.evidence.result_display import UNDEFINED, metric_name, readable
from cxr_mtl.runs.parameter_ranges import SYMBOLS
from cxr_mtl.runs.parameters import Parameter, resolve, value_text
from cxr_mtl.runs.planning import plan
from cxr_mtl.runs.run import Run, named_run
from cxr_mtl.runs.study_checks import check_files

COMPLETE = "complete"

NUMBERS = {
    f"{readable(direction)}, {metric_name({'metric': metric, 'k': k})}": (
        f"protocol=cross_modal&model=fine_tuned&direction={direction}&metric={metric}"
        f"&k={json.dumps(k)}"
    )
    for direction in ("image_to_text", "text_to_image")
    for metric, k in (("recall", 10), ("mrr", None))
}
"""What a summary shows of each point: heading, and the query that finds it in chapter 05."""

MOST_POINTS = 1000
"""Each point is a run of its own, which takes minutes and disk."""

_CLOSING = {'"': '"', "[": "]"}

_BODY = """<p>{complete} of {all} points are complete. All share <code>{shared}</code>.</p>
<p>The numbers are those of the fine-tuned model on the test studies, strict protocol, with 95 %
intervals over the studies. The intervals do not tell what another training seed changes, and a
point chosen by these numbers is chosen with the test studies in view.</p>
{table}"""


@dataclass(frozen=True)
class Point:
    """One combination of the grid's values, and the name of the run that has them."""

    run: str
    values: dict[str, Any]

    def __str__(self) -> str:
        settings = (f"{name} = {value_text(value)}" for name, value in self.values.items())
        return f"{self.run}  {', '.join(settings)}"


@dataclass(frozen=True)
class Sweep:
    """A checked sweep; `overrides` are the `name=value` texts that all points share."""

    name: str
    profile: str
    overrides: list[str]
    grid: dict[str, list[Any]]
    points: list[Point]

    @property
    def folder(self) -> Path:
        """Where `sweep.json` and `summary.html` lie."""
        return named_run(self.name)

    def overrides_of(self, point: Point) -> list[str]:
        """The `name=value` texts with which `cxr-mtl run` makes a point."""
        own = [f"{name}={json.dumps(value)}" for name, value in point.values.items()]
        return [*self.overrides, *own]

    def record(self) -> dict[str, Any]:
        """What `sweep.json` holds."""
        return {
            "profile": self.profile,
            "parameters": self.overrides,
            "grid": self.grid,
            "points": [{"run": point.run, "values": point.values} for point in self.points],
        }


def plan_sweep(
    grid: Sequence[str], name: str, profile: str = "demo", overrides: Sequence[str] = ()
) -> Sweep:
    """Check a sweep as a whole; nothing is executed or written.

    Args:
        grid: texts `parameter=value,value`; the points are all combinations, the last parameter
            changing fastest. A comma within [] or double quotes does not separate.
        name: point n becomes the run `<name>-<n>`, counted from 1.
        profile: as in `planning.plan`.
        overrides: `name=value` texts for all points, which win over the profile.

    Raises:
        InputError: the grid is empty, names a parameter that no chapter has, one twice or one
            that is also overridden, has a value of another type, out of range or given twice, one
            that names a file which is not there, or more than `MOST_POINTS` points; the name is
            unusable, or stands for another sweep or run; or as in `planning.plan`.
    """
    planned = plan(profile, name, overrides)
    declared = {
        key: value for chapter in planned.chapters for key, value in chapter.parameters.items()
    }
    declared.pop("run_dir")
    values = _read_grid(grid, declared)
    overridden = (override.partition("=")[0] for override in overrides)
    both = sorted(values.keys() & {SYMBOLS.get(key, key) for key in overridden})
    if both:
        raise InputError(f"{both[0]} is given by --grid and by -p: keep one of them")
    points = [
        Point(f"{name}-{number}", dict(zip(values, combination, strict=True)))
        for number, combination in enumerate(itertools.product(*values.values()), 1)
    ]
    sweep = Sweep(name, profile, list(overrides), values, points)
    _check_place(sweep)
    for point in points:
        check_files((chapter, own | point.values) for chapter, own in planned.stages.values())
    return sweep


def summarise(sweep: Sweep, missing: Mapping[str, str]) -> pd.DataFrame:
    """One row of texts per point: run, its values, numbers with 95 % intervals, seconds, state.

    The numbers are those of the fine-tuned model under the strict protocol; the seconds are what
    the point's chapters took when they were executed.

    Args:
        missing: why a point has no numbers, by run name; the first line is shown.
    """
    return pd.DataFrame([_row(point, missing.get(point.run)) for point in sweep.points])


def summary_table(summary: pd.DataFrame) -> Table:
    """What `summarise` returned, for a terminal."""
    table = Table(*summary.columns)
    for row in summary.itertuples(index=False, name=None):
        table.add_row(*row)
    return table


def summary_page(sweep: Sweep, summary: pd.DataFrame) -> str:
    """What `summarise` returned as one HTML page that needs no other file."""
    rows = [
        html_row((text, TEXT) for text in row) for row in summary.itertuples(index=False, name=None)
    ]
    shared = [f"--profile {sweep.profile}", *(f"-p {override}" for override in sweep.overrides)]
    body = _BODY.format(
        complete=int((summary["state"] == COMPLETE).sum()),
        all=len(summary),
        shared=html.escape(" ".join(shared)),
        table=html_table(dict.fromkeys(summary.columns, TEXT), rows),
    )
    return html_page(f"Sweep {sweep.name}", body)


def _read_grid(grid: Sequence[str], declared: Mapping[str, Parameter]) -> dict[str, list[Any]]:
    if not grid:
        raise InputError("the sweep has no grid: give --grid NAME=VALUE,VALUE")
    written = [(line, *line.partition("=")[::2]) for line in grid]
    _check_count([len(_split(texts)) for _, _, texts in written])
    values: dict[str, list[Any]] = {}
    for line, given, texts in written:
        name = SYMBOLS.get(given, given)
        if name in values:
            raise InputError(f"--grid: {name} is given twice: write all its values in one --grid")
        if name not in declared:
            resolve(declared, {name: texts}, "--grid")  # refuses it, with the nearest known name
        values[name] = []
        for text in _split(texts):
            if not text.strip():
                raise InputError(f"--grid {line} lacks a value: write --grid {name}=VALUE,VALUE")
            value = declared[name].parse(text.strip(), "--grid")
            declared[name].check_range(value, "--grid")
            if value in values[name]:
                raise InputError(f"--grid: {name} = {value_text(value)} is given twice: keep one")
            values[name].append(value)
    return values


def _split(texts: str) -> list[str]:
    """The values between commas that stand neither within [] nor within double quotes."""
    last = {closing: texts.rfind(closing) for closing in _CLOSING.values()}
    ends, closing = [-1], None
    for place, character in enumerate(texts):
        if closing:
            closing = None if character == closing else closing
        elif place < last.get(_CLOSING.get(character, ""), -1):
            closing = _CLOSING[character]
        elif character == ",":
            ends.append(place)
    return [texts[start + 1 : end] for start, end in itertools.pairwise([*ends, len(texts)])]


def _check_count(lengths: Sequence[int]) -> None:
    """Refuse a grid of more points than a sweep runs, by the numbers of its values."""
    count = math.prod(lengths)
    if count > MOST_POINTS:
        by = f" ({' x '.join(map(str, lengths))})" if len(lengths) > 1 else ""
        raise InputError(
            f"the grid has {count:,} points{by}, a run each, and a sweep takes at most "
            f"{MOST_POINTS:,}: give fewer values"
        )


def _check_place(sweep: Sweep) -> None:
    """Refuse a name that would mix this sweep with what is there already.

    A sweep of which no point has begun leaves its name free.
    """
    path = sweep.folder / "sweep.json"
    if path.exists():
        points = re.compile(rf"{re.escape(sweep.name)}-\d+")
        begun = any(points.fullmatch(place.name) for place in sweep.folder.parent.iterdir())
        if begun and read_json(path) != sweep.record():
            raise InputError(
                f"{path} tells of another grid, profile or -p: repeat those or take another --name"
            )
        return
    for folder in (sweep.folder, *(named_run(point.run) for point in sweep.points)):
        if folder.exists():
            raise InputError(
                f"{folder} is there and belongs to no sweep {sweep.name}: take another --name"
            )


def _row(point: Point, reason: str | None) -> dict[str, str]:
    numbers, seconds = dict.fromkeys(NUMBERS, ""), ""
    if reason is None:
        run = Run(named_run(point.run))
        try:
            records = run.results("05_retrieval")
            numbers = {head: _number(find_record(records, q)) for head, q in NUMBERS.items()}
            seconds = f"{sum(stage['wall_seconds'] for stage in run.manifest.values()):.0f}"
        except InputError as error:
            reason = str(error)
    state = COMPLETE if reason is None else f"missing: {reason.splitlines()[0]}"
    values = {name: value_text(value) for name, value in point.values.items()}
    return {"run": point.run, **values, **numbers, "seconds": seconds, "state": state}


def _number(record: Mapping[str, Any]) -> str:
    if record["value"] is None:
        return UNDEFINED
    return f"{record['value']:.3f} [{record['low']:.3f}, {record['high']:.3f}]"
