"""From reports, views and images to the study table: named choices, every drop with its reason."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd

from cxr_mtl.base.choices import Deidentification, LabelRule, Sections
from cxr_mtl.base.errors import check_choice
from cxr_mtl.data.images import check_images
from cxr_mtl.data.openi import DEIDENTIFIED, NORMAL, NOT_INDEXED, SECTIONS

MASK = "[MASK]"
REPORT_FIELDS = ["pmcid", *SECTIONS, "mesh_major", "mesh_automatic"]
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
) -> tuple[pd.DataFrame, pd.DataFrame]:
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
        `image unreadable` counts.

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
        reason = _reason(report["image_ids"], image_id, text, label)
        if reason:
            dropped.append((report["study"], *reason))
            continue
        image = str(Path(image_folder) / f"{image_id}.png")
        rows.append(report | {"image": image, "text": text, "label": label, "image_id": image_id})
    studies = pd.DataFrame(rows, columns=COLUMNS).astype({"label": "int64"})
    studies, bad_images = check_images(studies, progress)
    unusable = pd.DataFrame(dropped, columns=["study", "reason", "detail"])
    return studies, pd.concat([unusable, bad_images], ignore_index=True)


def _reason(
    image_ids: list[str], frontal: str | None, text: str, label: int | None
) -> tuple[str, str] | None:
    if not image_ids:
        return "no image", "the report references none"
    if frontal is None:
        return "no frontal image", f"none of {', '.join(image_ids)} is known to be frontal"
    if not text:
        return "no text", "neither findings nor impression"
    if label is None:
        return "not indexed", "no MeSH heading says normal or abnormal"
    return None


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
    removed. A report of nothing but `XXXX` has no text.
    """
    if sections == "findings+impression":
        text = f"{findings} {impression}".strip()
    else:
        text = (findings or impression) if sections == "findings" else (impression or findings)
    if not text.replace(DEIDENTIFIED, "").strip(" .,"):
        return ""
    replacement = {"keep": DEIDENTIFIED, "mask": MASK, "remove": ""}[deidentification]
    return " ".join(text.replace(DEIDENTIFIED, replacement).split())
