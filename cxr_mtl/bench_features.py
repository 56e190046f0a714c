"""What the frozen blocks cost at full size, once per image and once per report."""

import tempfile
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from cxr_mtl.bench_models import random_batch, random_biomedclip
from cxr_mtl.features import FrozenPrefix
from cxr_mtl.memory import peak_anonymous_memory
from cxr_mtl.timing import Measurement, Rates, Report, Size, compared, measure, measure_rates
from cxr_mtl.token_store import fill_store

WHAT = "features"
OPEN_I_STUDIES = 3_851
BATCHES: dict[Size, int] = {"quick": 16, "full": 64}
REPEATS: dict[Size, int] = {"quick": 2, "full": 5}
STORED: dict[Size, tuple[int, int]] = {"quick": (500, 2_000), "full": (4_000, 16_000)}
TARGET = "≥ 70 % of the matrix product's rate"


def run(size: Size, device: str, report: Report) -> list[Measurement]:
    """Rate of the frozen prefix of BiomedCLIP's size in bfloat16, and memory of filling a store."""
    rates = measure_rates(device)
    prefix = FrozenPrefix(random_biomedclip(), 1, "bfloat16", device)
    batch = random_batch(BATCHES[size], context=256)
    by_length = torch.argsort(batch.lengths)
    images, ids, lengths = batch.images, batch.ids[by_length], batch.lengths[by_length]
    halves = torch.arange(len(ids)).chunk(2)

    def run_texts() -> None:
        for rows in halves:
            prefix.texts(ids[rows], lengths[rows])

    found = []
    for case, work in (("images", lambda: prefix.images(images)), ("reports", run_texts)):
        report(f"{case}: {REPEATS[size]} batches of {len(batch.images)}")
        timing = measure(work, REPEATS[size], device=device)
        found += _rates(case, work, timing.median, len(ids), rates, device)
    return found + [_memory(studies, report) for studies in STORED[size]]


def _rates(
    case: str, work: object, seconds: float, studies: int, rates: Rates, device: str
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
