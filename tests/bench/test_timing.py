"""Times by a clock that the test sets, rates by the same, ratios by hand."""

import itertools

import pytest
import torch

from cxr_mtl.bench import timing
from cxr_mtl.bench.timing import Measurement, Rates, Timing, compared, in_units, measure


@pytest.fixture
def clock(monkeypatch):
    """Let timed calls take these seconds, again and again."""

    def tick(*seconds):
        ticks = itertools.chain.from_iterable((0.0, took) for took in itertools.cycle(seconds))
        monkeypatch.setattr(timing.time, "perf_counter", lambda: next(ticks))

    return tick


def test_a_timing_is_the_median_and_the_extremes_of_the_repeats(clock):
    clock(3.0, 1.0, 7.0, 2.0)
    assert measure(lambda: None, 4) == Timing(median=2.5, low=1.0, high=7.0, repeats=4)


@pytest.mark.parametrize("warmup", [0, 1, 5])
def test_warming_up_is_not_timed(clock, warmup):
    clock(1.0)
    calls = []
    assert measure(lambda: calls.append(1), 3, warmup).repeats == 3
    assert len(calls) == warmup + 3


def test_on_the_gpu_the_clock_starts_and_stops_when_the_gpu_is_done(monkeypatch):
    events = []
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: events.append("gpu done"))
    monkeypatch.setattr(timing.time, "perf_counter", lambda: events.append("clock") or 0.0)
    measure(lambda: events.append("call"), 1, warmup=0, device="cuda")
    assert events == ["gpu done", "clock", "call", "gpu done", "clock"]


@pytest.fixture
def small(monkeypatch):
    """Rates over little data, measured anew for each test."""
    monkeypatch.setattr(timing, "LARGE", 4096)
    monkeypatch.setattr(timing, "MATMUL_SIDE", {"cpu": 10})
    for cached in (timing.measure_rates, timing.read_rate):
        cached.cache_clear()
    yield
    for cached in (timing.measure_rates, timing.read_rate):
        cached.cache_clear()


@pytest.mark.usefixtures("small")
def test_rates_are_those_of_the_fastest_repeat(clock):
    clock(2.0, 0.5, 4.0)
    assert timing.measure_rates("cpu") == Rates(
        float32_flops=2 * 10**3 / 0.5,
        bfloat16_flops=2 * 10**3 / 0.5,
        read_bytes=4096 / 0.5,
        copy_bytes=4096 / 0.5,
    )


@pytest.mark.usefixtures("small")
def test_rates_are_measured_once(clock):
    clock(1.0)
    first = timing.measure_rates("cpu")
    clock(9.0)
    assert timing.measure_rates("cpu") is first
    assert timing.read_rate(40, "cpu") == pytest.approx(40 / 9)


def record(value, unit):
    return Measurement("toy", "slow way, n=1", "time", value, unit)


@pytest.mark.parametrize(
    ("unit", "value", "baseline", "floor", "ratio", "of_floor"),
    [
        ("s", 2.0, 6.0, 1.0, 3.0, 2.0),
        ("B", 8.0, 4.0, 2.0, 0.5, 4.0),
        ("FLOP/s", 50.0, 25.0, 100.0, 2.0, 2.0),
        ("", 0.9, 0.6, 1.0, 1.5, 1 / 0.9),
    ],
)
def test_a_ratio_above_one_is_better_whatever_the_unit(
    unit, value, baseline, floor, ratio, of_floor
):
    found = compared("toy", "a", "m", value, unit, baseline=record(baseline, unit), floor=floor)
    assert (found.ratio, found.of_floor) == pytest.approx((ratio, of_floor))
    assert (found.baseline, found.floor) == ("slow way, n=1", floor)


def test_a_timing_brings_its_spread_and_a_plain_value_has_none():
    timed = compared("toy", "a", "time", Timing(2.0, 1.0, 5.0, 7), target="below 3 s", note="x")
    assert timed == Measurement(
        "toy", "a", "time", 2.0, "s", 1.0, 5.0, 7, target="below 3 s", note="x"
    )
    assert compared("toy", "a", "time", 2.0) == Measurement("toy", "a", "time", 2.0, "s")


def test_a_baseline_that_was_not_measured_gives_no_ratio():
    found = compared("toy", "a", "time", 2.0, baseline=record(None, "s"))
    assert (found.baseline, found.ratio) == (None, None)


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0, "s", "0 s"),
        (1.5e-9, "s", "1.5e-09 s"),
        (41.63e-6, "s", "41.6 µs"),
        (0.0009996, "s", "1 ms"),
        (99.9, "s", "99.9 s"),
        (420.0, "s", "7 min"),
        (3_277_000_000, "B", "3.28 GB"),
        (1.155e12, "FLOP/s", "1.16 TFLOP/s"),
        (0.98765, "", "0.9877"),
        (3851, "", "3851"),
    ],
)
def test_values_are_told_in_units_that_fit(value, unit, text):
    assert in_units(value, unit) == text
