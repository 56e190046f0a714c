"""This run against a reference run, as Markdown: what moved, and which parameters differ."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import pandas as pd

from cxr_mtl.base.errors import InputError
from cxr_mtl.base.markdown_text import Markdown, code_span, markdown_text
from cxr_mtl.base.table_text import markdown_table
from cxr_mtl.runs.compare import (
    BEYOND,
    VERDICTS,
    compare_page,
    compare_runs,
    value_text,
    verdict_counts,
)
from cxr_mtl.runs.freshness import StageState, mending_command, read_states
from cxr_mtl.runs.run import RUNS, Run
from cxr_mtl.runs.stages import Chapter, upstream

COMPARE_PAGE = "_static/compare.html"
ROWS = 15
"""How many of the numbers that moved a page shows; the others are counted."""


@dataclass(frozen=True)
class Comparison:
    """A run and its reference.

    Args:
        states, reference_states: those of both runs' stages, by name.
        numbers: what `compare.compare_runs` finds in the stages that are fresh in both runs, A
            being the reference; None where `reason` tells in a sentence why nothing is compared.
        mend: the command that makes the reference whole.
    """

    run: Path
    reference: Path
    chapters: Sequence[Chapter]
    states: Mapping[str, StageState]
    reference_states: Mapping[str, StageState]
    numbers: pd.DataFrame | None
    reason: Markdown | None
    mend: str


def compare_with_reference(
    run_name: str,
    reference_name: str,
    states: Mapping[str, StageState],
    chapters: Sequence[Chapter],
    root: Path,
) -> Comparison:
    """Compare a run with its reference, in the stages that are fresh in both.

    The results of other stages are not read, so damage there costs no more than those stages. What
    training seeds do is known only where the stage that measures it is fresh in both, too.

    Args:
        states: those of the run's stages.
        root: the folder that holds `runs`.
    """
    run, reference = (root / RUNS / name for name in (run_name, reference_name))
    there = read_states(reference_name, chapters, root)
    mend = mending_command(reference_name, root)
    numbers, reason = None, None
    if not reference.is_dir():
        reason = Markdown(
            f"There is no run *{reference_name}* to compare with: {code_span(mend)} makes it."
        )
    elif run.is_dir():
        try:
            fresh = [name for name in states if not (states[name].reason or there[name].reason)]
            numbers = compare_runs(Run(reference), Run(run), fresh)
        except InputError as error:
            told = markdown_text(str(error).replace(f"{root}/", ""))
            reason = Markdown(f"Nothing is compared: {told}.")
    else:
        reason = Markdown("Nothing is compared: this run has not been made yet.")
    return Comparison(run, reference, chapters, states, there, numbers, reason, mend)


def reference_section(comparison: Comparison, stage: str, compare_link: str) -> str:
    """Markdown of a section on one stage: counts, what moved most, parameters, a link to all.

    Args:
        compare_link: where the page lies that `write_compare_page` writes.
    """
    name = comparison.reference.name
    lines = [f"## This run against *{name}*", ""]
    state = comparison.reference_states[stage]
    if comparison.reason:
        return "\n".join([*lines, comparison.reason])
    if state.reason:
        why = markdown_text(state.reason)
        lines.append(f"Nothing is compared: this chapter of *{name}* is stale ({why}).")
        return "\n".join([*lines, f"{code_span(comparison.mend)} runs it."])
    numbers = comparison.numbers[comparison.numbers["stage"] == stage]
    lines += [*_counts(numbers, name, comparison.run.name), *_moved(numbers, name)]
    lines += _parameters(comparison, stage)
    link = f'<a href="{compare_link}">All numbers of both runs side by side</a>'
    return "\n".join([*lines, "", f"{link}."])


def reference_summary(comparison: Comparison, compare_link: str) -> Markdown:
    """One line on all stages: how many numbers have which verdict, or why nothing is compared."""
    if comparison.reason:
        return comparison.reason
    counts = verdict_counts(comparison.numbers)
    told = ", ".join(f"{counts[v]} {v}" for v in VERDICTS if counts[v] or v == BEYOND)
    text = (
        f"{len(comparison.numbers)} numbers in {comparison.numbers['stage'].nunique()} chapters: "
        f'{told} (<a href="{compare_link}">all of them</a>).'
    )
    both = (comparison.states, comparison.reference_states)
    stale = [n for n in comparison.states if "/" not in n and any(s[n].reason for s in both)]
    if stale:
        text += f" Not compared, for they are stale: {', '.join(stale)}."
    return Markdown(text)


def write_compare_page(comparison: Comparison | None, folder: Path) -> None:
    """Write the page that sets all compared numbers side by side into a book's HTML folder.

    Where nothing is compared, that of an earlier build in the same folder goes.
    """
    (folder / COMPARE_PAGE).unlink(missing_ok=True)
    if comparison is not None and comparison.numbers is not None:
        page = compare_page(comparison.numbers, Run(comparison.reference), Run(comparison.run))
        root = comparison.run.parents[1]
        (folder / COMPARE_PAGE).write_text(page.replace(f"{escape(str(root))}/", ""), "utf-8")


def _counts(numbers: pd.DataFrame, reference: str, run: str) -> list[str]:
    if numbers.empty:
        return ["This chapter leaves no numbers to compare.", ""]
    found = {verdict: count for verdict, count in verdict_counts(numbers).items() if count}
    rows = [(verdict, str(count)) for verdict, count in found.items()]
    return [
        f"The {len(numbers)} numbers of this chapter, A in *{reference}* and B in *{run}*. Beyond "
        "seed variance is what fewer than 5 % of pairs of training seeds would differ by.",
        "",
        *markdown_table(["verdict", "numbers"], rows, "lr"),
        "",
    ]


def _moved(numbers: pd.DataFrame, reference: str) -> list[str]:
    moved = numbers[numbers["verdict"] == BEYOND]
    if moved.empty:
        return []
    distance = moved["difference"].abs() / moved["seed_sd"]
    moved = moved.loc[distance.sort_values(ascending=False, kind="stable").index]
    rows = [
        (row.key, *map(value_text, (row.a, row.b, row.difference, row.seed_sd)))
        for row in moved.head(ROWS).itertuples()
    ]
    heads = ["beyond seed variance", "A", "B", "B − A", "seed sd"]
    lines = [*markdown_table(heads, rows, "lrrrr"), ""]
    if len(moved) > ROWS:
        lines += [f"And {len(moved) - ROWS} more, all nearer to *{reference}*'s.", ""]
    return lines


def _parameters(comparison: Comparison, stage: str) -> list[str]:
    """Which parameters differ in a stage or one it rests on."""
    rows = list(dict.fromkeys(_differing(comparison, stage)))
    if not rows:
        return ["No parameter of this chapter or of those it rests on differs.", ""]
    heads = ["parameter", comparison.reference.name, comparison.run.name]
    return [*markdown_table(heads, rows), ""]


def _differing(comparison: Comparison, stage: str) -> Iterator[tuple[str, str, str]]:
    for name in [*upstream(stage, comparison.chapters), stage]:
        here, there = comparison.states[name].record, comparison.reference_states[name].record
        if here is None or there is None:
            continue
        for parameter, value in here.parameters.items():
            other = there.parameters.get(parameter)
            if parameter != "run_dir" and value != other:
                yield tuple(map(code_span, (parameter, repr(other), repr(value))))
