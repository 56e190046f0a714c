"""Runs the points of a sweep, one after another or several at a time, each as a run of its own."""

import contextlib
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import IO

import pandas as pd
from rich.console import Console

from cxr_mtl.base.errors import InputError
from cxr_mtl.base.files import check_writable, write_beside, write_json
from cxr_mtl.base.processes import usable_cores
from cxr_mtl.base.terminal import PlainConsole
from cxr_mtl.runs.driver import AT_ONCE_VARIABLE, run_chapters
from cxr_mtl.runs.run import Run
from cxr_mtl.runs.stage_runner import ChapterError
from cxr_mtl.runs.sweep import Point, Sweep, summarise, summary_page

FILL_THE_CACHE = ("01_data", "02_model")
"""Chapters that make what runs share: never executed for two points at the same time."""

ALL_CHAPTERS = ("chapters",)  # exercises tell nothing of a point

SECONDS_BETWEEN_LOOKS = 0.2

Attempts = Iterator[tuple[Point, str | None]]
"""Each point once it has ended, and why it failed; None where it did not."""


def run_sweep(sweep: Sweep, workers: int = 1, console: Console | None = None) -> pd.DataFrame:
    """Run every point that is not fresh, and renew the sweep's `summary.html` after each.

    A point that fails does not keep the others from running.

    Args:
        workers: points at the same time. One point after another runs here; of several, each
            runs in processes of its own with an equal share of the cores, or with all of them for
            the chapters that fill the cache.

    Returns:
        `sweep.summarise` of all points.

    Raises:
        InputError: another process is at this sweep, or it cannot be written.
    """
    check_writable(sweep.folder / "sweep.json")
    console = console or PlainConsole()
    missing = {point.run: "not run yet" for point in sweep.points}
    attempts = _in_turn(sweep, console) if workers == 1 else _beside(sweep, workers, console)
    with Run(sweep.folder).locked(), contextlib.closing(attempts):
        write_json(sweep.folder / "sweep.json", sweep.record())
        for count, (point, failure) in enumerate(attempts, 1):
            del missing[point.run]
            if failure is not None:
                missing[point.run] = failure
            summary = summarise(sweep, missing)
            with write_beside(sweep.folder / "summary.html") as beside:
                beside.write_text(summary_page(sweep, summary), encoding="utf-8")
            said = "done" if failure is None else f"failed: {failure}"
            _print(console, f"{point.run}  {count} of {len(sweep.points)} points  {said}")
    return summary


def _in_turn(sweep: Sweep, console: Console) -> Attempts:
    for point in sweep.points:
        _print(console, str(point))
        failure = None
        try:
            run_chapters(
                sweep.profile, point.run, sweep.overrides_of(point), ALL_CHAPTERS, console=console
            )
        except (ChapterError, InputError) as error:
            failure = str(error)
        yield point, failure


def _beside(sweep: Sweep, workers: int, console: Console) -> Attempts:
    cores = usable_cores()
    waiting, running = list(sweep.points), []
    with contextlib.ExitStack() as stack:
        while waiting or running:
            while waiting and len(running) < workers:
                point = waiting.pop(0)
                _print(console, str(point))
                with _in_process(sweep, point, cores, FILL_THE_CACHE) as first:
                    first.process.wait()
                    failure = first.failure()
                if failure is not None:
                    yield point, failure
                    continue
                rest = _in_process(sweep, point, max(1, cores // workers), ALL_CHAPTERS)
                running.append(stack.enter_context(rest))
            time.sleep(SECONDS_BETWEEN_LOOKS)
            for ended in [each for each in running if each.process.poll() is not None]:
                running.remove(ended)
                yield ended.point, ended.failure()


@dataclass(frozen=True)
class _PointProcess:
    point: Point
    process: subprocess.Popen
    errors: IO[bytes]

    def failure(self) -> str | None:
        """What the ended process said of its failure; None when it did not fail."""
        code = self.process.returncode
        if code == 0:
            return None
        self.errors.seek(0)
        text = self.errors.read().decode(errors="replace")
        told = re.search(r"^(?:failed|error): (.*)", text, flags=re.MULTILINE | re.DOTALL)
        said = (told[1] if told else text).strip()
        return said or f"its process ended with exit code {code}, perhaps for lack of memory"


@contextlib.contextmanager
def _in_process(
    sweep: Sweep, point: Point, threads: int, only: Sequence[str]
) -> Iterator[_PointProcess]:
    """`cxr-mtl run` of a point in another process, ended with the `with` block at the latest."""
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            _command(sweep, point, only),
            env={**os.environ, "OMP_NUM_THREADS": str(threads), AT_ONCE_VARIABLE: "1"},
            stdout=subprocess.DEVNULL,
            stderr=errors,
        )
        try:
            yield _PointProcess(point, process, errors)
        finally:
            process.terminate()
            process.wait()


def _command(sweep: Sweep, point: Point, only: Sequence[str]) -> list[str]:
    words = [sys.executable, "-m", "cxr_mtl", "run", *only, "--profile", sweep.profile]
    flags = (word for text in sweep.overrides_of(point) for word in ("-p", text))
    return [*words, "--run", point.run, *flags]


def _print(console: Console, line: str) -> None:
    console.print(line, soft_wrap=True)
