"""What a model does not read of texts, said: in sentences on one, in counts over many reports."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import pandas as pd

from cxr_mtl.base.errors import InputError
from cxr_mtl.models.tokenizers import Tokenizer, Word, check_length, read_texts

MOST_WORDS, LONGEST_SHOWN = 8, 30
MOST_UNKNOWN, MOST_IN_PIECES = 0.05, 0.4
"""Shares of the words of all reports above which a user is told.

Of the words of Open-I the demo's models read 0.3 % in pieces and CLIP 23 %; of German and Spanish
reports both read 54 to 78 %.
"""


def check_query(tokenize: Tokenizer, text: str) -> list[str]:
    """Sentences on what of a text the model does not read as its writer may think.

    Raises:
        InputError: the text holds no word, or none that the model's vocabulary knows.
    """
    (reading,) = read_texts(tokenize, [text])
    words = [word for word in reading.words if _is_word(word)]
    unknown = [word.text for word in reading.words if not word.tokens]
    if not any(word.tokens for word in words):
        if not words:
            raise InputError("the text to search for holds no word: describe a finding")
        raise InputError(
            f"the model's vocabulary holds no word of the text ({_listed(unknown)}): describe a "
            "finding in the language that the model was trained on"
        )
    sentences = []
    if reading.rest:
        sentences.append(
            f"Read {reading.read} of {reading.tokens} tokens: the rest, from "
            f"“{_shortened(reading.rest)}” on, was not read."
        )
    if unknown:
        sentences.append(
            f"Not in the model's vocabulary, so that nothing of it was read: {_listed(unknown)}."
        )
    in_pieces = [word.text for word in words if _is_in_pieces(word)]
    if in_pieces:
        alone = all(_is_in_pieces(word) for word in words if word.tokens)
        mind = " No word was read whole: what is found may mean nothing." if alone else ""
        sentences.append(
            f"Not in the model's vocabulary as a word, read in pieces: {_listed(in_pieces)}.{mind}"
        )
    return sentences


@dataclass(frozen=True)
class ReportsRead:
    """What a model reads of many reports.

    Args:
        not_read: studies of whose reports no word is read.
        tokens_not_read: share of all tokens that lie beyond the context.
        unknown_words: share of the words of which nothing is read.
        words_in_pieces: share of the words that are read in several tokens.
        most_unknown: the most frequent unknown words, in lower case, with how often each stands.
    """

    reports: int
    context_tokens: int
    longest_report_tokens: int
    reports_cut: int
    not_read: tuple[str, ...]
    tokens_not_read: float
    reports_with_unknown_words: int
    unknown_words: float
    words_in_pieces: float
    most_unknown: tuple[tuple[str, int], ...]


def count_reports(tokenize: Tokenizer, reports: Mapping[str, str]) -> ReportsRead:
    """Count what a tokenizer and its context leave unread of each report.

    Args:
        reports: the texts by study.

    Raises:
        InputError: as in `read_texts`; of a text that is too long it names the study.
    """
    for study, text in reports.items():
        check_length(text, f"the report of study {study}")
    counted: Counter[str] = Counter()
    unknown: Counter[str] = Counter()
    longest, not_read = 0, []
    for study, reading in zip(reports, read_texts(tokenize, list(reports.values())), strict=True):
        words = [word for word in reading.words if _is_word(word)]
        not_known = [word.text.lower() for word in words if not word.tokens]
        unknown.update(not_known)
        if len(not_known) == len(words):
            not_read.append(study)
        longest = max(longest, reading.tokens)
        counted += Counter(
            tokens=reading.tokens,
            not_read=reading.tokens - reading.read,
            cut=bool(reading.rest),
            words=len(words),
            in_pieces=sum(map(_is_in_pieces, words)),
            with_unknown=bool(not_known),
        )
    words = max(1, counted["words"])
    return ReportsRead(
        reports=len(reports),
        context_tokens=tokenize.context_length,
        longest_report_tokens=longest,
        reports_cut=counted["cut"],
        not_read=tuple(not_read),
        tokens_not_read=counted["not_read"] / max(1, counted["tokens"]),
        reports_with_unknown_words=counted["with_unknown"],
        unknown_words=unknown.total() / words,
        words_in_pieces=counted["in_pieces"] / words,
        most_unknown=tuple(unknown.most_common(5)),
    )


def reading_table(read: Mapping[str, ReportsRead]) -> pd.DataFrame:
    """What each model, by name, reads of the same reports, a row a model."""
    rows = {
        model: {
            "context": f"{found.context_tokens}",
            "longest report": f"{found.longest_report_tokens:,}",
            "reports cut": f"{found.reports_cut:,}",
            "tokens not read": f"{found.tokens_not_read:.1%}",
            "unknown words": f"{found.unknown_words:.1%}",
            "words in pieces": f"{found.words_in_pieces:.1%}",
            "most frequent unknown words": _counted(found) or "–",
        }
        for model, found in read.items()
    }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("model")


def reading_records(read: Mapping[str, ReportsRead]) -> list[dict[str, Any]]:
    """The same as tidy records, and a notice for what a user must know."""
    records: list[dict[str, Any]] = []
    for model, found in read.items():
        values = asdict(found)
        words = values.pop("most_unknown")
        del values["reports"]
        values["reports_not_read"] = len(values.pop("not_read"))
        records += [
            {"metric": metric, "model": model, "value": value} for metric, value in values.items()
        ]
        records += [
            {"metric": "unknown_word", "model": model, "word": word, "value": count}
            for word, count in words
        ]
        records += [
            {"metric": "notice", "about": about, "model": model, "value": sentence}
            for about, sentence in _notices(model, found).items()
        ]
    return records


def _notices(model: str, found: ReportsRead) -> dict[str, str]:
    notices = {}
    if found.reports_cut:
        notices["reports-cut"] = (
            f"{model} reads {found.context_tokens} tokens of a report and no more: "
            f"{found.reports_cut:,} of {found.reports:,} reports are longer, the longest "
            f"{found.longest_report_tokens:,}, and {found.tokens_not_read:.1%} of all tokens are "
            "not read"
        )
    if found.not_read:
        notices["reports-not-read"] = (
            f"{model} reads no word of {len(found.not_read):,} of {found.reports:,} reports, which "
            f"are all alike to it (study {_first(found.not_read)}): leave them out, or take a "
            "model of their language"
        )
    if found.unknown_words > MOST_UNKNOWN:
        notices["unknown-words"] = (
            f"{found.unknown_words:.1%} of the words of the reports are not in the vocabulary of "
            f"{model}, which reads nothing of them ({_counted(found)}): take a model of the "
            "reports' language"
        )
    if found.words_in_pieces > MOST_IN_PIECES:
        notices["words-in-pieces"] = (
            f"{found.words_in_pieces:.1%} of the words of the reports are no words of the "
            f"vocabulary of {model}, which reads them in pieces: take a model of the reports' "
            "language"
        )
    return notices


def _counted(found: ReportsRead) -> str:
    return ", ".join(f"{_shortened(word)} {count:,}" for word, count in found.most_unknown)


def _is_word(word: Word) -> bool:
    return any(character.isalnum() for character in word.text)


def _is_in_pieces(word: Word) -> bool:
    """Numbers, which every vocabulary holds in pieces only, left out."""
    return word.tokens > 1 and any(character.isalpha() for character in word.text)


def _listed(words: Iterable[str]) -> str:
    distinct: dict[str, str] = {}
    for word in words:
        distinct.setdefault(word.lower(), word)
    return _first(list(distinct.values()))


def _first(names: Sequence[str]) -> str:
    more = len(names) - MOST_WORDS
    return ", ".join(map(_shortened, names[:MOST_WORDS])) + (
        f" and {more} more" if more > 0 else ""
    )


def _shortened(text: str) -> str:
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN].rstrip()} …"
