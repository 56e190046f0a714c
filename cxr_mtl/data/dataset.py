"""One road to the study table, whichever data set it is made of."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pandas as pd

from cxr_mtl.base.choices import DatasetName, Deidentification, LabelRule, Sections, ViewSource
from cxr_mtl.base.errors import InputError, check_choice
from cxr_mtl.data.openi import IMAGES_FOLDER, REPORTS_FOLDER, read_reports
from cxr_mtl.data.pairs import read_pairs
from cxr_mtl.data.studies import select_studies
from cxr_mtl.data.views import read_views

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
    draw: Callable[[], Path] | None = None,
    progress: Progress | None = None,
) -> Dataset:
    """Load a data set as a study table; each name reads only its own parameters.

    - "phantom": the archive that `draw` draws and whose folder it gives, laid out like Open-I's,
      with the installed reports; views are those of its own `projections.csv`.
    - "openi": the images of `folder`/NLMCXR_png, with the reports of `folder`/ecgen-radiology if
      that is there, else the installed ones, which are the same; views by `view_source`, with the
      CSV `projections` if that says so.
    - "pairs": the CSV `csv` of image, text, label.

    Args:
        progress: called with the number of images checked since its last call.

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
        if draw is None:
            raise InputError("dataset 'phantom' needs `draw`, which draws its archive")
        archive = draw()
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
