"""A line now and then tells how far long work is and how long it still takes."""

import pytest

from cxr_mtl.base.progress import Meter, print_progress


@pytest.fixture
def clock(monkeypatch):
    class Clock:
        now = 1000.0

    monkeypatch.setattr("time.monotonic", lambda: Clock.now)
    return Clock


def test_the_time_left_follows_the_work_left_not_the_number_of_things(clock):
    calls = []
    meter = Meter(total=5, done=2, work=100, progress=lambda *call: calls.append(call))
    clock.now += 10
    meter.step(1, work=20)
    clock.now += 10
    meter.step(2, work=80)
    assert calls == [(3, 5, 40.0), (5, 5, 0.0)]


def test_a_line_is_printed_at_most_every_ten_seconds(clock, capsys):
    show = print_progress("images")
    for second in range(25):
        clock.now = 1000.0 + second
        show(1000 + second, 3851, 180.0)
    assert capsys.readouterr().err == (
        "images  1,010 of 3,851, about 3 min left\nimages  1,020 of 3,851, about 3 min left\n"
    )


@pytest.mark.parametrize(
    ("seconds", "words"), [(41.4, "41 s"), (150, "2 min"), (5400, "90 min"), (9000, "2.5 h")]
)
def test_the_time_left_is_told_in_fitting_units(clock, capsys, seconds, words):
    show = print_progress("reports")
    clock.now += 11
    show(1, 2, seconds)
    assert capsys.readouterr().err == f"reports  1 of 2, about {words} left\n"
