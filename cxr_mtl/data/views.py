"""Which view each Open-I image shows: no report says it, and the sources disagree."""

from pathlib import Path

import pandas as pd

from cxr_mtl.base.choices import ViewSource
from cxr_mtl.base.csv_files import read_csv, shortened
from cxr_mtl.base.errors import InputError, check_choice
from cxr_mtl.data.loaded import Notice, few
from cxr_mtl.data.openi import installed_file

# A PA and an AP radiograph are both frontal; the source's own word stays in the column `tag`.
VIEW_OF_TAG = {
    "PA": "frontal",
    "AP": "frontal",
    "Frontal": "frontal",
    "L": "lateral",
    "LL": "lateral",
    "RL": "lateral",
    "LATERAL": "lateral",
    "LARGE LATERAL": "lateral",
    "Lateral": "lateral",
}


def read_views(source: ViewSource, projections: Path | None = None) -> pd.DataFrame:
    """Read which view each image shows, from a named source.

    - "dicom": the DICOM tag View Position, blank for 2,586 of 7,469 images. It says PA for many
      laterals, so some studies get a lateral as their frontal image.
    - "tsne": labels found by clustering with t-SNE, for the first image of each study only.
    - "dicom+tsne": the t-SNE label where there is one, else the DICOM tag.
    - "projections": a CSV `uid,filename,projection` of the user's, "Frontal" or "Lateral".

    Returns:
        `image_id`, `view` ("frontal" or "lateral"; PA and AP are frontal), `tag` (the source's own
        word), one row per image whose view is known.

    Raises:
        InputError: an unknown source, "projections" without a CSV, or a CSV of another form.
    """
    check_choice("view_source", source, ViewSource)
    if source == "projections":
        if projections is None:
            raise InputError(
                "view_source 'projections' needs the parameter projections_csv: "
                "the path of a CSV with the columns uid, filename, projection"
            )
        return _projections(projections)
    tags = {}
    if source in ("dicom", "dicom+tsne"):
        tags |= _installed_tags("nlmcxr_dicom_metadata.csv.gz", "View Position")
    if source in ("tsne", "dicom+tsne"):
        tags |= _installed_tags("nlmcxr_tsne_pa.csv.gz", "tsne-view")
    return _views(pd.Series(tags.keys(), dtype=str), pd.Series(tags.values(), dtype=str))


def _installed_tags(name: str, column: str) -> dict[str, str]:
    table = pd.read_csv(installed_file(name), usecols=["imageid", column], dtype=str).dropna()
    return dict(zip(_as_in_report(table["imageid"]), table[column], strict=True))


def _projections(path: Path) -> pd.DataFrame:
    table = read_csv(path, ["uid", "filename", "projection"])
    for line, projection in table["projection"].items():
        if projection not in ("Frontal", "Lateral"):
            raise InputError(
                f"{path}, line {line}, has the projection {shortened(projection)}: write "
                "Frontal or Lateral"
            )
    image_ids = _as_in_report("CXR" + table["filename"].str.removesuffix(".dcm.png"))
    if image_ids.duplicated().any():
        line = image_ids.index[image_ids.duplicated()][0]
        raise InputError(f"{path}, line {line}, repeats a filename: keep one line per image")
    return _views(image_ids, table["projection"])


def _as_in_report(image_ids: pd.Series) -> pd.Series:
    """Study 1 alone has ids with its number twice in the reports, and nowhere else."""
    return image_ids.str.replace(r"^CXR1_IM-", "CXR1_1_IM-", regex=True)


def _views(image_ids: pd.Series, tags: pd.Series) -> pd.DataFrame:
    views = pd.DataFrame({"image_id": image_ids, "view": tags.map(VIEW_OF_TAG), "tag": tags})
    return views.dropna().reset_index(drop=True)


def unmatched_projections(reports: pd.DataFrame, views: pd.DataFrame, path: Path) -> list[Notice]:
    """Remarks on images that a CSV of projections has and no report, and the reverse."""
    in_reports = reports["image_ids"].explode().dropna().unique()
    unknown = views["image_id"][~views["image_id"].isin(in_reports)].tolist()
    missing = sorted(set(in_reports) - set(views["image_id"]))
    remarks = []
    for about, images, words in (
        ("projections of no report", unknown, "images of {} that stand in no report"),
        ("images without projection", missing, "images of reports without projection in {}"),
    ):
        if images:
            sentence = f"{words.format(Path(path).name)}: {len(images):,} ({few(images)})"
            remarks.append(Notice(about, sentence, len(images)))
    return remarks


def view_counts(reports: pd.DataFrame, views: pd.DataFrame) -> dict[str, int]:
    """Count the images a source calls frontal, lateral or nothing, and the studies these give.

    `pa_studies` have an image the source itself calls PA, `frontal_studies` one that is frontal.
    """
    images = reports.explode("image_ids").dropna(subset="image_ids")
    known = views.set_index("image_id")
    view = images["image_ids"].map(known["view"])
    frontal = reports["study"].isin(images["study"][view == "frontal"])
    pa = images["study"][images["image_ids"].map(known["tag"]) == "PA"]
    findings, impression = reports["findings"] != "", reports["impression"] != ""
    counts = {
        "frontal_images": (view == "frontal").sum(),
        "lateral_images": (view == "lateral").sum(),
        "unknown_images": view.isna().sum(),
        "pa_studies": pa.nunique(),
        "frontal_studies": frontal.sum(),
        "frontal_studies_with_text": (frontal & (findings | impression)).sum(),
        "frontal_studies_with_both_sections": (frontal & findings & impression).sum(),
    }
    return {name: int(count) for name, count in counts.items()}
