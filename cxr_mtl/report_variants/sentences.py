"""Sentences of a report: where they end, which belong together, and how they are joined again."""

import itertools
import re

_ABBREVIATED = frozenset(["dr", "mr", "mrs", "ms", "vs", "approx", "a.m", "p.m", "e.g", "i.e"])
_END = re.compile(r"[.?!]+[\"')\]]*")
_ITEM = re.compile(r"(?:^|(?<= ))(\d{1,2})([.)]) ?(?=[A-Z])")
_NUMBER = re.compile(r"\d{1,2}[.)]\s*")
_REFERS_BACK = re.compile(
    r"\b(?:this|that|these|those|it|its|they|them|their|such|both(?! lungs)|former|latter|above"
    r"|same|here|aforementioned|previously described|otherwise|however|also|again|additional"
    r"|additionally|another|other|others|remaining|remainder|specifically|therefore|thus|largest"
    r"|for example|in addition|findings? (?:is|are|may|could|suggest\w*|consistent|compatible)"
    r"|the (?:left|right) lung (?:is|remains)"
    r"|the (?:\w+ )?(?:nodules?|mass|opacity|opacities|density|effusions?|pneumothorax|catheters?"
    r"|tubes?|leads?|tips?|lines?|lesions?|fractures?|infiltrates?|consolidation))\b",
    re.IGNORECASE,
)
_REGION = re.compile(
    r"abdomen|ankle|chest|chest and (?:abdomen|ribs)|cervical|clavicle|elbow|femur|foot|hand|hips?"
    r"|humerus|knee|lumbar|neck|pelvis|ribs|shoulder|spine|sternum|thoracic|wrist",
    re.IGNORECASE,
)


def split_sentences(text: str) -> list[str]:
    """The sentences of a text, white space collapsed.

    A list's number stays with its sentence ("1. No acute disease."), a point without words with
    the sentence before it. Numbers such as 3.5 and shortened words such as "Dr." end no sentence.
    """
    text = " ".join(text.split())
    numbers = _list_numbers(text)
    ends = {mark.end() for mark in _END.finditer(text) if _ends_a_sentence(text, mark)}
    starts = {number.start(1) for number in numbers}
    cuts = sorted((ends - {number.end(2) for number in numbers} | starts) - {0, len(text)})
    sentences: list[str] = []
    for start, end in itertools.pairwise([0, *cuts, len(text)]):
        piece = text[start:end].strip()
        if any(map(str.isalnum, piece)) or not sentences:
            sentences.append(piece)
        elif piece:
            sentences[-1] += " " + piece
    return [sentence for sentence in sentences if sentence]


def _ends_a_sentence(text: str, mark: re.Match) -> bool:
    before, after = text[: mark.start()].rsplit(" ", 1)[-1], text[mark.end() :]
    if after and after[0] != " ":
        # A full stop without the space after it, as in "heart size.No effusion".
        return bool(re.search(r"[A-Za-z]{2}$", before) and re.match(r"[A-Z][a-z]+\b", after))
    return mark.group() != "." or before.lower().lstrip("(") not in _ABBREVIATED


def _list_numbers(text: str) -> list[re.Match]:
    """The numbers of a list "1. … 2. …", also behind a sentence without a full stop."""
    numbers: list[re.Match] = []
    for item in _ITEM.finditer(text):
        if int(item[1]) == len(numbers) + 1 and (numbers or item.start() == 0):
            numbers.append(item)
    return numbers


def join_sentences(sentences: list[str]) -> str:
    """Sentences as one text, a space between them."""
    return " ".join(sentence for sentence in sentences if sentence)


def closed(sentence: str) -> str:
    """A sentence with its full stop, so that another may follow; stray points are dropped."""
    sentence = re.sub(r"[\s.]*\.[\s.]*$", "", sentence.rstrip())
    return sentence if not sentence or sentence[-1] in "?!:" else sentence + "."


def numbered(sentence: str) -> tuple[str, str]:
    """A sentence's list number ("2. ", or "") and the rest of it."""
    number = _NUMBER.match(sentence)
    if number and re.match(r"[A-Za-z]", sentence[number.end() :]):
        return number.group(), sentence[number.end() :]
    return "", sentence


def capitalised(text: str) -> str:
    """The text with its first letter a capital."""
    return text[:1].upper() + text[1:]


def uncapitalised(text: str) -> str:
    """The text with its first letter small, unless the first word is an abbreviation or a mark."""
    return text if re.match(r"\w*[A-Z\d]{2}|[A-Z]\b", text) else text[:1].lower() + text[1:]


def put_in_place(text: str, old: re.Match, new: str) -> str:
    """The text with new words for those of a match, their article and their capital mended."""
    before = text[: old.start()]
    article = re.search(r"\b[Aa]n? $", before)
    if article:
        vowel = new[0].lower() in "aeiou"
        before = before[: article.start() + 1] + ("n " if vowel else " ")
    return before + (new if before else capitalised(new)) + text[old.end() :]


def refers_back(sentence: str) -> bool:
    """Whether a sentence may lean on the one before it ("This", "It", "The nodule", "otherwise").

    A sentence that is not sure counts as leaning.
    """
    return bool(_REFERS_BACK.search(sentence))


def is_heading(sentence: str) -> bool:
    """Whether a sentence only names what the following ones are about, as "Pelvis." does."""
    name = numbered(sentence)[1].strip(" .:")
    return bool(_REGION.fullmatch(name) or re.search(r":[ .]*$", sentence))


def blocks(text: str) -> list[str]:
    """The text cut where its parts can stand alone: sentences with those that refer back to them.

    List numbers are dropped and every sentence is closed.
    """
    parts: list[str] = []
    for sentence in split_sentences(text):
        plain = closed(numbered(sentence)[1])
        if not any(map(str.isalnum, plain)):
            continue
        if parts and refers_back(plain):
            parts[-1] += " " + plain
        else:
            parts.append(plain)
    return parts
