"""Runs pieces of work side by side where they can, each after those it needs."""

from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from graphlib import TopologicalSorter
from typing import TypeVar

Result = TypeVar("Result")


def run_side_by_side(
    needs: Mapping[str, Set[str]],
    alone: Set[str],
    at_once: int,
    run: Callable[[str], Result],
    stop: Callable[[], None],
) -> Iterator[Result]:
    """Call `run` in threads, `at_once` at most, with each name of `needs` after those it needs.

    Of the names that may begin the first in the order of `needs` does. Those in `alone` wait until
    nothing else runs, and nothing begins beside them. Results are yielded as they come, and what
    needs them begins after that. After an error nothing more begins, and the first error is raised
    when all that had begun have ended and were yielded. When the caller gives up, `stop` must end
    what runs.
    """
    sorter = TopologicalSorter(needs)
    sorter.prepare()
    waiting: list[str] = []
    running: dict[Future[Result], str] = {}
    failure: BaseException | None = None
    with ThreadPoolExecutor(at_once) as pool:
        try:
            while running or (sorter.is_active() and failure is None):
                waiting = sorted([*waiting, *sorter.get_ready()], key=list(needs).index)
                while failure is None and len(running) < at_once:
                    name = _next(waiting, set(running.values()), alone)
                    if name is None:
                        break
                    waiting.remove(name)
                    running[pool.submit(run, name)] = name
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    name = running.pop(future)
                    if future.exception() is None:
                        yield future.result()
                        sorter.done(name)
                    failure = failure or future.exception()
        except BaseException:  # an interrupt, or the caller closes the generator
            stop()
            raise
    if failure is not None:
        raise failure


def _next(waiting: Sequence[str], running: Set[str], alone: Set[str]) -> str | None:
    if running & alone:
        return None
    return next((name for name in waiting if not running or name not in alone), None)
