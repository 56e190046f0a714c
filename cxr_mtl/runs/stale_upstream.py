"""Stages that are asked for never rest on stale ones: which those are, and what runs them first."""

from collections.abc import Sequence, Set

from cxr_mtl.base.errors import InputError
from cxr_mtl.runs.freshness import why_run
from cxr_mtl.runs.planning import Plan
from cxr_mtl.runs.stages import upstream


def check_upstream(asked: Sequence[str], forced: Set[str], planned: Plan, command: str) -> None:
    """Refuse stages that rest on others which are not fresh and are not asked for with them.

    Results of two settings would be mixed otherwise.

    Args:
        asked: names of stages in their order; those of them in `forced` run although fresh.
        command: what runs the others first.

    Raises:
        InputError: naming both, and why they are not fresh.
    """
    before = {name: upstream(name, planned.chapters) for name in planned.stages}
    others = {other for name in asked for other in before[name]} - set(asked)
    if not others:
        return
    runs = {
        name: "forced" if name in forced else why_run(*planned.stages[name], planned.run)
        for name in planned.stages
        if name in others or name in asked
    }
    # One that is fresh now is not once another of them has run before it.
    for name in (name for name in planned.stages if name in others and not runs[name]):
        first = next((other for other in before[name] if other in asked and runs[other]), None)
        runs[name] = first and f"{first} runs before it"
    stale = {name: reason for name, reason in runs.items() if reason and name in others}
    if not stale:
        return
    resting = [name for name in asked if stale.keys() & set(before[name])]
    why = "; ".join(
        f"{_joined([name for name in stale if stale[name] == reason])}: {reason}"
        for reason in dict.fromkeys(stale.values())
    )
    raise InputError(
        f"{_joined(resting)} would rest on chapters that are not fresh ({why}): `{command}` runs "
        "those first"
    )


def _joined(names: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
