"""What the data leave open: counts of duplicates, of labels against reports, of missing sections.

Every function takes the study table and returns a tidy table: key columns, then `count`, `of` and
`share` = count / of.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from cxr_mtl.base.errors import InputError
from cxr_mtl.data.splits import PARTS, normalise_text

PART_NAMES = tuple(dict.fromkeys(PARTS.values()))
# As `openi.collection_counts` counts them.
NO_ACUTE = "no (?:acute|active)"
IMPRESSIONS = ("no acute", "other", "missing")


def duplicate_reports(studies: pd.DataFrame) -> pd.DataFrame:
    """Word-for-word duplicates of the reports of each part, after `splits.normalise_text`.

    Returns:
        `split`, `measure`, `count`, `of` (studies of the split), `share`. The measure "also in
        <part>" counts studies whose text another study of that part has; "distinct texts" counts
        texts, and its share is the part's `splits.duplicate_ceiling`; "largest group" counts the
        studies of the most frequent text.
    """
    return _duplicates(studies, studies["text"].map(normalise_text), "distinct texts")


def duplicate_pictures(studies: pd.DataFrame) -> pd.DataFrame:
    """Equal pictures of each part, by `pixels_sha256`: what is `duplicate_reports` for texts."""
    return _duplicates(studies, studies["pixels_sha256"], "distinct pictures")


def _duplicates(studies: pd.DataFrame, content: pd.Series, distinct: str) -> pd.DataFrame:
    by_part = dict(iter(content.groupby(_parts(studies), observed=True)))
    rows = []
    for part, own in by_part.items():
        for other, theirs in by_part.items():
            found = own.map(theirs.value_counts()).fillna(0)
            # A study always finds itself in its own part.
            rows.append((part, f"also in {other}", (found > (other == part)).sum(), len(own)))
        groups = own.value_counts()
        rows.append((part, distinct, len(groups), len(own)))
        rows.append((part, "largest group", groups.max(), len(own)))
    return _with_shares(rows, ["split", "measure"])


def label_and_impression(studies: pd.DataFrame) -> pd.DataFrame:
    """The label against what the impression says of acute disease.

    Returns:
        `label`, `impression`, `count`, `of` (studies of the label), `share`. The impression is
        "no acute" where it holds "no acute" or "no active", "missing" where there is none, else
        "other".

    Raises:
        InputError: the studies have no column impression.
    """
    _check_sections(studies, ["impression"])
    impression = studies["impression"]
    says_none = impression.str.contains(NO_ACUTE, case=False)
    said = pd.Series(
        np.select([impression == "", says_none], ["missing", "no acute"], "other"),
        index=studies.index,
    )
    rows = []
    for label, kinds in said.groupby(studies["label"]):
        rows += [(label, kind, (kinds == kind).sum(), len(kinds)) for kind in IMPRESSIONS]
    return _with_shares(rows, ["label", "impression"])


def missing_sections(studies: pd.DataFrame) -> pd.DataFrame:
    """Studies whose report lacks its findings, or its impression, by split and label.

    Returns:
        `split`, `label`, `section`, `count`, `of` (studies of the split and label), `share`.

    Raises:
        InputError: the studies have no column findings or impression.
    """
    sections = ["findings", "impression"]
    _check_sections(studies, sections)
    rows = []
    for (part, label), group in studies.groupby([_parts(studies), "label"], observed=True):
        rows += [(part, label, name, (group[name] == "").sum(), len(group)) for name in sections]
    return _with_shares(rows, ["split", "label", "section"])


def evidence_counts(
    studies: pd.DataFrame, label_names: Mapping[int, str]
) -> dict[str, pd.DataFrame]:
    """All counts that the study table allows, labels in words.

    Returns:
        `duplicates` and `pictures`; and where the reports have sections `impression` and `missing`,
        of `duplicate_reports`, `duplicate_pictures`, `label_and_impression` and
        `missing_sections`.
    """
    found = {"duplicates": duplicate_reports(studies), "pictures": duplicate_pictures(studies)}
    if {"findings", "impression"} <= set(studies.columns):
        found["impression"] = label_and_impression(studies)
        found["missing"] = missing_sections(studies)
        found["missing"]["section"] = "no " + found["missing"]["section"]
    return {name: _in_words(table, label_names) for name, table in found.items()}


def counts_table(
    counts: pd.DataFrame, rows: str | Sequence[str], columns: str | Sequence[str]
) -> pd.DataFrame:
    """Counts laid out to read, each as `count (share)`, in the order they come in."""
    cells = [f"{row.count} ({row.share:.1%})" for row in counts.itertuples(index=False)]
    return counts.assign(cell=cells).pivot_table("cell", rows, columns, aggfunc="first", sort=False)


def count_records(counts: Mapping[str, pd.DataFrame]) -> list[dict[str, Any]]:
    """The counts as tidy records: data (the name), the key columns, metric (count or share)."""
    return [
        {
            "data": name,
            **{key: row[key] for key in row if key not in ("count", "of", "share")},
            "metric": metric,
            "value": row[metric],
        }
        for name, table in counts.items()
        for row in table.to_dict("records")
        for metric in ("count", "share")
    ]


def _in_words(table: pd.DataFrame, label_names: Mapping[int, str]) -> pd.DataFrame:
    return table.replace({"label": dict(label_names)}) if "label" in table else table


def _parts(studies: pd.DataFrame) -> pd.Series:
    """The part of each study in the order train, validation, test; NaN for any other name."""
    return studies["split"].astype(pd.CategoricalDtype(PART_NAMES))


def _with_shares(rows: list[tuple], keys: list[str]) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=[*keys, "count", "of"])
    return table.assign(share=table["count"] / table["of"])


def _check_sections(studies: pd.DataFrame, sections: list[str]) -> None:
    missing = [name for name in sections if name not in studies]
    if missing:
        raise InputError(
            f"the study table has no column {', '.join(missing)}: only Open-I reports have "
            "sections, so leave this count out for pairs of your own"
        )
