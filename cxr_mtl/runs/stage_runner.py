"""Runs stages that are not fresh, each in a kernel of its own: what it took, or what went wrong."""

import contextlib
import errno
import logging
import os
import re
import threading
import time
from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import papermill
import psutil
from jupyter_client import AsyncKernelManager
from nbclient.exceptions import DeadKernelError
from nbformat import NotebookNode
from papermill.exceptions import PapermillExecutionError
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from cxr_mtl.base.errors import InputError
from cxr_mtl.base.file_hashes import digest
from cxr_mtl.base.files import content_key
from cxr_mtl.base.resources import PeakMemory
from cxr_mtl.runs.exercise_cells import label_at
from cxr_mtl.runs.freshness import recorded, stage_parts, why_stale
from cxr_mtl.runs.manifest import git_state, hardware, versions
from cxr_mtl.runs.parameters import Values
from cxr_mtl.runs.run import Run
from cxr_mtl.runs.stages import Chapter, executed_copy

SHARED_CORES = {"OMP_WAIT_POLICY": "PASSIVE", "OPENBLAS_THREAD_TIMEOUT": "4"}
"""Threads that wait leave their core to other processes: without it chapters side by side take
several times as long. The timeout is the least that OpenBLAS takes, 2⁴ cycles."""

# What it says of a dead kernel would come before, and otherwise than, what is told here.
logging.getLogger("papermill").addHandler(logging.NullHandler())
_PARSING = threading.Lock()
"""Python 3.11 may fail with a SystemError where two threads parse sources at once."""


class ChapterError(RuntimeError):
    """A chapter failed by no fault of its input: which cell, and how its traceback ends."""


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


StageResult = tuple[Outcome, dict[str, Any] | None]
"""What a stage took, and its entry for the manifest where it was run."""


class StageRunner:
    """Runs stages of one run, several at a time if called so.

    Enter `progress` for a line of each on a terminal.

    Args:
        stages: chapters, or exercises, and their values by name.
        forced: those to run although they are fresh.
    """

    def __init__(
        self,
        stages: Mapping[str, tuple[Chapter, Values]],
        run: Run,
        forced: Set[str],
        console: Console,
    ) -> None:
        self._stages, self._run, self._forced, self._console = stages, run, forced, console
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

    def run(self, name: str) -> StageResult:
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
                self._console.print(f"{name}  failed: {first}; what runs beside it ends first")
            raise

    def _run_if_stale(self, name: str) -> StageResult:
        chapter, values = self._stages[name]
        with _PARSING:
            parts = stage_parts(chapter, values, self._run)
            reason = why_stale(chapter, parts, recorded(self._run, name), self._run)
        if reason is None and name not in self._forced:
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


def execute(
    chapter: Chapter,
    values: Mapping[str, Any],
    run: Run,
    *,
    on_kernel: Callable[[int], None],
    on_cell: Callable[[], None],
) -> None:
    """Execute a chapter into its executed copy, or keep the failed copy and say what happened.

    The threads of a chapter that is not alone give way to other processes when they wait.
    `on_kernel` gets the number of the kernel's process, `on_cell` is called when code starts.

    Raises:
        InputError: raised by the chapter, or the disk is full.
        ChapterError: a cell failed, or the kernel died.
    """
    done = executed_copy(run, chapter.name)
    done.parent.mkdir(exist_ok=True)
    partial = done.with_name(f".{done.stem}.partial.ipynb")
    failed = done.with_suffix(".failed.ipynb")
    with _PARSING:
        notebook = chapter.notebook_with(values)
    try:
        executed = papermill.execute_notebook(
            notebook,
            str(partial),
            kernel_name="python3",
            progress_bar=False,
            on_cell_execute=lambda **_: on_cell(),
            kernel_manager_class=_kernel_manager({} if chapter.alone else SHARED_CORES, on_kernel),
            extra_arguments=["--log-level=CRITICAL"],
        )
        _check_complete(executed)
    except BaseException as error:
        with contextlib.suppress(FileNotFoundError):
            os.replace(partial, failed)
        raise _told(error, chapter, failed) from None
    os.replace(partial, done)
    failed.unlink(missing_ok=True)


def _kill(process: psutil.Process) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        process.kill()


def _kernel_manager(
    variables: Mapping[str, str], on_kernel: Callable[[int], None]
) -> type[AsyncKernelManager]:
    class Manager(AsyncKernelManager):
        async def start_kernel(self, **options: Any) -> None:
            await super().start_kernel(**options, env={**variables, **os.environ})
            on_kernel(self.provisioner.pid)

    return Manager


def _told(error: BaseException, chapter: Chapter, failed: Path) -> BaseException:
    """The error to raise for one met while executing a chapter."""
    if isinstance(error, DeadKernelError) or _never_came_up(error):
        return ChapterError(
            f"the kernel of {chapter.name} died (killed, or out of memory): run the same command "
            f"again, it resumes at {chapter.name}; the cells so far are in {failed}"
        )
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return InputError(f"the disk is full at {chapter.name}: free some space and run again")
    if not isinstance(error, PapermillExecutionError):
        return error
    if error.ename == "InputError":
        return InputError(f"{chapter.name}: {error.evalue}")
    text = re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(error.traceback))
    label = label_at(chapter.notebook, error.cell_index)
    failing = f"{chapter.name}, exercise {label}," if label else chapter.name
    return ChapterError(
        f"{failing} failed in cell [{error.exec_count}] with {error.ename}: {error.evalue}\n"
        + "\n".join(text.splitlines()[-12:])
        + f"\nthe executed cells are in {failed}"
    )


def _never_came_up(error: BaseException) -> bool:
    """Whether a kernel died or gave no answer before its first cell."""
    return isinstance(error, RuntimeError) and str(error).startswith(
        ("Kernel died", "Kernel didn't")
    )


def _check_complete(notebook: NotebookNode) -> None:
    """Papermill marks cells that a dying kernel never ran as completed; their count is absent."""
    for cell in notebook.cells:
        if cell.cell_type == "code" and cell.source.strip() and cell.execution_count is None:
            raise DeadKernelError
