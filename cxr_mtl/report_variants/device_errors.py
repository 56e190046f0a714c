"""A report's devices told wrongly: one that is not there, one under another name or elsewhere.

The names are those of the glossary of Hunter and Taljanovic, RadioGraphics 23, 2003.
"""

import random
import re

from cxr_mtl.report_variants.sentences import put_in_place

_LINE = r"catheters?|central lines?|PICC|port-a-cath\w*|(?:chest|infusion) ports?|mediport|\btips?"
_TUBE = r"tubes?|tracheostomy|drains?|\btips?"
_PACER = r"pacemakers?|pacer|pacing|ICD|AICD|defibrillators?|\bleads?|pulse generator"
ADDED = (
    ("Endotracheal tube with its tip above the carina", _TUBE),
    ("Nasogastric tube with its tip in the stomach", _TUBE),
    ("Tracheostomy tube in place", _TUBE),
    ("Left chest tube in place", _TUBE),
    (
        "Right internal jugular central venous catheter with its tip in the superior vena cava",
        _LINE,
    ),
    ("Left-sided PICC with its tip in the superior vena cava", _LINE),
    ("Right-sided PICC with its tip at the cavoatrial junction", _LINE),
    ("Right chest port with its tip in the superior vena cava", _LINE),
    ("Left-sided pacemaker with its leads in the right atrium and right ventricle", _PACER),
    ("Implantable cardioverter-defibrillator with its lead in the right ventricle", _PACER),
)
"""Statements of devices, and what a report says that may have one of their kind."""

_RENAMED = {
    r"PICC lines?|PICC|peripherally inserted central catheter": ("chest port", "dialysis catheter"),
    r"central venous (?:catheter|line)|central (?:catheter|line)": ("PICC", "dialysis catheter"),
    r"(?:subclavian|internal jugular|jugular|IJ) (?:central )?(?:venous )?(?:catheter|line)": (
        "PICC",
        "chest port",
    ),
    r"dialysis catheter": ("PICC", "chest port"),
    r"port-a-cath|mediport|chest port|infusion port": ("PICC", "dialysis catheter"),
    r"endotracheal tube|ET tube|ETT": ("tracheostomy tube", "nasogastric tube"),
    r"nasogastric tube|NG tube|NGT|enteric tube|orogastric tube|feeding tube": (
        "endotracheal tube",
        "chest tube",
    ),
    r"tracheostomy tube|tracheostomy": ("endotracheal tube",),
    r"chest tube|thoracostomy tube": ("nasogastric tube", "PICC"),
    r"(?:cardiac )?pacemaker|cardiac pacer|pacer": ("defibrillator",),
    r"(?:cardiac )?defibrillator|AICD|ICD": ("pacemaker",),
    r"(?:coronary (?:artery )?)?stent": ("prosthetic valve",),
    r"(?:prosthetic|mechanical) (?:\w+ )?valve": ("coronary artery stent",),
    r"(?:surgical |cholecystectomy |mediastinal )?clips": ("stents",),
}
_MOVED = {
    r"(?:(?:the )?(?:(?:upper|mid|lower|distal|proximal|high|low) ))?(?:superior vena cava|SVC)": (
        "right ventricle",
        "azygos vein",
    ),
    r"(?:cavoatrial|cavo-atrial|caval atrial|atriocaval) junction": ("innominate vein",),
    r"right atrium": ("inferior vena cava", "left ventricle"),
    r"right ventricle": ("left ventricle", "inferior vena cava"),
    r"(?:innominate|brachiocephalic|subclavian) vein": ("right atrium", "inferior vena cava"),
    r"above the carina": ("below the carina",),
    r"stomach": ("esophagus",),
    r"left-sided": ("right-sided",),
    r"right-sided": ("left-sided",),
    r"(?<!-)left(?=(?: upper extremity| chest| subclavian| internal jugular| IJ)? "
    r"(?:PICC|port|catheter|central|dual|pacemaker|chest tube|ICD|pleural drain))": ("right",),
    r"(?<!-)right(?=(?: upper extremity| chest| subclavian| internal jugular| IJ)? "
    r"(?:PICC|port|catheter|central|dual|pacemaker|chest tube|ICD|pleural drain))": ("left",),
}
_DEVICE = re.compile(
    r"\b(?:catheters?|tubes?|PICC|central lines?|(?:chest|infusion) ports?|pacemakers?|ICD|AICD"
    r"|defibrillators?|leads?|tips?)\b",
    re.IGNORECASE,
)
_GONE = re.compile(r"\b(?:no|without|remov\w+|extubat\w+|previous\w*|not)\b", re.IGNORECASE)


def added_device(report: str, rng: random.Random) -> str | None:
    """A statement of a device of which the report names none of its kind; None if it names all."""
    free = [
        statement
        for statement, kind in ADDED
        if not re.search(rf"\b(?:{kind})\b", report, re.IGNORECASE)
    ]
    return rng.choice(free) if free else None


def renamed_device(body: str, rng: random.Random) -> str | None:
    """The sentence with its device under the name of another; None if it names none or two."""
    found = [
        (match, others)
        for names, others in _RENAMED.items()
        for match in re.finditer(rf"\b(?:{names})(?P<plural>s?)\b", body, re.IGNORECASE)
    ]
    found = [(m, o) for m, o in found if not any(m != n and _within(m, n) for n, _ in found)]
    if len(found) != 1 or _GONE.search(body):
        return None
    device, others = found[0]
    # "ICD/pacemaker" is one device under two names.
    if "/" in body[max(0, device.start() - 1) : device.end() + 1]:
        return None
    return put_in_place(body, device, rng.choice(others) + device["plural"])


def moved_device(body: str, rng: random.Random) -> str | None:
    """The sentence with its device on the other side or its tip elsewhere."""
    if not _DEVICE.search(body) or _GONE.search(body):
        return None
    found = [
        (match, others)
        for place, others in _MOVED.items()
        for match in re.finditer(rf"\b(?:{place})\b(?! and|/)", body, re.IGNORECASE)
    ]
    found = [(m, o) for m, o in found if o[0] not in body.lower()]
    if not found:
        return None
    place, others = rng.choice(found)
    new = rng.choice(others)
    return put_in_place(body, place, f"the {new}" if place.group().startswith("the ") else new)


def _within(inner: re.Match, outer: re.Match) -> bool:
    return outer.start() <= inner.start() and inner.end() <= outer.end()
