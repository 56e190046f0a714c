"""Golden numbers: what a run is known to give, how far it may stray, and why."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from cxr_mtl.base.errors import InputError
from cxr_mtl.base.files import read_json
from cxr_mtl.base.records import MEASURED, Key, number_key
from cxr_mtl.runs.compare import is_number, key_text, read_numbers
from cxr_mtl.runs.run import Run


class Golden(BaseModel):
    """One golden number: `key` holds the fields that tell its record from the others of its stage.

    A number may differ from `value` by at most `tolerance`, 0 for exactly; text must be equal.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    stage: str = Field(pattern=r"\S")
    key: dict[str, str | int | float | None]
    value: int | float | str
    tolerance: float = Field(ge=0)
    reason: str = Field(pattern=r"\S")


@dataclass(frozen=True)
class Miss:
    """A golden number that a run does not give, and the sentence that says so."""

    golden: Golden
    message: str


def load_golden(path: Path | str) -> list[Golden]:
    """Read a file of golden numbers.

    Raises:
        InputError: the file is missing or damaged, an entry has an unknown, missing or wrong
            field, a negative tolerance, a measured field or no metric in its key, or stands twice.
    """
    entries = read_json(path)
    if not isinstance(entries, list):
        raise InputError(f"{path} is no list of golden numbers: write one in brackets")
    try:
        golden = TypeAdapter(list[Golden]).validate_python(entries)
    except ValidationError as error:
        first = error.errors()[0]
        number, *fields = first["loc"]
        raise InputError(
            f"{path}, entry {number + 1} is wrong"
            + "".join(f" in the field {name}" for name in fields[:1])
            + f": {first['msg'].lower()}"
        ) from None
    seen: set[tuple[str, Key]] = set()
    for number, entry in enumerate(golden, start=1):
        measured = sorted(MEASURED & entry.key.keys())
        if measured or not isinstance(entry.key.get("metric"), str):
            wrong = f"holds {measured[0]}, which is measured" if measured else "names no metric"
            raise InputError(f"{path}, entry {number}: its key {wrong}: keep to the record's names")
        name = (entry.stage, number_key(entry.key))
        if name in seen:
            raise InputError(
                f"{path}, entry {number}: {entry.stage}, {key_text(name[1])} stands twice: keep one"
            )
        seen.add(name)
    return golden


def check_golden(run: Run, path: Path | str) -> list[Miss]:
    """The golden numbers of a file that a run does not give, in the file's order.

    Raises:
        InputError: the file is not as `load_golden` wants it, or a results file is damaged.
    """
    golden = load_golden(path)
    stages = {entry.stage for entry in golden}
    there = {stage for stage in stages if (run / f"results/{stage}.json").exists()}
    numbers = {stage: read_numbers(run, stage) for stage in there}
    misses = []
    for entry in golden:
        key = number_key(entry.key)
        if entry.stage not in there:
            found = "the run has no results of this stage"
        elif key not in numbers[entry.stage]:
            found = "the run has no such record"
        elif _is_met(entry, value := numbers[entry.stage][key]["value"]):
            continue
        else:
            found = f"the run gives {'undefined' if value is None else value}"
        misses.append(
            Miss(
                entry,
                f"{entry.stage}, {key_text(key)}: golden is {entry.value}, {found} "
                f"(tolerance {entry.tolerance:g}: {entry.reason})",
            )
        )
    return misses


def _is_met(entry: Golden, value: Any) -> bool:
    if is_number(entry.value) and is_number(value):
        return abs(value - entry.value) <= entry.tolerance
    return type(value) is type(entry.value) and value == entry.value
