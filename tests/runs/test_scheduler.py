"""Pieces of work run side by side where they can, and never before what they need."""

import threading

import pytest

from cxr_mtl.runs.scheduler import run_side_by_side

PATIENCE = 20  # seconds that a loaded machine may take for what takes no time


def never_stop():
    pytest.fail("it was stopped")


def recorded(needs, alone=frozenset(), at_once=2):
    """When each piece began and ended, by a common count of both."""
    count, lock, begun, ended = iter(range(99)), threading.Lock(), {}, {}

    def run(name):
        with lock:
            begun[name] = next(count)
        threading.Event().wait(0.02)
        with lock:
            ended[name] = next(count)
        return name

    results = list(run_side_by_side(needs, alone, at_once, run, never_stop))
    assert sorted(results) == sorted(needs)
    return begun, ended


def test_each_piece_begins_after_those_it_needs():
    needs = {"d": {"b", "c"}, "c": {"a"}, "b": {"a"}, "a": set()}
    begun, ended = recorded(needs)
    assert all(ended[need] < begun[name] for name, before in needs.items() for need in before)


def test_nothing_runs_beside_a_piece_that_is_alone():
    needs = {name: set() for name in "abcde"}
    begun, ended = recorded(needs, alone={"b", "d"})
    for name in "bd":
        for other in set(needs) - {name}:
            assert ended[other] < begun[name] or ended[name] < begun[other]


def test_so_many_run_at_once_and_no_more():
    needs = {name: set() for name in "abcdef"}
    begun, ended = recorded(needs, at_once=2)
    events = sorted([(t, 1) for t in begun.values()] + [(t, -1) for t in ended.values()])
    running = [sum(change for _, change in events[:n]) for n in range(len(events))]
    assert max(running) == 2


def test_pieces_that_need_not_wait_run_side_by_side():
    both = threading.Barrier(2, timeout=PATIENCE)
    needs = {"a": set(), "b": set()}
    results = run_side_by_side(needs, set(), 2, lambda _: both.wait(), never_stop)
    assert sorted(results) == [0, 1]


def test_with_one_at_a_time_they_run_in_the_order_given():
    begun, _ = recorded({name: set() for name in "acb"}, at_once=1)
    assert sorted(begun, key=begun.get) == ["a", "c", "b"]


def test_after_an_error_what_had_begun_is_yielded_and_nothing_more_begins():
    failed, begun = threading.Event(), []

    def run(name):
        begun.append(name)
        if name == "a":
            failed.set()
            raise ValueError("a row is missing")
        assert failed.wait(PATIENCE)
        threading.Event().wait(0.2)  # until the error has reached the other thread's end
        return name

    got = []
    needs = {"a": set(), "b": set(), "c": set(), "d": {"b"}}
    with pytest.raises(ValueError, match="a row is missing"):
        got.extend(run_side_by_side(needs, set(), 2, run, never_stop))
    assert sorted(begun) == ["a", "b"]
    assert got == ["b"]


def test_of_two_errors_the_first_is_raised():
    first = threading.Event()

    def run(name):
        if name == "late":
            assert first.wait(PATIENCE)
            threading.Event().wait(0.2)
        first.set()
        raise ValueError(name)

    with pytest.raises(ValueError, match="early"):
        list(run_side_by_side({"late": set(), "early": set()}, set(), 2, run, never_stop))


def test_a_caller_that_gives_up_has_all_stopped():
    stopped = threading.Event()
    needs = {"quick": set(), "endless": set()}
    running = run_side_by_side(
        needs, set(), 2, lambda name: name == "quick" or stopped.wait(PATIENCE), stopped.set
    )
    assert next(running) is True
    running.close()
    assert stopped.is_set()
