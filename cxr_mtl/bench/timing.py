"""Timing a function, the rates a machine reaches, one measured value as a record and in words."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import torch

Size = Literal["quick", "full"]
Device = Literal["cpu", "cuda"]
Report = Callable[[str], None]

MATMUL_SIDE = {"cpu": 2048, "cuda": 8192}
LARGE = 2**30  # bytes; larger than the caches that a process may call its own
RATE_REPEATS = 10
SMALLER_IS_BETTER = {"s", "B"}
PREFIXES = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"), (1, ""), (1e-3, "m"), (1e-6, "µ"))


@dataclass(frozen=True)
class Timing:
    """Seconds that one call took: the median, the fastest and the slowest of `repeats` calls."""

    median: float
    low: float
    high: float
    repeats: int


def measure(
    function: Callable[[], Any], repeats: int, warmup: int = 1, device: str = "cpu"
) -> Timing:
    """Time `repeats` calls one by one, after `warmup` calls that do not count.

    On the device cuda each call is timed until the GPU has finished its work.
    """
    for _ in range(warmup):
        function()
    seconds = [_seconds(function, device) for _ in range(repeats)]
    return Timing(statistics.median(seconds), min(seconds), max(seconds), repeats)


@dataclass(frozen=True)
class Rates:
    """The best that a device was seen to do, through PyTorch.

    Attributes:
        float32_flops: FLOP/s of a square matrix product in float32.
        bfloat16_flops: the same in bfloat16.
        read_bytes: B/s of reading 1 GiB.
        copy_bytes: B/s of copying 1 GiB, each byte counted once.
    """

    float32_flops: float
    bfloat16_flops: float
    read_bytes: float
    copy_bytes: float


@cache
def measure_rates(device: str = "cpu") -> Rates:
    """Measure the rates of a device, once per process: a floor says what the machine can do."""
    source = torch.ones(LARGE // 4, device=device)
    target = torch.empty_like(source)
    copying = measure(lambda: target.copy_(source), RATE_REPEATS, device=device)
    return Rates(
        float32_flops=_matmul_rate(torch.float32, device),
        bfloat16_flops=_matmul_rate(torch.bfloat16, device),
        read_bytes=read_rate(LARGE, device),
        copy_bytes=source.nbytes / copying.low,
    )


@cache
def read_rate(size: int, device: str = "cpu") -> float:
    """The best B/s of reading `size` bytes again and again: what fits a cache is read faster."""
    block = torch.ones(max(1, size // 4), device=device)
    repeats = min(100 * RATE_REPEATS, max(RATE_REPEATS, 2 * LARGE // block.nbytes))
    reading = measure(lambda: torch.dot(block, block), repeats, device=device)
    return block.nbytes / reading.low


@dataclass(frozen=True)
class Measurement:
    """One measured value and what it is held against; absent things are None.

    Seconds and bytes are better small, all else is better large.

    Attributes:
        what: the benchmark, for example `retrieval`.
        case: what was measured, `name, circumstances, …`; unique within `what` and `metric`.
        value: in `unit`, a median where there are repeats; None where it was not measured.
        unit: `s`, `B`, `FLOP/s`, …, or empty for a plain number.
        low, high: the smallest and the largest of the repeats.
        baseline: the case it is compared with.
        ratio: how many times better than the baseline.
        floor: the best value that the machine's own rates allow.
        of_floor: how many times better than this value the floor is, 1 at best.
        target: what the value should reach, in words.
        note: what a reader must know, such as why there is no value.
    """

    what: str
    case: str
    metric: str
    value: float | None
    unit: str
    low: float | None = None
    high: float | None = None
    repeats: int | None = None
    baseline: str | None = None
    ratio: float | None = None
    floor: float | None = None
    of_floor: float | None = None
    target: str | None = None
    note: str | None = None


def compared(
    what: str,
    case: str,
    metric: str,
    measured: Timing | float,
    unit: str = "s",
    *,
    baseline: Measurement | None = None,
    floor: float | None = None,
    target: str | None = None,
    note: str | None = None,
) -> Measurement:
    """The record of a timing or a value, with its ratios to a baseline and to a floor.

    A baseline that was itself not measured gives no ratio.
    """
    timing = measured if isinstance(measured, Timing) else None
    value = timing.median if timing else measured
    against = baseline if baseline and baseline.value is not None else None
    return Measurement(
        what=what,
        case=case,
        metric=metric,
        value=value,
        unit=unit,
        low=timing and timing.low,
        high=timing and timing.high,
        repeats=timing and timing.repeats,
        baseline=against and against.case,
        ratio=against and _times_better(value, against.value, unit),
        floor=floor,
        of_floor=floor and _times_better(floor, value, unit),
        target=target,
        note=note,
    )


def value_in_words(measurement: Measurement) -> str:
    """A measurement's value with its unit, or that it was skipped."""
    if measurement.value is None:
        return "skipped"
    return in_units(measurement.value, measurement.unit)


def in_units(value: float, unit: str) -> str:
    """A value in three digits with the SI prefix that fits; minutes from 100 seconds on."""
    if not unit:
        return f"{value:.4g}"
    scale, scaled_unit = scaled(value, unit)
    return f"{value / scale:.3g} {scaled_unit}"


def spread(low: float, high: float, unit: str) -> str:
    """The smallest and the largest of repeated values, in words."""
    return f"{in_units(low, unit)} – {in_units(high, unit)}"


def scaled(value: float, unit: str) -> tuple[float, str]:
    """What to divide values like this one by, and the unit with its prefix that they then have."""
    if unit == "s" and value >= 100:
        return 60, "min"
    rounded = float(f"{value:.3g}")
    scale, prefix = next((step for step in PREFIXES if rounded >= step[0]), (1, ""))
    return scale, prefix + unit


def _times_better(value: float, than: float, unit: str) -> float:
    return than / value if unit in SMALLER_IS_BETTER else value / than


def _seconds(function: Callable[[], Any], device: str) -> float:
    _wait_for(device)
    started = time.perf_counter()
    function()
    _wait_for(device)
    return time.perf_counter() - started


def _wait_for(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def _matmul_rate(dtype: torch.dtype, device: str) -> float:
    side = MATMUL_SIDE[device]
    square = torch.randn(side, side, device=device).to(dtype)
    return 2 * side**3 / measure(lambda: square @ square, RATE_REPEATS, device=device).low
