"""What a run was called with: its profile and the parameters given beside it, from its manifest."""

import shlex
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter, ValidationError

from cxr_mtl.base.errors import InputError
from cxr_mtl.base.files import read_json
from cxr_mtl.runs.parameters import value_text
from cxr_mtl.runs.run import Run

PROFILE, PAIRS_PROFILE = "demo", "pairs"
"""The profile of a new run, where none is named, and that of one on pairs of one's own."""


def profile_of_new_run(overrides: Sequence[str]) -> str:
    """The profile of a new run with these `name=value` texts, where none is named."""
    given = dict(override.partition("=")[::2] for override in overrides)
    return PAIRS_PROFILE if given.get("dataset", "").strip() == "pairs" else PROFILE


@dataclass(frozen=True)
class Settings:
    """A profile as it was named, and the parameters that were given beside it, by name."""

    profile: str
    parameters: Mapping[str, Any]

    def record(self) -> dict[str, Any]:
        """What a stage's entry in the manifest holds under `settings`."""
        return {"profile": self.profile, "parameters": dict(self.parameters)}

    def kept_notice(self, run: Run, given: Collection[str]) -> str | None:
        """One line on what a run keeps of these; None where that is the profile `demo` alone.

        Args:
            given: names of parameters that are given anew.
        """
        kept = {name: value for name, value in self.parameters.items() if name not in given}
        if not kept and self.profile == PROFILE:
            return None
        told = f"{run.path} goes on as it was made: profile {self.profile}"
        if not kept:
            return told
        listed = ", ".join(f"{name}={value_text(value)}" for name, value in kept.items())
        flag = shlex.join(["--profile", self.profile])
        return f"{told}, {listed} ({flag} returns to what the profile says)"


def settings_of(run: Run) -> Settings | None:
    """What the stage of a run that was executed last was called with; None before the first.

    Raises:
        InputError: the manifest is damaged, or of a version that did not keep it.
    """
    path = run / "manifest.json"
    if not path.exists():
        return None
    repeat = "with the --profile and the -p that the run was made with"
    records = read_json(path, mend=f"delete it and run again {repeat}")
    if not isinstance(records, dict):
        raise InputError(f"{path} is no manifest: delete it and run again {repeat}")
    if not records:
        return None
    try:
        return TypeAdapter(Settings).validate_python(list(records.values())[-1]["settings"])
    except (ValidationError, TypeError, KeyError):
        raise InputError(
            f"{path} does not tell what the run was called with: repeat the command {repeat}"
        ) from None
