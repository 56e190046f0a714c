"""A lower-casing BERT tokenizer of a vocabulary written by hand."""

import json
from pathlib import Path

from transformers import BertTokenizerFast

MARKS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def write_tokenizer(folder: Path, pieces: str, context: int) -> str:
    """Write a folder as open_clip reads tokenizers from one; gives its source."""
    (folder / "vocab.txt").write_text("\n".join([*MARKS, *pieces.split()]))
    BertTokenizerFast(str(folder / "vocab.txt"), do_lower_case=True).save_pretrained(folder)
    (folder / "config.json").write_text('{"model_type": "bert"}')
    text = {"hf_model_name": "x", "hf_tokenizer_name": "x", "context_length": context}
    config = {"model_cfg": {"embed_dim": 4, "vision_cfg": {}, "text_cfg": text}}
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    return f"local-dir:{folder}"
