"""The embeddings of the test studies, as the retrieval chapter stores them and others read them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from cxr_mtl.base.errors import InputError
from cxr_mtl.base.files import write_beside

Pair = tuple[NDArray[np.float32], NDArray[np.float32]]


def store_embeddings(folder: Path, embeddings: Mapping[str, Pair]) -> None:
    """Write image and report embeddings, both [studies, dim], of models by name; all or none."""
    with write_beside(folder) as beside:
        beside.mkdir()
        for name, (images, texts) in embeddings.items():
            save_file({"image": images, "text": texts}, _file(beside, name))


def stored_embeddings(folder: Path, models: Mapping[str, Any]) -> dict[str, Pair]:
    """Image and report embeddings, both [studies, dim], of the three models by their names.

    `models` is the content of the run's `models.json`. The order is that of the paper's columns:
    fine-tuned, what it was fine-tuned from, the general model. The embeddings are as the towers
    give them, not L2-normalised.

    Raises:
        InputError: the file of a model is missing or damaged.
    """
    names = ("fine_tuned", models["fine_tuned_from"]["name"], models["general"]["name"])
    found = {}
    for name in names:
        path = _file(folder, name)
        try:
            stored = load_file(path)
            found[name] = stored["image"], stored["text"]
        except (OSError, SafetensorError, KeyError) as error:
            raise InputError(
                f"{path} is missing or damaged ({error}): run chapter 05_retrieval again"
            ) from error
    return found


def _file(folder: Path, model: str) -> Path:
    return folder / f"{model.replace('/', '_')}.safetensors"
