"""Worker processes: each calls its own copy of a function, with a share of the cores."""

import contextlib
import multiprocessing
import os
import pickle
import signal
import sys
import threading
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

from cxr_mtl.base.errors import InputError

_Busy = tuple[BaseProcess, int, Any]
"""A worker, and the number and the text of the call it is at."""


class Workers:
    """`count` processes that share the cores; they end with the `with` block or with the parent.

    The processes are spawned, since threads of PyTorch do not survive a fork. So `function` must
    be picklable: a function of a module, or an object of a module's class, not of a notebook.

    Raises:
        InputError: the function cannot be pickled.
    """

    def __init__(self, function: Callable[[Any], Any], count: int) -> None:
        try:
            pickled = pickle.dumps(function)
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            raise _not_importable(error) from None
        context = multiprocessing.get_context("spawn")
        self._members = []
        for _ in range(count):
            ours, theirs = context.Pipe()
            arguments = (theirs, pickled, max(1, usable_cores() // count))
            process = context.Process(target=_serve, args=arguments, daemon=True)
            process.start()
            theirs.close()
            self._members.append((process, ours))

    def __enter__(self) -> "Workers":
        return self

    def __exit__(self, *_: object) -> None:
        for process, _ in self._members:
            process.kill()
        for process, connection in self._members:
            process.join()
            connection.close()

    def run(self, calls: Sequence[Any]) -> Iterator[Any]:
        """Call the function with each of `calls` and yield the results in their order.

        Each worker takes the next call as soon as it is free. After an error no further call is
        begun, and the error is raised after the results of all others that had begun were yielded.

        Raises:
            InputError: a worker died; the text of its call names it.
        """
        waiting, idle = deque(enumerate(calls)), deque(self._members)
        busy: dict[Connection, _Busy] = {}
        answers: dict[int, tuple[Any, Exception | None]] = {}
        told, failure = 0, None
        while waiting or busy:
            while waiting and idle:
                (process, connection), (number, call) = idle.popleft(), waiting.popleft()
                with contextlib.suppress(BrokenPipeError):  # it died: the answer will say so
                    connection.send(call)
                busy[connection] = process, number, call
            for connection in wait(list(busy)):
                process, number, call = busy.pop(connection)
                answers[number] = _answer(process, connection, call)
                idle.append((process, connection))
                if answers[number][1] is not None:
                    waiting.clear()
            while told in answers:
                result, error = answers.pop(told)
                told, failure = told + 1, failure or error
                if error is None:
                    yield result
        if failure is not None:
            raise failure


def end_with_parent() -> None:
    """Let this spawned process end when its parent does, however that ends.

    The workers of a `ProcessPoolExecutor` would wait for ever: give it as their `initializer`.
    """

    def watch() -> None:
        wait([multiprocessing.parent_process().sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def usable_cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _answer(
    process: BaseProcess, connection: Connection, call: Any
) -> tuple[Any, Exception | None]:
    try:
        return connection.recv()
    except (EOFError, ConnectionResetError):
        process.join()
        return None, _died(call, process.exitcode)


def _died(call: Any, code: int) -> InputError:
    how = f"by signal {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
    return InputError(
        f"the process of {call} ended {how}, perhaps for lack of memory: run again to repeat it, "
        "with fewer workers if it happens again"
    )


def _not_importable(error: Exception) -> InputError:
    return InputError(
        f"the function cannot be sent to another process ({error}): define it in a module, not in "
        "a notebook or another function, or give workers=1"
    )


def _serve(connection: Connection, pickled: bytes, threads: int) -> None:
    """Answer calls with (result, None) or (None, error) until the parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends its workers itself
    end_with_parent()
    _limit_threads(threads)
    function = None
    while True:
        try:
            call = connection.recv()
        except EOFError:
            return
        try:
            function = function or _unpickle(pickled)
            answer = (function(call), None)
        except Exception as error:
            error.add_note(f"In a worker process:\n{traceback.format_exc()}")
            answer = (None, error)
        connection.send(answer)


def _limit_threads(threads: int) -> None:
    os.environ["OMP_NUM_THREADS"] = str(threads)
    if "torch" in sys.modules:  # loaded by the main module, it reads the variable no more
        sys.modules["torch"].set_num_threads(threads)


def _unpickle(pickled: bytes) -> Callable[[Any], Any]:
    try:
        return pickle.loads(pickled)
    except (AttributeError, ImportError) as error:
        raise _not_importable(error) from None
