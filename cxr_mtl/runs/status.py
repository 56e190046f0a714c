"""Which chapters of a run are fresh, why the others are not, and what mends them."""

from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.table import Table

from cxr_mtl.runs.freshness import CHANGED, why_run
from cxr_mtl.runs.planning import Plan, command_text, plan
from cxr_mtl.runs.run import open_run
from cxr_mtl.runs.watched_files import recall_hashes


def print_status(
    profile: str | None, run_name: str, overrides: Sequence[str], console: Console
) -> None:
    """Say which chapters of a run are fresh, for which values, and what makes the others so.

    Raises:
        InputError: there is no such run, or as in `planning.plan`.
    """
    planned = plan(profile, run_name, overrides)
    states = _states(planned)
    if planned.notice:
        console.print(planned.notice, soft_wrap=True)
    console.print(state_table(states))
    command = command_text("run", profile, run_name, overrides)
    reasons = [reason for reason in states.values() if reason]
    if any(CHANGED in reason for reason in reasons):
        console.print(
            f"Something else than cxr-mtl wrote into {planned.run.path}, as papermill and Jupyter "
            f"do with its notebooks; `{command}` makes those chapters again",
            soft_wrap=True,
        )
    elif reasons:
        console.print(f"`{command}` makes again what is stale", soft_wrap=True)


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
