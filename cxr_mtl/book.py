"""The driver: executes the chapters and exercises that are not fresh, says where the time went."""

import contextlib
import errno
import os
import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import papermill
from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel
from nbclient.exceptions import DeadKernelError
from nbformat import NotebookNode
from papermill.exceptions import PapermillExecutionError
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from cxr_mtl.errors import InputError
from cxr_mtl.exercises import label_at
from cxr_mtl.files import content_key
from cxr_mtl.fingerprints import digest, has_tag
from cxr_mtl.memory import PeakMemory
from cxr_mtl.parameters import merge_declarations, read_profile, resolve, write_parameters
from cxr_mtl.provenance import git_state, hardware, versions
from cxr_mtl.repeat import is_manifest, manifest_values, what_differs
from cxr_mtl.runs import Run, existing_run, named_run
from cxr_mtl.stages import (
    BOOK,
    Chapter,
    chosen_stages,
    executed_copy,
    read_stages,
    recorded,
    stage_parts,
    why_stale,
)

Values = dict[str, Any]
Plan = list[tuple[Chapter, Values]]


class ChapterError(RuntimeError):
    """A chapter failed by no fault of its input: which cell, and how its traceback ends."""


@dataclass(frozen=True)
class Outcome:
    """One step: why it was run (None: it is fresh), seconds and peak bytes of its processes."""

    step: str
    reason: str | None
    seconds: float = 0.0
    peak_bytes: int = 0


def plan(profile: str, run_name: str, overrides: Sequence[str] = ()) -> tuple[Path, Plan]:
    """The run's folder, and all chapters and exercises in order with the values each will get.

    Nothing is executed or written.

    Args:
        profile: the name of a file in `book/profiles`, the path of a `.yml` file, or that of a
            run's `manifest.json`, whose values are taken.
        run_name: the folder's name under `runs`.
        overrides: `name=value` texts, which win over the profile.

    Raises:
        InputError: a chapter, the profile, a parameter or the run's name is wrong.
    """
    chapters = read_stages()
    declared = merge_declarations({chapter.name: chapter.parameters for chapter in chapters})
    declared.pop("run_dir")
    is_file = profile.endswith((".yml", ".yaml", ".json"))
    path = Path(profile) if is_file else BOOK / "profiles" / f"{profile}.yml"
    read = manifest_values if is_manifest(path) else read_profile
    values = resolve(declared, read(path), str(path), overrides)
    folder = named_run(run_name)
    values["run_dir"] = folder.as_posix()
    return folder, [
        (chapter, {name: values[name] for name in chapter.parameters}) for chapter in chapters
    ]


def run_chapters(
    profile: str = "demo",
    run_name: str = "demo",
    overrides: Sequence[str] = (),
    only: Sequence[str] = (),
    force: bool = False,
    console: Console | None = None,
) -> list[Outcome]:
    """Execute the chapters that are not fresh, each in its own kernel, from the current directory.

    A chapter's executed copy goes to `runs/<run>/NN_name.ipynb`, that of its exercises to
    `runs/<run>/exercises/NN_name.ipynb`; when it fails, to `NN_name.failed.ipynb`, and what an
    earlier execution left stands.

    Args:
        only: chapters to consider, by number, name or file; exercises by `exercises/05` and the
            like, or all by `exercises`; everything when empty.
        force: execute them although they are fresh.

    Raises:
        InputError: bad input, found before any work or raised by a chapter.
        ChapterError: a chapter failed, or its kernel died; or the check of an exercise failed.
    """
    console = console or Console()
    folder, chapters = plan(profile, run_name, overrides)
    chosen = chosen_stages(only, [chapter.name for chapter, _ in chapters])
    _check_kernel()
    # Kernels inherit it: tqdm's advice to install widgets has no place in the book.
    os.environ.setdefault("PYTHONWARNINGS", "ignore:IProgress not found")
    if is_manifest(Path(profile)):
        differences = what_differs(Path(profile), [chapter for chapter, _ in chapters])
        console.print(differences, highlight=False, markup=False, soft_wrap=True)
    run, outcomes = Run(folder), []
    with run.locked(), _no_trace_if_refused(run):
        for chapter, values in chapters:
            if chapter.name not in chosen:
                continue
            parts = stage_parts(chapter, values, run)
            reason = why_stale(chapter, parts, recorded(run, chapter.name), run)
            if reason is None and not force:
                console.print(f"{chapter.name}  fresh", highlight=False)
                outcomes.append(Outcome(chapter.name, None))
                continue
            outcome = _run_stage(chapter, values, run, parts, reason or "forced", console)
            outcomes.append(outcome)
    return outcomes


def chapter_states(
    profile: str = "demo", run_name: str = "demo", overrides: Sequence[str] = ()
) -> dict[str, str | None]:
    """Why each chapter would run again, by name; None where it is fresh.

    Raises:
        InputError: there is no such run, or as in `plan`.
    """
    _, chapters = plan(profile, run_name, overrides)
    run = existing_run(run_name)
    states: dict[str, str | None] = {}
    for chapter, values in chapters:
        try:
            parts = stage_parts(chapter, values, run)
            states[chapter.name] = why_stale(chapter, parts, recorded(run, chapter.name), run)
        except InputError as error:
            states[chapter.name] = str(error)
    return states


def time_table(outcomes: Sequence[Outcome]) -> Table:
    """A table of where the time went: step, why it ran, seconds, peak memory in GiB."""
    table = Table("step", "why", title="Where the time went")
    table.add_column("seconds", justify="right")
    table.add_column("peak memory, GiB", justify="right")
    for outcome in outcomes:
        table.add_row(
            outcome.step,
            outcome.reason or "fresh",
            f"{outcome.seconds:.1f}" if outcome.reason else "",
            f"{outcome.peak_bytes / 2**30:.2f}" if outcome.peak_bytes else "",
        )
    table.add_section()
    table.add_row("all", "", f"{sum(outcome.seconds for outcome in outcomes):.1f}", "")
    return table


@contextlib.contextmanager
def _no_trace_if_refused(run: Run) -> Iterator[None]:
    """Remove a run's folder when bad input is found before a chapter left anything in it."""
    try:
        yield
    except InputError:
        if [path.name for path in run.path.iterdir()] == [".lock"]:
            (run / ".lock").unlink()
            run.path.rmdir()
            with contextlib.suppress(OSError):  # other runs lie beside it
                run.path.parent.rmdir()
        raise


def _run_stage(
    chapter: Chapter,
    values: Values,
    run: Run,
    parts: dict[str, Any],
    reason: str,
    console: Console,
) -> Outcome:
    started, clock = datetime.now(UTC), time.perf_counter()
    with PeakMemory() as memory, _progress(chapter, memory, console) as cell_started:
        _execute(chapter, values, run, cell_started)
    seconds = time.perf_counter() - clock
    absent = [leaf for leaf in chapter.leaves if not (run / leaf).exists()]
    if absent:
        raise ChapterError(f"{chapter.name} ran, but did not leave {run / absent[0]} as declared")
    run.write_stage(
        chapter.name,
        {
            "key": content_key(parts),
            "parts": parts,
            "parameters": values,
            "left": {leaf: digest(run / leaf) for leaf in chapter.leaves},
            "executed": digest(executed_copy(run, chapter.name)),
            "started": started.isoformat(timespec="seconds"),
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
            "wall_seconds": round(seconds, 2),
            "peak_memory_bytes": memory.peak,
            "git": git_state(),
            "versions": versions(),
            "hardware": hardware(),
        },
    )
    console.print(
        f"{chapter.name}  {seconds:.1f} s, peak {memory.peak / 2**30:.2f} GiB  ({reason})",
        highlight=False,
    )
    return Outcome(chapter.name, reason, seconds, memory.peak)


def _execute(chapter: Chapter, values: Values, run: Run, cell_started: Callable[..., None]) -> None:
    """Execute a chapter into its executed copy, or keep the failed copy and say what happened."""
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
            on_cell_start=cell_started,
            extra_arguments=["--log-level=CRITICAL"],
        )
        _check_complete(executed)
    except BaseException as error:
        with contextlib.suppress(FileNotFoundError):
            os.replace(partial, failed)
        raise _told(error, chapter, failed) from None
    os.replace(partial, done)
    failed.unlink(missing_ok=True)


def _told(error: BaseException, chapter: Chapter, failed: Path) -> BaseException:
    """The error to raise for one met while executing a chapter."""
    if isinstance(error, DeadKernelError):
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


def _check_complete(notebook: NotebookNode) -> None:
    """Papermill marks cells that a dying kernel never ran as completed; their count is absent."""
    for cell in notebook.cells:
        if cell.cell_type == "code" and cell.source.strip() and cell.execution_count is None:
            raise DeadKernelError


@contextlib.contextmanager
def _progress(
    chapter: Chapter, memory: PeakMemory, console: Console
) -> Iterator[Callable[..., None]]:
    """Show a chapter's line while it runs; yields what is called at the start of each cell."""
    cells = sum(
        cell.cell_type == "code" and bool(cell.source.strip()) for cell in chapter.notebook.cells
    )
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        TextColumn("cell {task.completed:.0f}/{task.total:.0f}"),
        TimeElapsedColumn(),
        TextColumn("peak {task.fields[peak]:.2f} GiB"),
    )
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as progress:
        task = progress.add_task(chapter.name, total=cells, peak=0.0)
        memory.on_sample = lambda peak: progress.update(task, peak=peak / 2**30)
        yield lambda **_: progress.advance(task)


def _check_kernel() -> None:
    """Refuse a kernel that would execute chapters with another Python than this one."""
    os.environ.setdefault("JUPYTER_PREFER_ENV_PATH", "1")
    try:
        spec = KernelSpecManager().get_kernel_spec("python3")
    except NoSuchKernel:
        raise InputError("there is no Jupyter kernel python3: install ipykernel here") from None
    own = {"python", "python3", f"python{sys.version_info[0]}.{sys.version_info[1]}"}
    if spec.argv[0] not in {*own, sys.executable}:
        raise InputError(
            f"the Jupyter kernel python3 ({spec.resource_dir}) starts {spec.argv[0]}, not "
            f"{sys.executable}: remove that folder or reinstall ipykernel here"
        )
