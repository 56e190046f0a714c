"""A backbone's tokenizer without its weights, and what becomes of each word of a text in it."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import open_clip
from open_clip.tokenizer import SimpleTokenizer
from torch import Tensor

from cxr_mtl.base.errors import InputError
from cxr_mtl.models.backbones import HUB, LOCAL, open_clip_name, quiet_open_clip
from cxr_mtl.models.hub import hub_configuration
from cxr_mtl.models.model_folder import vocabulary_of
from cxr_mtl.models.model_keys import fast_tokenizer
from cxr_mtl.models.model_trials import UNKNOWN, check_token_ids, reason_of, try_tokenizer

Tokenizer = Callable[[list[str]], Tensor]
BATCH = 1024
LONGEST_TEXT, LONGEST_WORD = 100_000, 1_000
"""Characters of a text, and of a run of letters or of signs in it, beyond which it is refused: of
a longer run CLIP's tokenizer would never come to the end."""


class Word(NamedTuple):
    """A word or sign of a text, as the tokenizer parts them, in how many tokens it was read.

    `tokens` is 0 where the vocabulary holds nothing of it.
    """

    text: str
    tokens: int


@dataclass(frozen=True)
class Reading:
    """What a tokenizer reads of one text.

    Args:
        tokens: of the whole text, special ones included.
        read: how many of them fit the context.
        rest: the text from the first word on that was not read, or not to its end.
        words: what was read, in its order.
    """

    tokens: int
    read: int
    rest: str
    words: tuple[Word, ...]


def load_tokenizer(source: str) -> Tokenizer:
    """Load the tokenizer that `load_backbone` would give a model, and nothing else of it.

    Raises:
        InputError: unknown name, missing or damaged piece of a folder, no network where a
            tokenizer is still to be fetched, or more words than the text tower knows.
    """
    name, _ = open_clip_name(source)
    if name.startswith(HUB):
        # Without it open_clip would guess the context length.
        hub_configuration(name.removeprefix(HUB))
    try:
        with quiet_open_clip():
            tokenize = open_clip.get_tokenizer(name)
        try_tokenizer(tokenize)
        list(read_texts(tokenize, [UNKNOWN]))
    except InputError:
        raise
    # The tokenizers library answers a damaged file with a bare Exception.
    except Exception as error:
        remedy = "check the connection" if name.startswith(HUB) else "bring that of the weights"
        raise InputError(
            f"the tokenizer of {source!r} cannot be loaded ({reason_of(error)}): {remedy}"
        ) from error
    vocabulary = vocabulary_of(Path(name.removeprefix(LOCAL))) if name.startswith(LOCAL) else None
    if vocabulary is not None:
        check_token_ids(source, tokenize, vocabulary)
    return tokenize


def read_texts(tokenize: Tokenizer, texts: Sequence[str]) -> Iterator[Reading]:
    """What the tokenizer reads of each text, cleaned as it cleans them.

    Raises:
        InputError: a text that is too long to be one, or a tokenizer that does not tell which
            characters its tokens stand for.
    """
    for start in range(0, len(texts), BATCH):
        batch = list(texts[start : start + BATCH])
        for text in batch:
            check_length(text)
        cleaned = [tokenize.clean_fn(text) for text in batch]
        for text, (parts, around) in zip(cleaned, _parts(tokenize, cleaned), strict=True):
            yield _reading(text, parts, around, tokenize.context_length)


class _Part(NamedTuple):
    """Where a word stands in a text, its number of tokens, and whether the vocabulary has it."""

    start: int
    end: int
    tokens: int
    known: bool


def _parts(tokenize: Any, texts: list[str]) -> Iterator[tuple[list[_Part], int]]:
    """The words of each text, and the number of tokens that the tokenizer puts around them."""
    if isinstance(tokenize, SimpleTokenizer):
        yield from ((_words_of_clip(tokenize, text), 2) for text in texts)
        return
    huggingface = fast_tokenizer(tokenize)
    marks = set(huggingface.all_special_ids)
    for encoding in huggingface(texts, verbose=False).encodings:
        words: dict[int, _Part] = {}
        tokens = zip(encoding.ids, encoding.word_ids, encoding.offsets, strict=True)
        for number, word, (start, end) in tokens:
            if word is not None:
                begun = words.get(word, _Part(start, end, 0, True))
                known = begun.known and number not in marks
                words[word] = _Part(begun.start, end, begun.tokens + 1, known)
        yield list(words.values()), encoding.word_ids.count(None)


def _words_of_clip(tokenize: SimpleTokenizer, text: str) -> list[_Part]:
    """CLIP's vocabulary holds every byte: only its own marks are no words of it."""
    parts = []
    for found in tokenize.pat.finditer(text):
        word = "".join(tokenize.byte_encoder[byte] for byte in found.group().encode())
        known = tokenize.encoder.get(word) not in tokenize.all_special_ids
        parts.append(_Part(*found.span(), len(tokenize.bpe(word).split(" ")), known))
    return parts


def _reading(text: str, parts: list[_Part], around: int, context: int) -> Reading:
    tokens = around + sum(part.tokens for part in parts)
    room = context - around
    words = []
    for part in parts:
        if part.tokens > room:
            return Reading(tokens, min(tokens, context), text[part.start :], tuple(words))
        room -= part.tokens
        words.append(Word(text[part.start : part.end], part.tokens if part.known else 0))
    return Reading(tokens, tokens, "", tuple(words))


_TOO_LONG_A_RUN = re.compile(rf"\w{{{LONGEST_WORD + 1},}}|[^\w\s]{{{LONGEST_WORD + 1},}}")


def check_length(text: str, called: str = "the text") -> None:
    """Refuse what is too long to be a report, for which a tokenizer might need hours.

    Raises:
        InputError: too many characters, in all or in one run of letters or signs.
    """
    if len(text) > LONGEST_TEXT:
        raise InputError(
            f"{called} has {len(text):,} characters, more than the {LONGEST_TEXT:,} that are read: "
            "give the report alone"
        )
    run = _TOO_LONG_A_RUN.search(text)
    if run:
        raise InputError(
            f"{called} has a run of {len(run[0]):,} letters or signs without a blank, "
            f"{run[0][:30]!r} and so on, more than the {LONGEST_WORD:,} that are read: give words"
        )
