"""A run's manifest: how each stage was made, and what of that is no longer as it was."""

import contextlib
import platform
import subprocess
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil
from pydantic import AwareDatetime, BaseModel, FiniteFloat

from cxr_mtl.base.errors import InputError
from cxr_mtl.base.file_hashes import digest
from cxr_mtl.base.files import content_key, read_json
from cxr_mtl.base.fingerprints import chapter_code, library_sources
from cxr_mtl.base.imports import code_cells
from cxr_mtl.base.processes import usable_cores
from cxr_mtl.runs.run import LOCK
from cxr_mtl.runs.stages import Chapter

_LISTED = 3
_PACKAGES = (
    "torch",
    "torchvision",
    "open-clip-torch",
    "timm",
    "transformers",
    "faiss-gpu",
    "faiss-cpu",
    "optuna",
    "scikit-learn",
    "numpy",
    "pandas",
)


class Git(BaseModel):
    """The state of the source: see `git_state`."""

    commit: str
    dirty: bool


class Hardware(BaseModel):
    """The machine: see `hardware`."""

    cpu: str
    cores: int
    memory_gib: float
    gpu: str | None


class Parts(BaseModel):
    """What a stage's outcome depends on: see `freshness.stage_parts`."""

    code: str
    parameters: dict[str, Any]
    inputs: dict[str, str | None]
    library: dict[str, str]
    needs: dict[str, str]
    lock: str | None
    python: str


class Record(BaseModel):
    """One stage's entry in the manifest, as far as the pages read it."""

    parts: Parts
    parameters: dict[str, Any]
    left: dict[str, str]
    started: AwareDatetime
    wall_seconds: FiniteFloat
    peak_memory_bytes: int
    git: Git | None
    versions: dict[str, str]
    hardware: Hardware


def is_manifest(path: Path) -> bool:
    """Whether a profile is the manifest of a run."""
    return path.suffix == ".json"


def manifest_values(path: Path) -> dict[str, Any]:
    """The parameters a run was made with: those of all its chapters, without `run_dir`.

    Raises:
        InputError: the file is missing, damaged or no manifest, or two chapters were run with
            different values of a parameter.
    """
    values: dict[str, Any] = {}
    given_by: dict[str, str] = {}
    for stage, record in _records(path).items():
        for name, value in record["parameters"].items():
            if name == "run_dir":
                continue
            if values.setdefault(name, value) != value:
                raise InputError(
                    f"{path}: {given_by[name]} was run with {name} = {values[name]!r} and {stage} "
                    f"with {name} = {value!r}, so it tells of no one run: finish that run first, "
                    "or write the values into a profile"
                )
            given_by.setdefault(name, stage)
    return values


def what_differs(path: Path, chapters: Sequence[Chapter]) -> str:
    """One line for readers: what is not as it was when the run of a manifest was made.

    Looked at are the git commit, the lock file, the code of the chapters and of the library,
    versions and hardware.

    Raises:
        InputError: as `manifest_values`.
    """
    records = _records(path)
    found = [
        *_git_differences(records),
        *_hash_differences(records, chapters),
        *_machine_differences(records),
    ]
    absent = [chapter.name for chapter in chapters if chapter.name not in records]
    if absent:
        found.append(f"it has no entry of {_some(absent)}, which take their defaults")
    if not found:
        return f"Repeating {path}: commit, lock file, library and machine are as they were"
    return f"Repeating {path}, but numbers may differ: {'; '.join(found)}"


def git_state() -> dict[str, Any] | None:
    """The commit of the current directory and whether tracked files differ from it.

    None where there is no git or no commit.
    """
    commit = _output("git", "rev-parse", "HEAD")
    if commit is None:
        return None
    changes = _output("git", "status", "--porcelain", "--untracked-files=no")
    return {"commit": commit, "dirty": bool(changes)}


def versions() -> dict[str, str]:
    """Versions of Python, of this library and of the packages that shape the numbers."""
    return {"python": platform.python_version(), **_installed("cxr-mtl"), **package_versions()}


def package_versions() -> dict[str, str]:
    """Versions of the installed packages that shape the numbers."""
    return dict(_installed(*_PACKAGES))


def hardware() -> dict[str, Any]:
    """The processor, the cores this process may use, memory in GiB, and the GPU if any."""
    return {
        "cpu": _cpu_model(),
        "cores": usable_cores(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "gpu": _output("nvidia-smi", "--query-gpu=name", "--format=csv,noheader"),
        "system": f"{platform.system()} {platform.machine()}",
    }


@cache  # every chapter's key asks for them, and each is a file that is parsed
def _installed(*packages: str) -> Mapping[str, str]:
    found = {}
    for package in packages:
        with contextlib.suppress(PackageNotFoundError):
            found[package] = version(package)
    return found


def _records(path: Path) -> dict[str, dict[str, Any]]:
    records = read_json(path)
    if not (isinstance(records, dict) and records and all(map(_is_entry, records.values()))):
        raise InputError(
            f"{path} is no manifest of a run, chapters with their parameters: name another file"
        )
    return records


def _is_entry(record: Any) -> bool:
    """Whether a stage's entry has its parameters, and what else is looked at where it has it."""
    if not isinstance(record, dict) or not isinstance(record.get("parameters"), dict):
        return False
    parts = record.get("parts", {})
    others = [record.get("versions", {}), record.get("hardware", {}), record.get("git") or {}]
    return all(isinstance(other, dict) for other in [parts, *others]) and isinstance(
        parts.get("library", {}), dict
    )


def _git_differences(records: Mapping[str, Mapping[str, Any]]) -> list[str]:
    now = _commit(git_state())
    states = [record.get("git") or {} for record in records.values()]
    commits = {_commit(state) for state in states}
    found = []
    if commits != {now}:
        found.append(f"made at {', '.join(sorted(commits))}, this is {now}")
    if any(state.get("dirty") for state in states):
        found.append("made with uncommitted changes")
    return found


def _commit(state: Mapping[str, Any] | None) -> str:
    return str((state or {}).get("commit") or "no commit")[:12]


def _hash_differences(
    records: Mapping[str, Mapping[str, Any]], chapters: Sequence[Chapter]
) -> list[str]:
    lock = digest(LOCK) if LOCK.exists() else None
    lock_differs, changed = False, set()
    for chapter in chapters:
        parts = records.get(chapter.name, {}).get("parts")
        if parts is None:
            continue
        lock_differs |= parts.get("lock") != lock
        if parts.get("code") != content_key(chapter_code(chapter.notebook)):
            changed.add(chapter.name)
        before, now = parts.get("library", {}), library_sources(code_cells(chapter.notebook))
        changed |= {name for name in before | now if before.get(name) != now.get(name)}
    found = [f"{LOCK} differs"] if lock_differs else []
    return [*found, f"the code of {_some(sorted(changed))} differs"] if changed else found


def _machine_differences(records: Mapping[str, Mapping[str, Any]]) -> list[str]:
    found = []
    for field, now in {"versions": versions(), "hardware": hardware()}.items():
        then = [record.get(field, {}) for record in records.values()]
        names = {name for old in then for name in now | old if old.get(name) != now.get(name)}
        if names:
            found.append(f"{field} differ in {_some(sorted(names))}")
    return found


def _some(names: Sequence[str]) -> str:
    rest = len(names) - _LISTED
    return ", ".join(names[:_LISTED]) + (f" and {rest} more" if rest > 0 else "")


def _cpu_model() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _output(*command: str) -> str | None:
    """What a command printed, or None where it is absent or failed."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
