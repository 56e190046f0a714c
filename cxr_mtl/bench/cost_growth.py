"""How the cost of training grows: with studies, with unfrozen blocks, with trials."""

import copy
import math
from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn

from cxr_mtl.bench.costs import PLAIN, SINGLE_QUERY, Setting, time_step, training_steps
from cxr_mtl.bench.exactness import keep_tokens
from cxr_mtl.bench.models import Batch
from cxr_mtl.bench.timing import Timing, measure
from cxr_mtl.models.features import Features, FrozenPrefix, Precision
from cxr_mtl.models.last_layer import LastLayer, freeze, tower_kinds
from cxr_mtl.models.token_store import Tokens
from cxr_mtl.training.trainer import TrainingConfig, train

_DEEPEST = 3


def epoch_timings(
    model: nn.Module,
    features: Features,
    studies: pd.DataFrame,
    config: TrainingConfig,
    setting: Setting,
) -> dict[int, Timing]:
    """Time `train` on all training studies, a half and a quarter of them, by how many they are.

    But never on fewer than a batch. Validation is part of an epoch; `config` says how many are
    trained. Freezes `model` but for its last layer; its weights stay.

    Shapes: features and studies are the same, row by row.

    Raises:
        InputError: as `train`.
    """
    freeze(model, setting.unfrozen_blocks)
    start = LastLayer(model, setting.unfrozen_blocks)
    labels = torch.tensor(studies["label"].to_numpy())
    train_rows, validation_rows = (
        torch.from_numpy(np.flatnonzero(studies["split"] == part))
        for part in ("train", "validation")
    )
    fit = partial(train, start, features, labels, config=config, device=setting.device)
    counts = sorted({max(config.batch_size, len(train_rows) // part) for part in (1, 2, 4)})
    timings = {}
    for count in counts:
        epoch = partial(fit, train_rows=train_rows[:count], validation_rows=validation_rows)
        timings[count] = measure(epoch, setting.plain_repeats, device=setting.device)
    return timings


def block_timings(model: nn.Module, batch: Batch, setting: Setting) -> dict[str, dict[int, Timing]]:
    """Time a training step with 0 to 3 unfrozen blocks: path -> unfrozen blocks -> timing.

    By plain open_clip, and by the single query on tokens that lie in memory in their cached
    precision. `model` itself is not trained; `setting.unfrozen_blocks` does not count.
    """
    precision, device = setting.precision, setting.device
    timings: dict[str, dict[int, Timing]] = {PLAIN: {}, SINGLE_QUERY: {}}
    deepest = min(_DEEPEST, *(len(kind.blocks_of(model)) for kind in tower_kinds(model)))
    for blocks in range(deepest + 1):
        trained = copy.deepcopy(model).to(device)
        kept = _kept_in_memory(trained, batch, blocks, setting.feature_precision, device)
        steps = training_steps(trained, batch, lambda kept=kept: kept, blocks, precision, device)
        for path, by_blocks in timings.items():
            by_blocks[blocks] = time_step(steps[path], path, blocks, setting)
    return timings


def prefix_seconds(model: nn.Module, batch: Batch, setting: Setting) -> float:
    """Seconds that the frozen part of both towers takes for a study: the median, on `batch`."""
    prefix = FrozenPrefix(model, setting.unfrozen_blocks, setting.feature_precision, setting.device)

    def run() -> None:
        prefix.images(batch.images)
        prefix.texts(batch.ids, batch.lengths)

    timing = measure(run, setting.plain_repeats, device=setting.device)
    return timing.median / len(batch.labels)


def plain_epochs(epochs: Mapping[int, Timing], pairs: int, step: Timing) -> dict[int, float]:
    """Seconds of the same epochs by plain open_clip, in steps of `pairs`, without validation."""
    return {studies: math.ceil(studies / pairs) * step.median for studies in epochs}


def search_seconds(
    trials: int,
    epochs: int,
    fast: Mapping[int, Timing],
    plain: Mapping[int, float],
    prefix: float,
) -> pd.DataFrame:
    """Seconds of a weight search, a row per number of trials from 1 to `trials`, a column per path.

    Args:
        epochs: of each trial, on all training studies.
        fast, plain: an epoch by either path, as `epoch_timings` and `plain_epochs`.
        prefix: seconds of the frozen prefix of all studies, which the fast path pays once.
    """
    numbers, everyone = np.arange(1, trials + 1), max(fast)
    seconds = {
        PLAIN: numbers * epochs * plain[everyone],
        SINGLE_QUERY: prefix + numbers * epochs * fast[everyone].median,
    }
    return pd.DataFrame(seconds, index=numbers)


def growth_records(
    epochs: Mapping[int, Timing],
    steps: Mapping[str, Mapping[int, Timing]],
    search: pd.DataFrame,
) -> list[dict[str, Any]]:
    """Result records of what `epoch_timings`, `block_timings` and `search_seconds` return."""
    plain, fast = steps[PLAIN], steps[SINGLE_QUERY]
    faster = {blocks: plain[blocks].median / fast[blocks].median for blocks in plain}
    return [
        *(
            {"metric": "times_faster_by_blocks", "unfrozen_blocks": blocks, "value": times}
            for blocks, times in faster.items()
        ),
        *(
            {"metric": "epoch_seconds", "studies": studies, "value": timing.median}
            for studies, timing in epochs.items()
        ),
        {"metric": "trials", "value": len(search)},
        *(
            {"metric": "search_minutes", "path": path, "value": seconds.iloc[-1] / 60}
            for path, seconds in search.items()
        ),
    ]


def _kept_in_memory(
    model: nn.Module, batch: Batch, unfrozen_blocks: int, precision: Precision, device: str
) -> tuple[Tokens, Tokens]:
    images, texts = keep_tokens(model, LastLayer(model, unfrozen_blocks), batch, device)
    stored = getattr(torch, precision)
    return (
        images._replace(tokens=images.tokens.to(stored)),
        texts._replace(tokens=texts.tokens.to(stored)),
    )
