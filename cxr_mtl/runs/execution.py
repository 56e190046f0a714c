"""One stage in a kernel of its own: its executed copy, or what went wrong."""

import contextlib
import errno
import os
import re
from collections.abc import Callable, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import papermill
from jupyter_client import AsyncKernelManager
from nbclient.exceptions import DeadKernelError
from nbformat import NotebookNode
from papermill.exceptions import PapermillExecutionError

from cxr_mtl.base.errors import InputError
from cxr_mtl.base.fingerprints import has_tag
from cxr_mtl.runs.exercise_cells import label_at
from cxr_mtl.runs.parameters import write_parameters
from cxr_mtl.runs.run import Run
from cxr_mtl.runs.stages import Chapter, executed_copy

SHARED_CORES = {"OMP_WAIT_POLICY": "PASSIVE", "OPENBLAS_THREAD_TIMEOUT": "4"}
"""Threads that wait leave their core to other processes: without it chapters side by side take
several times as long. The timeout is the least that OpenBLAS takes, 2⁴ cycles."""


class ChapterError(RuntimeError):
    """A chapter failed by no fault of its input: which cell, and how its traceback ends."""


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
    notebook = deepcopy(chapter.notebook)
    for cell in notebook.cells:
        if has_tag(cell, "parameters"):
            cell.source = write_parameters(cell.source, values)
    done = executed_copy(run, chapter.name)
    done.parent.mkdir(exist_ok=True)
    partial = done.with_name(f".{done.stem}.partial.ipynb")
    failed = done.with_suffix(".failed.ipynb")
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
    """Whether nbclient gave up on a kernel before its first cell."""
    return isinstance(error, RuntimeError) and str(error).startswith("Kernel did")


def _check_complete(notebook: NotebookNode) -> None:
    """Papermill marks cells that a dying kernel never ran as completed; their count is absent."""
    for cell in notebook.cells:
        if cell.cell_type == "code" and cell.source.strip() and cell.execution_count is None:
            raise DeadKernelError
