"""What is fresh: the parts that a stage's outcome rests on, and why what a run holds is stale."""

import platform
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import nbformat
from pydantic import ValidationError

from cxr_mtl.base.errors import InputError
from cxr_mtl.base.file_hashes import digest
from cxr_mtl.base.files import content_key, read_json
from cxr_mtl.base.fingerprints import chapter_code, library_sources
from cxr_mtl.base.imports import code_cells
from cxr_mtl.runs.manifest import Record, package_versions
from cxr_mtl.runs.run import LOCK, RUNS, Run
from cxr_mtl.runs.settings import settings_of
from cxr_mtl.runs.stages import BOOK, Chapter, executed_copy, read_chapters
from cxr_mtl.runs.watched_files import recall_hashes, what_changed

CHANGED = "was changed since"
"""What is said of a file of the run that something else than `cxr-mtl` has written."""

_NOT_RUN = "not run yet"
_GROUPS = {
    "parameters": "the parameter {name} changed",
    "inputs": "what the parameter {name} points to changed",
    "library": "{name} changed",
    "needs": "{name} changed",
    "versions": "another version of {name} is installed",
}


@dataclass(frozen=True)
class StageState:
    """One stage of a run.

    Args:
        record: its entry in the manifest; None where there is no usable one.
        reason: why its outputs and numbers may not be shown; None where the stage is fresh.
    """

    name: str
    record: Record | None
    reason: str | None


def read_states(run_name: str, chapters: Iterable[Chapter], root: Path) -> dict[str, StageState]:
    """The state of each stage of a run by name, for the parameters it was run with.

    Damaged, incomplete and foreign files make their stages stale; nothing is raised and nothing
    is written.

    Args:
        root: the folder that holds `runs` and `requirements.lock`.
    """
    folder = root / RUNS / run_name
    if not folder.is_dir():
        return {chapter.name: StageState(chapter.name, None, _NOT_RUN) for chapter in chapters}
    run = Run(folder)
    recall_hashes(run)
    states = {}
    for chapter in chapters:
        try:
            state = _state(chapter, run, root / LOCK)
        except InputError as error:
            state = StageState(chapter.name, None, str(error))
        reason = state.reason and state.reason.replace(f"{root}/", "")  # for readers elsewhere
        states[chapter.name] = replace(state, reason=reason)
    return states


def stale_chapters(run_name: str) -> dict[str, str]:
    """Why what a run holds of a chapter is out of date, by chapter; empty outside of a repository.

    A chapter that has not been run is not among them.
    """
    if not BOOK.is_dir():
        return {}
    states = read_states(run_name, read_chapters(), Path()).values()
    return {state.name: state.reason for state in states if state.record and state.reason}


def mending_command(run_name: str, root: Path) -> str:
    """The command that makes a run whole again with what it was called with.

    Where its manifest does not tell that, the profile is left for the reader to name.
    """
    try:
        settings_of(Run(root / RUNS / run_name))
    except InputError:
        return f"cxr-mtl book --profile PROFILE --run {run_name}"
    return f"cxr-mtl book --run {run_name}"


def stage_parts(
    chapter: Chapter, values: Mapping[str, Any], run: Run, lock: Path = LOCK
) -> dict[str, Any]:
    """Everything a stage's outcome depends on, by hash; the key is the hash of it all.

    `run_dir` is left out: a renamed run stays fresh.

    Raises:
        InputError: a needed file is not there.
    """
    for need in chapter.needs:
        if not (run / need).exists():
            raise InputError(
                f"{chapter.name} needs {run / need}, which is missing: run the chapter that "
                "leaves it first"
            )
    paths = {
        name: digest(path) if path.exists() else None for name, path in input_paths(chapter, values)
    }
    return {
        "code": content_key(chapter_code(chapter.notebook)),
        "parameters": {name: value for name, value in values.items() if name != "run_dir"},
        "inputs": paths,
        "library": library_sources(code_cells(chapter.notebook)),
        "needs": {need: digest(run / need) for need in chapter.needs},
        "lock": digest(lock) if lock.exists() else None,
        "versions": package_versions(),
        "python": ".".join(platform.python_version_tuple()[:2]),
    }


def input_paths(chapter: Chapter, values: Mapping[str, Any]) -> list[tuple[str, Path]]:
    """The files and folders that a stage's parameters name for it to read, by parameter."""
    return [
        (name, Path(values[name]))
        for name, parameter in chapter.parameters.items()
        if parameter.is_path and values[name] is not None and name != "run_dir"
    ]


def recorded(run: Run, name: str) -> Any:
    """A stage's entry in the manifest of a run, unchecked; None where there is none.

    Raises:
        InputError: the file is no manifest.
    """
    manifest = run.manifest
    if not isinstance(manifest, dict):
        raise InputError(f"{run / 'manifest.json'} is no manifest: delete it and run again")
    return manifest.get(name)


def why_stale(chapter: Chapter, parts: Mapping[str, Any], record: Any, run: Run) -> str | None:
    """The first reason to run a chapter again, or None when its last run still stands.

    Args:
        parts: what `stage_parts` finds now.
        record: the stage's entry in the manifest, as `recorded` finds it.
    """
    if record is None or not executed_copy(run, chapter.name).exists():
        return _NOT_RUN
    if not _is_whole(record):
        return "its entry in the manifest is damaged"
    old = record["parts"]
    if old.get("code") != parts["code"]:
        return "its code changed"
    for group, words in _GROUPS.items():
        before = old.get(group, {})
        for name in sorted({*before, *parts[group]}):
            if before.get(name) != parts[group].get(name):
                return words.format(name=name)
    for name, words in {"lock": "requirements.lock", "python": "the Python version"}.items():
        if old.get(name) != parts[name]:
            return f"{words} changed"
    copy = executed_copy(run, chapter.name)
    # Absent from the records of versions that did not look at it.
    if record.get("executed") not in (None, digest(copy)):
        return f"{copy.relative_to(run.path)} {CHANGED}{_by_papermill(copy, chapter)}"
    for leaf in chapter.leaves:
        if not (run / leaf).exists():
            return f"{leaf} is missing"
        if record["left"].get(leaf) != digest(run / leaf):
            return f"{leaf} {CHANGED}"
    return what_changed(run, chapter.name)


def why_run(chapter: Chapter, values: Mapping[str, Any], run: Run) -> str | None:
    """Why a chapter would run again with these values, in words; None where it is fresh."""
    try:
        record = recorded(run, chapter.name)
        if record is None:
            return _NOT_RUN
        return why_stale(chapter, stage_parts(chapter, values, run), record, run)
    except InputError as error:
        return str(error)


def _state(chapter: Chapter, run: Run, lock: Path) -> StageState:
    name, entry = chapter.name, recorded(run, chapter.name)
    if entry is None:
        return StageState(name, None, _NOT_RUN)
    try:
        record = Record.model_validate(entry)
    except ValidationError as error:
        field = ".".join(map(str, error.errors()[0]["loc"])) or "the whole"
        raise InputError(
            f"its entry in {run / 'manifest.json'} is damaged or of another version ({field})"
        ) from None
    declared = {key: parameter.default for key, parameter in chapter.parameters.items()}
    values = {key: record.parameters.get(key, default) for key, default in declared.items()}
    for key, parameter in chapter.parameters.items():
        parameter.check(values[key], str(run / "manifest.json"))
    try:
        parts = stage_parts(chapter, values, run, lock=lock)
        reason = why_stale(chapter, parts, entry, run) or _damage(chapter, run)
    except InputError as error:
        reason = str(error)
    return StageState(name, record, reason)


def _damage(chapter: Chapter, run: Run) -> str | None:
    """What is wrong with a fresh stage's executed copy or results, if anything."""
    copy = executed_copy(run, chapter.name)
    executed = _notebook(copy)
    if executed is None:
        return f"{copy} is not a readable notebook"
    if chapter_code(executed) != chapter_code(chapter.notebook):
        return f"{copy} holds other code"
    results = run / f"results/{chapter.name}.json"
    if results.exists():
        read_json(results)
    return None


def _by_papermill(copy: Path, chapter: Chapter) -> str:
    """That papermill has put its output in the place of an executed copy; empty if it has not.

    The driver's own call of papermill has another name in its place.
    """
    executed = _notebook(copy)
    told = executed.metadata.get("papermill") if executed else None
    if not isinstance(told, dict) or Path(str(told.get("output_path"))).name != copy.name:
        return ""
    given = told.get("parameters")
    names = [name for name in chapter.parameters if isinstance(given, dict) and name in given]
    return ", by papermill" + (f" with -p {' and '.join(names)}" if names else "")


def _notebook(path: Path) -> nbformat.NotebookNode | None:
    """A notebook, or None where the file is none."""
    try:
        return nbformat.read(path, as_version=4)
    # A file that is no notebook breaks nbformat in any way.
    except Exception:
        return None


def _is_whole(record: Any) -> bool:
    """Whether an entry of the manifest has the mappings that `why_stale` reads."""
    return (
        isinstance(record, dict)
        and all(isinstance(record.get(name), dict) for name in ("parts", "left"))
        and all(isinstance(record["parts"].get(group, {}), dict) for group in _GROUPS)
    )
