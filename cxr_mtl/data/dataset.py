"""One road to the study table, whichever data set it is made of."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import pandas as pd

from cxr_mtl.base.errors import InputError, check_choice
from cxr_mtl.base.files import content_key, sha256_of_file
from cxr_mtl.base.fingerprints import library_sources
from cxr_mtl.data.openi import IMAGES_FOLDER, REPORTS_FOLDER, installed_file, read_reports
from cxr_mtl.data.pairs import read_pairs
from cxr_mtl.data.studies import Deidentification, LabelRule, Sections, select_studies
from cxr_mtl.data.views import ViewSource, read_views
from cxr_mtl.phantoms import archive as phantom

DatasetName = Literal["phantom", "openi", "pairs"]
Progress = Callable[[int], None]
Selection = Callable[[pd.DataFrame, pd.DataFrame, Path], tuple[pd.DataFrame, pd.DataFrame]]


@dataclass(frozen=True)
class Dataset:
    """The studies to use, the dropped ones (`study`, `reason`, `detail`), and all reports.

    `reports` is None for pairs, which have none beside their text.
    """

    studies: pd.DataFrame
    dropped: pd.DataFrame
    reports: pd.DataFrame | None


def load_dataset(
    dataset: DatasetName,
    *,
    folder: Path | None = None,
    csv: Path | None = None,
    projections: Path | None = None,
    label_rule: LabelRule = "mesh-normal+no-indexing",
    sections: Sections = "findings+impression",
    deidentification: Deidentification = "keep",
    view_source: ViewSource = "dicom+tsne",
    cache: Path,
    phantom_size: int = 256,
    seed: int,
    progress: Progress | None = None,
) -> Dataset:
    """Load a data set as a study table; each name reads only its own parameters.

    - "phantom": the installed reports with one rendered phantom per study that references an
      image, drawn once into `cache` (`phantom_size` pixels a side, `seed`); views are those of the
      drawn archive.
    - "openi": the images of `folder`/NLMCXR_png, with the reports of `folder`/ecgen-radiology if
      that is there, else the installed ones, which are the same; views by `view_source`, with the
      CSV `projections` if that says so.
    - "pairs": the CSV `csv` of image, text, label.

    Args:
        progress: called with the number of images drawn or checked since its last call.

    Raises:
        InputError: a parameter the data set needs is missing, a source cannot be read, or no study
            is left.
    """
    check_choice("dataset", dataset, DatasetName)
    select = partial(
        select_studies,
        label_rule=label_rule,
        sections=sections,
        deidentification=deidentification,
        progress=progress,
    )
    if dataset == "pairs":
        if csv is None:
            raise InputError(
                "dataset 'pairs' needs the parameter pairs_csv: the path of a CSV of pairs"
            )
        loaded = Dataset(*read_pairs(csv, progress), reports=None)
    elif dataset == "openi":
        if folder is None or not (Path(folder) / IMAGES_FOLDER).is_dir():
            raise InputError(
                f"dataset 'openi' needs a folder with {IMAGES_FOLDER} in it, and openi_folder is "
                f"{folder}: fetch the archive or name its folder"
            )
        loaded = _load_openi(Path(folder), read_views(view_source, projections), select)
    else:
        archive = draw_phantoms(cache, phantom_size, seed, progress)
        views = read_views("projections", archive / "projections.csv")
        loaded = _load_openi(archive, views, select)
    if loaded.studies.empty:
        reasons = loaded.dropped["reason"].value_counts()
        listed = ", ".join(f"{count} x {reason}" for reason, count in reasons.items())
        source = {"pairs": csv, "openi": folder}.get(dataset, "drawn phantoms")
        first = "".join(f", study {study} for one" for study in loaded.dropped["study"].head(1))
        raise InputError(
            f"dataset '{dataset}' of {source} has no usable study "
            f"({listed or 'no rows'}{first}): check its images, and of Open-I the view source"
        )
    return loaded


def draw_phantoms(cache: Path, size: int, seed: int, progress: Progress | None = None) -> Path:
    """Draw the phantom archive of the installed reports, once per content; its folder.

    The image drawn for a study is the one known to be frontal, else its first.
    """
    reports, _ = read_reports()
    views = read_views("dicom+tsne")
    frontal = set(views["image_id"][views["view"] == "frontal"])
    studies = reports[reports["image_ids"].str.len() > 0].reset_index(drop=True)
    image_ids = [
        min(frontal.intersection(image_ids) or image_ids) for image_ids in studies["image_ids"]
    ]
    studies = studies[["study", "mesh_major"]].assign(image_id=image_ids)
    folder = Path(cache) / f"phantom-{_phantom_key(studies, size, seed)}"
    if not folder.exists():
        phantom.draw_archive(studies, folder, size=size, seed=seed, progress=progress)
    return folder


def _phantom_key(studies: pd.DataFrame, size: int, seed: int) -> str:
    outlines = sha256_of_file(installed_file("semantic_masks_v7labs_lungs.zip"))
    drawing = library_sources(["from cxr_mtl import phantom"])
    return content_key(studies.to_dict("list"), size, seed, drawing, outlines)


def _load_openi(folder: Path, views: pd.DataFrame, select: Selection) -> Dataset:
    reports, unreadable = read_reports(folder if (folder / REPORTS_FOLDER).is_dir() else None)
    studies, dropped = select(reports, views, folder / IMAGES_FOLDER)
    files = pd.DataFrame(
        {
            "study": unreadable["file"].map(lambda file: Path(file).stem),
            "reason": "report unreadable",
            "detail": unreadable["reason"],
        }
    )
    return Dataset(studies, pd.concat([dropped, files], ignore_index=True), reports)
