"""Your own data: any CSV of image, text and, where there is one, label."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd

from cxr_mtl.base.errors import InputError
from cxr_mtl.base.files import read_csv
from cxr_mtl.data.images import check_images

UNLABELLED = -1


def read_pairs(
    csv: Path, progress: Callable[[int], None] | None = None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Read a CSV of pairs `image,text[,label][,study]` into a study table.

    Image paths are relative to the CSV's folder, or absolute. `label` is 0 (normal) or 1
    (abnormal); without the column every label is -1, and only the CLIP loss and the measures that
    need no label can be used. `study` is the id; without the column it is the image's file name
    without its suffix. Every image is decoded once.

    Args:
        progress: called with the number of images checked since its last call.

    Returns:
        `study`, `image`, `text`, `label`, `image_sha256`; and the dropped rows `study`, `reason`
        (`no text`, `image missing`, `image unreadable`), `detail`.

    Raises:
        InputError: not a UTF-8 CSV with these columns and at least one row, a label that is
            neither 0 nor 1, an empty path or id, or two rows of one id.
    """
    csv = Path(csv)
    table = read_csv(csv, ["image", "text"])
    studies = pd.DataFrame(
        {
            "study": table["study"] if "study" in table else table["image"].map(_stem),
            "image": [str(csv.parent / image) for image in table["image"]],
            "text": table["text"].map(lambda text: " ".join(text.split())),
            "label": _labels(csv, table),
        }
    )
    _refuse_bad_ids(csv, table["image"], studies["study"])
    blank = studies["text"] == ""
    no_text = pd.DataFrame({"study": studies["study"][blank], "reason": "no text"})
    no_text["detail"] = [f"{csv}, line {line}, has an empty text" for line in no_text.index]
    kept, bad_images = check_images(studies[~blank], progress)
    return kept, pd.concat([no_text, bad_images], ignore_index=True)


def _stem(image: str) -> str:
    return Path(image).stem


def _labels(csv: Path, table: pd.DataFrame) -> pd.Series:
    if "label" not in table:
        return pd.Series(UNLABELLED, index=table.index, dtype="int64")
    for line, label in table["label"].items():
        if label not in ("0", "1"):
            raise InputError(
                f"{csv}, line {line}, has the label '{label}': write 0 (normal) or 1 (abnormal), "
                "or leave the whole column out"
            )
    return table["label"].astype("int64")


def _refuse_bad_ids(csv: Path, images: pd.Series, studies: pd.Series) -> None:
    empty = (images == "") | (studies == "")
    if empty.any():
        raise InputError(f"{csv}, line {empty.idxmax()}, names no image or study: fill it in")
    repeated = studies.duplicated()
    if repeated.any():
        line = repeated.idxmax()
        raise InputError(
            f"{csv}, line {line}, repeats the study id '{studies[line]}': give each row its own "
            "id in a column study"
        )
