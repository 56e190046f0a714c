"""Which chapters of a run are fresh, and why the others are not."""

from collections.abc import Mapping, Sequence

from rich.table import Table

from cxr_mtl.runs.freshness import why_run
from cxr_mtl.runs.planning import plan
from cxr_mtl.runs.run import existing_run
from cxr_mtl.runs.watched_files import recall_hashes


def chapter_states(
    profile: str = "demo", run_name: str = "demo", overrides: Sequence[str] = ()
) -> dict[str, str | None]:
    """Why each chapter would run again, by name; None where it is fresh.

    Raises:
        InputError: there is no such run, or as in `plan`.
    """
    planned = plan(profile, run_name, overrides)
    run = existing_run(run_name)
    recall_hashes(run)
    return {
        name: why_run(chapter, values, run) for name, (chapter, values) in planned.stages.items()
    }


def state_table(states: Mapping[str, str | None]) -> Table:
    """What `chapter_states` found, for a terminal."""
    table = Table("chapter", "state")
    for chapter, reason in states.items():
        table.add_row(chapter, "fresh" if reason is None else f"stale: {reason}")
    return table
