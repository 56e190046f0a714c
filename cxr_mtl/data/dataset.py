"""One road to the study table, whichever data set it is made of."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pandas as pd

from cxr_mtl.base.choices import (
    DatasetName,
    Deidentification,
    Duplicates,
    LabelRule,
    Sections,
    ViewSource,
)
from cxr_mtl.base.errors import InputError, check_choice
from cxr_mtl.data.given_splits import check_given_split, read_split
from cxr_mtl.data.loaded import Dataset, Notice, counted_reasons, dropped_rows, few
from cxr_mtl.data.openi import IMAGES_FOLDER, REPORTS_FOLDER, read_reports
from cxr_mtl.data.pairs import read_pairs
from cxr_mtl.data.sources import source_of
from cxr_mtl.data.splits import normalise_text, split_studies, stands_elsewhere
from cxr_mtl.data.studies import select_studies
from cxr_mtl.data.views import read_views, unmatched_projections

Progress = Callable[[int], None]
Selection = Callable[[pd.DataFrame, pd.DataFrame, Path], Dataset]


def load_dataset(
    dataset: DatasetName,
    *,
    folder: Path | None = None,
    csv: Path | None = None,
    patient_column: str | None = None,
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
    - "pairs": the CSV `csv` of image, text, label; `patient_column` names its patients.

    Args:
        progress: called with the number of images checked since its last call.

    Raises:
        InputError: a parameter the data set needs is missing, a source cannot be read, or no study
            is left.
    """
    source, place = source_of(dataset), "drawn phantoms"
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
        loaded, place = read_pairs(csv, patient_column, progress), csv
    elif dataset == "openi":
        if folder is None or not (Path(folder) / IMAGES_FOLDER).is_dir():
            raise InputError(
                f"dataset 'openi' needs a folder with {IMAGES_FOLDER} in it, and openi_folder is "
                f"{folder}: fetch the archive or name its folder"
            )
        views = read_views(view_source, projections)
        loaded, place = _load_openi(Path(folder), views, select), folder
        if view_source == "projections":
            loaded = loaded.saying(*unmatched_projections(loaded.reports, views, projections))
    else:
        if draw is None:
            raise InputError("dataset 'phantom' needs `draw`, which draws its archive")
        archive = draw()
        views = read_views("projections", archive / "projections.csv")
        loaded = _load_openi(archive, views, select)
    if loaded.studies.empty:
        first = next(loaded.dropped.itertuples(), None)
        raise InputError(
            f"dataset '{dataset}' of {place} has no usable study "
            f"({counted_reasons(loaded.dropped) or 'no rows'}"
            + (f"; study {first.study}, for one: {first.detail}" if first else "")
            + f"): {source.remedy}"
        )
    return loaded.saying(*_equal_pictures(loaded.studies))


def assign_parts(
    data: Dataset,
    *,
    split_csv: Path | None = None,
    test_per_class: int = 200,
    validation_fraction: float = 0.1,
    seed: int,
    duplicates: Duplicates = "ignore",
) -> Dataset:
    """Give every study its part: by `split_csv`, else by a column `split`, else by a draw.

    Returns:
        The data set with `split` in its studies; those that the CSV does not name are dropped.

    Raises:
        InputError: of `read_split`, `check_given_split` or `split_studies`.
    """
    check_choice("duplicates", duplicates, Duplicates)
    own = "split" in data.studies
    if split_csv is None and not own:
        drawn = split_studies(
            data.studies,
            test_per_class=test_per_class,
            validation_fraction=validation_fraction,
            seed=seed,
            duplicates=duplicates,
        )
        remedy = "duplicates=together keeps what is equal in one part"
        return replace(data, studies=drawn).saying(*_parted_duplicates(drawn, remedy))
    wish, source = duplicates == "together", "the column split"
    if split_csv is None:
        check_given_split(data.studies, source)
        return data.saying(*_parted_duplicates(data.studies, f"correct {source}", wish))
    given = read_split(split_csv, data)
    if own:
        sentence = f"{source} is not used: {Path(split_csv).name} gives the split"
        given = given.saying(Notice("column split", sentence, 1))
    remedy = f"correct the split in {Path(split_csv).name}"
    return given.saying(*_parted_duplicates(given.studies, remedy, wish))


def _load_openi(folder: Path, views: pd.DataFrame, select: Selection) -> Dataset:
    reports, unreadable = read_reports(folder if (folder / REPORTS_FOLDER).is_dir() else None)
    loaded = select(reports, views, folder / IMAGES_FOLDER)
    files = dropped_rows(
        unreadable["file"].map(lambda file: Path(file).stem),
        "report unreadable",
        unreadable["reason"],
    )
    return replace(loaded, dropped=pd.concat([loaded.dropped, files], ignore_index=True))


def _equal_pictures(studies: pd.DataFrame) -> list[Notice]:
    twins = studies[studies["pixels_sha256"].duplicated(keep=False)]
    if twins.empty:
        return []
    pair = twins[twins["pixels_sha256"] == twins["pixels_sha256"].iloc[0]]["study"]
    labels = twins.groupby("pixels_sha256")["label"].transform("nunique")
    contrary = f", {(labels > 1).sum():,} of them with the other label" if labels.max() > 1 else ""
    sentence = (
        f"studies with the picture of another: {len(twins):,} ({few(list(pair), 2)}, for one)"
        f"{contrary}"
    )
    return [Notice("equal pictures", sentence, len(twins))]


def _parted_duplicates(
    studies: pd.DataFrame, remedy: str, denied_wish: bool = False
) -> list[Notice]:
    """Tell of equal pictures in several parts and, to who wished none parted, of equal reports."""
    split = studies["split"]
    pictures = stands_elsewhere(studies["pixels_sha256"], split)
    reports = stands_elsewhere(studies["text"].map(normalise_text), split)
    told = pictures | reports if denied_wish else pictures
    if not told.any():
        return []
    part = "test" if told[split == "test"].any() else "validation"
    of_part = split == part
    wish = "duplicates=together is not used, for the split is given; " * denied_wish
    sentence = (
        f"{wish}of {of_part.sum():,} {part} studies {(pictures & of_part).sum():,} have a picture "
        f"and {(reports & of_part).sum():,} a report that stands in another part too: {remedy}"
    )
    count = int(((pictures | reports) & of_part).sum())
    return [Notice("equal in several parts", sentence, count)]
