"""Work in chunks joins to the whole within its budget, and peak memory is that of a process."""

import subprocess
import sys

import numpy as np
import psutil
import pytest

from cxr_mtl.base.errors import InputError
from cxr_mtl.base.resources import PeakMemory, in_chunks


def test_the_joined_result_is_that_of_all_rows_at_once():
    vectors = np.random.default_rng(0).standard_normal((23, 4))

    def compute(rows):
        scores = vectors[rows] @ vectors.T
        return {"best": scores.argmax(axis=1), "scores": scores}

    at_once = compute(np.arange(23))
    for budget in (1, 100, 1_000, 1_000_000):
        joined = in_chunks(23, compute, bytes_per_row=23 * 8, budget=budget)
        assert list(joined) == ["best", "scores"]
        np.testing.assert_array_equal(joined["best"], at_once["best"])
        np.testing.assert_allclose(joined["scores"], at_once["scores"], rtol=1e-12)


@pytest.mark.parametrize(
    ("budget", "sizes"),
    [
        (100, [10]),
        (99, [9, 1]),
        (39, [3, 3, 3, 1]),
        (10, [1] * 10),
        (9, [1] * 10),
        (0, [1] * 10),
    ],
)
def test_chunks_hold_what_the_budget_allows_and_never_less_than_a_row(budget, sizes):
    chunks = []
    in_chunks(10, lambda rows: chunks.append(rows) or {"row": rows}, 10, budget)
    assert [len(rows) for rows in chunks] == sizes
    np.testing.assert_array_equal(np.concatenate(chunks), np.arange(10))


@pytest.mark.parametrize(("count", "size"), [(0, 10), (10, 0)])
def test_no_row_and_rows_without_bytes_are_refused(count, size):
    with pytest.raises(InputError, match=f"{count} rows of {size} bytes"):
        in_chunks(count, lambda rows: {"row": rows}, size)


def test_peak_memory_is_that_of_the_watched_process():
    code = "import time; block = b'x' * 200_000_000; time.sleep(1.5)"
    memory = PeakMemory()
    with memory.sampling(), subprocess.Popen([sys.executable, "-c", code]) as process:
        memory.watch(psutil.Process(process.pid))
        process.wait()
    assert 200_000_000 < memory.peak < 300_000_000
