"""Memory and threads of a process: work within a budget, and the most that was held meanwhile."""

import contextlib
import ctypes
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import numpy as np
import psutil
from numpy.typing import NDArray

from cxr_mtl.base.errors import InputError

SAMPLE_SECONDS = 0.5
_SMAPS = Path("/proc/self/smaps_rollup")
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3


def in_chunks(
    count: int,
    compute: Callable[[NDArray[np.intp]], dict[str, NDArray]],
    bytes_per_row: int,
    budget: int = 256_000_000,
) -> dict[str, NDArray]:
    """Join what `compute` returns for the rows 0 … count − 1, given a chunk of them at a time.

    `compute` takes row numbers [r] and returns arrays whose first axis is these rows. Chunks come
    in ascending order and hold as many rows of `bytes_per_row` as fit into `budget` bytes, but at
    least one.

    Raises:
        InputError: `count` or `bytes_per_row` is below 1.
    """
    if count < 1 or bytes_per_row < 1:
        raise InputError(
            f"{count} rows of {bytes_per_row} bytes cannot be computed in chunks: give at least "
            "one row of at least one byte"
        )
    step = max(1, budget // bytes_per_row)
    parts = [compute(np.arange(start, min(start + step, count))) for start in range(0, count, step)]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


@contextmanager
def limited_threads(count: int | None) -> Iterator[None]:
    """Compute with `count` threads inside the `with` block; None leaves their number as it is."""
    import torch  # here, for it takes seconds that most who measure memory need not wait

    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def keep_freed_memory() -> None:
    """Let large blocks that are freed serve the next allocation of this process.

    By default the C library returns blocks above 32 MiB to the system and gets fresh pages for the
    next one. Work that allocates the same large tensors again and again spends a third of its time
    on that. Does nothing where the C library is not glibc.
    """
    with contextlib.suppress(AttributeError, OSError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_MMAP_THRESHOLD, 2**30)
        mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)


class PeakMemory:
    """Samples the memory of the watched processes and all that they started.

    `peak` is the largest sum so far in bytes, and `on_sample` is told it. Shared pages count once
    (proportional set size) where the system tells, in equal parts for all processes that share
    them; elsewhere resident size is added up.
    """

    def __init__(self, on_sample: Callable[[int], None] | None = None) -> None:
        self.peak = 0
        self._on_sample = on_sample
        self._watched: list[psutil.Process] = []

    def watch(self, process: psutil.Process) -> None:
        """Count this process and its descendants from now on."""
        self._watched.append(process)

    def sampling(self) -> AbstractContextManager[None]:
        """Take samples inside the `with` block."""
        return _meanwhile(self._sample, SAMPLE_SECONDS)

    def _sample(self) -> None:
        self.peak = max(self.peak, sum(map(_size_with_descendants, self._watched)))
        if self._on_sample:
            self._on_sample(self.peak)


def peak_anonymous_memory(function: Callable[[], object]) -> int | None:
    """Most memory, in bytes, that this process held of its own while `function` ran.

    Files mapped into memory do not count. None where the system does not tell (only Linux does).
    """
    if not _SMAPS.exists():
        return None
    held = [_anonymous()]
    with _meanwhile(lambda: held.append(max(held.pop(), _anonymous())), 0.02):
        function()
    return held[0]


def _size_with_descendants(process: psutil.Process) -> int:
    try:
        return sum(map(_size, [process, *process.children(recursive=True)]))
    except psutil.Error:
        return 0


def _size(process: psutil.Process) -> int:
    try:
        sizes = process.memory_full_info()
        return getattr(sizes, "pss", sizes.rss)
    except psutil.Error:
        return 0


def _anonymous() -> int:
    line = next(line for line in _SMAPS.read_text().splitlines() if line.startswith("Anonymous:"))
    return int(line.split()[1]) * 1024


@contextmanager
def _meanwhile(act: Callable[[], None], seconds: float) -> Iterator[None]:
    """Call `act` again and again, so many seconds apart, while the `with` block runs."""
    done = threading.Event()

    def repeat() -> None:
        while not done.wait(seconds):
            act()

    thread = threading.Thread(target=repeat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
