"""The phantoms of many studies, laid out like the Open-I archive."""

import csv
import hashlib
import multiprocessing
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pandas as pd
from PIL import Image

from cxr_mtl.base.errors import InputError
from cxr_mtl.base.files import content_key, sha256_of_file, write_beside
from cxr_mtl.base.fingerprints import library_sources
from cxr_mtl.base.processes import end_with_parent
from cxr_mtl.data.openi import installed_file, read_reports
from cxr_mtl.data.views import read_views
from cxr_mtl.phantoms.phantom import draw

NOTICE = """The pictures in this folder are phantoms: rendered by a program from the MeSH codes of
Open-I studies, over lung outlines of other people. They are not radiographs, show no patient and
serve no medical purpose. Folder layout and file names follow the Open-I archive.
"""


def draw_phantoms(
    cache: Path, size: int, seed: int, progress: Callable[[int], None] | None = None
) -> Path:
    """Draw the phantom archive of the installed reports, once per content; its folder.

    The folder lies in `cache` and carries a key of reports, size (pixels), seed and code. The image
    drawn for a study is the one known to be frontal, else its first.
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
        draw_archive(studies, folder, size=size, seed=seed, progress=progress)
    return folder


def _phantom_key(studies: pd.DataFrame, size: int, seed: int) -> str:
    outlines = sha256_of_file(installed_file("semantic_masks_v7labs_lungs.zip"))
    drawing = library_sources(["from cxr_mtl.phantoms.archive import draw_archive"])
    return content_key(studies.to_dict("list"), size, seed, drawing, outlines)


def study_seed(seed: int, study: str) -> int:
    """The seed of one study's phantom, whatever the others are."""
    digest = hashlib.sha256(f"{seed}/{study}".encode()).digest()
    return int.from_bytes(digest[:8], "big")


def draw_archive(
    studies: pd.DataFrame,
    folder: Path,
    size: int = 256,
    seed: int = 0,
    workers: int | None = None,
    progress: Callable[[int], None] | None = None,
) -> None:
    """Draw a phantom of each study into `folder`, laid out like the Open-I archive.

    `studies` has the columns `study`, `image_id` and `mesh_major`. Written are
    `NLMCXR_png/<image_id>.png`, `projections.csv` (every image frontal) and `PHANTOM.txt`; the
    folder appears whole or not at all. `progress` is called with 1 after each study.

    Raises:
        InputError: a column is missing, an image id twice, or an image id is no plain file name.
    """
    _check(studies)
    workers = workers or os.cpu_count() or 1
    names = studies["image_id"].tolist()
    with write_beside(folder) as beside:
        (beside / "NLMCXR_png").mkdir(parents=True)
        jobs = [
            (list(codes), study_seed(seed, study), size, beside / "NLMCXR_png" / f"{name}.png")
            for study, name, codes in zip(
                studies["study"], names, studies["mesh_major"], strict=True
            )
        ]
        if workers == 1:
            _count(map(_write, jobs), progress)
        else:
            context = multiprocessing.get_context("spawn")
            with ProcessPoolExecutor(
                workers, mp_context=context, initializer=end_with_parent
            ) as pool:
                _count(pool.map(_write, jobs, chunksize=16), progress)
        _write_projections(studies, beside / "projections.csv")
        (beside / "PHANTOM.txt").write_text(NOTICE, encoding="utf-8")


def _check(studies: pd.DataFrame) -> None:
    for column in ("study", "image_id", "mesh_major"):
        if column not in studies:
            raise InputError(
                f"the studies to draw have no column {column}: give study, image_id, mesh_major"
            )
    ids = studies["image_id"]
    if ids.duplicated().any():
        raise InputError(
            f"image id {ids[ids.duplicated()].iloc[0]} stands for two studies: "
            "keep one frontal image per study"
        )
    for name in ids:
        if not name or Path(name).name != name or name.startswith("."):
            raise InputError(f"image id {name!r} is not a plain file name: correct the report")


def _write(job: tuple[list[str], int, int, Path]) -> None:
    codes, seed, size, path = job
    Image.fromarray(draw(codes, seed, size)).save(path, compress_level=1)


def _count(done: Iterable[None], progress: Callable[[int], None] | None) -> None:
    for _ in done:
        if progress is not None:
            progress(1)


def _write_projections(studies: pd.DataFrame, path: Path) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["uid", "filename", "projection"])
        for study, name in zip(studies["study"], studies["image_id"], strict=True):
            # The ids of study 1 alone carry its number twice, its file names do not.
            stem = name.replace("CXR1_1_", "CXR1_", 1).removeprefix("CXR")
            table.writerow([study, f"{stem}.dcm.png", "Frontal"])
