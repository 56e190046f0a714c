"""Tokens of a whole text, how many are read, and what became of its words: as tokenizers count."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from open_clip.tokenizer import SimpleTokenizer
from transformers import AutoTokenizer

from cxr_mtl.base.errors import InputError
from cxr_mtl.models import hub
from cxr_mtl.models.backbones import load_backbone
from cxr_mtl.models.tokenizers import LONGEST_TEXT, LONGEST_WORD, Word, load_tokenizer, read_texts
from tests.models.written_tokenizer import write_tokenizer

CONTEXT = 12
PIECES = "lungs clear effusion pneumo ##thorax ##s opacite don t i n h e l f b ; ' < >"
TEXTS = [
    "",
    " \n\t",
    "?!…",
    "Lungs clear.",
    "Pneumothorax; LUNGS, pneumothoraxs",
    "Opacité ☃ in the left \x00 lobe \x1b[31m",
    "肺炎 and 🙂 שלום عربي",
    "[MASK] [PAD] [UNK] effusion",
    "don't &lt;b&gt; ﬁ “quoted”",
    "lungs clear effusion " * 40,
    "\ud83d lone",
]


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    folder = tmp_path_factory.mktemp("a tokenizer")
    write_tokenizer(folder, f"{PIECES} , .", CONTEXT)
    return folder


@pytest.fixture(scope="module")
def tokenize(bert):
    return load_tokenizer(f"local-dir:{bert}")


@pytest.fixture(scope="module")
def clip():
    return SimpleTokenizer(context_length=CONTEXT)


def read(tokenize, text):
    (reading,) = read_texts(tokenize, [text])
    return reading


@pytest.mark.parametrize("text", TEXTS)
def test_bert_counts_are_those_of_transformers_without_a_cut_and_of_what_the_tower_gets(
    bert, tokenize, text
):
    untruncated = AutoTokenizer.from_pretrained(bert)(tokenize.clean_fn(text)).input_ids
    reading = read(tokenize, text)
    assert reading.tokens == len(untruncated)
    assert reading.read == min(len(untruncated), CONTEXT)
    assert bool(reading.rest) == (len(untruncated) > CONTEXT)


@pytest.mark.parametrize("text", TEXTS)
def test_clip_counts_are_those_of_its_encoding_and_of_what_the_tower_gets(clip, text):
    reading = read(clip, text)
    assert reading.tokens == len(clip.encode(text)) + 2
    assert reading.read == int(clip([text]).argmax()) + 1
    assert bool(reading.rest) == (reading.tokens > CONTEXT)


@pytest.mark.parametrize("kind", ["bert", "clip"])
@settings(max_examples=200, deadline=None)
@given(text=st.text(max_size=60))
def test_of_any_text_words_read_and_rest_fit_together(tokenize, clip, kind, text):
    tokenizer = tokenize if kind == "bert" else clip
    reading = read(tokenizer, text)
    cleaned = tokenizer.clean_fn(text)
    assert cleaned.endswith(reading.rest)
    assert all(word.text in cleaned and word.text for word in reading.words)
    assert reading.read == min(reading.tokens, CONTEXT)
    assert sum(max(1, word.tokens) for word in reading.words) <= reading.read - 2
    if not reading.rest and all(word.tokens for word in reading.words):
        assert sum(word.tokens for word in reading.words) == reading.tokens - 2


def test_words_are_shown_as_they_were_written_with_the_tokens_they_became(tokenize):
    reading = read(tokenize, "Opacité, PNEUMOTHORAX ☃Ж 肺炎 [MASK]")
    assert reading.words == (
        Word("Opacité", 1),
        Word(",", 1),
        Word("PNEUMOTHORAX", 2),
        Word("☃Ж", 0),
        Word("肺", 0),
        Word("炎", 0),
        Word("[MASK]", 0),
    )


def test_a_word_that_is_cut_begins_the_rest(tokenize):
    reading = read(tokenize, "lungs " * 9 + "pneumothorax clear")
    assert (reading.tokens, reading.read) == (14, 12)
    assert reading.rest == "pneumothorax clear"
    assert len(reading.words) == 9
    exact = read(tokenize, "lungs " * 10)
    assert (exact.tokens, exact.read, exact.rest) == (12, 12, "")


def test_clip_knows_every_sign_but_its_own_marks(clip):
    words = read(clip, "Ж☃ <end_of_text>").words
    assert [(word.text, word.tokens > 0) for word in words] == [
        ("ж", True),
        ("☃", True),
        ("<end_of_text>", False),
    ]


def test_the_tokenizer_is_the_models_own(untrained_folder, tmp_path):
    source = f"local-dir:{untrained_folder}"
    alone, of_model = load_tokenizer(source), load_backbone(source).tokenize
    assert alone(TEXTS).equal(of_model(TEXTS))
    assert alone.context_length == of_model.context_length == 128


def test_a_tokenizer_needs_no_weights(bert):
    assert not list(bert.glob("*.safetensors"))
    assert load_tokenizer(f"local-dir:{bert}").context_length == CONTEXT


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (lambda folder: (folder / "tokenizer.json").unlink(), "lacks the tokenizer"),
        (lambda folder: (folder / "tokenizer.json").write_text("{"), "cannot be loaded"),
        (lambda folder: (folder / "open_clip_config.json").unlink(), "open_clip_config.json"),
    ],
)
def test_a_missing_or_damaged_piece_is_named(untrained_folder, tmp_path, damage, sentence):
    folder = tmp_path / "model"
    folder.mkdir()
    for file in untrained_folder.iterdir():
        if file.suffix == ".json":
            (folder / file.name).write_bytes(file.read_bytes())
    damage(folder)
    with pytest.raises(InputError, match=sentence):
        load_tokenizer(f"local-dir:{folder}")


@pytest.mark.parametrize("name", ["clip", "biomedclip", "hf-hub:nobody/nothing"])
def test_without_a_network_the_tokenizer_of_a_hub_model_is_refused_in_one_sentence(
    name, monkeypatch
):
    def no_network(*_, **__):
        raise ConnectionResetError("by the peer")

    monkeypatch.setattr(hub, "hf_hub_download", no_network)
    with pytest.raises(InputError, match=r"^hf-hub:\S+ cannot be fetched, the Hugging Face Hub"):
        load_tokenizer(name)


def test_a_tokenizer_that_cannot_be_fetched_although_the_configuration_could_is_told(monkeypatch):
    def no_network(_):
        raise OSError("We couldn't connect to the Hub\nand more")

    monkeypatch.setattr("cxr_mtl.models.tokenizers.hub_configuration", lambda _: None)
    monkeypatch.setattr("open_clip.get_tokenizer", no_network)
    with pytest.raises(
        InputError, match=r"\(We couldn't connect to the Hub\): check the connection$"
    ):
        load_tokenizer("clip")


def test_an_unknown_name_is_refused():
    with pytest.raises(InputError, match="unknown backbone 'resnet'"):
        load_tokenizer("resnet")


def test_a_tokenizer_that_does_not_tell_its_characters_is_refused():
    class Slow:
        clean_fn = staticmethod(str.strip)
        context_length = 5

    with pytest.raises(InputError, match="does not tell which characters"):
        list(read_texts(Slow(), ["lungs"]))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("lungs " * LONGEST_TEXT, "600,000 characters"),
        ("x" * (LONGEST_WORD + 1), "1,001 letters or signs"),
        ("-" * (LONGEST_WORD + 1), "1,001 letters or signs"),
        ("肺" * 1_000_000, "1,000,000 characters"),
    ],
)
@pytest.mark.parametrize("kind", ["bert", "clip"])
def test_what_is_no_report_is_refused_at_once(tokenize, clip, kind, text, sentence):
    started = time.perf_counter()
    with pytest.raises(InputError, match=sentence):
        read(tokenize if kind == "bert" else clip, text)
    assert time.perf_counter() - started < 1


@pytest.mark.parametrize("kind", ["bert", "clip"])
def test_the_longest_text_is_read_in_seconds(tokenize, clip, kind):
    started = time.perf_counter()
    text = f"{'x' * LONGEST_WORD} " * (LONGEST_TEXT // (LONGEST_WORD + 1))
    assert read(tokenize if kind == "bert" else clip, text).rest
    assert time.perf_counter() - started < 5
