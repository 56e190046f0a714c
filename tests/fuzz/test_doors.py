"""Whatever is brought to a door leads to a result or to one sentence, and to nothing else."""

from collections import Counter

import pytest
from doors import all_doors
from guard import FAULT, REFUSED, TAKEN, Guard
from hypothesis import HealthCheck, Phase, given, settings


@pytest.fixture(scope="module")
def guard():
    with Guard() as guard:
        yield guard


@pytest.mark.parametrize(("family", "door"), all_doors(), ids=lambda part: str(part))
def test_a_door_gives_a_result_or_one_sentence(guard, family, door):
    found = Counter()

    @settings(
        max_examples=door.inputs,
        phases=[Phase.generate],  # an input is small, and a hang would be tried again and again
        suppress_health_check=list(HealthCheck),
    )
    @given(door.values)
    def enter(value):
        verdict = guard.enter(door, value, family)
        assert verdict.kind != FAULT, f"{verdict.detail}\ninput: {value!r}"
        found[verdict.kind] += 1

    enter()
    assert found[TAKEN] > 0
    assert (found[REFUSED] > 0) == door.refuses
