"""The guard survives whatever a door does, and lets nothing pass that a door may not do."""

import guard as module
import pytest
from faulty_doors import DEEDS, FAULTY, WALLED
from guard import FAULT, REFUSED, TAKEN, Guard
from sentence import flaws_of

ALLOWED = {
    "sound": TAKEN,
    "writes where it may": TAKEN,
    "refuses": REFUSED,
    "refuses oddly": REFUSED,
}
MARKS = {
    "fails": "KeyError faulty_doors.py",
    "exits": "crash",
    "crashes": "crash",
    "hangs": "hangs",
    "computes for ever": "hangs",
    "takes memory": "memory",
    "runs out of memory": "",
    "tells memory as a fault": "memory told as a fault",
    "says no remedy": "sentence",
    "answers wrongly": "AssertionError",
}


@pytest.fixture(scope="module")
def guard():
    with Guard() as guard:
        yield guard


@pytest.mark.parametrize("deed", sorted(DEEDS))
def test_every_deed_is_judged_and_the_next_input_is_tried(guard, deed, monkeypatch):
    if MARKS.get(deed) == "hangs":
        monkeypatch.setattr(module, "SECONDS", 1)
    verdict = guard.enter(FAULTY, deed, "faulty_doors")
    assert verdict.kind == ALLOWED.get(deed, FAULT), verdict.detail
    assert verdict.mark.startswith(MARKS.get(deed, ""))
    monkeypatch.undo()
    assert guard.enter(FAULTY, "sound", "faulty_doors").kind == TAKEN


def test_the_input_at_fault_is_kept_with_its_files(tmp_path):
    with Guard(tmp_path) as guard:
        guard.enter(FAULTY, "fails", "faulty_doors")
    assert [path.read_text() for path in tmp_path.glob("faulty-KeyError*/in/*.csv")]


def test_a_door_that_refuses_its_sound_input_is_no_test(guard):
    with pytest.raises(AssertionError, match="walled refuses its sound input"):
        guard.enter(WALLED, "refuses", "faulty_doors")


@pytest.mark.parametrize(
    ("line", "flaw"),
    [
        ("error: the file\nis bad: replace it\n", "has several lines"),
        ("error: the file \x1b[31m is bad: replace it\n", "holds control codes"),
        (f"error: the file {'a' * 1200} is bad: replace it\n", "has more than 1200 characters"),
        ("error: the file is bad\n", "names no remedy behind a colon"),
    ],
)
def test_each_flaw_of_a_sentence_is_found(line, flaw):
    assert flaws_of(line) == [flaw]
    assert flaws_of("error: the file is bad: replace it\n") == []
