"""Tokens of reports of which some are equal, to each other or to reports computed before."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from cxr_mtl.models.token_store import TokenStore


@dataclass(frozen=True)
class KnownReports:
    """Reports whose tokens lie in a store of the same backbone, precision and unfrozen blocks."""

    rows: Mapping[Hashable, int]
    store: TokenStore

    @classmethod
    def of(cls, texts: Sequence[str], store: TokenStore) -> "KnownReports":
        """The reports of `store`, whose texts are given in its order."""
        return cls({text: row for row, text in enumerate(texts)}, store)


def each_report_once(
    texts: Sequence[Hashable],
    rows: Tensor,
    run: Callable[[Tensor], tuple[Tensor, Tensor]],
    known: KnownReports | None = None,
) -> tuple[Tensor, Tensor]:
    """What `run(rows)` gives, but that it is given one row of each text that is not known.

    Shapes: rows [batch] -> padded tokens [batch, longest, width] and queries [batch, width].
    """
    known_rows = known.rows if known else {}
    row_of = dict(zip(texts, rows.tolist(), strict=True))
    new = [text for text in row_of if text not in known_rows]
    seen = [text for text in row_of if text in known_rows]
    parts = []
    if new:
        parts.append(run(torch.tensor([row_of[text] for text in new])))
    if seen:
        found = known.store.batch(torch.tensor([known_rows[text] for text in seen]))
        parts.append((found.tokens, found.query))
    tokens, queries = zip(*parts, strict=True)
    longest = max(part.shape[1] for part in tokens)
    padded = [torch.nn.functional.pad(part, (0, 0, 0, longest - part.shape[1])) for part in tokens]
    place = {text: number for number, text in enumerate([*new, *seen])}
    order = torch.tensor([place[text] for text in texts])
    return _joined(padded)[order], _joined(queries)[order]


def _joined(parts: Sequence[Tensor]) -> Tensor:
    """The parts end to end, of the type and on the device of the first."""
    return torch.cat([part.to(parts[0]) for part in parts])
