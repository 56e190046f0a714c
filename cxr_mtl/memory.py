"""Peak memory of the processes that this one starts."""

import threading
from collections.abc import Callable
from types import TracebackType

import psutil

SAMPLE_SECONDS = 0.5


class PeakMemory:
    """Samples, while entered, the memory of all child processes; `peak` is the largest sum, bytes.

    Shared pages count once (proportional set size) where the system tells; elsewhere resident
    size is added up.
    """

    def __init__(self) -> None:
        self.peak = 0
        self.on_sample: Callable[[int], None] = lambda peak: None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "PeakMemory":
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        own = psutil.Process()
        while not self._stop.wait(SAMPLE_SECONDS):
            self.peak = max(self.peak, sum(map(_size, own.children(recursive=True))))
            self.on_sample(self.peak)


def _size(process: psutil.Process) -> int:
    try:
        sizes = process.memory_full_info()
        return getattr(sizes, "pss", sizes.rss)
    except psutil.Error:
        return 0
