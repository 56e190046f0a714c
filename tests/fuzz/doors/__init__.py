"""All doors that read what a user gives, a module per family."""

import importlib

from door import Door

FAMILIES = (
    "doors.tables",
    "doors.reports",
    "doors.pictures",
    "doors.dicom",
    "doors.parameters",
    "doors.models",
    "doors.stores",
    "doors.runs",
    "doors.queries",
)


def all_doors() -> list[tuple[str, Door]]:
    """Every door with the module that holds it."""
    return [(name, door) for name in FAMILIES for door in importlib.import_module(name).DOORS]
