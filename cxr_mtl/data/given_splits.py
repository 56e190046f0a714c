"""A split that is given: read from a CSV, matched with the studies, and checked."""

import re
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

import pandas as pd

from cxr_mtl.base.csv_files import read_csv, shortened
from cxr_mtl.base.errors import InputError
from cxr_mtl.base.ids import lost_digits, read_id, written_otherwise
from cxr_mtl.data.loaded import Dataset, Notice, counted_reasons, dropped_rows, few
from cxr_mtl.data.splits import PARTS, check_classes

NOT_IN_SPLIT = "not in split"


def part_named(name: str, source: str) -> str:
    """The part that a word of a split means, whatever its case; `val` and `valid` are validation.

    Raises:
        InputError: it means none.
    """
    word = name.strip()
    if word.lower() not in PARTS:
        raise InputError(
            f"{source}, names the part {shortened(word)}: write one of {', '.join(PARTS)}"
        )
    return PARTS[word.lower()]


def read_split(path: Path | str, data: Dataset) -> Dataset:
    """Read a `study,split` CSV, ours or a published one, and give its parts to the studies.

    An id is a study's own, as `read_id` reads both, or Open-I's longer form `CXR<study>_…` as in
    the R2Gen split. Ids that are written otherwise, with a file ending say, match no study; what
    is told of them says so.

    Returns:
        The data set with the column `split`. Studies that the split does not name are dropped, and
        remarks tell how many of its ids name no study, or one that had been dropped before.

    Raises:
        InputError: the file is no such CSV, a part's name is unknown, a study is in two parts, no
            id is a study's, or a part has an empty class.
    """
    path, studies, dropped = Path(path), data.studies, data.dropped
    known = {*studies["study"], *dropped["study"]}
    part = _part_by_study(path, known)
    named = studies["study"].isin(part.keys())
    gone = dropped[dropped["study"].isin(part.keys())]
    unknown = [name for name in part if name not in known]
    if not named.any():
        raise InputError(_no_id_matches(path, studies["study"], gone, unknown))
    left_out = studies["study"][~named]
    details = [f"{path} does not name it"] * len(left_out)
    kept = studies[named].reset_index(drop=True)
    kept = kept.assign(split=kept["study"].map(part))
    note = f"; of its ids {len(unknown):,} name no study" if unknown else ""
    check_given_split(kept, str(path), note)
    return replace(
        data,
        studies=kept,
        dropped=pd.concat(
            [dropped, dropped_rows(left_out, NOT_IN_SPLIT, details)], ignore_index=True
        ),
    ).saying(*_about_ids(path.name, unknown, left_out, gone))


def check_given_split(studies: pd.DataFrame, source: str, note: str = "") -> None:
    """Refuse a split of which a part lacks a class, or that has a patient in two parts.

    Raises:
        InputError: naming the part and class, or the patient and the parts.
    """
    check_classes(studies, source, f"let it name one of each class for each part{note}")
    if "patient" not in studies:
        return
    parts = studies.groupby("patient", sort=False)["split"].unique()
    for patient, of_patient in parts.items():
        if len(of_patient) > 1:
            raise InputError(
                f"{source} puts studies of patient {shortened(patient)} into the parts "
                f"{of_patient[0]} and {of_patient[1]}: keep each patient in one part"
            )


def _part_by_study(path: Path, known: Collection[str]) -> dict[str, str]:
    rows = read_csv(path, ["study", "split"])
    part: dict[str, str] = {}
    for line, name, split in rows[["study", "split"]].itertuples(name=None):
        found = part_named(split, f"{path}, line {line}")
        study = _own_id(read_id(name), known)
        if part.setdefault(study, found) != found:
            remedy = lost_digits(study) or "keep only one"
            raise InputError(
                f"{path}, line {line}, puts study {shortened(study)} in two parts: {remedy}"
            )
    return part


def _own_id(name: str, known: Collection[str]) -> str:
    openi = re.match(r"CXR(\d+)_", name)
    return openi[1] if openi and name not in known else name


def _no_id_matches(path: Path, studies: pd.Series, gone: pd.DataFrame, unknown: list[str]) -> str:
    if len(gone):
        return (
            f"{path} names none of the {len(studies):,} usable studies, but {len(gone):,} that "
            f"were dropped before ({counted_reasons(gone)}): mend these, or give another split"
        )
    hint = written_otherwise(unknown, studies)
    return f"{path} names none of the {len(studies):,} studies by its {len(unknown):,} ids; " + (
        hint
        or f"they are like {shortened(unknown[0])}, those of the studies like "
        f"{shortened(studies.iloc[0])}; write the studies' ids"
    )


def _about_ids(
    name: str, unknown: list[str], left_out: pd.Series, gone: pd.DataFrame
) -> list[Notice]:
    remarks = []
    if unknown:
        sentence = f"ids of {name} that name no study: {len(unknown):,} ({few(unknown)})"
        hint = written_otherwise(unknown, left_out)
        sentence += f"; {hint}" if hint else ""
        remarks.append(Notice("split ids of no study", sentence, len(unknown)))
    if len(gone):
        sentence = (
            f"studies that {name} names but that were dropped before: {len(gone):,} "
            f"({counted_reasons(gone)})"
        )
        remarks.append(Notice("split ids of dropped studies", sentence, len(gone)))
    return remarks
