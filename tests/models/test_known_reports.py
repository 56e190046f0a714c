"""Equal reports are run once and known ones not at all, and what comes out is the same."""

import pytest
import torch

from cxr_mtl.models.known_reports import KnownReports, each_report_once
from cxr_mtl.models.token_store import fill_store

TEXTS = ["clear", "a longer report", "clear", "seen", "a longer report", "other"]
WIDTH = 4


def tokens_of(text):
    """As many tokens as letters, all made of the text alone."""
    generator = torch.Generator().manual_seed(len(text))
    return torch.randn(len(text), WIDTH, generator=generator)


def padded(texts):
    parts = [tokens_of(text) for text in texts]
    return torch.nn.utils.rnn.pad_sequence(parts, batch_first=True), torch.stack(
        [part.mean(0) for part in parts]
    )


@pytest.fixture
def ran():
    return []


@pytest.fixture
def run(ran):
    def run(rows):
        ran.extend(TEXTS[row] for row in rows)
        return padded([TEXTS[row] for row in rows])

    return run


@pytest.fixture
def store(tmp_path):
    def store(texts):
        lengths = torch.tensor([len(text) for text in texts])
        return fill_store(
            tmp_path / "store",
            lengths,
            WIDTH,
            torch.float32,
            lambda rows: padded([texts[row] for row in rows]),
            about={},
        )

    return store


@pytest.mark.parametrize("known", [[], ["seen"], ["nothing", "seen", "clear"], TEXTS])
@pytest.mark.parametrize("rows", [[0, 1, 2, 3, 4, 5], [5, 2, 0], [3], [4, 1]])
def test_each_new_report_is_run_once_and_all_have_their_tokens(run, ran, store, known, rows):
    texts = [TEXTS[row] for row in rows]
    reports = KnownReports.of(known, store(known)) if known else None
    tokens, queries = each_report_once(texts, torch.tensor(rows), run, reports)
    assert sorted(ran) == sorted(set(texts) - set(known))
    assert tokens.shape == (len(rows), max(map(len, texts)), WIDTH)
    for row, text in enumerate(texts):
        assert torch.equal(tokens[row, : len(text)], tokens_of(text))
        assert torch.equal(queries[row], tokens_of(text).mean(0))
