"""What loading a data set gives: studies, what was dropped and why, and what must be said of it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import pandas as pd

from cxr_mtl.base.file_hashes import FileState
from cxr_mtl.base.records import NOTICE

DROPPED_COLUMNS = ["study", "reason", "detail"]


class Notice(NamedTuple):
    """One sentence that a user must read though the run goes on, and how many it concerns."""

    about: str
    sentence: str
    count: int


@dataclass(frozen=True)
class Dataset:
    """The studies to use, the dropped ones (`study`, `reason`, `detail`), and all reports.

    `reports` is None for pairs, which have none beside their text. `remarks` are what there is to
    say besides what was dropped. `files` are the images that were looked at, as they were before.
    """

    studies: pd.DataFrame
    dropped: pd.DataFrame
    reports: pd.DataFrame | None = None
    remarks: tuple[Notice, ...] = ()
    files: tuple[FileState, ...] = ()

    @property
    def notices(self) -> list[Notice]:
        """What a user must know: first how many studies were dropped and why, then the remarks."""
        if self.dropped.empty:
            return list(self.remarks)
        of = len(self.studies) + len(self.dropped)
        sentence = (
            f"studies dropped: {len(self.dropped):,} of {of:,} "
            f"({counted_reasons(self.dropped)}); dropped.parquet lists them"
        )
        return [Notice("dropped studies", sentence, len(self.dropped)), *self.remarks]

    def saying(self, *remarks: Notice) -> "Dataset":
        """The same with further remarks."""
        return replace(self, remarks=(*self.remarks, *remarks))


def dropped_rows(studies: Iterable[str], reason: str, details: Iterable[str]) -> pd.DataFrame:
    """Rows of the table of dropped studies, for one reason."""
    rows = [(study, reason, detail) for study, detail in zip(studies, details, strict=True)]
    return pd.DataFrame(rows, columns=DROPPED_COLUMNS, dtype=str)


def counted_reasons(dropped: pd.DataFrame) -> str:
    """How many were dropped for each reason, in words, the most frequent first."""
    counts = dropped["reason"].value_counts()
    return ", ".join(f"{count:,} x {reason}" for reason, count in counts.items())


def loading_records(data: Dataset) -> list[dict[str, Any]]:
    """Tidy records: each notice and its count, and the dropped studies by reason."""
    records = []
    for about, sentence, count in data.notices:
        records.append({"metric": NOTICE, "about": about, "value": sentence})
        records.append({"metric": "notice_count", "about": about, "value": count})
    return records + [
        {"metric": "dropped_studies", "reason": reason, "value": int(count)}
        for reason, count in data.dropped["reason"].value_counts().items()
    ]


def few(names: Sequence[str], most: int = 3) -> str:
    """The first names of many, each in quotes, and how many more there are."""
    shown = ", ".join(repr(str(name)) for name in names[:most])
    return shown + (f" and {len(names) - most:,} more" if len(names) > most else "")
