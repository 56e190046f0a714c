"""Your own data: any CSV of image, text and, where it has them, label, study, split and patient."""

import difflib
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd

from cxr_mtl.base.csv_files import read_csv, shortened
from cxr_mtl.base.errors import InputError
from cxr_mtl.base.ids import id_of_file, lost_digits, read_id
from cxr_mtl.data.images import check_images
from cxr_mtl.data.loaded import Dataset, Notice, dropped_rows, few
from cxr_mtl.data.pair_values import (
    check_image_paths,
    check_patients,
    labels_of,
    parts_of,
    refuse_swallowed_rows,
)
from cxr_mtl.data.splits import normalise_text
from cxr_mtl.data.studies import says_nothing

UNLABELLED = -1
PATIENT = "patient"


def read_pairs(
    csv: Path,
    patient_column: str | None = None,
    progress: Callable[[int], None] | None = None,
) -> Dataset:
    """Read a CSV of pairs `image,text[,label][,study][,split][,patient]` into a study table.

    Image paths are relative to the CSV's folder, or absolute. `label` is 0 (normal) or 1
    (abnormal); without the column every label is -1, and no chapter behind the first can run.
    `study` is the id; without the column it is the image's file name without its ending. `split`
    names each row's part. Blanks around these values do not count; ids of studies and patients are
    those of `read_id`. Every image is decoded once.

    Args:
        patient_column: the column that names the patients; None takes `patient`, if it is there.
        progress: called with the number of images checked since its last call.

    Returns:
        Studies `study`, `image`, `text`, `label`, `image_sha256`, `pixels_sha256` and, where the
        CSV has them, `patient` and `split`; dropped rows with the reason `no text`, `image
        missing` or `image unreadable`; remarks on columns that are not used and on repeated rows.

    Raises:
        InputError: not a UTF-8 CSV with these columns and at least one row, a row that a stray
            quote made a part of another, a value that is no image, label, part or patient, two
            rows of one id, or one picture under two labels.
    """
    csv = Path(csv)
    patient = patient_column or PATIENT
    optional = ["label", "study", "split", patient]
    table = read_csv(csv, ["image", "text"], optional=optional, prose=["text"])
    if patient_column and patient_column not in table:
        raise InputError(
            f"patient_column '{patient_column}' is no column of {csv}: it has {few(list(table), 9)}"
        )
    refuse_swallowed_rows(csv, table)
    used = [name for name in ("image", *optional) if name in table]
    written = table["text"]
    studies = _studies(csv, table.assign(**{name: table[name].str.strip() for name in used}))
    if patient in table:
        studies[PATIENT] = table[patient].map(read_id)
        check_patients(csv, studies[PATIENT])

    silent = studies["text"].map(says_nothing)
    details = [f"{csv}, line {line}, {_silence(text)}" for line, text in written[silent].items()]
    no_text = dropped_rows(studies["study"][silent], "no text", details)
    lines = dict(zip(studies["study"], studies.index, strict=True))
    kept, bad_images, files = check_images(studies[~silent], progress)
    _refuse_two_labels_of_a_picture(csv, kept, lines)
    remarks = (*_unused_columns(csv, table, optional), *_repeated_rows(csv, kept, lines))
    dropped = pd.concat([no_text, bad_images], ignore_index=True)
    return Dataset(kept, dropped, None, remarks, files)


def _studies(csv: Path, table: pd.DataFrame) -> pd.DataFrame:
    """The study table by line, before the images are read."""
    check_image_paths(csv, table["image"])
    own = "study" in table
    ids = table["study"].map(read_id) if own else table["image"].map(id_of_file)
    _refuse_bad_ids(csv, table["image"], ids)
    studies = pd.DataFrame(
        {
            "study": ids,
            "image": [str(csv.parent / image) for image in table["image"]],
            "text": table["text"].map(lambda text: " ".join(text.split())),
            "label": labels_of(csv, table["label"]) if "label" in table else UNLABELLED,
        }
    )
    return studies.assign(split=parts_of(csv, table["split"])) if "split" in table else studies


def _silence(text: str) -> str:
    return f"has the text {shortened(text)}, which says nothing" if text else "has an empty text"


def _refuse_bad_ids(csv: Path, images: pd.Series, ids: pd.Series) -> None:
    if (ids == "").any():
        raise InputError(f"{csv}, line {(ids == '').idxmax()}, names no study: fill it in")
    if ids.is_unique:
        return
    line = ids.duplicated().idxmax()
    first = (ids == ids[line]).idxmax()
    same = " and the image" if images[line] == images[first] else ""
    raise InputError(
        f"{csv}, line {line}, repeats the study id {shortened(ids[line])}{same} of line {first}: "
        + ("delete one of them, or " if same else "")
        + (lost_digits(ids[line]) or "give each row its own id in a column study")
    )


def _refuse_two_labels_of_a_picture(
    csv: Path, studies: pd.DataFrame, lines: dict[str, int]
) -> None:
    for _, twins in studies.groupby("pixels_sha256", sort=False):
        if twins["label"].nunique() > 1:
            one = twins.iloc[0]
            other = twins[twins["label"] != one["label"]].iloc[0]
            raise InputError(
                f"{csv}, lines {lines[one['study']]} and {lines[other['study']]}, show the same "
                f"picture (studies {shortened(one['study'])} and {shortened(other['study'])}) "
                f"under the labels {one['label']} and {other['label']}: correct a label or delete "
                "a line"
            )


def _unused_columns(csv: Path, table: pd.DataFrame, optional: Sequence[str]) -> list[Notice]:
    known = ["image", "text", *optional]
    unused = [name for name in table if name not in known]
    if not unused:
        return []
    absent = [name for name in optional if name not in table]
    named = []
    for name in unused:
        near = difflib.get_close_matches(name.casefold(), absent, n=1)
        hint = f" (did you mean {near[0]}?)" if near else ""
        if near == [PATIENT]:
            given = shlex.quote(f"patient_column={name}")
            hint = f" (did you mean {PATIENT}? Name it by -p {given})"
        named.append(f"{shortened(name)}{hint}")
    sentence = f"columns of {csv.name} that are not used: {', '.join(named)}"
    return [Notice("columns not used", sentence, len(unused))]


def _repeated_rows(csv: Path, studies: pd.DataFrame, lines: dict[str, int]) -> list[Notice]:
    content = studies["pixels_sha256"] + studies["text"].map(normalise_text)
    repeated = content.duplicated()
    if not repeated.any():
        return []
    other = repeated.idxmax()
    one = (content == content[other]).idxmax()
    sentence = (
        f"rows of {csv.name} with both picture and text of another: {repeated.sum():,} (lines "
        f"{lines[studies['study'][one]]} and {lines[studies['study'][other]]}, for one); delete "
        "what is one study written twice"
    )
    return [Notice("repeated rows", sentence, int(repeated.sum()))]
