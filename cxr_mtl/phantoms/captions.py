"""Imaginary studies to align a small demo model with: random codes, their report, their target.

The codes use the headings and the grammar of Open-I but are composed independently, so no study
of the archive is among them other than by the chance of a short list.
"""

from collections.abc import Sequence

import numpy as np

from cxr_mtl.data.mesh_codes import SEVERITY, SIDES, Code, parse_code
from cxr_mtl.phantoms.vocabulary import (
    ADJECTIVES,
    BONES,
    CLEAR,
    GROUPS,
    HEART,
    NO_FLUID,
    NORMAL,
    NOTHING,
    NOUNS,
    PLACES,
    SILENT,
    TERMS,
    UNCOUNTED,
)


def random_codes(rng: np.random.Generator) -> list[str]:
    """A plausible code list: `["normal"]` in two of five draws, else one to four findings."""
    if rng.random() < 0.4:
        return [NORMAL]
    headings = list(TERMS)
    weights = np.array([term.weight for term in TERMS.values()], dtype=float)
    count = int(rng.choice([1, 2, 3, 4], p=[0.45, 0.30, 0.15, 0.10]))
    chosen = rng.choice(headings, size=count, replace=False, p=weights / weights.sum())
    return [_random_code(str(heading), rng) for heading in chosen]


def _random_code(heading: str, rng: np.random.Generator) -> str:
    term = TERMS[heading]
    site = _pick(term.sites, rng)
    sides = term.sides
    # One lung alone has a middle lobe, the other alone a lingula.
    if site.endswith("middle lobe"):
        sides = ("right",)
    elif site.endswith("lingula"):
        sides = ("left",)
    side = _pick(sides, rng) if sides else ""
    parts = (heading, site, side, _pick(term.textures, rng), _pick(term.grades, rng))
    return "/".join(part for part in parts if part)


def _pick(options: Sequence[str], rng: np.random.Generator) -> str:
    return options[int(rng.integers(len(options)))]


def describe(codes: Sequence[str], rng: np.random.Generator) -> str:
    """A short report of the codes: findings, then an impression; negations where nothing is found.

    Every side, site and severity that a code names is named.
    """
    parsed = [parse_code(text) for text in codes if text != NORMAL]
    if not parsed:
        lines = [_pick(group, rng) for group in (HEART, CLEAR, NO_FLUID, BONES)]
        order = rng.permutation(4)[: int(rng.integers(2, 5))]
        return " ".join([*(lines[i] for i in order), _pick(NOTHING, rng)])
    found = {name.split()[0] for name in _names(parsed)}
    lines = [_sentence(code, rng) for code in parsed]
    if not found & {"cardiomegaly", "edema"}:
        lines.insert(0, _pick(HEART[:2], rng))
    if not found & {"effusion", "pneumothorax"}:
        lines.append(_pick(NO_FLUID, rng))
    impression = [_capital(_phrase(code, rng)) + "." for code in parsed[: int(rng.integers(1, 4))]]
    return " ".join(lines + impression)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _noun(code: Code, rng: np.random.Generator) -> str:
    for qualifier in code.qualifiers:
        if f"{code.heading}/{qualifier}" in NOUNS:
            return _pick(NOUNS[f"{code.heading}/{qualifier}"], rng)
    return _pick(NOUNS.get(code.heading, (code.heading.lower(),)), rng)


def _split(code: Code) -> tuple[list[str], list[str], list[str]]:
    """A code's adjectives, sides and places, as words; severity goes before texture."""
    adjectives = [q for q in code.qualifiers if q in ADJECTIVES]
    adjectives.sort(key=lambda word: word not in SEVERITY)
    if code.has("degenerative"):
        adjectives.append("degenerative")
    sides = [q for q in code.qualifiers if q in SIDES or q == "bilateral"]
    rest = set(adjectives) | set(sides) | SILENT
    places = [PLACES.get(q, q) for q in code.qualifiers if q not in rest]
    return adjectives, sides, places


def _phrase(code: Code, rng: np.random.Generator) -> str:
    """Such as "mild patchy opacity in the right lower lobe"."""
    adjectives, sides, places = _split(code)
    noun = _noun(code, rng)
    if code.has("multiple", "scattered") and not noun.endswith((*UNCOUNTED, "s")):
        noun = noun[:-1] + "ies" if noun.endswith("y") else noun + "s"
    adjectives = [word for word in adjectives if word not in noun]
    side = " and ".join(sides)
    if not places:
        return " ".join(word for word in (*adjectives, side, noun) if word)
    place = " and ".join(places)
    if rng.random() < 0.3:
        return " ".join(word for word in (side, place, *adjectives, noun) if word)
    return " ".join(word for word in (*adjectives, noun, "in the", side, place) if word)


def _sentence(code: Code, rng: np.random.Generator) -> str:
    phrase = _phrase(code, rng)
    head = phrase.split(" in the ")[0].split(" of the ")[0]
    plural = head.endswith("s") and not head.endswith(("ss", "sis", "us"))
    uncounted = head.endswith(UNCOUNTED)
    article = "" if plural or uncounted else "an " if phrase[0] in "aeiou" else "a "
    be = "are" if plural else "is"
    form = int(rng.integers(4))
    if form == 0:
        return f"There {be} {article}{phrase}."
    if form == 1:
        return f"{_capital(article + phrase)} {be} seen."
    if form == 2:
        return f"{_capital(phrase)} {be} noted."
    return f"{_capital(phrase)}."


def _vector_names() -> tuple[str, ...]:
    names = ["abnormal"]
    for name, group in GROUPS.items():
        names.append(name)
        names += [f"{name} right", f"{name} left"] if group.sided else []
        names += [f"{name} mild", f"{name} severe"] if group.graded else []
    return tuple(names)


CODE_VECTOR_NAMES = _vector_names()
"""What each entry of `code_vector` means; mild is severity up to mild or small, severe from
moderate or large."""


def code_vector(codes: Sequence[str]) -> np.ndarray:
    """Which groups, sides and severities the codes name: float32 multi-hot [CODE_VECTOR_NAMES].

    A heading outside all groups sets only `abnormal`; `normal` and `No Indexing` set nothing.
    """
    parsed = [parse_code(text) for text in codes if text not in (NORMAL, "No Indexing")]
    named = _names(parsed) | ({"abnormal"} if parsed else set())
    return np.array([name in named for name in CODE_VECTOR_NAMES], dtype=np.float32)


def _names(codes: Sequence[Code]) -> set[str]:
    names = set()
    for code in codes:
        keys = {code.heading, *(f"{code.heading}/{q}" for q in code.qualifiers)}
        for name, group in GROUPS.items():
            if keys.isdisjoint(group.members):
                continue
            names.add(name)
            sides = {side for side, sign in SIDES.items() if sign in code.sides}
            if group.sided:
                names |= {f"{name} {side}" for side in sides}
            if group.graded and code.severity <= SEVERITY["mild"]:
                names.add(f"{name} mild")
            if group.graded and code.severity >= SEVERITY["moderate"]:
                names.add(f"{name} severe")
    return names
