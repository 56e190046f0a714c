"""From reports, views and images to the study table: named choices, every drop with its reason."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from cxr_mtl.base.choices import Deidentification, LabelRule, Sections
from cxr_mtl.base.csv_files import listed, shortened
from cxr_mtl.base.errors import check_choice
from cxr_mtl.data.images import check_images
from cxr_mtl.data.loaded import DROPPED_COLUMNS, Dataset, Notice, few
from cxr_mtl.data.openi import DEIDENTIFIED, NORMAL, NOT_INDEXED, SECTIONS

MASK = "[MASK]"
REPORT_FIELDS = ["pmcid", *SECTIONS, "mesh_major", "mesh_automatic"]
NO_WORDS = frozenset(["", "na", "nan", "nat", "nil", "none", "null"])
# What spreadsheets write for a value they could not compute, in any language, and for a line's end.
_ERROR_CELL = re.compile(r"#[¡¿]?[^\W\da-z]+(/0)?[!?]|#N/?[ADV]|#GETTING_DATA|Err:5\d\d")
_CONTROL_CODE = re.compile(r"_x00[01][0-9A-F]_", re.IGNORECASE)
COLUMNS = ["study", "image", "text", "label", *REPORT_FIELDS, "image_id"]


def select_studies(
    reports: pd.DataFrame,
    views: pd.DataFrame,
    image_folder: Path,
    *,
    label_rule: LabelRule = "mesh-normal+no-indexing",
    sections: Sections = "findings+impression",
    deidentification: Deidentification = "keep",
    progress: Callable[[int], None] | None = None,
) -> Dataset:
    """Make one row per usable study, and keep the reason of every other.

    Of several frontal images the first by image id is taken; if that one is missing or unreadable
    the study is dropped, never shown by another picture. Every image is decoded once.

    Args:
        image_folder: holds `<image id>.png`.
        progress: called with the number of images checked since its last call.

    Returns:
        The study table (`study`, `image`, `text`, `label`, `image_sha256`, the report's fields and
        `image_id`); and the dropped studies `study`, `reason`, `detail`, where the first reason
        of `no image`, `no frontal image`, `no text`, `not indexed`, `image missing` and
        `image unreadable` counts. A remark names images that the reports of two studies claim.

    Raises:
        InputError: a choice is unknown.
    """
    check_choice("label_rule", label_rule, LabelRule)
    check_choice("sections", sections, Sections)
    check_choice("deidentification", deidentification, Deidentification)
    frontal = set(views["image_id"][views["view"] == "frontal"])
    rows, dropped = [], []
    for report in reports.to_dict("records"):
        image_id = min(frontal.intersection(report["image_ids"]), default=None)
        text = report_text(report["findings"], report["impression"], sections, deidentification)
        label = label_of(report["mesh_major"], label_rule)
        reason = _reason(report, image_id, text, label)
        if reason:
            dropped.append((report["study"], *reason))
            continue
        image = str(Path(image_folder) / f"{image_id}.png")
        rows.append(report | {"image": image, "text": text, "label": label, "image_id": image_id})
    studies = pd.DataFrame(rows, columns=COLUMNS).astype({"label": "int64"})
    studies, bad_images, files = check_images(studies, progress)
    unusable = pd.DataFrame(dropped, columns=DROPPED_COLUMNS)
    return Dataset(
        studies,
        pd.concat([unusable, bad_images], ignore_index=True),
        reports,
        _images_claimed_twice(reports),
        files,
    )


def _reason(
    report: Mapping[str, Any], frontal: str | None, text: str, label: int | None
) -> tuple[str, str] | None:
    if not report["image_ids"]:
        return "no image", "the report references none"
    if frontal is None:
        images = ", ".join(report["image_ids"])
        return "no frontal image", f"none of {images} is known to be frontal"
    if not text:
        written = f"{report['findings']} {report['impression']}".strip()
        said = f"only {shortened(written)}, which says nothing"
        return "no text", said if written else "neither findings nor impression"
    if label is None:
        return "not indexed", "no MeSH heading says normal or abnormal"
    return None


def _images_claimed_twice(reports: pd.DataFrame) -> tuple[Notice, ...]:
    claims = reports[["study", "image_ids"]].explode("image_ids").dropna().drop_duplicates()
    claimed = claims[claims["image_ids"].duplicated(keep=False)]
    if claimed.empty:
        return ()
    images = list(claimed["image_ids"].unique())
    studies = claimed["study"][claimed["image_ids"] == images[0]]
    sentence = (
        f"images that the reports of several studies name: {len(images):,} ({few(images)}; the "
        f"first by studies {listed(list(studies))})"
    )
    return (Notice("images of several studies", sentence, len(images)),)


def label_of(mesh_major: list[str], rule: LabelRule) -> int | None:
    """Label of a study by its major MeSH headings: 0 normal, 1 abnormal, None to drop it.

    `No Indexing` counts as abnormal under "mesh-normal", as normal under
    "mesh-normal+no-indexing" (which gives the paper's 38 % normal) and as neither under
    "drop-no-indexing". A study without any heading is dropped under every rule.
    """
    if not mesh_major:
        return None
    if NOT_INDEXED in mesh_major:
        return {"mesh-normal": 1, "mesh-normal+no-indexing": 0, "drop-no-indexing": None}[rule]
    return 0 if NORMAL in mesh_major else 1


def report_text(
    findings: str, impression: str, sections: Sections, deidentification: Deidentification
) -> str:
    """Text of a report: the sections named, or the other one where the one named is missing.

    `XXXX`, which stands where the collection removed a word, is kept, replaced by "[MASK]", or
    removed. A report that `says_nothing` has no text.
    """
    if sections == "findings+impression":
        text = f"{findings} {impression}".strip()
    else:
        text = (findings or impression) if sections == "findings" else (impression or findings)
    if says_nothing(text):
        return ""
    replacement = {"keep": DEIDENTIFIED, "mask": MASK, "remove": ""}[deidentification]
    return " ".join(text.replace(DEIDENTIFIED, replacement).split())


def says_nothing(text: str) -> bool:
    """Whether a text holds no word but such as stand for a missing value or a removed word.

    These are `nan`, `none`, `null`, `na`, `n/a`, `nil`, `<NA>` and the like, in any case, `XXXX`,
    and a spreadsheet's errors, `#NAME?` say; signs, blanks, characters of no width and control
    codes that a workbook escapes (`_x000D_`) are no words.
    """
    return all(map(_is_no_word, _CONTROL_CODE.sub(" ", text).split()))


def _is_no_word(word: str) -> bool:
    letters = "".join(filter(str.isalnum, word)).casefold()
    absent = letters in NO_WORDS or re.fullmatch("x{4,}", letters)
    return bool(absent or _ERROR_CELL.fullmatch(word))
