"""Which chapters of a run are fresh, and why the others are not."""

from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.table import Table

from cxr_mtl.runs.freshness import why_run
from cxr_mtl.runs.planning import Plan, plan
from cxr_mtl.runs.run import open_run
from cxr_mtl.runs.watched_files import recall_hashes


def print_status(
    profile: str | None, run_name: str, overrides: Sequence[str], console: Console
) -> None:
    """Say which chapters of a run are fresh and why the others are not, and for which values.

    Raises:
        InputError: there is no such run, or as in `planning.plan`.
    """
    planned = plan(profile, run_name, overrides)
    states = _states(planned)
    if planned.notice:
        console.print(planned.notice, soft_wrap=True)
    console.print(state_table(states))


def chapter_states(
    profile: str | None = None, run_name: str = "demo", overrides: Sequence[str] = ()
) -> dict[str, str | None]:
    """Why each chapter would run again, by name; None where it is fresh.

    Raises:
        InputError: as in `print_status`.
    """
    return _states(plan(profile, run_name, overrides))


def state_table(states: Mapping[str, str | None]) -> Table:
    """What `chapter_states` found, for a terminal."""
    table = Table("chapter", "state")
    for chapter, reason in states.items():
        table.add_row(chapter, "fresh" if reason is None else f"stale: {reason}")
    return table


def _states(planned: Plan) -> dict[str, str | None]:
    run = open_run(planned.run.path)
    recall_hashes(run)
    return {
        name: why_run(chapter, values, run) for name, (chapter, values) in planned.stages.items()
    }
