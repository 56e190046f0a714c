"""Runs stages that are not fresh, shows how far they are, and says what each of them took."""

import contextlib
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import psutil
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from cxr_mtl.base.files import content_key
from cxr_mtl.base.fingerprints import digest
from cxr_mtl.base.resources import PeakMemory
from cxr_mtl.runs.execution import ChapterError, execute
from cxr_mtl.runs.provenance import git_state, hardware, versions
from cxr_mtl.runs.run import Run
from cxr_mtl.runs.stages import Chapter, executed_copy, recorded, stage_parts, why_stale

Values = dict[str, Any]
Record = dict[str, Any]


@dataclass(frozen=True)
class Outcome:
    """One step: why it was run (None: it is fresh), seconds and peak bytes of its processes."""

    step: str
    reason: str | None
    seconds: float = 0.0
    peak_bytes: int = 0

    def __str__(self) -> str:
        if self.reason is None:
            return f"{self.step}  fresh"
        peak = f"peak {self.peak_bytes / 2**30:.2f} GiB"
        return f"{self.step}  {self.seconds:.1f} s, {peak}  ({self.reason})"


class StageRunner:
    """Runs stages of one run, several at a time if called so.

    Enter `progress` for a line of each on a terminal.

    Args:
        stages: chapters, or exercises, and their values by name.
        force: run them although they are fresh.
    """

    def __init__(
        self,
        stages: Mapping[str, tuple[Chapter, Values]],
        run: Run,
        force: bool,
        console: Console,
    ) -> None:
        self._stages, self._run, self._force, self._console = stages, run, force, console
        self.progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            TextColumn("cell {task.completed:.0f}/{task.total:.0f}"),
            TimeElapsedColumn(),
            TextColumn("peak {task.fields[peak]:.2f} GiB"),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._kernels: list[psutil.Process] = []
        self._stopped = False
        self._lock = threading.Lock()

    def run(self, name: str) -> tuple[Outcome, Record | None]:
        """Run one stage if it is not fresh, and give its entry for the manifest.

        A failure is told at once where other stages still run: it will be raised after them.

        Raises:
            InputError: bad input that the chapter met, or a needed file is not there.
            ChapterError: it failed, its kernel died, or it did not leave what it declares.
        """
        try:
            return self._run_if_stale(name)
        except Exception as error:
            if self.progress.tasks and not self._stopped:
                first = str(error).partition("\n")[0]
                self._console.print(
                    f"{name}  failed: {first}; what runs beside it ends first",
                    highlight=False,
                    markup=False,
                )
            raise

    def _run_if_stale(self, name: str) -> tuple[Outcome, Record | None]:
        chapter, values = self._stages[name]
        parts = stage_parts(chapter, values, self._run)
        reason = why_stale(chapter, parts, recorded(self._run, name), self._run)
        if reason is None and not self._force:
            return Outcome(name, None), None
        started, clock = datetime.now(UTC), time.perf_counter()
        memory = self._execute(chapter, values)
        seconds = time.perf_counter() - clock
        absent = [leaf for leaf in chapter.leaves if not (self._run / leaf).exists()]
        if absent:
            left = self._run / absent[0]
            raise ChapterError(f"{name} ran, but did not leave {left} as declared")
        record = {
            "key": content_key(parts),
            "parts": parts,
            "parameters": values,
            "left": {leaf: digest(self._run / leaf) for leaf in chapter.leaves},
            "executed": digest(executed_copy(self._run, name)),
            "started": started.isoformat(timespec="seconds"),
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
            "wall_seconds": round(seconds, 2),
            "peak_memory_bytes": memory.peak,
            "git": git_state(),
            "versions": versions(),
            "hardware": hardware(),
        }
        return Outcome(name, reason or "forced", seconds, memory.peak), record

    def stop(self) -> None:
        """Kill the kernels that run, and let no stage begin from now on."""
        with self._lock:
            self._stopped = True
            for kernel in self._kernels:
                _kill(kernel)

    def _execute(self, chapter: Chapter, values: Values) -> PeakMemory:
        cells = [cell for cell in chapter.notebook.cells if cell.cell_type == "code"]
        total = sum(bool(cell.source.strip()) for cell in cells)
        task = self.progress.add_task(chapter.name, total=total, peak=0.0)
        memory = PeakMemory(lambda peak: self.progress.update(task, peak=peak / 2**30))

        def on_kernel(pid: int) -> None:
            kernel = psutil.Process(pid)
            memory.watch(kernel)
            with self._lock:
                self._kernels.append(kernel)
                if self._stopped:
                    _kill(kernel)

        try:
            with self._lock:
                if self._stopped:
                    raise ChapterError(f"{chapter.name} was stopped before it began")
            with memory.sampling():
                execute(
                    chapter,
                    values,
                    self._run,
                    on_kernel=on_kernel,
                    on_cell=lambda: self.progress.advance(task),
                )
        finally:
            self.progress.remove_task(task)
        return memory


def _kill(process: psutil.Process) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        process.kill()
