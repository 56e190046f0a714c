"""Ids of studies and patients: one reading for every table, and what people write around them."""

import re
import unicodedata
from collections import Counter
from collections.abc import Collection
from pathlib import PurePosixPath

from cxr_mtl.base.csv_files import shortened

# Unicode's Default_Ignorable_Code_Point: what no font shows.
_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e"
    "\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
_ROUNDED = re.compile(r"\d([.,]\d+)?E\+\d{2,}", re.IGNORECASE)


def read_id(written: str) -> str:
    r"""An id as it is compared: two that look the same are the same, whoever wrote them.

    Letters are composed (NFC), characters that cannot be seen are left out, every blank is a plain
    one, and none stands around. Case, zeros and signs stay.

    >>> read_id("\ufeffMu\u0308ller\u00a07\u200b ")
    'Müller 7'
    """
    composed = unicodedata.normalize("NFC", _INVISIBLE.sub("", written))
    return re.sub(r"\s", " ", composed).strip()


def id_of_file(path: str) -> str:
    """The id that a file's name gives: without folder and ending; a number is no ending.

    >>> id_of_file("films/0001.png"), id_of_file("archive/1.2.826.0.1.498.1000.1")
    ('0001', '1.2.826.0.1.498.1000.1')
    """
    file = PurePosixPath(path)
    return read_id(file.name if re.fullmatch(r"\.\d+", file.suffix) else file.stem)


def lost_digits(name: str) -> str:
    """The remedy for an id that a spreadsheet has rounded, `1.23457E+14` say; "" for any other."""
    if not _ROUNDED.fullmatch(name):
        return ""
    return (
        f"a spreadsheet has rounded {shortened(name)}, so format its column as text and export it "
        "again"
    )


def written_otherwise(unknown: Collection[str], studies: Collection[str]) -> str:
    """What to say of ids that match no study but would once bare, or unrounded; "" for others."""
    rounded = next(filter(lost_digits, unknown), None)
    if rounded is not None:
        return lost_digits(rounded)
    ids, names = _by_bare(studies), _by_bare(unknown)
    alike = {names[bare]: study for bare, study in ids.items() if bare in names}
    if not alike:
        return ""
    name, study = next(iter(alike.items()))
    return (
        f"ids of studies written otherwise: {len(alike):,}, as {shortened(name)} for "
        f"{shortened(study)}; write them as the studies' ids, without folder or file ending, and "
        "with the same zeros and case"
    )


def _bare(name: str) -> str:
    """An id without what people write around it: folder, file ending, leading zeros, case."""
    file = re.split(r"[/\\]", name)[-1]
    return re.sub(r"(\.[a-z]\w{0,4})+$", "", file.lower()).lstrip("0")


def _by_bare(names: Collection[str]) -> dict[str, str]:
    """Each name by its bare form, where that is no other's too."""
    times = Counter(map(_bare, names))
    return {_bare(name): name for name in names if times[_bare(name)] == 1}
