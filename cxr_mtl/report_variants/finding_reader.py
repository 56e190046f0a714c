"""What a report says: a small reader of findings, made of rules, that knows nothing of variants.

After the labellers of reports NegBio (Peng et al., AMIA Joint Summits 2018) and CheXpert (Irvin et
al., AAAI 2019): mentions are found by their names, and a mention is absent, uncertain or present by
the cues around it in its clause. Sides, severities, places and sizes are read where they are said.
"""

import re
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Literal

from cxr_mtl.report_variants import finding_terms as terms
from cxr_mtl.report_variants.sentences import numbered, split_sentences

Status = Literal["present", "absent", "uncertain"]
"""What a report says of a finding that it names."""

_PHRASE_LIMIT = re.compile(
    r",|\band\b(?! \d)|\bmay\b|\bwith(?:out)?\b|\bw/o?(?!\w)|(?<!\b[bw])/|\bor\b|\bversus\b"
    r"|\bvs\b|\b(?:free|clear) of\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, order=True)
class Finding:
    """A finding, a device or a size that a text names, with all that it says of it."""

    name: str
    status: Status
    side: str = ""
    severity: str = ""
    place: str = ""
    size: str = ""


def read_findings(text: str) -> frozenset[Finding]:
    """All that a text says of findings, normal structures, devices and sizes.

    A structure that is said to be normal is read as the absence of what it would have: "The heart
    is normal." as the absence of cardiomegaly.
    """
    return frozenset().union(*map(_read_sentence, split_sentences(text)))


# Most sentences of a collection recur, and in every variant of a report.
@lru_cache(maxsize=1 << 16)
def _read_sentence(sentence: str) -> frozenset[Finding]:
    body = _term(terms.NO_CHANGE).sub("unchanged", numbered(sentence)[1])
    clauses = re.split(r";|:| but |\bhowever\b|\balthough\b|\bexcept\b", body)
    readers = (_mentions, _devices, _structures, _sizes)
    return frozenset().union(*(reader(clause) for clause in clauses for reader in readers))


@cache
def _term(regex: str) -> re.Pattern:
    return re.compile(rf"(?<!\w)(?:{regex})(?!\w)", re.IGNORECASE)


def _named(names: dict[str, str], clause: str) -> list[tuple[str, re.Match]]:
    """Every mention of a name that is not part of a longer one."""
    found = [(name, m) for name, regex in names.items() for m in _term(regex).finditer(clause)]
    return [(name, m) for name, m in found if not any(_covers(other, m) for _, other in found)]


def _covers(longer: re.Match, mention: re.Match) -> bool:
    inside = longer.start() <= mention.start() and mention.end() <= longer.end()
    return inside and longer.span() != mention.span()


def _overlap(one: re.Match, other: re.Match) -> bool:
    return one.start() < other.end() and other.start() < one.end()


def _mentions(clause: str) -> set[Finding]:
    found = set()
    named = _named(terms.FINDINGS, clause)
    # "Acute disease" is a finding of its own only where no other's name stands within it.
    whole = _named(terms.ANY_DISEASE, clause)
    named += [(name, m) for name, m in whole if not any(_overlap(m, other) for _, other in named)]
    for name, mention in named:
        phrase = _phrase(clause, mention)
        found.add(
            Finding(
                name,
                _status(clause, mention),
                side=_side(phrase),
                severity=_first(terms.SEVERITIES, phrase),
                place=" ".join(_all(terms.PLACES, phrase)),
            )
        )
    return found


def _devices(clause: str) -> set[Finding]:
    place = " ".join(_all(terms.POSITIONS, clause))
    # A position has a side of its own, which is not the device's.
    outside = clause
    for regex in terms.POSITIONS.values():
        outside = _term(regex).sub("", outside)
    return {
        Finding(name, _status(clause, mention), side=_side(outside), place=place)
        for name, mention in _named(terms.DEVICES, clause)
    }


def _structures(clause: str) -> set[Finding]:
    found = set()
    for part in re.split(r"\b(?:with|without|w/o?)(?![\w])|,? (?:and )?no\b|, (?=stable)", clause):
        if _term(terms.BORDERLINE).search(part):
            if _term(terms.STRUCTURES["cardiomegaly"]).search(part):
                found.add(Finding("cardiomegaly", "uncertain"))
            continue
        abnormal = _term(terms.ABNORMAL).search(part)
        if not abnormal and not _term(terms.NORMAL).search(part):
            continue
        status: Status = "present" if abnormal else "absent"
        found |= {
            Finding(name, status, side=_side(part))
            for name, regex in terms.STRUCTURES.items()
            if _term(regex).search(part)
        }
    return found


def _sizes(clause: str) -> set[Finding]:
    """Every size in millimetres, "22 x 14 mm" as one of two numbers."""
    number = r"\d+(?:\.\d+)?"
    found = set()
    for size in re.finditer(
        rf"({number}(?: ?x ?{number})*)[ -]?(mm|cm|millimeters?|centimeters?)\b", clause
    ):
        scale = 10 if size[2].startswith("c") else 1
        values = [f"{float(value) * scale:g}" for value in re.split(r" ?x ?", size[1])]
        found.add(Finding("measurement", "present", size=" x ".join(values) + " mm"))
    return found


def _status(clause: str, mention: re.Match) -> Status:
    before, after = clause[: mention.start()], clause[mention.end() :]
    if re.search(
        r"\b(?:cannot|not) (?:be )?(?:entirely |completely )?exclude", clause, re.IGNORECASE
    ):
        return "uncertain"
    cues = list(_term(terms.NEGATION).finditer(before))
    if cues and not re.search(terms.NEGATION_ENDS, before[cues[-1].end() :], re.IGNORECASE):
        return "absent"
    later = _term(terms.NEGATED_AFTER).search(after)
    if later and not re.search(terms.NEGATION_ENDS, after[: later.start()], re.IGNORECASE):
        return "absent"
    return "uncertain" if _term(terms.UNCERTAIN).search(clause) else "present"


def _phrase(clause: str, mention: re.Match) -> str:
    """The words around a mention up to the next comma, "and", "with" or mark."""
    starts = [0, *(cut.end() for cut in _PHRASE_LIMIT.finditer(clause, 0, mention.start()))]
    end = _PHRASE_LIMIT.search(clause, mention.end())
    return clause[starts[-1] : end.start() if end else len(clause)]


def _side(phrase: str) -> str:
    left, right = _term(terms.LEFT).search(phrase), _term(terms.RIGHT).search(phrase)
    if _term(terms.BOTH).search(phrase) or (left and right):
        return "both"
    return "left" if left else "right" if right else ""


def _first(names: dict[str, str], phrase: str) -> str:
    """The greatest severity said."""
    return next((name for name in reversed(_all(names, phrase))), "")


def _all(names: dict[str, str], phrase: str) -> list[str]:
    return [name for name, regex in names.items() if _term(regex).search(phrase)]
