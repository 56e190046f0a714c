import pytest
import torch

from cxr_mtl.backbones import freeze
from cxr_mtl.errors import InputError
from cxr_mtl.features import load_images, tokenise
from cxr_mtl.last_layer import LastLayer, entering_images, entering_texts


def _inputs(backbone, studies):
    images = load_images(backbone, list(studies["image"][:6]))
    ids, lengths = tokenise(backbone, list(studies["text"][:6]))
    return images, ids[:, : int(lengths.max())], lengths


@pytest.mark.parametrize("unfrozen_blocks", [0, 1, 2, 3])
def test_prefix_and_last_layer_together_equal_the_open_clip_model(
    backbone, studies, unfrozen_blocks
):
    images, ids, lengths = _inputs(backbone, studies)
    model = backbone.model
    freeze(model, unfrozen_blocks)
    last = LastLayer(model, unfrozen_blocks)
    with torch.no_grad():
        image_tokens = entering_images(model, images, unfrozen_blocks)
        text_tokens = entering_texts(model, ids, unfrozen_blocks)
        torch.testing.assert_close(last.embed_images(image_tokens), model.encode_image(images))
        torch.testing.assert_close(last.embed_texts(text_tokens, lengths), model.encode_text(ids))


def test_gradients_equal_those_of_the_open_clip_model(backbone, studies):
    images, ids, lengths = _inputs(backbone, studies)
    images, model = images.double(), backbone.model.double()
    freeze(model, 1)
    last = LastLayer(model, 1)
    with torch.no_grad():
        image_tokens = entering_images(model, images, 1)
        text_tokens = entering_texts(model, ids, 1)
    parameters = [p for p in model.parameters() if p.requires_grad]
    plain = model.encode_image(images).square().sum() + model.encode_text(ids).sum()
    expected = torch.autograd.grad(plain, parameters)
    split = last.embed_images(image_tokens).square().sum()
    split = split + last.embed_texts(text_tokens, lengths).sum()
    torch.testing.assert_close(torch.autograd.grad(split, parameters), expected)


def test_padding_does_not_change_a_text_embedding(backbone, studies):
    _, ids, lengths = _inputs(backbone, studies)
    last = LastLayer(backbone.model, 1)
    with torch.no_grad():
        tokens = entering_texts(backbone.model, ids, 1)
        padded = torch.nn.functional.pad(tokens, (0, 0, 0, 9), value=100.0)
        torch.testing.assert_close(
            last.embed_texts(padded, lengths), last.embed_texts(tokens, lengths)
        )


def test_the_last_layer_holds_the_backbones_own_parameters_and_its_copy_does_not(backbone):
    freeze(backbone.model, 1)
    last = LastLayer(backbone.model, 1)
    own = dict(backbone.model.named_parameters())
    names = last.weights()
    assert set(names) == {n for n, p in own.items() if p.requires_grad}
    assert all(names[n].data_ptr() == own[n].data_ptr() for n in names)
    copied = last.independent_copy().weights()
    assert all(copied[n].data_ptr() != own[n].data_ptr() for n in copied)


def test_weights_of_another_depth_are_refused(backbone):
    freeze(backbone.model, 2)
    weights = LastLayer(backbone.model, 2).weights()
    freeze(backbone.model, 1)
    with pytest.raises(InputError, match="unfrozen blocks"):
        LastLayer(backbone.model, 1).load_weights(weights)
