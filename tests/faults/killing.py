"""Kills of a run at random moments: of the driver, of a kernel, or of all processes at once."""

import os
import random
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
from tiny_study import PATIENCE, said, start

ALL, DRIVER, KERNEL = "all processes", "the driver", "a kernel"


@dataclass(frozen=True)
class Attempt:
    """One call of the run: how it ended, and what was killed when.

    Args:
        killed: what was killed; None where the run ended before its moment.
        seconds: from its start to its end.
        at: the newest file of the run at that moment.
        code: exit code of the driver, negative for a signal.
        said: what it printed.
    """

    killed: str | None
    seconds: float
    at: str
    code: int
    said: str


def attempt(folder: Path, rng: random.Random, most_seconds: float | None) -> Attempt:
    """Start the run and kill it at a random moment, in one case of two as a file appears.

    The moment is drawn evenly from 0 to `most_seconds`, or from as many changes among the files as
    a run makes; None kills nothing.
    """
    target = rng.choice((ALL, ALL, ALL, DRIVER, KERNEL))
    by_file = rng.random() < 0.5
    moment = rng.uniform(0, most_seconds or 0)
    change = rng.randint(1, 25)
    began = time.monotonic()
    process = start(folder)
    killed, at = None, ""
    for passed, changes, newest in _watched(process, folder / "runs", began):
        if most_seconds is None:
            continue
        if (changes >= change) if by_file else (passed >= moment):
            at, killed = newest, _kill(process, target)
            break
    code = process.wait(PATIENCE)
    return Attempt(killed, time.monotonic() - began, at, code, said(folder))


def _watched(
    process: subprocess.Popen[bytes], folder: Path, began: float
) -> Iterator[tuple[float, int, str]]:
    """Seconds, number of files that appeared or vanished so far, and the newest of them."""
    before, changes, newest = _files(folder), 0, ""
    while process.poll() is None:
        if time.monotonic() - began > PATIENCE:
            _kill(process, ALL)
            raise AssertionError(f"the run hangs after {newest}")
        now = _files(folder)
        changes += len(now ^ before)
        newest = min(now - before, default=newest)
        before = now
        yield time.monotonic() - began, changes, newest
        time.sleep(0.002)


def _files(folder: Path) -> set[str]:
    """Paths of all files below a folder that changes meanwhile."""
    found, stack = set(), [str(folder)]
    while stack:
        try:
            with os.scandir(stack.pop()) as entries:
                for entry in entries:
                    found.add(os.path.relpath(entry.path, folder))
                    if entry.is_dir(follow_symlinks=False):
                        stack.append(entry.path)
        except FileNotFoundError:
            continue
    return found


def _kill(process: subprocess.Popen[bytes], target: str) -> str | None:
    """Send SIGKILL; None where what is meant does not run at this moment."""
    driver = psutil.Process(process.pid)
    below = driver.children(recursive=True)
    kernels = [child for child in below if child.ppid() == process.pid]
    chosen = {ALL: [driver, *below], DRIVER: [driver], KERNEL: kernels[:1]}[target]
    for victim in chosen:  # stopped first, so that none sees another's end
        _send(victim, signal.SIGSTOP)
    for victim in chosen:
        _send(victim, signal.SIGKILL)
    return target if chosen else None


def _send(process: psutil.Process, number: int) -> None:
    try:
        process.send_signal(number)
    except psutil.NoSuchProcess:
        return
