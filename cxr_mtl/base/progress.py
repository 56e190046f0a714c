"""Progress of long work: how far, and how long it still takes."""

import sys
import time
from collections.abc import Callable

SECONDS_BETWEEN_LINES = 10

Progress = Callable[[int, int, float], None]


class Meter:
    """Calls `progress(done, total, seconds left)`; the pace is that of the work done since here.

    `done` of `total` things were there before; `work` is what the others take, in any unit, for
    they need not be alike.
    """

    def __init__(self, total: int, done: int, work: int, progress: Progress | None) -> None:
        self.total, self.done, self.progress = total, done, progress
        self.finished_work, self.work = 0, work
        self.started = time.monotonic()

    def step(self, things: int, work: int) -> None:
        """Count `things` finished, which took `work`."""
        self.done += things
        self.finished_work += work
        if self.progress:
            seconds = (time.monotonic() - self.started) / self.finished_work
            self.progress(self.done, self.total, seconds * (self.work - self.finished_work))


def print_progress(what: str) -> Progress:
    """A callback that tells `what`, how far, and the time left every ten seconds.

    It writes to stderr, which the pages leave out: what a reader sees there is finished.
    """
    last = time.monotonic()

    def show(done: int, total: int, seconds_left: float) -> None:
        nonlocal last
        if time.monotonic() - last >= SECONDS_BETWEEN_LINES:
            last = time.monotonic()
            words = f"{what}  {done:,} of {total:,}, about {_in_words(seconds_left)} left"
            print(words, file=sys.stderr, flush=True)

    return show


def _in_words(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
