"""Executes the stages that are not fresh, side by side where they can, and tells what it took."""

import contextlib
import os
import sys
from collections.abc import Iterator, Sequence, Set
from pathlib import Path

from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel
from papermill.iorw import local_file_io_cwd
from rich.console import Console
from rich.table import Table

from cxr_mtl.base.errors import InputError
from cxr_mtl.base.file_hashes import FileState, file_state, folder_states
from cxr_mtl.base.files import check_writable
from cxr_mtl.base.records import notices
from cxr_mtl.base.terminal import PlainConsole
from cxr_mtl.runs.freshness import input_paths
from cxr_mtl.runs.manifest import is_manifest, what_differs
from cxr_mtl.runs.parameters import Values
from cxr_mtl.runs.planning import Plan, command_text, plan
from cxr_mtl.runs.run import Run
from cxr_mtl.runs.scheduler import run_side_by_side
from cxr_mtl.runs.stage_runner import Outcome, StageResult, StageRunner
from cxr_mtl.runs.stages import Chapter, chosen_stages, upstream
from cxr_mtl.runs.stale_upstream import check_upstream
from cxr_mtl.runs.study_checks import CONTENT_CHECKS, check_files
from cxr_mtl.runs.watched_files import keep_hashes, recall_hashes, watched_states

Asked = Sequence[tuple[Chapter, Values]]
AT_ONCE_VARIABLE = "CXR_MTL_AT_ONCE"
"""How many stages may run side by side; without it two, for most keep one core busy at most."""


def run_chapters(
    profile: str | None = None,
    run_name: str = "demo",
    overrides: Sequence[str] = (),
    only: Sequence[str] = (),
    force: bool = False,
    console: Console | None = None,
    upstream_too: bool = False,
) -> list[Outcome]:
    """Execute the chapters that are not fresh, each in its own kernel, from the current directory.

    Two that need not wait for each other run side by side, or as many as the variable
    `CXR_MTL_AT_ONCE` says; chapters that are `alone` do not. After a failure what runs beside it
    is finished and kept, and nothing more begins.

    A chapter's executed copy goes to `runs/<run>/NN_name.ipynb`, that of its exercises to
    `runs/<run>/exercises/NN_name.ipynb`; when it fails, to `NN_name.failed.ipynb`, and what an
    earlier execution left stands.

    Args:
        profile, run_name, overrides: as in `planning.plan`.
        only: chapters to consider, by number, name or file; exercises by `exercises/05` and the
            like, or all by `exercises`; everything when empty.
        force: execute them although they are fresh.
        upstream_too: consider first the chapters that these rest on. Without it none of them may
            be stale.

    Raises:
        InputError: bad input, found before any work or raised by a chapter.
        ChapterError: a chapter failed, or its kernel died; or the check of an exercise failed.
    """
    console = console or PlainConsole()
    at_once = _at_once()
    planned = plan(profile, run_name, overrides)
    run, every = planned.run, planned.chapters
    asked_for = chosen_stages(only, list(planned.stages))
    below = {other for name in asked_for for other in upstream(name, every)}
    chosen = asked_for | below if upstream_too else asked_for
    _check_kernel()
    _check_places(planned)
    # Kernels inherit it: tqdm's advice to install widgets has no place in the book.
    os.environ.setdefault("PYTHONWARNINGS", "ignore:IProgress not found")
    if planned.notice:
        console.print(planned.notice, soft_wrap=True)
    if profile and is_manifest(Path(profile)):
        differences = what_differs(Path(profile), every)
        console.print(differences, soft_wrap=True)
    order = [name for name in planned.stages if name in chosen]
    asked = [planned.stages[name] for name in order]
    forced = asked_for if force else set()
    runner = StageRunner(planned.stages, run, forced, console)
    results = run_side_by_side(
        {name: chosen & set(upstream(name, every)) for name in order},
        {chapter.name for chapter in every if chapter.alone},
        at_once,
        runner.run,
        runner.stop,
    )
    # Papermill keeps the folder that it writes to for all threads: let all find the same.
    with run.locked(), _no_trace_if_refused(run), local_file_io_cwd(), runner.progress:
        check_files(asked)
        recall_hashes(run)
        words = [*only, *["--force"] * force, "--upstream"]
        command = command_text("run", profile, run_name, overrides, *words)
        check_upstream(order, forced, planned, command)
        left = {name for chapter, _ in asked for name in chapter.leaves}
        _check_content(CONTENT_CHECKS.keys() - left, run, asked)
        try:
            outcomes = _keep(results, planned, asked, console)
        except KeyboardInterrupt:
            console.print("interrupted: what was finished is kept, and the same command goes on")
            raise
        keep_hashes(run, _states_outside(planned))
    return sorted(outcomes, key=lambda outcome: order.index(outcome.step))


def time_table(outcomes: Sequence[Outcome], seconds: float) -> Table:
    """A table of where the time went: step, why it ran, seconds, peak memory in GiB.

    `seconds` is the whole time, less than the sum of the steps where some ran side by side.
    """
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
    table.add_row("from start to end", "", f"{seconds:.1f}", "")
    return table


def _keep(
    results: Iterator[StageResult], planned: Plan, asked: Asked, console: Console
) -> list[Outcome]:
    """Put each stage that ends into the run's manifest, and say what it took and found.

    As soon as a stage that leaves the studies, or the model, has run or is found fresh, all that
    were asked for are checked: what an earlier run has left may be about to be made anew.
    """
    outcomes, run = [], planned.run
    leaves = {chapter.name: set(chapter.leaves) for chapter, _ in asked}
    with contextlib.closing(results):
        for outcome, record in results:
            if record is not None:
                run.write_stage(outcome.step, {**record, "settings": planned.settings.record()})
            console.print(str(outcome))
            for notice in _notices(run, outcome.step):
                console.print(f"  {notice}", soft_wrap=True)
            outcomes.append(outcome)
            _check_content(leaves[outcome.step], run, asked)
    return outcomes


def _states_outside(planned: Plan) -> Iterator[FileState]:
    """The states of the files outside of a run that its stages rest on."""
    for chapter, values in planned.stages.values():
        with contextlib.suppress(InputError):  # for a damaged table its stage is stale
            yield from watched_states(planned.run, chapter.name)
        for _, path in input_paths(chapter, values):
            yield from folder_states(path) if path.is_dir() else [file_state(path)]


def _check_content(names: Set[str], run: Run, asked: Asked) -> None:
    for name, check in CONTENT_CHECKS.items():
        if name in names:
            check(asked, run)


def _notices(run: Run, stage: str) -> list[str]:
    """What a stage found that its user must know, by the records it has left."""
    if not (run / f"results/{stage}.json").exists():
        return []
    return notices(run.results(stage))


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


def _check_places(planned: Plan) -> None:
    """Refuse a run's folder that is another's or cannot be written, and such a shared one."""
    folder, own = planned.run.path, {".lock", "manifest.json"}
    if folder.is_dir() and any(folder.iterdir()) and not any((folder / n).exists() for n in own):
        raise InputError(f"{folder} is there and is no run: take another --run name, or move it")
    every = planned.stages.values()
    shared = {values["cache_dir"] for _, values in every if "cache_dir" in values}
    within = [Path(place, name) for place, names, _ in os.walk(folder) for name in names]
    for place in (folder, *within, *map(Path, sorted(shared))):
        check_writable(place / "manifest.json")


def _at_once() -> int:
    value = os.environ.get(AT_ONCE_VARIABLE, "2")
    if not value.isdecimal() or int(value) < 1:
        raise InputError(f"the variable {AT_ONCE_VARIABLE} is {value!r}: give a number from 1")
    return int(value)


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
