"""What the last layer costs, counted, and the benchmarks that a repository keeps."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from cxr_mtl.backbones import Backbone
from cxr_mtl.bench_models import Batch
from cxr_mtl.errors import InputError
from cxr_mtl.features import load_images, tokenise
from cxr_mtl.files import read_json
from cxr_mtl.timing import Device, Measurement
from cxr_mtl.towers import Tower

_MLP = 4
"""How many times wider than its tokens the hidden layer of a block's MLP is."""


def block_multiply_adds(tokens: int, width: int, heads: int) -> dict[str, int]:
    """Multiplications of a transformer block on one sequence, forwards, by what is left out.

    Counts the matrix products of attention and of an MLP with a hidden layer of 4 widths; of the
    output, all tokens or only one.
    """
    square = width**2
    per_token = (1 + 2 * _MLP) * square  # output projection and MLP
    return {
        "every token is a query": tokens * (3 * square + per_token) + 2 * tokens**2 * width,
        "one query": square + per_token + 2 * tokens * square + 2 * tokens * width,
        "one query, no keys or values": 3 * square + per_token + 2 * heads * tokens * width,
    }


def study_batch(backbone: Backbone, studies: pd.DataFrame) -> Batch:
    """The studies as a model's input: preprocessed images, token ids, their lengths, labels."""
    ids, lengths = tokenise(backbone, list(studies["text"]))
    labels = torch.tensor(studies["label"].to_numpy())
    return Batch(load_images(backbone, list(studies["image"])), ids, lengths, labels)


def run_ordinarily(tower: Tower, entering: Tensor, lengths: Tensor) -> Tensor:
    """Embeddings by the unfrozen blocks run in full, every token a query.

    Shapes: entering [batch, n, width] as `Tower.entering` gives it, lengths [batch] ->
    [batch, dim], not L2-normalised.
    """
    is_token = torch.arange(entering.shape[1], device=entering.device) < lengths[:, None]
    for block in tower.blocks:
        entering = tower.run(block, entering, is_token)
    return tower.project(tower.query_of(entering, lengths))


def largest_difference(ours: ArrayLike, theirs: ArrayLike) -> float:
    """Largest relative difference of a row, ‖ours − theirs‖ / ‖theirs‖.

    Shapes: two [rows, dim].
    """
    ours, theirs = np.asarray(ours, np.float64), np.asarray(theirs, np.float64)
    return float((np.linalg.norm(ours - theirs, axis=1) / np.linalg.norm(theirs, axis=1)).max())


@dataclass(frozen=True)
class KeptBenchmark:
    """The measurements of a benchmark's file, and in a sentence where they were made."""

    measurements: list[Measurement]
    origin: str


def read_benchmarks(folder: Path | str, what: str) -> list[KeptBenchmark]:
    """The runs of benchmark `what` at full size that `folder` keeps: on a CPU, on a GPU.

    Raises:
        InputError: there is no such folder, or a file is not a benchmark's.
    """
    if not os.path.isdir(folder):
        raise InputError(f"{folder} is not a folder: give the folder of the benchmarks' files")
    paths = [Path(folder) / f"{what}-{device}-full.json" for device in get_args(Device)]
    return [_read_benchmark(path) for path in paths if path.exists()]


def _read_benchmark(path: Path) -> KeptBenchmark:
    kept = read_json(path)
    try:
        machine, versions = kept["machine"], kept["versions"]
        processor = f"{machine['cpu']}, {machine['cores']} cores"
        where = f"a GPU ({machine['gpu']})" if kept["device"] == "cuda" else f"a CPU ({processor})"
        names = ("python", "torch", "open-clip-torch", "faiss-gpu", "faiss-cpu")
        software = ", ".join(f"{name} {versions[name]}" for name in names if name in versions)
        origin = f"Measured on {kept['date']} on {where} with {software}."
        return KeptBenchmark([Measurement(**record) for record in kept["measurements"]], origin)
    except (KeyError, TypeError) as error:
        raise InputError(
            f"{path} is not a benchmark's file ({error}): make it again with `cxr-mtl bench`"
        ) from error
