"""Executes the stages that are not fresh, side by side where they can, and tells what it took."""

import contextlib
import os
import sys
from collections.abc import Iterator, Mapping, Sequence, Set
from pathlib import Path

from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel
from papermill.iorw import local_file_io_cwd
from rich.console import Console
from rich.table import Table

from cxr_mtl.base.errors import InputError
from cxr_mtl.base.file_hashes import FileState, file_state, folder_states
from cxr_mtl.base.files import check_writable
from cxr_mtl.base.records import NOTICE
from cxr_mtl.base.terminal import PlainConsole
from cxr_mtl.runs.freshness import input_paths, recorded, stage_parts, why_stale
from cxr_mtl.runs.manifest import is_manifest, manifest_values, what_differs
from cxr_mtl.runs.parameters import merge_declarations, resolve
from cxr_mtl.runs.profiles import read_profile
from cxr_mtl.runs.run import Run, existing_run, named_run
from cxr_mtl.runs.scheduler import run_side_by_side
from cxr_mtl.runs.stage_runner import Outcome, StageResult, StageRunner, Values
from cxr_mtl.runs.stages import BOOK, Chapter, chosen_stages, read_stages, upstream
from cxr_mtl.runs.study_checks import CONTENT_CHECKS, check_files, check_needs
from cxr_mtl.runs.watched_files import keep_hashes, recall_hashes, watched_states

Plan = list[tuple[Chapter, Values]]
AT_ONCE_VARIABLE = "CXR_MTL_AT_ONCE"
"""How many stages may run side by side; without it two, for most keep one core busy at most."""


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

    Two that need not wait for each other run side by side, or as many as the variable
    `CXR_MTL_AT_ONCE` says; chapters that are `alone` do not. After a failure what runs beside it
    is finished and kept, and nothing more begins.

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
    console = console or PlainConsole()
    at_once = _at_once()
    folder, chapters = plan(profile, run_name, overrides)
    every = [chapter for chapter, _ in chapters]
    chosen = chosen_stages(only, [chapter.name for chapter in every])
    _check_kernel()
    _check_places(folder, chapters)
    # Kernels inherit it: tqdm's advice to install widgets has no place in the book.
    os.environ.setdefault("PYTHONWARNINGS", "ignore:IProgress not found")
    if is_manifest(Path(profile)):
        differences = what_differs(Path(profile), every)
        console.print(differences, soft_wrap=True)
    run, order = Run(folder), [chapter.name for chapter in every if chapter.name in chosen]
    stages = {chapter.name: (chapter, values) for chapter, values in chapters}
    runner = StageRunner(stages, run, force, console)
    asked = [stages[name] for name in order]
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
        check_needs(asked, run, every)
        left = {name for chapter, _ in asked for name in chapter.leaves}
        _check_content(CONTENT_CHECKS.keys() - left, run, asked)
        recall_hashes(run)
        try:
            outcomes = _keep(results, run, asked, console)
        except KeyboardInterrupt:
            console.print("interrupted: what was finished is kept, and the same command goes on")
            raise
        keep_hashes(run, _states_outside(asked, run))
    return sorted(outcomes, key=lambda outcome: order.index(outcome.step))


def chapter_states(
    profile: str = "demo", run_name: str = "demo", overrides: Sequence[str] = ()
) -> dict[str, str | None]:
    """Why each chapter would run again, by name; None where it is fresh.

    Raises:
        InputError: there is no such run, or as in `plan`.
    """
    _, chapters = plan(profile, run_name, overrides)
    run = existing_run(run_name)
    recall_hashes(run)
    states: dict[str, str | None] = {}
    for chapter, values in chapters:
        try:
            parts = stage_parts(chapter, values, run)
            states[chapter.name] = why_stale(chapter, parts, recorded(run, chapter.name), run)
        except InputError as error:
            states[chapter.name] = str(error)
    return states


def state_table(states: Mapping[str, str | None]) -> Table:
    """What `chapter_states` found, for a terminal."""
    table = Table("chapter", "state")
    for chapter, reason in states.items():
        table.add_row(chapter, "fresh" if reason is None else f"stale: {reason}")
    return table


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


def _keep(results: Iterator[StageResult], run: Run, asked: Plan, console: Console) -> list[Outcome]:
    """Put each stage that ends into the run's manifest, and say what it took and found.

    As soon as a stage that leaves the studies, or the model, has run or is found fresh, all that
    were asked for are checked: what an earlier run has left may be about to be made anew.
    """
    outcomes = []
    leaves = {chapter.name: set(chapter.leaves) for chapter, _ in asked}
    with contextlib.closing(results):
        for outcome, record in results:
            if record is not None:
                run.write_stage(outcome.step, record)
            console.print(str(outcome))
            for notice in _notices(run, outcome.step):
                console.print(f"  {notice}", soft_wrap=True)
            outcomes.append(outcome)
            _check_content(leaves[outcome.step], run, asked)
    return outcomes


def _states_outside(stages: Plan, run: Run) -> Iterator[FileState]:
    """The states of the files outside of a run that stages rest on."""
    for chapter, values in stages:
        yield from watched_states(run, chapter.name)
        for _, path in input_paths(chapter, values):
            yield from folder_states(path) if path.is_dir() else [file_state(path)]


def _check_content(names: Set[str], run: Run, asked: Plan) -> None:
    for name, check in CONTENT_CHECKS.items():
        if name in names:
            check(asked, run)


def _notices(run: Run, stage: str) -> list[str]:
    """What a stage found that its user must know, by the records it has left."""
    if not (run / f"results/{stage}.json").exists():
        return []
    return [str(r["value"]) for r in run.results(stage) if r.get("metric") == NOTICE]


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


def _check_places(folder: Path, chapters: Plan) -> None:
    """Refuse a run's folder that is another's or cannot be written, and such a shared one."""
    own = {".lock", "manifest.json"}
    if folder.is_dir() and any(folder.iterdir()) and not any((folder / n).exists() for n in own):
        raise InputError(f"{folder} is there and is no run: take another --run name, or move it")
    shared = {values["cache_dir"] for _, values in chapters if "cache_dir" in values}
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
