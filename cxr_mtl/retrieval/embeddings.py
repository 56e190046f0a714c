"""Embeddings on disk: the test studies' by several models, for the chapters that follow."""

import hashlib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from cxr_mtl.base.errors import InputError
from cxr_mtl.base.files import inside, write_beside

Pair = tuple[NDArray[np.float32], NDArray[np.float32]]
"""Image and report embeddings, both [studies, dim]."""


def store_embeddings(folder: Path, embeddings: Mapping[str, Pair]) -> None:
    """Write the embeddings of models by name; all or none."""
    with write_beside(folder) as beside:
        beside.mkdir()
        for name, pair in embeddings.items():
            write_pair(embeddings_file(beside, name), pair)


def stored_embeddings(folder: Path, models: Mapping[str, Any]) -> dict[str, Pair]:
    """The embeddings of the three models by their names.

    `models` is the content of the run's `models.json`. The order is that of the paper's columns:
    fine-tuned, what it was fine-tuned from, the general model. The embeddings are as the towers
    give them, not L2-normalised.

    Raises:
        InputError: the file of a model is missing, damaged or leads out of `folder`, or `models`
            is no such content.
    """
    try:
        names = ("fine_tuned", models["fine_tuned_from"]["name"], models["general"]["name"])
        files = {name: inside(folder, embeddings_file(folder, name).name) for name in names}
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError("models.json names no two models: run chapter 02_model again") from error
    return {n: read_pair(file, "run chapter 05_retrieval again") for n, file in files.items()}


def write_pair(path: Path, pair: Pair) -> None:
    """Write the embeddings of one model."""
    save_file(dict(zip(("image", "text"), pair, strict=True)), path)


def read_pair(path: Path, mend: str) -> Pair:
    """Read what `write_pair` wrote; `mend` says what to do if it is not there.

    Raises:
        InputError: the file is missing or damaged, or holds other tensors.
    """
    try:
        stored = load_file(path)
        pair = stored["image"], stored["text"]
    except (OSError, SafetensorError, KeyError) as error:
        raise InputError(f"{path} is missing or damaged ({error}): {mend}") from error
    shapes = {part.shape for part in pair}
    if len(shapes) > 1 or pair[0].ndim != 2 or any(part.dtype != np.float32 for part in pair):
        found = " and ".join(f"{part.dtype} {list(part.shape)}" for part in pair)
        raise InputError(
            f"{path} holds no embeddings of images and their reports ({found}): {mend}"
        )
    return pair


def embeddings_file(folder: Path, model: str) -> Path:
    """Where in `folder` the embeddings of a model lie: by its name or, for a path, a mark of it.

    Different models have different files, of names that every file system takes.
    """
    if not re.fullmatch(r"[a-z0-9_-]{1,60}", model):
        last = re.sub(r"[^A-Za-z0-9_-]+", "-", model.rstrip("/").rpartition("/")[2])
        mark = hashlib.sha256(os.fsencode(model)).hexdigest()[:16]
        model = f"{last[:60]}.{mark}"  # no name that stands for itself has a dot
    return folder / f"{model}.safetensors"
