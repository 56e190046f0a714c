"""What a training step of the last layer costs, by each of the paths that can take it."""

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import pandas as pd
import torch
from pandas.io.formats.style import Styler
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from cxr_mtl.base.styled_tables import styled
from cxr_mtl.bench.models import Batch
from cxr_mtl.bench.timing import Timing, in_units, measure, spread
from cxr_mtl.bench.training import optimiser_step, plain_step
from cxr_mtl.models.backbones import Backbone
from cxr_mtl.models.features import Features, Precision, load_images, tokenise
from cxr_mtl.models.last_layer import LastLayer, freeze, tower_kinds
from cxr_mtl.models.token_store import Tokens
from cxr_mtl.models.towers import Tower

_MLP = 4
"""How many times wider than its tokens the hidden layer of a block's MLP is."""

PLAIN = "plain open_clip"
WHOLE_BLOCKS = "cached prefix"
SINGLE_QUERY = "cached prefix, single query"


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


def product_table(tokens: int, width: int, heads: int) -> Styler:
    """`block_multiply_adds` as a table, with how many times fewer they are."""
    table = pd.Series(block_multiply_adds(tokens, width, heads)).to_frame("multiply-adds")
    table["times fewer"] = table["multiply-adds"].iloc[0] / table["multiply-adds"]
    return table.pipe(styled).format({"multiply-adds": "{:,}", "times fewer": "{:,.0f}"})


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

    `PLAIN` runs everything, `WHOLE_BLOCKS` the unfrozen blocks in full on tokens held in memory,
    `SINGLE_QUERY` the last of them for one query on what `cached` reads.
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
        PLAIN: plain_step(model, end, batch, context, precision, device),
        WHOLE_BLOCKS: step(whole_blocks),
        SINGLE_QUERY: step(single_query),
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


@dataclass(frozen=True)
class Setting:
    """How the paths run and how often they are timed.

    Attributes:
        unfrozen_blocks: transformer blocks of each tower that are trained.
        feature_precision: of the cached tokens.
        precision: of training.
        plain_repeats: timed repeats of what runs whole blocks, after one that does not count.
        fast_repeats: timed steps of the fast path, after three that do not count.
    """

    unfrozen_blocks: int
    feature_precision: Precision
    precision: Precision
    plain_repeats: int
    fast_repeats: int
    device: str


def time_step(step: Callable[[], Any], path: str, unfrozen_blocks: int, setting: Setting) -> Timing:
    """Time a step of `training_steps`.

    With more than one unfrozen block the fast path runs whole blocks too.
    """
    fast = path == SINGLE_QUERY and unfrozen_blocks <= 1
    repeats, warmup = (setting.fast_repeats, 3) if fast else (setting.plain_repeats, 1)
    return measure(step, repeats, warmup, setting.device)


@dataclass(frozen=True)
class StepCost:
    """A training step's time and its floating-point operations.

    The operations are those of the matrix products and convolutions, as PyTorch counts them.
    """

    time: Timing
    operations: int


def step_costs(
    model: nn.Module, batch: Batch, features: Features, rows: Tensor, setting: Setting
) -> dict[str, StepCost]:
    """What each path of `training_steps` costs; `model` itself is not trained.

    `rows` are the studies of `batch` in `features`, from which the fast path reads in every step.
    """
    trained = copy.deepcopy(model).to(setting.device)

    def read_cache() -> tuple[Tokens, Tokens]:
        return features.images.batch(rows), features.texts.batch(rows)

    blocks, precision, device = setting.unfrozen_blocks, setting.precision, setting.device
    costs = {}
    for path, step in training_steps(trained, batch, read_cache, blocks, precision, device).items():
        timing = time_step(step, path, blocks, setting)
        with FlopCounterMode(display=False) as counter:
            step()
        costs[path] = StepCost(timing, counter.get_total_flops())
    return costs


def step_records(costs: Mapping[str, StepCost]) -> list[dict[str, Any]]:
    """Result records of what the paths cost: seconds, and how many times less than `PLAIN`."""
    plain, records = costs[PLAIN], []
    for path, cost in costs.items():
        seconds, ends = cost.time.median, {"low": cost.time.low, "high": cost.time.high}
        faster, fewer = plain.time.median / seconds, plain.operations / cost.operations
        records += [
            {"metric": "step_seconds", "path": path, **ends, "value": seconds},
            {"metric": "times_faster", "path": path, "value": faster},
            {"metric": "times_fewer_operations", "path": path, "value": fewer},
        ]
    return records


def step_table(costs: Mapping[str, StepCost], pairs: int) -> pd.DataFrame:
    """What the paths cost in words with units, a row each, for a batch of `pairs`."""
    plain = costs[PLAIN]
    rows = [
        {
            "median of a step": in_units(cost.time.median, "s"),
            "from – to": spread(cost.time.low, cost.time.high, "s"),
            "per pair": in_units(cost.time.median / pairs, "s"),
            "times faster": f"{plain.time.median / cost.time.median:.1f}",
            "operations": in_units(cost.operations, "FLOP"),
            "times fewer": f"{plain.operations / cost.operations:.1f}",
        }
        for cost in costs.values()
    ]
    return pd.DataFrame(rows, index=list(costs))
