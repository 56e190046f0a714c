"""A run: the folder of artifacts that one execution of the chapters leaves behind."""

import json
import math
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from cxr_mtl.base.errors import InputError
from cxr_mtl.base.files import check_writable, read_json, read_json_as, sweep, write_json

BOOK = Path("book")
LOCK = Path("requirements.lock")
RUNS = Path("runs")


class Run:
    """The folder of one run; `run / "studies.parquet"` is a path inside it.

    Args:
        path: the folder, for example `runs/demo`; what is first written into it makes it.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)

    def __truediv__(self, name: str) -> Path:
        return self.path / name

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r})"

    def write_results(self, stage: str, records: Sequence[dict[str, Any]]) -> None:
        """Write a stage's tidy records to `results/<stage>.json`.

        Every record is a flat dict with at least `metric` and `value`; NumPy scalars become
        plain numbers.

        Raises:
            InputError: a record lacks `metric` or `value`, or holds NaN or infinity.
        """
        plain = [{key: _plain(value) for key, value in record.items()} for record in records]
        for record in plain:
            missing = [key for key in ("metric", "value") if key not in record]
            if missing:
                raise InputError(f"a record of {stage} lacks {missing[0]}: {record}")
            for key, value in record.items():
                if isinstance(value, float) and not math.isfinite(value):
                    raise InputError(f"a record of {stage} has {key} = {value}: {record}")
        write_json(self / f"results/{stage}.json", plain)

    def results(self, stage: str) -> list[dict[str, Any]]:
        """Read the records that `write_results` wrote.

        Raises:
            InputError: the stage has written none yet, or the file is damaged.
        """
        return read_json_as(list[dict[str, Any]], self / f"results/{stage}.json")

    @property
    def manifest(self) -> dict[str, Any]:
        """How each stage was run, by stage name; empty before the first one."""
        path = self / "manifest.json"
        return read_json(path) if path.exists() else {}

    def write_stage(self, stage: str, record: dict[str, Any]) -> None:
        """Put one stage's record into the manifest, behind those of all others."""
        others = {name: entry for name, entry in self.manifest.items() if name != stage}
        write_json(self / "manifest.json", {**others, stage: record})

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the run against other processes; a dead holder's lock is free.

        Raises:
            InputError: another process holds it, or as in `check_writable`.
        """
        check_writable(self / ".lock")
        self.path.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(self / ".lock", timeout=0):
                sweep(self.path)
                yield
        except Timeout:
            raise InputError(
                f"another process is writing {self.path}: wait for it or use another --run name"
            ) from None


def named_run(name: str) -> Path:
    """The folder of the run called `name`.

    Raises:
        InputError: the name is not a plain folder name.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", name) or name == "cache":
        raise InputError(
            f"the run name {name!r} is not usable: take letters, digits, '.', '_' and '-', "
            "starting with a letter or digit (and not 'cache')"
        )
    return RUNS / name


def existing_run(name: str) -> Run:
    """The run called `name`, which must be there.

    Raises:
        InputError: there is no such run.
    """
    return open_run(named_run(name))


def open_run(path: Path | str) -> Run:
    """The run in a folder, which must be there, for example `runs/demo`.

    Raises:
        InputError: there is no such run.
    """
    run = Run(path)
    if not run.path.is_dir():
        remedy = "correct its path"
        if run.path.parent == RUNS and BOOK.is_dir():
            remedy = f"make it with `cxr-mtl run --run {run.path.name}`"
        elif run.path.parent == RUNS:
            remedy = "run this from the repository's root"
        raise InputError(f"there is no run {run.path}: {remedy}")
    return run


def _plain(value: Any) -> Any:
    value = value.item() if hasattr(value, "item") else value
    try:
        json.dumps(value)
    except TypeError:
        return str(value)
    return value
