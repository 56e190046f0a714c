"""Workers answer in order, share the cores, end with their parent, and say how they failed."""

import os
import signal
import subprocess
import sys
import threading
import time
import types
from pathlib import Path

import psutil
import pytest

from cxr_mtl.base.errors import InputError
from cxr_mtl.base.processes import Workers

PATIENCE = 20  # seconds that a loaded machine may take for what takes no time


def obey(call):
    if call == "raise":
        raise ValueError("a row is missing")
    if call == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if call == "exit":
        sys.exit(3)
    if call == "sleep":
        time.sleep(600)
    if call == "dawdle":
        time.sleep(0.3)
    return call, os.getpid(), int(os.environ["OMP_NUM_THREADS"])


def gone(pids):
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        if not any(map(psutil.pid_exists, pids)):
            return True
        time.sleep(0.02)
    return False


def test_results_come_in_the_order_of_the_calls_from_processes_that_share_the_cores():
    with Workers(obey, 2) as workers:
        answers = [list(workers.run(calls)) for calls in (["dawdle", "b"], ["c", "d"], ["e"])]
    assert [[call for call, *_ in answer] for answer in answers] == [
        ["dawdle", "b"],
        ["c", "d"],
        ["e"],
    ]
    pids = [[pid for _, pid, _ in answer] for answer in answers]
    assert pids[0] == pids[1]
    assert pids[2] == pids[0][:1]
    assert len({*pids[0], os.getpid()}) == 3
    assert gone(pids[0])
    cores = len(os.sched_getaffinity(0))
    assert {threads for *_, threads in answers[0]} == {max(1, cores // 2)}


def relay(call):
    """Waits for a file, or leaves it."""
    word, marker = call
    until = time.monotonic() + PATIENCE
    while word == "wait" and not marker.exists() and time.monotonic() < until:
        time.sleep(0.02)
    if word == "leave":
        marker.touch()
    return word, marker.exists(), os.getpid()


def test_a_worker_that_is_free_takes_the_next_call_and_the_order_stays(tmp_path):
    marker = tmp_path / "marker"
    calls = [(word, marker) for word in ("wait", "a", "b", "leave")]
    with Workers(relay, 2) as workers:
        (*_, waiter), *others = workers.run(calls)
    assert [(word, found) for word, found, _ in others] == [
        ("a", False),
        ("b", False),
        ("leave", True),
    ]
    assert waiter not in {pid for *_, pid in others}


def test_after_an_error_no_further_call_is_begun(tmp_path):
    # One worker: beside a second one, which calls had begun would be a matter of speed.
    with Workers(Path.touch, 1) as workers, pytest.raises(FileNotFoundError):
        list(workers.run([tmp_path / "a", tmp_path / "none" / "b", tmp_path / "c"]))
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def kept_and_failure(results):
    kept = []
    try:
        kept.extend(call for call, *_ in results)
    except Exception as error:
        return kept, error
    return kept, None


def test_an_error_or_a_death_is_told_after_the_results_of_the_others():
    with Workers(obey, 3) as workers:
        kept, error = kept_and_failure(workers.run(["raise", "b", "dawdle"]))
        assert kept == ["b", "dawdle"]
        assert isinstance(error, ValueError)
        assert "in obey" in error.__notes__[0]
        kept, error = kept_and_failure(workers.run(["a", "exit", "dawdle"]))
        assert kept == ["a", "dawdle"]
        assert isinstance(error, InputError)
        assert str(error).startswith("the process of exit ended with exit code 3, perhaps for lack")
        kept, error = kept_and_failure(workers.run(["die", "again", "dawdle"]))
        assert kept == ["dawdle"]
        assert str(error).startswith("the process of die ended by signal SIGKILL")


@pytest.mark.usefixtures("interruptible")
def test_an_interruption_ends_the_workers_at_once():
    workers = Workers(obey, 2)
    pids = [pid for _, pid, _ in workers.run(["a", "b"])]
    threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt), workers:
        list(workers.run(["sleep", "sleep"]))
    assert gone(pids)


OWN_WORKERS = """
from test_processes import Workers, obey
if __name__ == "__main__":
    with Workers(obey, 2) as workers:
        print(*(pid for _, pid, _ in workers.run(["a", "b"])), flush=True)
        list(workers.run(["sleep", "sleep"]))
"""
POOL = """
import os, time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from cxr_mtl.base.processes import end_with_parent
if __name__ == "__main__":
    with ProcessPoolExecutor(1, get_context("spawn"), initializer=end_with_parent) as pool:
        print(pool.submit(os.getpid).result(), flush=True)
        time.sleep(60)
"""


@pytest.mark.parametrize(("code", "count"), [(OWN_WORKERS, 2), (POOL, 1)])
def test_a_killed_parent_leaves_no_workers_behind(code, count):
    parent = subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.path.dirname(__file__)},
    )
    pids = [int(pid) for pid in parent.stdout.readline().split()]
    assert len(pids) == count
    parent.kill()
    parent.communicate()
    assert gone(pids)


def test_a_function_that_no_other_process_can_import_is_refused(monkeypatch):
    with pytest.raises(InputError, match=r"cannot be sent .* define it in a module"):
        Workers(lambda call: call, 2)
    cell = types.ModuleType("a_notebook")
    exec("def double(call): return 2 * call", cell.__dict__)
    monkeypatch.setitem(sys.modules, "a_notebook", cell)
    with (
        Workers(cell.double, 1) as workers,
        pytest.raises(InputError, match=r"a_notebook.* define it in a module"),
    ):
        list(workers.run([1]))
