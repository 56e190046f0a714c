"""What a command is about: the stages in their order, and the values that each of them gets."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cxr_mtl.runs.manifest import is_manifest, manifest_values
from cxr_mtl.runs.parameters import Values, merge_declarations, resolve
from cxr_mtl.runs.profiles import read_profile
from cxr_mtl.runs.run import BOOK, Run, named_run
from cxr_mtl.runs.stages import Chapter, read_stages

Stages = dict[str, tuple[Chapter, Values]]


@dataclass(frozen=True)
class Plan:
    """All stages of a run in their order, by name, each with the values it gets."""

    run: Run
    stages: Stages

    @property
    def chapters(self) -> list[Chapter]:
        """The stages without their values."""
        return [chapter for chapter, _ in self.stages.values()]


def plan(profile: str, run_name: str, overrides: Sequence[str] = ()) -> Plan:
    """All chapters and exercises in order with the values each will get in a run.

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
    run = Run(named_run(run_name))
    values["run_dir"] = run.path.as_posix()
    stages = {
        chapter.name: (chapter, {name: values[name] for name in chapter.parameters})
        for chapter in chapters
    }
    return Plan(run, stages)


def command_text(
    command: str, profile: str, run_name: str, overrides: Sequence[str], *words: str
) -> str:
    """A command of `cxr-mtl` as a user types it; defaults are left out."""
    given = {"--profile": profile, "--run": run_name}
    parts = [part for flag, name in given.items() if name != "demo" for part in (flag, name)]
    parts += [part for override in overrides for part in ("-p", override)]
    return shlex.join(["cxr-mtl", command, *words, *parts])
