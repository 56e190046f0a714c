"""What a command is about: the stages in their order, and the values that each of them gets."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cxr_mtl.runs.manifest import is_manifest, manifest_values
from cxr_mtl.runs.parameter_ranges import SYMBOLS
from cxr_mtl.runs.parameters import Parameter, Values, known, merge_declarations, resolve
from cxr_mtl.runs.profiles import read_profile
from cxr_mtl.runs.run import BOOK, Run, named_run
from cxr_mtl.runs.settings import Settings, profile_of_new_run, settings_of
from cxr_mtl.runs.stages import Chapter, read_stages

Stages = dict[str, tuple[Chapter, Values]]


@dataclass(frozen=True)
class Plan:
    """All stages of a run in their order, by name, each with the values it gets.

    Args:
        settings: where the values come from.
        notice: one line on what the run keeps of earlier commands, if it does.
    """

    run: Run
    stages: Stages
    settings: Settings
    notice: str | None

    @property
    def chapters(self) -> list[Chapter]:
        """The stages without their values."""
        return [chapter for chapter, _ in self.stages.values()]


def plan(profile: str | None, run_name: str, overrides: Sequence[str] = ()) -> Plan:
    """All chapters and exercises in order with the values each will get in a run.

    Nothing is executed or written.

    Args:
        profile: the name of a file in `book/profiles`, the path of a `.yml` file, or that of a
            run's `manifest.json`, whose values are taken. None goes on with the profile and the
            parameters that the run was called with last; a new run takes `demo`, or `pairs` where
            that is its dataset.
        run_name: the folder's name under `runs`.
        overrides: `name=value` texts, which win over all else.

    Raises:
        InputError: a chapter, the profile, a parameter, the run's name or its manifest is wrong.
    """
    chapters = read_stages()
    declared = merge_declarations({chapter.name: chapter.parameters for chapter in chapters})
    declared.pop("run_dir")
    run = Run(named_run(run_name))
    kept = settings_of(run) if profile is None else None
    before = kept or Settings(profile or profile_of_new_run(overrides), {})
    own = _checked(before.parameters, declared, str(run / "manifest.json"))
    path = _profile_path(before.profile)
    read = manifest_values if is_manifest(path) else read_profile
    values = resolve(declared, {**read(path), **own}, str(path), overrides)
    names = [override.partition("=")[0] for override in overrides]
    given = {SYMBOLS.get(name, name): values[SYMBOLS.get(name, name)] for name in names}
    values["run_dir"] = run.path.as_posix()
    stages = {
        chapter.name: (chapter, {name: values[name] for name in chapter.parameters})
        for chapter in chapters
    }
    notice = kept and kept.kept_notice(run, given)
    return Plan(run, stages, Settings(before.profile, own | given), notice)


def command_text(
    command: str, profile: str | None, run_name: str, overrides: Sequence[str], *words: str
) -> str:
    """A command of `cxr-mtl` as a user types it; the run `demo` is left out."""
    parts = [] if profile is None else ["--profile", profile]
    parts += [] if run_name == "demo" else ["--run", run_name]
    parts += [part for override in overrides for part in ("-p", override)]
    return shlex.join(["cxr-mtl", command, *words, *parts])


def _profile_path(profile: str) -> Path:
    is_file = profile.endswith((".yml", ".yaml", ".json"))
    return Path(profile) if is_file else BOOK / "profiles" / f"{profile}.yml"


def _checked(kept: Mapping[str, Any], declared: Mapping[str, Parameter], source: str) -> Values:
    """Values that the manifest `source` holds, as the parameters are declared now."""
    values = {name: known(name, declared, source).check(kept[name], source) for name in kept}
    for name, value in values.items():
        declared[name].check_range(value, source)
    return values
