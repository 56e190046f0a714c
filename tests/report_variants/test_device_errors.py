"""Devices told wrongly: under another name, in another place, or there though they are not."""

import random

import pytest

from cxr_mtl.report_variants.device_errors import (
    ADDED,
    added_device,
    moved_device,
    renamed_device,
)


def drawn(rule, text: str) -> set[str | None]:
    return {rule(text, random.Random(seed)) for seed in range(30)}


def test_a_device_gets_another_name_and_keeps_its_place():
    assert drawn(renamed_device, "Right PICC with tip in the SVC") == {
        "Right chest port with tip in the SVC",
        "Right dialysis catheter with tip in the SVC",
    }
    assert drawn(renamed_device, "An endotracheal tube is seen") == {
        "A tracheostomy tube is seen",
        "A nasogastric tube is seen",
    }


def test_a_device_gets_another_place_and_keeps_its_name():
    assert drawn(moved_device, "PICC with tip in the mid SVC") == {
        "PICC with tip in the right ventricle",
        "PICC with tip in the azygos vein",
    }
    assert drawn(moved_device, "Left-sided pacemaker") == {"Right-sided pacemaker"}


@pytest.mark.parametrize("rule", [renamed_device, moved_device])
@pytest.mark.parametrize(
    "text",
    [
        "The right PICC has been removed",
        "No endotracheal tube",
        "Lungs clear",
        "",
    ],
)
def test_a_device_that_is_not_there_is_left(rule, text):
    assert drawn(rule, text) == {None}


def test_a_device_of_two_names_is_not_renamed():
    assert drawn(renamed_device, "Left ICD/pacemaker") == {None}
    assert drawn(renamed_device, "Right PICC and endotracheal tube") == {None}


def test_every_device_is_added_to_some_report_and_none_to_one_that_has_all_kinds():
    assert drawn(added_device, "Lungs clear.") <= {statement for statement, _ in ADDED}
    assert len(drawn(added_device, "Lungs clear.")) > 5
    assert added_device("PICC, endotracheal tube and pacemaker.", random.Random(0)) is None
