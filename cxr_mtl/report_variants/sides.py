"""Sides and lobes said otherwise: "left pleural effusion", "pleural effusion on the left"."""

import re

from cxr_mtl.report_variants.sentences import capitalised, join_sentences, split_sentences

_ON_A_SIDE = (
    r"(?:pleural effusions?|effusions?|pneumothorax|pleural thickening|rib fractures?"
    r"|hydropneumothorax|hemothorax|pleural fluid)"
)
_IN_A_LOBE = (
    r"(?:(?:airspace|air space|interstitial|nodular|patchy|focal|streaky|calcified) )*"
    r"(?:pneumonia|consolidation|atelectasis|opacity|opacities|infiltrates?|nodules?|granulomas?"
    r"|mass|scarring|disease|collapse)"
)
_LOBE = r"(?:left|right) (?:upper|middle|lower) lobe"
# Beside "and", "or" or a comma it may not be sure what the side belongs to.
_FREE_BEFORE = r"(?<!and )(?<!or )(?<!/)(?<!, )(?<!greater than )(?<!worse than )(?<![\w-])"
_FREE_AFTER = (
    r"(?=[.;]?$|[.;] | (?:is|are|was|were|has|have|may|could|with|without|which|since|from|seen"
    r"|noted|identified|present|compatible|consistent|measuring|unchanged|concerning|representing)\b)"
)
_BEFORE = re.compile(
    rf"(?:\b(?P<article>an?) )?{_FREE_BEFORE}(?:"
    rf"(?P<side>left|right)(?:-sided)? (?P<thing>{_ON_A_SIDE})"
    rf"|(?P<lobe>{_LOBE}) (?P<content>{_IN_A_LOBE})){_FREE_AFTER}",
    re.IGNORECASE,
)
_AFTER = re.compile(
    rf"(?:\b(?P<article>an?) )?{_FREE_BEFORE}(?:"
    rf"(?P<thing>{_ON_A_SIDE}) on the (?P<side>left|right)(?! (?:side|lateral|than|greater|more)\b)"
    rf"|(?P<content>{_IN_A_LOBE}) (?:in|of|within) the (?P<lobe>{_LOBE})){_FREE_AFTER}",
    re.IGNORECASE,
)


def sides_reworded(text: str) -> str | None:
    """The text with sides and lobes behind what they belong to, or before it where they are behind.

    Returns None where no sentence has one that the rule is sure of.
    """
    sentences = split_sentences(text)
    reworded = [_reworded(sentence) for sentence in sentences]
    return join_sentences(reworded) if reworded != sentences else None


def _reworded(sentence: str) -> str:
    if re.search(
        r"\b(?:greater|worse|more) than\b|\bbilateral|\b(?:left|right) and\b",
        sentence,
        re.IGNORECASE,
    ):
        return sentence
    if _BEFORE.search(sentence):
        return _BEFORE.sub(_put_behind, sentence)
    return _AFTER.sub(_put_before, sentence)


def _put_behind(found: re.Match) -> str:
    if found["side"]:
        return _with_article(found, f"{found['thing']} on the {found['side'].lower()}")
    return _with_article(found, f"{found['content']} in the {found['lobe'].lower()}")


def _put_before(found: re.Match) -> str:
    if found["side"]:
        return _with_article(found, f"{found['side']} {found['thing']}")
    return _with_article(found, f"{found['lobe']} {found['content']}")


def _with_article(found: re.Match, phrase: str) -> str:
    """The phrase with the article that its first letter asks for, and the case of what it replaces.

    A plural or a name keeps its form, for only its place changes.
    """
    phrase = phrase[0].lower() + phrase[1:].replace("Left", "left").replace("Right", "right")
    if found["article"]:
        phrase = f"{'an' if phrase[0] in 'aeiou' else 'a'} {phrase}"
    return capitalised(phrase) if found.group()[0].isupper() else phrase
