"""Short forms of chest reports and their long forms: each can be written for the other.

The table `abbreviations.csv` holds only forms with one meaning in a chest report: "PA" alone may be
the pulmonary artery, so it stands there as "PA view". Its column `source` names a list that gives
the form with this meaning, "Open-I" where reports of the collection write it, or "common use". The
lists: Undergraduate Imaging (pressbooks.pub/undergradimaging), WikiRadiography (Medical
Abbreviations), AccessMedicine (book 1623, preferred shorthand), BTS (Thorax, abbreviations of a
guideline), EZmed (Common Medical Abbreviations), Pulmonary Fibrosis Foundation (Abbreviations).
"""

import csv
import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import NamedTuple

_STARTS_SENTENCE = re.compile(r"(?:^|[.?!:]\s+|\b\d{1,2}[.)]\s*)$")


class Abbreviation(NamedTuple):
    """A short form, its long form, and where it is given with this meaning."""

    short: str
    long: str
    source: str


@cache
def abbreviations() -> tuple[Abbreviation, ...]:
    """The table of short and long forms, by short form."""
    table = files("cxr_mtl.report_variants").joinpath("abbreviations.csv")
    with table.open(encoding="utf-8", newline="") as rows:
        return tuple(Abbreviation(**row) for row in csv.DictReader(rows))


def abbreviated(text: str) -> str:
    """The text with every long form that the table holds written short, in whatever case it was."""
    pattern, short = _shortening()
    return pattern.sub(lambda found: _written(found, _key(found.group()), short), text)


def expanded(text: str) -> str:
    """The text with every short form written long.

    Expanding what `abbreviated` gives is the same, but for letter case and white space, as
    expanding the text. Forms of capitals are read as written only: "dish" is no abbreviation.
    """
    pattern, long = _lengthening()
    return pattern.sub(lambda found: _written(found, found.group().lower(), long), text)


@cache
def _shortening() -> tuple[re.Pattern, Mapping[str, str]]:
    short = {}
    for row in abbreviations():
        # Of two short forms of one long form the first in the table is written.
        short.setdefault(_key(row.long), row.short)
    spaced = {long: re.escape(long).replace(r"\ ", r"\s+") for long in short}
    return _any_of({long: f"(?ai:{regex})" for long, regex in spaced.items()}), short


@cache
def _lengthening() -> tuple[re.Pattern, Mapping[str, str]]:
    regexes = {}
    for row in abbreviations():
        written = re.escape(row.short)
        regexes[row.short] = f"(?ai:{written})" if "/" in row.short else written
    return _any_of(regexes), {row.short.lower(): row.long for row in abbreviations()}


def _any_of(regexes: Mapping[str, str]) -> re.Pattern:
    """One pattern of all forms, the longest first, none within a longer word."""
    longest_first = sorted(regexes, key=len, reverse=True)
    return re.compile(
        r"(?<![\w/-])(?:" + "|".join(regexes[form] for form in longest_first) + r")(?![\w/-])"
    )


def _key(long: str) -> str:
    return " ".join(long.lower().split())


def _written(found: re.Match, key: str, forms: Mapping[str, str]) -> str:
    form = forms[key]
    before = max(0, found.start() - 8)
    starts = _STARTS_SENTENCE.search(found.string, before, found.start())
    return form[0].upper() + form[1:] if starts and found.group()[0].isupper() else form
