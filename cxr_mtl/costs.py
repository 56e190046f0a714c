"""What training the last layer costs by each path, and the benchmarks that are kept in files."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from cxr_mtl.backbones import Backbone
from cxr_mtl.bench import in_units
from cxr_mtl.bench_models import Batch
from cxr_mtl.bench_training import optimiser_step, plain_step
from cxr_mtl.errors import InputError
from cxr_mtl.features import Precision, load_images, tokenise
from cxr_mtl.files import read_json
from cxr_mtl.last_layer import LastLayer, freeze, tower_kinds
from cxr_mtl.timing import Device, Measurement
from cxr_mtl.token_store import Tokens
from cxr_mtl.towers import Tower

_MLP = 4
"""How many times wider than its tokens the hidden layer of a block's MLP is."""


def block_multiply_adds(tokens: int, width: int, heads: int) -> dict[str, int]:
    """Multiply-adds of a transformer block on one sequence, forwards, by what is left out.

    Those of the matrix products: of the attention, and of an MLP with a hidden layer of 4 widths.
    """
    square = width**2
    per_query = (2 + 2 * _MLP) * square  # projections of query and output, and the MLP
    keys_and_values = 2 * tokens * square
    return {
        "every token is a query": keys_and_values + tokens * (per_query + 2 * tokens * width),
        "one query": keys_and_values + per_query + 2 * tokens * width,
        "one query, no keys or values": 2 * square + per_query + 2 * heads * tokens * width,
    }


def study_batch(backbone: Backbone, studies: pd.DataFrame) -> Batch:
    """The studies as a model's input: preprocessed images, token ids, their lengths, labels."""
    ids, lengths = tokenise(backbone, list(studies["text"]))
    labels = torch.tensor(studies["label"].to_numpy())
    return Batch(load_images(backbone, list(studies["image"])), ids, lengths, labels)


def training_steps(
    model: nn.Module,
    batch: Batch,
    cached: Callable[[], tuple[Tokens, Tokens]],
    unfrozen_blocks: int,
    precision: Precision,
    device: str,
) -> dict[str, Callable[[], Any]]:
    """One and the same training step by three paths: calling one trains `model`.

    `plain open_clip` runs everything, `cached prefix` the unfrozen blocks in full on tokens held
    in memory, `cached prefix, single query` the last of them for one query on what `cached` reads.
    """
    freeze(model, unfrozen_blocks)
    end, kinds = LastLayer(model, unfrozen_blocks), tower_kinds(model)
    inputs = batch.images.to(device), batch.ids.to(device)
    with torch.no_grad():
        entering = [
            kind.entering(model, x, unfrozen_blocks) for kind, x in zip(kinds, inputs, strict=True)
        ]
    lengths = torch.full((len(batch.ids),), entering[0].shape[1]), batch.lengths

    def whole_blocks() -> tuple[Tensor, Tensor]:
        return (
            run_ordinarily(end.image, entering[0], lengths[0].to(device)),
            run_ordinarily(end.text, entering[1], lengths[1].to(device)),
        )

    def single_query() -> tuple[Tensor, Tensor]:
        return end(*cached())

    step = partial(optimiser_step, end, labels=batch.labels, precision=precision, device=device)
    context = batch.ids.shape[1]
    return {
        "plain open_clip": plain_step(model, end, batch, context, precision, device),
        "cached prefix": step(whole_blocks),
        "cached prefix, single query": step(single_query),
    }


def run_ordinarily(tower: Tower, entering: Tensor, lengths: Tensor) -> Tensor:
    """Embeddings by the unfrozen blocks run in full, every token a query.

    Shapes: entering [batch, n, width] as `Tower.entering` gives it, lengths [batch] ->
    [batch, dim], not L2-normalised.
    """
    is_token = torch.arange(entering.shape[1], device=entering.device) < lengths[:, None]
    for block in tower.blocks:
        entering = tower.run(block, entering, is_token)
    return tower.project(tower.query_of(entering, lengths))


def relative_differences(ours: ArrayLike, theirs: ArrayLike) -> NDArray[np.float64]:
    """How far each row is from what it should be, ‖ours − theirs‖ / ‖theirs‖.

    Shapes: two [rows, dim] -> [rows].
    """
    ours, theirs = np.asarray(ours, np.float64), np.asarray(theirs, np.float64)
    return np.linalg.norm(ours - theirs, axis=1) / np.linalg.norm(theirs, axis=1)


@dataclass(frozen=True)
class KeptBenchmark:
    """The measurements of a benchmark's file, and in a sentence where they were made."""

    measurements: list[Measurement]
    device: Device
    origin: str


def measurement_frame(measurements: Sequence[Measurement]) -> pd.DataFrame:
    """Measurements as words with units, rows numbered from 1; empty columns are left out.

    A ratio names the row of its baseline. The floor is the best that the machine's own rates allow.
    """
    first_row = {m.case: row for row, m in reversed(list(enumerate(measurements, 1)))}
    rows = [
        {
            "case": m.case,
            "measured": m.metric,
            "value": "skipped" if m.value is None else in_units(m.value, m.unit),
            "from – to": "" if m.low is None else spread(m.low, m.high, m.unit),
            "times better": ""
            if m.ratio is None
            else f"{m.ratio:.3g} × row {first_row[m.baseline]}",
            "floor is better": "" if m.of_floor is None else f"{m.of_floor:.2g} ×",
        }
        for m in measurements
    ]
    frame = pd.DataFrame(rows, index=range(1, len(rows) + 1))
    return frame.loc[:, (frame != "").any()]


def measurement_notes(measurements: Sequence[Measurement]) -> list[str]:
    """What a reader must know, each with the rows of `measurement_frame` that it is about."""
    rows: dict[str, list[int]] = {}
    for row, measurement in enumerate(measurements, 1):
        if measurement.note:
            rows.setdefault(measurement.note, []).append(row)
    found = []
    for note, about in rows.items():
        where = f"{'Row' if len(about) == 1 else 'Rows'} {', '.join(_runs(about))}"
        found.append(f"{'All rows' if len(about) == len(measurements) else where}: {note}.")
    return found


def _runs(numbers: Sequence[int]) -> list[str]:
    """Ascending numbers in words: 1, 2, 3, 7 are `1 to 3` and `7`."""
    by_offset = groupby(enumerate(numbers), lambda pair: pair[1] - pair[0])
    runs = [[number for _, number in run] for _, run in by_offset]
    return [str(run[0]) if len(run) == 1 else f"{run[0]} to {run[-1]}" for run in runs]


def spread(low: float, high: float, unit: str) -> str:
    """The smallest and the largest of repeated values, in words."""
    return f"{in_units(low, unit)} – {in_units(high, unit)}"


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
        names = ("torch", "open-clip-torch", "faiss-gpu", "faiss-cpu")
        software = "".join(f", {name} {versions[name]}" for name in names if name in versions)
        origin = (
            f"Measured on {kept['date']} on {where} with Python {versions['python']}{software}."
        )
        measurements = [Measurement(**record) for record in kept["measurements"]]
        return KeptBenchmark(measurements, kept["device"], origin)
    except (KeyError, TypeError) as error:
        raise InputError(
            f"{path} is not a benchmark's file ({error}): make it again with `cxr-mtl bench`"
        ) from error
