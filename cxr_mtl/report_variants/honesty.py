"""How honest the variants are, to `finding_reader`: equal ones say the same, wrong ones do not.

The reader shares no table with the rules that write the variants. It reads a set of findings, so
that it is blind to the order of sentences, and it compares a wrong impression with the right one.
"""

import random
from collections.abc import Sequence

from cxr_mtl.base.errors import InputError
from cxr_mtl.base.records import Record
from cxr_mtl.report_variants.equal_variants import (
    EQUAL_VARIANTS,
    PARTIAL_VARIANTS,
    EqualVariant,
    equal_variant,
)
from cxr_mtl.report_variants.error_variants import ERROR_CLASSES, erroneous
from cxr_mtl.report_variants.finding_reader import Finding, read_findings
from cxr_mtl.report_variants.report_parts import whole_report


def honesty_records(findings: Sequence[str], impressions: Sequence[str], seed: int) -> list[Record]:
    """Agreement of each equal variant and contradiction of each error class over reports, [n] each.

    A record has `metric`, `variant` or `error_class`, `value` (a share of the `n` reports that have
    the variant) and `n`. `agreement` is the share whose variant is read as the report, see
    `agrees`; `contradiction` is the share whose wrong impression is read unlike the impression.
    Reports without any text are left out; a variant that no report has is in no record.

    Raises:
        InputError: findings and impressions differ in number, or no report has text.
    """
    if len(findings) != len(impressions):
        raise InputError(
            f"there are {len(findings)} findings and {len(impressions)} impressions: "
            "give one of each per report"
        )
    reports = [(f, i) for f, i in zip(findings, impressions, strict=True) if f.strip() or i.strip()]
    if not reports:
        raise InputError("no report has text: give findings or impressions")
    records = []
    for variant in EQUAL_VARIANTS:
        same = []
        for number, (said, concluded) in enumerate(reports):
            text = equal_variant(said, concluded, variant, _draws(seed, number))
            if text is not None:
                same.append(agrees(variant, whole_report(said, concluded), text))
        records += _share("agreement", "variant", variant, same)
    for error_class in ERROR_CLASSES:
        other = []
        for number, (said, concluded) in enumerate(reports):
            text = erroneous(said, concluded, error_class, _draws(seed, number))
            if text is not None:
                other.append(read_findings(text) != read_findings(concluded))
        records += _share("contradiction", "error_class", error_class, other)
    return records


def agrees(variant: EqualVariant, report: str, text: str) -> bool:
    """Whether the reader finds in a variant what the report says.

    The same findings in variants of the whole; the same but for what is denied where normal
    sentences are omitted; and in the other parts of a report nothing else.
    """
    whole, said = read_findings(report), read_findings(text)
    if variant == "normal-omitted":
        return _not_denied(whole) == _not_denied(said)
    return said <= whole if variant in PARTIAL_VARIANTS else said == whole


def _not_denied(findings: frozenset[Finding]) -> set[Finding]:
    return {finding for finding in findings if finding.status != "absent"}


def _draws(seed: int, number: int) -> random.Random:
    """A report's own generator, so that its variants do not depend on the reports before it."""
    return random.Random(f"{seed}-{number}")


def _share(metric: str, field: str, name: str, outcomes: list[bool]) -> list[Record]:
    if not outcomes:
        return []
    value = sum(outcomes) / len(outcomes)
    return [{"metric": metric, field: name, "value": value, "n": len(outcomes)}]
