"""A tiny CLIP of BiomedCLIP's classes with random weights, in a folder that open_clip reads."""

from collections.abc import Sequence
from pathlib import Path

import open_clip
import torch
from safetensors.torch import save_file
from tokenizers import BertWordPieceTokenizer
from transformers import BertConfig, BertTokenizerFast

from cxr_mtl.base.files import write_json

REPORTS = (
    "The heart is normal in size. The lungs are clear.",
    "Large right pleural effusion.",
    "Cardiomegaly with pulmonary edema. No pneumothorax is seen in either hemithorax today.",
    "No acute disease.",
)
IMAGE_SIZE, EMBEDDING_SIZE, WIDTH, BLOCKS, CONTEXT = 112, 128, 64, 3, 128
SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def write_untrained_model(folder: Path, reports: Sequence[str] = REPORTS, seed: int = 0) -> None:
    """Write configuration, a tokenizer of the words of `reports`, and weights drawn by `seed`."""
    file = folder / "tokenizer.json"
    tokenizer = _tokenizer(list(reports) * 20)
    tokenizer.save(str(file))
    BertTokenizerFast(tokenizer_file=str(file)).save_pretrained(folder)
    BertConfig(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=WIDTH,
        num_hidden_layers=BLOCKS,
        num_attention_heads=4,
        intermediate_size=4 * WIDTH,
        max_position_embeddings=CONTEXT,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    ).save_pretrained(folder)
    vision = {
        "timm_model_name": "test_vit",
        "timm_model_pretrained": False,
        "timm_pool": "token",
        "timm_proj": "linear",
        "image_size": IMAGE_SIZE,
    }
    text = {
        "hf_model_name": str(folder),
        "hf_model_pretrained": False,
        "hf_proj_type": "mlp",
        "hf_pooler_type": "cls_last_hidden_state_pooler",
        "context_length": CONTEXT,
    }
    torch.manual_seed(seed)
    named = {"hf_model_name": "tiny", "hf_tokenizer_name": "tiny"}
    config = {
        "model_cfg": {"embed_dim": EMBEDDING_SIZE, "vision_cfg": vision, "text_cfg": text | named},
        "preprocess_cfg": {"mean": [0.5] * 3, "std": [0.25] * 3, "interpolation": "bilinear"},
    }
    write_json(folder / "open_clip_config.json", config)
    model = open_clip.create_model(f"local-dir:{folder}", text_cfg=text, load_weights=False)
    save_file(model.state_dict(), folder / "open_clip_model.safetensors")


def _tokenizer(texts: list[str]) -> BertWordPieceTokenizer:
    """A WordPiece tokenizer, the same for the same texts.

    The trainer numbers the letters inside words ("##a") in the order of a hash map, another at
    every call, and breaks ties by number. Naming them all first leaves it nothing to choose.
    """
    trained = BertWordPieceTokenizer(lowercase=True)
    letters = sorted({letter for text in texts for letter in trained.normalize(text)})
    first = [*SPECIAL_TOKENS, *(f"##{letter}" for letter in letters if not letter.isspace())]
    trained.train_from_iterator(texts, vocab_size=4000, special_tokens=first, show_progress=False)
    return BertWordPieceTokenizer(trained.get_vocab(), lowercase=True)
