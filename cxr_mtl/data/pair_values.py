"""The values of a pairs CSV: each is read, or refused by its line and the cause."""

import os
import re
from pathlib import Path

import pandas as pd

from cxr_mtl.base.csv_files import shortened
from cxr_mtl.base.errors import InputError
from cxr_mtl.base.ids import lost_digits
from cxr_mtl.data.given_splits import part_named
from cxr_mtl.data.studies import says_nothing

# As pandas writes a column of whole numbers of which one was missing.
LABELS = {"0": 0, "1": 1, "0.0": 0, "1.0": 1}
# What people write for a patient whom they do not know, without blanks and signs.
_NOBODY = re.compile(
    r"(patient)?(unknown|unk|not(known|available|recorded|given|specified)|no(name|id|patient)|"
    r"missing|un(defined|specified)|anon(ym(ous|i[sz]ed)?)?|unbekannt|inconnue?|desconocid[oa]|"
    r"desconhecid[oa]|sconosciut[oa]|onbekend|okänd|неизвестно|不明|未知)(patient)?"
)
_IMAGE_FILE = re.compile(
    r"\S*\.(png|jpe?g|jp2|j2k|tiff?|bmp|gif|webp|p[bgnp]m|dcm|dicom)", re.IGNORECASE
)


def refuse_swallowed_rows(csv: Path, table: pd.DataFrame) -> None:
    """Refuse a value of several lines of which one reads like a row, as after a stray quote.

    Two stray quotes may make a row, or several, a part of one value. Such a line has as many fields
    as the header, and in the place of the image one that names a file. A report may have such a
    line too, of films that it lists: it is taken for text where it names a file without folder that
    is not there, while every picture of the table lies in one.

    Raises:
        InputError: naming the line on which the row begins.
    """
    names = list(table)
    in_folders = table["image"].str.contains("/").all()
    for name in names:
        several = table[name].str.contains(r"[\r\n]")
        for line, value in table[name][several].items():
            row, place = list(table.loc[line]), names.index(name)
            inside = re.split(r"[\r\n]+", value)
            for part in inside:
                before = row[:place] if part is inside[0] else []
                behind = row[place + 1 :] if part is inside[-1] else []
                fields = [*before, *part.split(","), *behind]
                own = range(len(before), len(fields) - len(behind))
                image = names.index("image")
                if len(fields) != len(names) or image not in own:
                    continue
                if _is_picture(csv, fields[image].strip(' "'), in_folders):
                    raise InputError(
                        f"{csv}, line {line}, holds another row in its {name}, that of "
                        f"{shortened(fields[image])}: a double quote before it is never closed, "
                        "or stands there by mistake; if this line is a part of the "
                        f"{name}, write that on one line"
                    )


def _is_picture(csv: Path, name: str, in_folders: bool) -> bool:
    """Whether a table names this picture, the pictures of which lie `in_folders`, or do not."""
    if name and os.path.isfile(os.path.join(csv.parent, name)):
        return True
    return bool(_IMAGE_FILE.fullmatch(name)) and ("/" in name or not in_folders)


def check_image_paths(csv: Path, images: pd.Series) -> None:
    """Refuse what cannot be the path of one image, unless a file is so named.

    Raises:
        InputError: the value is empty, or an address, a list, several paths, a path of Windows or
            one in a folder that ~ begins.
    """
    for line, image in images.items():
        if image and os.path.exists(os.path.join(csv.parent, image)):
            continue
        problem = _problem_of_image(image)
        if problem:
            raise InputError(f"{csv}, line {line}, {problem}")


def _problem_of_image(image: str) -> str | None:
    shown = shortened(image)
    if says_nothing(image):
        return f"names no image ({shown}): fill it in or delete the line"
    if re.match(r"[a-z][a-z0-9+.-]+://|data:[\w/+.-]*[;,]", image, re.IGNORECASE):
        return f"names the image by an address ({shown}): download it and give its path"
    listed = re.fullmatch(r"[\[({]\s*(.*?)\s*[\])}]", image)
    inside = listed[1] if listed else image
    files = [part.strip(" '\"") for part in re.split(r"[;|,\s]+", inside)]
    several = (listed or len(files) > 1) and all(map(_IMAGE_FILE.fullmatch, files))
    if several or (listed and inside.startswith(("'", '"'))):
        return f"names several images, or a list, in one field ({shown}): give each image a row"
    if re.match(r"[a-z]:[\\/]", image, re.IGNORECASE):
        return (
            f"names the image by a path of Windows ({shown}): write it relative to the CSV's "
            "folder, with forward slashes"
        )
    if "\\" in image:
        return f"names the image with backslashes ({shown}): write forward slashes"
    if re.match("~[^/]*/", image):
        return f"names the image by {shown}: write out the folder that ~ stands for"
    return None


def labels_of(csv: Path, labels: pd.Series) -> pd.Series:
    """0 (normal) or 1 (abnormal), int64; `0.0` and `1.0` are read so, too.

    Raises:
        InputError: a label is another.
    """
    for line, label in labels.items():
        if label not in LABELS:
            raise InputError(
                f"{csv}, line {line}, has the label {shortened(label)}: write 0 (normal) or 1 "
                "(abnormal), or leave the whole column out"
            )
    return labels.map(LABELS).astype("int64")


def parts_of(csv: Path, parts: pd.Series) -> pd.Series:
    """The part of each row by the names that a split CSV may use.

    Raises:
        InputError: a part is unknown or missing.
    """
    return pd.Series(
        [part_named(part, f"{csv}, line {line}") for line, part in parts.items()],
        index=parts.index,
    )


def check_patients(csv: Path, patients: pd.Series) -> None:
    """Refuse rows whose patient is nobody: all of them would be taken for one.

    Raises:
        InputError: a value is empty, stands for a missing one, or is a number that was rounded.
    """
    for line, patient in patients.items():
        letters = "".join(filter(str.isalnum, patient)).casefold()
        if says_nothing(patient) or _NOBODY.fullmatch(letters):
            raise InputError(
                f"{csv}, line {line}, names no patient ({shortened(patient)}): fill it in, with an "
                "id of its own where the patient is unknown"
            )
        if lost_digits(patient):
            raise InputError(f"{csv}, line {line}, names no patient: {lost_digits(patient)}")
