"""Two runs number by number, and whether what moved is more than another training seed moves.

Two numbers are the same one when their records stand in the same stage and agree in every field
that is not itself measured; a field that is None counts as absent.
"""

import html
import math
from collections.abc import Container, Iterator, Mapping
from typing import Any, NamedTuple

import pandas as pd
from rich.table import Table

from cxr_mtl.base.csv_files import read_csv
from cxr_mtl.base.errors import InputError
from cxr_mtl.base.files import read_json
from cxr_mtl.base.records import NOTICE, Key, number_key
from cxr_mtl.base.table_text import NUMBER, TEXT, html_page, html_row, html_table
from cxr_mtl.evidence.significance import seed_band
from cxr_mtl.runs.run import Run

SEEDS_STAGE = "09_ablations"
SEED_FIELDS = frozenset({"table", "direction", "protocol", "model", "metric", "k"})

BEYOND = "moved beyond seed variance"
OTHER_TESTS = "moved, other test studies"
DIFFERS = "differs"
UNKNOWN = "moved, no seed variance known"
ONLY_IN_A = "only in A"
ONLY_IN_B = "only in B"
WITHIN = "within seed variance"
EQUAL = "equal"
MOVED = (BEYOND, OTHER_TESTS, DIFFERS, UNKNOWN)
VERDICTS = (*MOVED, ONLY_IN_A, ONLY_IN_B, WITHIN, EQUAL)
"""Every verdict, what needs attention first."""

_NUMBERS = ("A", "B", "B − A", "seed sd")
_HEADS = {"number": TEXT, **dict.fromkeys(_NUMBERS, NUMBER), "verdict": TEXT}

_BODY = """<p>A is {a}, B is {b}. A difference is beyond seed variance when 95 % of pairs of seeds
differ by less, estimated from the standard deviation over training seeds (seed sd) where it is
known. Seeds do not tell what other test studies change.</p>
{counts}
{sections}"""


class _SeedSpread(NamedTuple):
    seed_sd: float
    seeds: int


def compare_runs(a: Run, b: Run, stages: Container[str] | None = None) -> pd.DataFrame:
    """Every number of two runs side by side, with a verdict.

    A difference is "beyond seed variance" when 95 % of pairs of seeds differ by less
    (`significance.seed_band`). What seeds do is told by the fields `seed_sd` and `seeds` of the
    fine-tuned model's records in `results/09_ablations.json` of `a`, else of `b`; they hold for
    the records of other stages with the same table, direction, protocol, metric and k and no
    further field. They say nothing of other test studies: where the `split.csv` of both runs name
    different ones, the verdict on a number with a seed_sd that moved says so instead.

    Args:
        stages: the only ones whose results are read; None reads all.

    Returns:
        Rows by stage, in the order of `a`: stage, key (for readers), a, b (numbers or text,
        "undefined" where a metric is, None where there is no such record), difference (b − a, NaN
        where one is no number), seed_sd (NaN where none is known) and verdict (of `VERDICTS`).

    Raises:
        InputError: a run has no results, a results file is no list of distinct flat records, a
            record with a seed_sd has no seeds, or a `split.csv` is damaged.
    """
    stages_a, stages_b = (
        [name for name in _stages(run) if stages is None or name in stages] for run in (a, b)
    )
    spreads = {}
    for run, there in ((b, stages_b), (a, stages_a)):
        if SEEDS_STAGE in there:
            spreads |= _seed_spreads(run)
    same_tests = _same_test_studies(a, b)
    rows = []
    for stage in sorted({*stages_a, *stages_b}):
        in_a = read_numbers(a, stage) if stage in stages_a else {}
        in_b = read_numbers(b, stage) if stage in stages_b else {}
        for key in in_a | in_b:
            # What the seeds' stage tells are means over seeds: they vary less than one run.
            spread = None if stage == SEEDS_STAGE else spreads.get(key)
            values = _value(in_a.get(key)), _value(in_b.get(key))
            rows.append((stage, key_text(key), *_compared(*values, spread, same_tests)))
    columns = ["stage", "key", "a", "b", "difference", "seed_sd", "verdict"]
    types = {"a": object, "b": object, "difference": float, "seed_sd": float}
    return pd.DataFrame(rows, columns=columns, dtype=object).astype(types)


def verdict_counts(table: pd.DataFrame) -> dict[str, int]:
    """How many rows of `compare_runs` have each verdict, in the order of `VERDICTS`."""
    return {verdict: int((table["verdict"] == verdict).sum()) for verdict in VERDICTS}


def tables_of_what_moved(table: pd.DataFrame) -> Iterator[Table]:
    """`compare_runs` for a terminal: how many rows have each verdict, then those that moved."""
    counts = Table("verdict", "numbers")
    for verdict, count in verdict_counts(table).items():
        counts.add_row(verdict, str(count))
    yield counts
    for verdict in MOVED:
        moved = Table(title=verdict)
        for name in ("stage", "number", *_NUMBERS):
            moved.add_column(name, overflow="fold")
        for row in table[table["verdict"] == verdict].itertuples():
            moved.add_row(row.stage, row.key, *_numbers(row))
        if moved.rows:
            yield moved


def compare_page(table: pd.DataFrame, a: Run, b: Run) -> str:
    """`compare_runs(a, b)` as one HTML page that needs no other file.

    First the number of rows of each verdict, then all rows by stage, those that moved first.
    """
    counts = [
        html_row([(verdict, TEXT), (str(count), NUMBER)], verdict in MOVED)
        for verdict, count in verdict_counts(table).items()
    ]
    rank = {verdict: place for place, verdict in enumerate(VERDICTS)}
    ordered = table.sort_values("verdict", key=lambda column: column.map(rank), kind="stable")
    sections = []
    for stage, rows in ordered.groupby("stage"):
        body = [html_row(_cells(row), row.verdict in MOVED) for row in rows.itertuples()]
        sections += [f"<h2>{html.escape(stage)}</h2>", html_table(_HEADS, body)]
    body = _BODY.format(
        a=html.escape(a.path.as_posix()),
        b=html.escape(b.path.as_posix()),
        counts=html_table({"verdict": TEXT, "numbers": NUMBER}, counts),
        sections="\n".join(sections),
    )
    return html_page(f"{a.path.name} and {b.path.name} compared", body)


def read_numbers(run: Run, stage: str) -> dict[Key, dict[str, Any]]:
    """The records of a stage by their keys, without notices.

    Raises:
        InputError: the file is missing or damaged, a record is not flat, lacks `metric` or
            `value`, or stands twice.
    """
    path = run / f"results/{stage}.json"
    records = read_json(path)
    if not isinstance(records, list):
        raise InputError(f"{path} is no list of records: run its chapter again")
    numbers: dict[Key, dict[str, Any]] = {}
    for record in records:
        flat = isinstance(record, dict) and not any(
            isinstance(value, list | dict) for value in record.values()
        )
        if not flat or not isinstance(record.get("metric"), str) or "value" not in record:
            raise InputError(
                f"{path} holds {record}, which is no flat record with metric and value: run its "
                "chapter again"
            )
        if record["metric"] == NOTICE:
            continue
        key = number_key(record)
        if key in numbers:
            raise InputError(
                f"{path} holds two records of {key_text(key)}: tell them apart by a further field"
            )
        numbers[key] = record
    return numbers


def key_text(key: Key) -> str:
    """A key for readers, for example "fine_tuned · cross_modal · image_to_text · recall@10"."""
    fields = dict(key)
    metric, k = fields.pop("metric"), fields.pop("k", None)
    parts = [str(fields.pop(name)) for name in ("model", "protocol", "direction") if name in fields]
    parts += [f"{name} {value}" for name, value in fields.items()]
    return " · ".join([*parts, metric if k is None else f"{metric}@{k}"])


def is_number(value: Any) -> bool:
    """Whether a record's value is a number; a truth value is none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def value_text(value: float | str | None) -> str:
    """A value of the table for readers: six significant digits, nothing for None and NaN."""
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.6g}"
    return "" if value is None else str(value)


def _stages(run: Run) -> list[str]:
    stages = sorted(path.stem for path in (run / "results").glob("*.json"))
    if not stages:
        raise InputError(
            f"{run.path} has no results: make them with `cxr-mtl run --run {run.path.name}`"
        )
    return stages


def _seed_spreads(run: Run) -> dict[Key, _SeedSpread]:
    """How the fine-tuned model's numbers spread over training seeds, by their keys."""
    path = run / f"results/{SEEDS_STAGE}.json"
    spreads: dict[Key, _SeedSpread] = {}
    for key, record in read_numbers(run, SEEDS_STAGE).items():
        if record.get("seed_sd") is None or record.get("model") != "fine_tuned":
            continue
        number = tuple((name, value) for name, value in key if name in SEED_FIELDS)
        if record.get("seeds") is None:
            raise InputError(
                f"{path} does not say of how many seeds the seed_sd of {key_text(number)} is: run "
                "its chapter again"
            )
        spread = _SeedSpread(record["seed_sd"], record["seeds"])
        if spreads.setdefault(number, spread) != spread:
            raise InputError(
                f"{path} gives two values of seed_sd for {key_text(number)}: keep the model "
                "fine_tuned for the training as it is"
            )
    return spreads


def _same_test_studies(a: Run, b: Run) -> bool:
    """Whether two runs test on the same studies; taken to be so where a split is not there."""
    paths = a / "split.csv", b / "split.csv"
    if not all(path.exists() for path in paths):
        return True
    tested_a, tested_b = (
        set(rows["study"][rows["split"] == "test"])
        for rows in (read_csv(path, ["study", "split"]) for path in paths)
    )
    return tested_a == tested_b


def _value(record: Mapping[str, Any] | None) -> Any:
    if record is None:
        return None
    return "undefined" if record["value"] is None else record["value"]


def _compared(
    a: Any, b: Any, spread: _SeedSpread | None, same_tests: bool
) -> tuple[Any, Any, float, float, str]:
    numbers = is_number(a) and is_number(b)
    difference = b - a if numbers else math.nan
    if a is None or b is None:
        verdict = ONLY_IN_B if a is None else ONLY_IN_A
    elif a == b:
        verdict = EQUAL
    elif not numbers:
        verdict = DIFFERS
    elif spread is None:
        verdict = UNKNOWN
    elif not same_tests:
        verdict = OTHER_TESTS
    else:
        verdict = WITHIN if abs(difference) <= seed_band(*spread) else BEYOND
    return a, b, difference, math.nan if spread is None else spread.seed_sd, verdict


def _cells(row: Any) -> Iterator[tuple[str, str]]:
    return zip((row.key, *_numbers(row), row.verdict), _HEADS.values(), strict=True)


def _numbers(row: Any) -> Iterator[str]:
    return map(value_text, (row.a, row.b, row.difference, row.seed_sd))
