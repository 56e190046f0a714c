"""The small sentence encoder that language models have to beat: all-MiniLM-L6-v2."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import AutoModel, AutoTokenizer

from cxr_mtl.base.errors import InputError
from cxr_mtl.base.files import content_key
from cxr_mtl.language.pooling import mean_of_tokens
from cxr_mtl.models.packaged_files import MINILM
from cxr_mtl.models.token_store import Tokens

CONTEXT = 256


@dataclass(frozen=True)
class TokenisedTexts:
    """Token ids of texts, in batches as a store of states gives them.

    Shapes: lengths [texts]; `batch(rows).tokens` [batch, longest] int64.
    """

    ids: list[list[int]]
    lengths: Tensor
    key: str

    def batch(self, rows: Tensor) -> Tokens:
        """The ids of the texts `rows`, padded by 0, whose query rows are the first ids."""
        padded = nn.utils.rnn.pad_sequence(
            [torch.tensor(self.ids[row]) for row in rows], batch_first=True
        )
        return Tokens(padded, self.lengths[rows], padded[:, 0])


class SentenceEncoder(nn.Module):
    """A BERT whose token states are averaged, as sentence-transformers runs all-MiniLM-L6-v2."""

    def __init__(self, bert: nn.Module) -> None:
        super().__init__()
        self.bert = bert

    def forward(self, ids: Tensor, is_token: Tensor) -> Tensor:
        """Ids [batch, n], is_token [batch, n] -> embeddings [batch, 384], normalised."""
        states = self.bert(input_ids=ids, attention_mask=is_token.long()).last_hidden_state
        return F.normalize(mean_of_tokens(states, is_token), dim=-1)


def load_minilm(texts: Sequence[str]) -> tuple[SentenceEncoder, TokenisedTexts]:
    """all-MiniLM-L6-v2, all of whose weights may be trained, and `texts` for it.

    Of a text the first 256 tokens are read, as its authors set it.

    Raises:
        InputError: the package is missing or another version, or a text is empty.
    """
    folder = {MINILM.path(name) for name in MINILM.sha256}.pop().parent
    tokenizer = AutoTokenizer.from_pretrained(folder)
    bert = AutoModel.from_pretrained(folder, add_pooling_layer=False, use_safetensors=True)
    ids = tokenizer(list(texts), truncation=True, max_length=CONTEXT).input_ids
    empty = [place for place, text in enumerate(texts) if not text.strip()]
    if empty:
        raise InputError(f"text {empty[0]} of {len(texts)} is empty: leave empty reports out")
    lengths = torch.tensor([len(row) for row in ids])
    return SentenceEncoder(bert), TokenisedTexts(ids, lengths, content_key("MiniLM", ids))
