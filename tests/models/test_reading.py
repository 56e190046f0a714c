"""What of texts is not read is said: one sentence for each thing, counts for many reports."""

import pytest
from open_clip.tokenizer import SimpleTokenizer

from cxr_mtl.base.errors import InputError
from cxr_mtl.models import reading
from cxr_mtl.models.reading import check_query, count_reports, reading_records, reading_table
from cxr_mtl.models.tokenizers import load_tokenizer
from tests.models.written_tokenizer import write_tokenizer

PIECES_KNOWN = "lungs clear pneumo ##thorax . , a b 1 ##2"
CONTEXT = 8


@pytest.fixture(scope="module")
def tokenize(tmp_path_factory):
    folder = tmp_path_factory.mktemp("a tokenizer")
    return load_tokenizer(write_tokenizer(folder, PIECES_KNOWN, CONTEXT))


PIECES = "Not in the model's vocabulary as a word, read in pieces: "
UNKNOWN = "Not in the model's vocabulary, so that nothing of it was read: "


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Lungs clear.", []),
        ("12 lungs", []),  # of numbers every vocabulary has only pieces
        ("lungs Foo foo Bar Foo ☃", [f"{UNKNOWN}Foo, Bar, ☃."]),
        ("lungs Pneumothorax", [f"{PIECES}Pneumothorax."]),
        (
            "Pneumothorax",
            [f"{PIECES}Pneumothorax. No word was read whole: what is found may mean nothing."],
        ),
        (
            "lungs clear lungs clear lungs pneumothorax on the left",
            ["Read 8 of 12 tokens: the rest, from “pneumothorax on the left” on, was not read."],
        ),
        (
            f"lungs {'x' * 40} lungs {'clear ' * 20}",
            [
                "Read 8 of 25 tokens: the rest, from “clear clear clear clear clear …” on, was "
                "not read.",
                f"{UNKNOWN}{'x' * 30} ….",
            ],
        ),
    ],
)
def test_each_thing_that_is_not_read_gets_a_sentence(tokenize, text, said):
    assert check_query(tokenize, text) == said


def test_a_long_list_of_words_ends_with_their_number(tokenize, monkeypatch):
    monkeypatch.setattr(reading, "MOST_WORDS", 2)
    assert check_query(tokenize, "lungs c d e f") == [f"{UNKNOWN}c, d and 2 more."]


@pytest.mark.parametrize("text", ["?!", "…", "☃", "\x00", " . , "])
def test_a_text_without_a_word_is_refused(tokenize, text):
    with pytest.raises(InputError, match="holds no word: describe a finding"):
        check_query(tokenize, text)
    with pytest.raises(InputError, match="holds no word: describe a finding"):
        check_query(SimpleTokenizer(), text)


@pytest.mark.parametrize("text", ["Lunge rechts", "肺炎", "عربي.", "[MASK]", "[UNK] [PAD]"])
def test_a_text_of_unknown_words_is_refused_with_the_words(tokenize, text):
    with pytest.raises(InputError, match=r"vocabulary holds no word of the text") as refusal:
        check_query(tokenize, text)
    assert all(word.strip(".") in str(refusal.value) for word in text.split() if word.isascii())


def test_known_words_beyond_the_context_do_not_help(tokenize):
    with pytest.raises(InputError, match="holds no word of the text"):
        check_query(tokenize, "foo " * 10 + "lungs clear")


def counted(tokenize, texts):
    return count_reports(tokenize, {str(number): text for number, text in enumerate(texts)})


@pytest.mark.parametrize("text", ["lungs " * 20_000, "x" * 2_000])
def test_what_is_no_report_is_named_by_its_study(tokenize, text):
    with pytest.raises(InputError, match="the report of study 1 has"):
        counted(tokenize, ["Clear.", text])


def test_reports_are_counted_as_by_hand(tokenize):
    texts = ["Lungs clear.", "lungs Foo foo", "Pneumothorax", "lungs " * 10]
    found = counted(tokenize, texts)
    assert (found.reports, found.context_tokens, found.longest_report_tokens) == (4, 8, 12)
    assert found.reports_cut == 1
    assert found.tokens_not_read == 4 / (5 + 5 + 4 + 12)
    assert found.reports_with_unknown_words == 1
    words = 2 + 3 + 1 + 6  # of the last report six are read
    assert found.unknown_words == 2 / words
    assert found.words_in_pieces == 1 / words
    assert found.most_unknown == (("foo", 2),)


def test_no_report_at_all_counts_nothing(tokenize):
    found = counted(tokenize, [])
    assert (found.reports, found.tokens_not_read, found.unknown_words) == (0, 0, 0)


def notices(tokenize, texts):
    records = reading_records({"a model": counted(tokenize, texts)})
    return {r["about"]: r["value"] for r in records if r["metric"] == "notice"}


def test_reports_that_are_cut_get_a_notice_with_the_numbers(tokenize):
    said = notices(tokenize, ["lungs clear", "lungs " * 10])
    assert said == {
        "reports-cut": "a model reads 8 tokens of a report and no more: 1 of 2 reports are longer, "
        "the longest 12, and 25.0% of all tokens are not read"
    }


def test_reports_of_which_no_word_is_read_are_named(tokenize):
    texts = ["Lungs clear."] * 97 + ["肺炎", "норма foo", "lungs foo"]
    said = notices(tokenize, texts)
    assert said == {
        "reports-not-read": "a model reads no word of 2 of 100 reports, which are all alike to it "
        "(study 97, 98): leave them out, or take a model of their language"
    }
    records = reading_records({"a model": counted(tokenize, texts)})
    assert {"metric": "reports_not_read", "model": "a model", "value": 2} in records


@pytest.mark.parametrize(("unknown", "told"), [(1, False), (2, True)])
def test_unknown_words_get_a_notice_from_the_bound_on(tokenize, unknown, told, monkeypatch):
    monkeypatch.setattr(reading, "MOST_UNKNOWN", 0.2)
    texts = ["Lungs clear."] * ((5 - unknown) // 2 + 1) + ["foo"] * unknown
    said = notices(tokenize, texts)
    assert ("unknown-words" in said) is told
    if told:
        assert f"vocabulary of a model, which reads nothing of them (foo {unknown})" in str(said)


def test_words_in_pieces_get_a_notice_where_most_are(tokenize):
    assert "words-in-pieces" in notices(tokenize, ["Pneumothorax"])
    assert notices(tokenize, ["Pneumothorax. Lungs clear"]) == {}


def test_the_table_and_the_records_hold_what_was_counted(tokenize):
    found = counted(tokenize, ["Lungs Foo foo b_b", "lungs " * 10])
    table = reading_table({"a model": found})
    row = table.loc["a model"]
    assert (row["context"], row["longest report"], row["reports cut"]) == ("8", "12", "1")
    assert row["most frequent unknown words"] == "foo 2"
    records = reading_records({"a model": found})
    by_metric = {r["metric"]: r["value"] for r in records if r["metric"] != "notice"}
    assert by_metric["reports_cut"] == 1
    assert by_metric["unknown_words"] == found.unknown_words
    assert {"metric": "unknown_word", "model": "a model", "word": "foo", "value": 2} in records
