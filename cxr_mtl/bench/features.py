"""What the frozen blocks cost at full size, once per image and once per report."""

import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from cxr_mtl.base.resources import keep_freed_memory, peak_anonymous_memory
from cxr_mtl.bench.models import random_batch, random_biomedclip
from cxr_mtl.bench.timing import Measurement, Rates, Report, Size, compared, measure, measure_rates
from cxr_mtl.models.features import FROZEN_BATCHES, FrozenPrefix
from cxr_mtl.models.token_store import fill_store

WHAT = "features"
OPEN_I_STUDIES = 3_851
BATCHES: dict[Size, int] = {"quick": 64, "full": 512}
REPEATS: dict[Size, int] = {"quick": 1, "full": 3}
STORED: dict[Size, tuple[int, int]] = {"quick": (500, 2_000), "full": (4_000, 16_000)}
TARGET = "≥ 70 % of the matrix product's rate"


def run(size: Size, device: str, report: Report) -> list[Measurement]:
    """Rate of the frozen prefix of BiomedCLIP's size in bfloat16, and memory of filling a store."""
    rates = measure_rates(device)
    keep_freed_memory()  # as `compute_features` does
    prefix = FrozenPrefix(random_biomedclip(), 1, "bfloat16", device)
    batch = random_batch(BATCHES[size], context=256)
    by_length = torch.argsort(batch.lengths)
    at_once = FROZEN_BATCHES[device]

    def run_images() -> None:
        for images in batch.images.split(at_once["images"]):
            prefix.images(images)

    def run_texts() -> None:
        for rows in by_length.split(at_once["reports"]):
            prefix.texts(batch.ids[rows], batch.lengths[rows])

    found = []
    for case, work in (("images", run_images), ("reports", run_texts)):
        report(f"{case}: {REPEATS[size]} batches of {len(batch.images)}")
        timing = measure(work, REPEATS[size], device=device)
        found += _rates(case, work, timing.median, len(by_length), rates)
    return found + [_memory(studies, report) for studies in STORED[size]]


def _rates(
    case: str, work: Callable[[], None], seconds: float, studies: int, rates: Rates
) -> list[Measurement]:
    with FlopCounterMode(display=False) as counter:
        work()
    rate = counter.get_total_flops() / seconds
    name = f"frozen prefix, bfloat16, {case}"
    whole = seconds / studies * OPEN_I_STUDIES
    return [
        compared(WHAT, name, "per study", seconds / studies),
        compared(WHAT, name, "rate", rate, "FLOP/s", floor=rates.bfloat16_flops, target=TARGET),
        compared(WHAT, name, f"{OPEN_I_STUDIES:,} studies", whole, note="from the value per study"),
    ]


def _memory(studies: int, report: Report) -> Measurement:
    """Memory that filling a store of BiomedCLIP's image tokens takes, beside the mapped file."""
    report(f"filling a store of {studies:,} studies")
    tokens = torch.randn(64, 197, 768)

    def compute(rows: Tensor) -> tuple[Tensor, Tensor]:
        return tokens[: len(rows)], tokens[: len(rows), 0]

    with tempfile.TemporaryDirectory(prefix="cxr_mtl_bench_") as folder:
        lengths = torch.full((studies,), 197)
        peak = peak_anonymous_memory(
            lambda: fill_store(
                Path(folder), lengths, 768, torch.bfloat16, compute, about={"what": "random tokens"}
            )
        )
    note = "flat in the number of studies when the rows agree"
    return compared(WHAT, f"filling a store of {studies:,} studies", "memory", peak, "B", note=note)
