"""What the book's explorer shows: test studies, pictures, embeddings and maps, as files of a page.

A page opened from disk may load scripts but not fetch data, so the data are scripts, too.
"""

import base64
import gzip
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from cxr_mtl.base.errors import InputError
from cxr_mtl.base.files import write_beside
from cxr_mtl.data.images import read_image
from cxr_mtl.data.sources import source_of
from cxr_mtl.evidence.result_display import readable
from cxr_mtl.explorer.web_runtime import assignment
from cxr_mtl.retrieval.embeddings import Pair
from cxr_mtl.retrieval.index import Vectors, normalised

FORMAT = 1
THUMBNAIL, JPEG_QUALITY = 112, 80
DATA, SHEET, TOWER = "data.js", "thumbnails.jpg", "text_tower"
PART = 2_250_000  # bytes of the packed tower in one file: its loading can be followed


def study_entries(test: pd.DataFrame) -> list[dict[str, Any]]:
    """Number, label and verbatim report of each study of a table."""
    rows = zip(test["study"], test["label"], test["text"], strict=True)
    return [{"study": str(s), "label": int(label), "report": text} for s, label, text in rows]


def model_entry(
    name: str, embeddings: Pair, maps: pd.DataFrame, test: pd.DataFrame
) -> dict[str, Any]:
    """One model's L2-normalised embeddings, base64 of float32 [studies, dim], and its map.

    Args:
        embeddings: of images and of reports, [studies, dim], in the order of `test`.
        maps: table of `model`, `study`, `x`, `y`.

    Raises:
        InputError: embeddings or map are not of the studies of `test`.
    """
    images, texts = map(normalised, embeddings)
    places = maps[maps["model"] == name].astype({"study": str}).set_index("study")[["x", "y"]]
    studies = list(test["study"].astype(str))
    if not len(images) == len(texts) == len(studies) or sorted(places.index) != sorted(studies):
        raise InputError(
            f"{name} has embeddings of {len(images)} images and {len(texts)} reports and a map of "
            f"{len(places)} studies, not the same {len(studies)} test studies: run "
            "chapters 05 and 06 again"
        )
    return {
        "key": name,
        "name": readable(name),
        "size": images.shape[1],
        "image": base64_of(images),
        "text": base64_of(texts),
        "map": places.loc[studies].astype(float).round(3).to_numpy().tolist(),
    }


def base64_of(vectors: Vectors) -> str:
    """Base64 of the numbers of an array as little-endian float32, row by row."""
    return base64.b64encode(np.ascontiguousarray(vectors, dtype="<f4").tobytes()).decode()


def sheet_columns(count: int) -> int:
    """Columns of the sheet of `count` thumbnails, about as many as its rows."""
    return math.isqrt(count - 1) + 1


def thumbnail_sheet(paths: Sequence[str]) -> Image.Image:
    """All images in one grayscale picture, row by row, `sheet_columns` in a row.

    Each has its longer side scaled to `THUMBNAIL` pixels and stands in the middle of a black square
    of that side.

    Raises:
        InputError: an image cannot be read.
    """
    columns = sheet_columns(len(paths))
    rows = -(-len(paths) // columns)
    sheet = Image.new("L", (columns * THUMBNAIL, rows * THUMBNAIL))
    for position, path in enumerate(paths):
        image = read_image(path).convert("L")
        scale = THUMBNAIL / max(image.size)
        size = [max(1, round(side * scale)) for side in image.size]
        row, column = divmod(position, columns)
        corner = [
            place * THUMBNAIL + (THUMBNAIL - side) // 2
            for place, side in zip((column, row), size, strict=True)
        ]
        sheet.paste(image.resize(size, Image.Resampling.LANCZOS), corner)
    return sheet


def tower_parts(tower: bytes) -> dict[str, bytes]:
    """The gzipped tower in parts of `PART` bytes at most, by the names of their files, in order."""
    packed = gzip.compress(tower, mtime=0)
    parts = [packed[start : start + PART] for start in range(0, len(packed), PART)]
    return {f"{TOWER}_{number:02}.js": part for number, part in enumerate(parts, start=1)}


def write_bundle(
    folder: Path,
    *,
    run: str,
    dataset: str,
    test: pd.DataFrame,
    models: Sequence[Mapping[str, Any]],
    tower: bytes | None,
    text_tower: Mapping[str, Any] | None,
    examples: Sequence[Mapping[str, Any]],
) -> dict[str, int]:
    """Write the explorer's files into one folder, or nothing; returns their sizes in bytes.

    Args:
        test: the test studies (`study`, `image`, `label`, `text`), in the order of the embeddings.
        models: entries of `model_entry`.
        tower: the ONNX file of a text tower, if the page shall read typed reports.
        text_tower: with `tower`, the model's name and its `text_tower_onnx.tokenizer_card`.
        examples: entries of `text_tower_onnx.typed_examples`.

    Raises:
        InputError: the data set is unknown, an image cannot be read, or the disk is full.
    """
    source = source_of(dataset)
    parts = {} if tower is None else tower_parts(tower)
    data = {
        "version": FORMAT,
        "run": run,
        "dataset": dataset,
        "attribution": source.attribution,
        "licence": source.licence,
        "licenceUrl": source.licence_url,
        "labels": ["normal", "abnormal"],
        "studies": study_entries(test),
        "thumbnails": {"file": SHEET, "size": THUMBNAIL, "columns": sheet_columns(len(test))},
        "models": models,
        "textTower": text_tower and {**text_tower, "files": list(parts)},
        "examples": examples,
    }
    with write_beside(folder) as beside:
        beside.mkdir()
        (beside / DATA).write_text(assignment("CXR_EXPLORER", data), encoding="ascii")
        thumbnail_sheet(list(test["image"])).save(
            beside / SHEET, format="JPEG", quality=JPEG_QUALITY, optimize=True
        )
        for name, part in parts.items():
            script = assignment("CXR_TEXT_TOWER", base64.b64encode(part).decode())
            (beside / name).write_text(script, encoding="ascii")
        return {file.name: file.stat().st_size for file in sorted(beside.iterdir())}
