"""What of a run may be shown: each stage's record in the manifest, and why a stage is stale."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import nbformat
from pydantic import ValidationError

from cxr_mtl.base.errors import InputError
from cxr_mtl.base.files import read_json
from cxr_mtl.base.fingerprints import chapter_code
from cxr_mtl.runs.manifest import Record, manifest_values
from cxr_mtl.runs.run import RUNS, Run
from cxr_mtl.runs.stages import (
    BOOK,
    LOCK,
    Chapter,
    executed_copy,
    read_chapters,
    recorded,
    stage_parts,
    why_stale,
)


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
        return {chapter.name: StageState(chapter.name, None, "not run yet") for chapter in chapters}
    run = Run(folder)
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
    """The command that makes a run whole again with the parameters it was made with.

    Where its manifest does not tell them, the profile is left for the reader to name.
    """
    path = RUNS / run_name / "manifest.json"
    if not (root / path).exists():
        return f"cxr-mtl book --run {run_name}"
    try:
        manifest_values(root / path)
    except InputError:
        return f"cxr-mtl book --profile PROFILE --run {run_name}"
    return f"cxr-mtl book --profile {path.as_posix()} --run {run_name}"


def _state(chapter: Chapter, run: Run, lock: Path) -> StageState:
    name, entry = chapter.name, recorded(run, chapter.name)
    if entry is None:
        return StageState(name, None, "not run yet")
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
    try:
        executed = nbformat.read(copy, as_version=4)
    except (ValueError, OSError, AttributeError, nbformat.ValidationError):
        return f"{copy} is not a readable notebook"
    if chapter_code(executed) != chapter_code(chapter.notebook):
        return f"{copy} holds other code"
    results = run / f"results/{chapter.name}.json"
    if results.exists():
        read_json(results)
    return None
