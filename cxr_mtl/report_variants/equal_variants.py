"""Reports of equal content: the same study in another order, style, wording or length.

The recipe of reports that differ in style and agree in content: Ko et al., "Exploring the
Capabilities of LLM Encoders for Image-Text Retrieval in Chest X-rays", arXiv 2509.15234, 2025. They
let a language model write the variants; here rules do, so that each can be read and proved.
"""

import random
from collections.abc import Callable
from typing import Literal, get_args

from cxr_mtl.base.errors import InputError, check_choice
from cxr_mtl.report_variants.abbreviations import abbreviated, expanded
from cxr_mtl.report_variants.report_parts import (
    anatomical_parts,
    halves,
    impression_only,
    normal_omitted,
    whole_report,
)
from cxr_mtl.report_variants.sentences import (
    blocks,
    closed,
    is_heading,
    join_sentences,
    refers_back,
    split_sentences,
)
from cxr_mtl.report_variants.sides import sides_reworded
from cxr_mtl.report_variants.wordings import full_style, negations_reworded, telegraphic

EqualVariant = Literal[
    "sections-swapped",
    "sentences-shuffled",
    "abbreviated",
    "expanded",
    "telegraphic",
    "full-style",
    "sides-reworded",
    "negations-reworded",
    "impression-only",
    "half",
    "normal-omitted",
    "anatomical-part",
]
"""A way to write a report that agrees with it in content; the last four say a part of it."""

EQUAL_VARIANTS = get_args(EqualVariant)
"""Every equal variant."""

PARTIAL_VARIANTS = frozenset(["impression-only", "half", "normal-omitted", "anatomical-part"])
"""The variants that say a part of the report."""


def equal_variant(
    findings: str, impression: str, variant: EqualVariant, rng: random.Random
) -> str | None:
    """The report in another form of equal content; None where the rules find nothing to change.

    Equal states of `rng` give equal texts. Shuffles, halves and anatomical parts draw.

    Raises:
        InputError: the variant is unknown, or the report has no text.
    """
    check_choice("variant", variant, EqualVariant)
    check_report(findings, impression)
    text = _VARIANTS[variant](findings, impression, rng)
    return None if text is None or text == whole_report(findings, impression) else text


def check_report(findings: str, impression: str) -> None:
    """Refuse a report without any text.

    Raises:
        InputError: findings and impression are both empty.
    """
    if not (findings.strip() or impression.strip()):
        raise InputError("the report is empty: give findings or an impression")


def sections_swapped(findings: str, impression: str) -> str | None:
    """The impression before the findings; None if one is missing or the impression refers back."""
    first = split_sentences(impression)[:1]
    if not first or not findings.strip() or refers_back(first[0]):
        return None
    return join_sentences([closed(impression), findings.strip()])


def sentences_shuffled(findings: str, impression: str, rng: random.Random) -> str | None:
    """The sentences of each section in another order, those that refer back behind their own.

    Returns None where no section has two that can change places, or headings part the report.
    """
    if any(map(is_heading, split_sentences(whole_report(findings, impression)))):
        return None
    sections = [blocks(findings), blocks(impression)]
    shuffled = [_another_order(parts, rng) for parts in sections]
    return None if shuffled == sections else join_sentences(shuffled[0] + shuffled[1])


def _another_order(parts: list[str], rng: random.Random) -> list[str]:
    order = rng.sample(parts, len(parts))
    return order if order != parts else parts[1:] + parts[:1]


def _reworded(rule: Callable[[str], str | None]) -> Callable[..., str | None]:
    """A rule on a text as a rule on a report."""
    return lambda findings, impression, rng: rule(whole_report(findings, impression))


def _half(findings: str, impression: str, rng: random.Random) -> str | None:
    both = halves(findings, impression)
    return rng.choice(both) if both else None


def _anatomical_part(findings: str, impression: str, rng: random.Random) -> str | None:
    parts = list(anatomical_parts(findings, impression).values())
    return rng.choice(parts) if len(parts) > 1 else None


_VARIANTS: dict[EqualVariant, Callable[[str, str, random.Random], str | None]] = {
    "sections-swapped": lambda findings, impression, rng: sections_swapped(findings, impression),
    "sentences-shuffled": sentences_shuffled,
    "abbreviated": _reworded(abbreviated),
    "expanded": _reworded(expanded),
    "telegraphic": _reworded(telegraphic),
    "full-style": _reworded(full_style),
    "sides-reworded": _reworded(sides_reworded),
    "negations-reworded": _reworded(negations_reworded),
    "impression-only": lambda findings, impression, rng: impression_only(findings, impression),
    "half": _half,
    "normal-omitted": lambda findings, impression, rng: normal_omitted(findings, impression),
    "anatomical-part": _anatomical_part,
}
