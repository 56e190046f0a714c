"""Tasks made of report variants: errors to tell apart, abbreviations and styles to see through.

A report in which the rules find nothing to change is left out of a task, and counted.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from cxr_mtl.base.errors import InputError
from cxr_mtl.language.tasks import AnswerSearch, Choice
from cxr_mtl.report_variants import (
    ERROR_CLASSES,
    EqualVariant,
    abbreviated,
    equal_variant,
    erroneous,
    expanded,
)

STYLES: tuple[EqualVariant, ...] = (
    "sentences-shuffled",
    "abbreviated",
    "expanded",
    "telegraphic",
    "full-style",
    "sides-reworded",
    "negations-reworded",
    "normal-omitted",
)
"""Variants of findings alone, by which their impression can still be told."""


@dataclass(frozen=True)
class Made:
    """A task, the places of the reports that it is made of, and how many were left out."""

    task: AnswerSearch | Choice
    places: tuple[int, ...]
    left_out: int


def error_choice(
    task: str, findings: Sequence[str], impressions: Sequence[str], *, wrong: int, seed: int
) -> Made:
    """Findings that choose their impression among `wrong` others, each with one error.

    The errors are of different classes, drawn for each report, and their texts differ.

    Raises:
        InputError: no report has so many different errors.
    """
    rows, candidates = [], []
    for place, (found, impression) in enumerate(zip(findings, impressions, strict=True)):
        rng = random.Random(f"{seed} {place}")
        classes = rng.sample(ERROR_CLASSES, len(ERROR_CLASSES))
        texts = [impression]
        for error_class in classes:
            text = erroneous(found, impression, error_class, rng)
            if text is not None and text not in texts and len(texts) <= wrong:
                texts.append(text)
        if len(texts) == wrong + 1:
            rows.append(place)
            candidates.append(texts)
    if not rows:
        raise InputError(f"no report has {wrong} different errors: give more reports")
    queries = [findings[place] for place in rows]
    return Made(Choice(task, queries, candidates), tuple(rows), len(findings) - len(rows))


def acronym_search(reports: Sequence[str]) -> Made:
    """Reports with abbreviations that look for their expanded twins.

    Raises:
        InputError: nothing in any report can be abbreviated.
    """
    rows, queries, answers = [], [], []
    for place, report in enumerate(reports):
        short = abbreviated(report)
        if short != report:
            rows.append(place)
            queries.append(short)
            answers.append(expanded(report))
    if not rows:
        raise InputError("nothing in any report can be abbreviated: give other reports")
    search = AnswerSearch.of("acronym", queries, answers)
    return Made(search, tuple(rows), len(reports) - len(rows))


def style_searches(
    findings: Sequence[str], impressions: Sequence[str], *, seed: int
) -> dict[EqualVariant, tuple[Made, Made]]:
    """Findings in another style that look for their impression, and the same ones as written.

    Items are the impressions of all reports, so that the searches of all styles are one search
    with other queries. A style that changes nothing in any report is not there.
    """
    whole = AnswerSearch.of("style", findings, impressions)
    searches = {}
    for style in STYLES:
        rows, changed = [], []
        for place, found in enumerate(findings):
            text = equal_variant(found, "", style, random.Random(f"{seed} {place} {style}"))
            if text is not None:
                rows.append(place)
                changed.append(text)
        if rows:
            own = whole.own[rows]
            written = [findings[place] for place in rows]
            searches[style] = tuple(
                Made(
                    AnswerSearch("style", queries, whole.items, own, variant),
                    tuple(rows),
                    len(findings) - len(rows),
                )
                for variant, queries in ((style, changed), (f"{style}: as written", written))
            )
    return searches
