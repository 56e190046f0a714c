"""What fine-tuning costs at full size: plain open_clip against cached tokens and a single query."""

import gc
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import cycle
from multiprocessing import get_context
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from cxr_mtl.base.processes import end_with_parent
from cxr_mtl.base.resources import keep_freed_memory, peak_anonymous_memory
from cxr_mtl.bench import exactness as bench_exactness
from cxr_mtl.bench.models import Batch, random_batch, random_biomedclip, random_features
from cxr_mtl.bench.timing import Measurement, Rates, Report, Size, compared, measure, measure_rates
from cxr_mtl.models.backbones import FusionHead
from cxr_mtl.models.features import Features, Precision
from cxr_mtl.models.last_layer import LastLayer, freeze
from cxr_mtl.models.mixed_precision import bfloat16_products, mixed_precision
from cxr_mtl.training.losses import PAPER_WEIGHTS, multi_task_loss
from cxr_mtl.training.trainer import TrainingConfig, train

WHAT = "train"
ADAMW_BYTES = 28
"""Per parameter: weight, gradient and both moments read, all but the gradient written."""
TOKEN_READS = 4
"""Scores and weighted sum, forwards and backwards."""


@dataclass(frozen=True)
class _Scale:
    batch: int
    plain_repeats: int
    fast_repeats: int
    studies: int


SCALES: dict[Size, _Scale] = {"quick": _Scale(16, 1, 5, 128), "full": _Scale(128, 2, 15, 3200)}


def run(size: Size, device: str, report: Report) -> list[Measurement]:
    """Compare the paths' numbers, then time a training step by each and an epoch by the fast one.

    The trainable tensors, losses, optimiser and batch are the same throughout. Per pair, the
    quick size overstates the optimiser's share: its batches are small.
    """
    exactness = bench_exactness.run(size, device, report)
    scale = SCALES[size]
    rates = measure_rates(device)
    model = random_biomedclip().to(device)
    freeze(model, 1)
    end = LastLayer(model, 1)
    batch = random_batch(scale.batch, context=256)
    found: list[Measurement] = []

    def measure_plain(case: str, precision: Precision, context: int) -> None:
        report(f"{case}: {scale.plain_repeats} steps of {scale.batch} pairs")
        step = plain_step(model, end, batch, context, precision, device)
        timing = measure(step, scale.plain_repeats, warmup=0, device=device)
        found.append(compared(WHAT, case, "step", timing, baseline=found[0] if found else None))

    measure_plain("plain open_clip, float32, context 256", "float32", 256)
    measure_plain("plain open_clip, bfloat16, context 256", "bfloat16", 256)
    longest = int(batch.lengths.max())
    measure_plain("plain open_clip, bfloat16, padded to the longest", "bfloat16", longest)
    keep_freed_memory()  # from here on, as in training
    case = "plain open_clip, bfloat16, padded to the longest, freed memory kept"
    measure_plain(case, "bfloat16", longest)
    for precision in ("float32", "bfloat16"):
        with random_features(scale.studies, precision) as features:
            found += _cached(end, features, precision, scale, rates, device, found[:2], report)
    return exactness + found


def _cached(
    end: LastLayer,
    features: Features,
    precision: Precision,
    scale: _Scale,
    rates: Rates,
    device: str,
    plain: list[Measurement],
    report: Report,
) -> list[Measurement]:
    case = f"cached prefix, single query, {precision}"
    report(f"{case}: {scale.fast_repeats} steps of {scale.batch} pairs")
    gc.collect()
    features = features.to(device)
    rows = cycle(torch.arange(len(features)).split(scale.batch))
    labels = torch.arange(len(features)) % 2

    def embed() -> tuple[Tensor, Tensor]:
        chosen = next(rows)
        return end(features.images.batch(chosen), features.texts.batch(chosen))

    step = optimiser_step(end, embed, labels[: scale.batch], precision, device)
    timing = measure(step, scale.fast_repeats, warmup=3, device=device)
    floor = step_floor(step, end, features, scale.batch, precision, rates)
    against = plain[0 if precision == "float32" else 1]
    targets = {"float32": None, "bfloat16": "≥ 150 × plain bfloat16, ≤ 2.5 × floor"}
    found = [
        compared(
            WHAT, case, "step", timing, baseline=against, floor=floor, target=targets[precision]
        )
    ]
    if precision == "bfloat16":
        found.append(
            compared(
                WHAT, case, "step, against float32", timing, baseline=plain[0],
                target="≥ 350 × plain float32",
            )
        )  # fmt: skip
    found += _epoch(case, end, features, labels, precision, scale, device, report)
    return found


def _epoch(
    case: str,
    end: LastLayer,
    features: Features,
    labels: Tensor,
    precision: Precision,
    scale: _Scale,
    device: str,
    report: Report,
) -> list[Measurement]:
    """One epoch by `train` itself, validation included."""
    report(f"{case}: an epoch of {len(features):,} pairs")
    config = TrainingConfig(epochs=1, batch_size=scale.batch, precision=precision)
    everything = torch.arange(len(features))
    fit = partial(
        train, end, features, labels, everything, everything[: scale.batch], config, device=device
    )
    timing = measure(fit, 1 if scale.batch < 128 else 3, device=device)
    epoch = f"epoch of {len(features):,} pairs"
    found = [compared(WHAT, case, epoch, timing)]
    if device == "cpu":
        with ProcessPoolExecutor(1, get_context("spawn"), initializer=end_with_parent) as alone:
            peak = alone.submit(_epoch_memory, features, config).result()
        note = "weights, gradients, moments and activations; not the mapped cache"
        target = "≤ 4 GB"
        found.append(compared(WHAT, case, "peak memory", peak, "B", target=target, note=note))
    return found


def _epoch_memory(features: Features, config: TrainingConfig) -> int | None:
    """Peak memory of an epoch in a process that has done nothing else."""
    model = random_biomedclip()
    freeze(model, 1)
    end, rows = LastLayer(model, 1), torch.arange(len(features))
    del model  # its frozen part is not needed any more
    fit = partial(train, end, features, rows % 2, rows, rows[: config.batch_size], config)
    return peak_anonymous_memory(fit)


def plain_step(
    model: nn.Module,
    end: LastLayer,
    batch: Batch,
    context: int,
    precision: Precision,
    device: str,
) -> Callable[[], Any]:
    """A training step that runs the whole open_clip model, its frozen part in eval mode."""
    images, ids = batch.images.to(device), batch.ids[:, :context].to(device)

    def embed() -> tuple[Tensor, Tensor]:
        return model.encode_image(images), model.encode_text(ids)

    return optimiser_step(end, embed, batch.labels, precision, device)


def optimiser_step(
    end: LastLayer,
    embed: Callable[[], tuple[Tensor, Tensor]],
    labels: Tensor,
    precision: Precision,
    device: str,
) -> Callable[[], Any]:
    """A step of AdamW on the three losses of what `embed` gives, as `trainer.train` takes it."""
    config = TrainingConfig()
    head = FusionHead(end.embedding_size, config.dropout).to(device)
    parameters = [*(p for p in end.parameters() if p.requires_grad), *head.parameters()]
    optimiser = torch.optim.AdamW(
        parameters, lr=config.learning_rate, weight_decay=config.weight_decay, fused=True
    )
    labels = labels.to(device)
    end.train()

    def step() -> None:
        with mixed_precision(precision, device):
            images, texts = embed()
            logits = head(images, texts)
        losses = multi_task_loss(images, texts, logits, labels, PAPER_WEIGHTS, 0.07, True)
        optimiser.zero_grad(set_to_none=True)
        with bfloat16_products(precision, device):
            losses["total"].backward()
        optimiser.step()

    return step


def step_floor(
    step: Callable[[], Any],
    end: LastLayer,
    features: Features,
    batch: int,
    precision: Precision,
    rates: Rates,
) -> float:
    """Seconds that a step must take: its bytes and its operations over the machine's own rates.

    Bytes: the batch's tokens four times and AdamW's 28 per trained parameter. Operations: those
    of all matrix products, counted by PyTorch.
    """
    stores = (features.images, features.texts)
    token_bytes = sum(store.tokens.nbytes / len(features) * batch for store in stores)
    trained = sum(p.numel() for p in end.parameters() if p.requires_grad)
    with FlopCounterMode(display=False) as counter:
        step()
    flops = rates.float32_flops if precision == "float32" else rates.bfloat16_flops
    moved = TOKEN_READS * token_bytes + ADAMW_BYTES * trained
    return moved / rates.read_bytes + counter.get_total_flops() / flops
