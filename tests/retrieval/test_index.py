"""The index finds what a plain product finds, and comes back from disk whole or is refused."""

import json
import struct
import subprocess
import sys

import faiss
import numpy as np
import pandas as pd
import pytest

from cxr_mtl.base.errors import InputError
from cxr_mtl.base.files import sha256_of_file
from cxr_mtl.retrieval import index as retrieval
from cxr_mtl.retrieval.index import Index, fused_vectors, normalised


def random_vectors(seed, n, d=16):
    return normalised(np.random.default_rng(seed).standard_normal((n, d)))


def metadata_of(n):
    return pd.DataFrame(
        {
            "study": [f"s{i}" for i in range(n)],
            "image": [f"images/{i}.png" for i in range(n)],
            "label": np.arange(n) % 2,
            "text": [f"report {i}" for i in range(n)],
        }
    )


@pytest.fixture
def index():
    return Index.build(random_vectors(0, 20), metadata_of(20), "model-a")


@pytest.fixture
def saved(index, tmp_path):
    index.save(tmp_path / "index")
    return tmp_path / "index"


def by_brute_force(vectors, queries, k):
    scores = queries.astype(np.float64) @ vectors.astype(np.float64).T
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(scores, order, 1), order


@pytest.mark.parametrize("queries", [1, 7, 64])
@pytest.mark.parametrize("k", [1, 5, 300])
def test_search_is_brute_force(queries, k):
    vectors, asked = random_vectors(1, 300, 32), random_vectors(2, queries, 32)
    scores, positions = Index.build(vectors, metadata_of(300), "m").search(asked, k)
    expected_scores, expected_positions = by_brute_force(vectors, asked, k)
    np.testing.assert_allclose(scores, expected_scores, atol=1e-6)
    assert scores.dtype == np.float32
    exact = np.take_along_axis(asked @ vectors.T, positions, 1)
    np.testing.assert_allclose(exact, expected_scores, atol=1e-6)
    assert (np.diff(scores) <= 0).all()
    assert np.mean(positions == expected_positions) > 0.99


@pytest.mark.parametrize("k", [1, 4, 6, 30])
def test_search_is_brute_force_up_to_ties(k):
    corners = np.eye(6, dtype=np.float32)
    vectors = np.repeat(corners, 5, axis=0)
    asked = normalised(np.eye(6) * 3 + np.eye(6)[::-1])
    scores, positions = Index.build(vectors, metadata_of(30), "m").search(asked, k)
    expected_scores, _ = by_brute_force(vectors, asked, k)
    np.testing.assert_allclose(scores, expected_scores, atol=1e-6)
    all_scores = asked @ vectors.T
    for row, found, kth in zip(all_scores, positions, expected_scores[:, -1], strict=True):
        assert len(set(found)) == k
        assert set(np.flatnonzero(row > kth + 1e-6)) <= set(found)
        assert set(found) <= set(np.flatnonzero(row >= kth - 1e-6))


def test_equal_scores_come_in_order_of_position():
    vectors = np.tile(random_vectors(0, 3), (4, 1))
    _, positions = Index.build(vectors, metadata_of(12), "m").search(vectors[:3], 12)
    assert positions[0, :4].tolist() == [0, 3, 6, 9]
    assert positions[2, :4].tolist() == [2, 5, 8, 11]


def test_positions_are_rows_of_the_metadata(index):
    _, positions = index.search(random_vectors(0, 20)[[7]], 1)
    assert index.metadata.loc[positions[0, 0], "study"] == "s7"


def test_metadata_is_taken_by_place_whatever_its_row_labels():
    metadata = metadata_of(20).iloc[::-1].assign(other=1)
    index = Index.build(random_vectors(0, 20), metadata, "m")
    assert index.metadata.loc[0, "study"] == "s19"
    assert list(index.metadata) == ["study", "image", "label", "text"]


@pytest.mark.skipif(
    not hasattr(faiss, "StandardGpuResources") or faiss.get_num_gpus() == 0,
    reason="FAISS sees no GPU",
)
def test_gpu_and_cpu_find_the_same():
    vectors, asked = random_vectors(1, 3000, 64), random_vectors(2, 50, 64)
    index = Index.build(vectors, metadata_of(3000), "m")
    assert index.device == "gpu"
    for k in (1, 10, 2048, 3000):
        on_gpu, _ = index.search(asked, k)
        np.testing.assert_allclose(on_gpu, by_brute_force(vectors, asked, k)[0], atol=1e-6)


def test_a_k_above_the_gpu_limit_is_searched_on_the_cpu():
    class Gpu:
        def search(self, queries, k):
            raise AssertionError("searched on the GPU")

    index = Index.build(random_vectors(1, 2100, 4), metadata_of(2100), "m")
    index._on_gpu = Gpu()
    assert index.device == "gpu"
    assert index.search(random_vectors(2, 1, 4), 2049)[0].shape == (1, 2049)
    with pytest.raises(AssertionError, match="on the GPU"):
        index.search(random_vectors(2, 1, 4), 2048)


def test_without_a_gpu_searches_run_on_the_cpu(monkeypatch):
    monkeypatch.setattr(faiss, "get_num_gpus", lambda: 0)
    assert Index.build(random_vectors(0, 2), metadata_of(2), "m").device == "cpu"


def test_fused_vectors_are_unit_vectors_halfway_between_image_and_text():
    angles = np.deg2rad([[0, 60], [90, 0], [10, 350]])
    images, texts = (np.stack([np.cos(a), np.sin(a)], 1) for a in angles.T)
    fused = fused_vectors(5 * images, 0.1 * texts)
    assert fused.dtype == np.float32
    middle = np.deg2rad([30, 45, 0])
    np.testing.assert_allclose(fused, np.stack([np.cos(middle), np.sin(middle)], 1), atol=1e-6)


def test_similarity_of_an_image_to_its_own_fused_vector_follows_the_pair():
    images, texts = random_vectors(0, 9), random_vectors(1, 9)
    own = (images * fused_vectors(images, texts)).sum(axis=1)
    np.testing.assert_allclose(own, np.sqrt((1 + (images * texts).sum(axis=1)) / 2), atol=1e-6)


def test_faiss_and_torch_work_together_in_either_order():
    code = """
from cxr_mtl.retrieval.index import Index, normalised
import numpy as np, pandas as pd
x = normalised(np.random.default_rng(0).standard_normal((500, 64)))
m = pd.DataFrame({"study": range(500), "image": "", "label": 0, "text": ""})
torch.arange(100_000).sum()
assert (Index.build(x, m, "m").search(x, 1)[1][:, 0] == np.arange(500)).all()
torch.randn(300, 300) @ torch.randn(300, 300)
"""
    runs = [
        subprocess.Popen([sys.executable, "-c", order + code], stderr=subprocess.PIPE, text=True)
        for order in ("import faiss, torch", "import torch, faiss")
    ]
    for run in runs:
        _, errors = run.communicate(timeout=120)
        assert run.returncode == 0, errors


def test_a_saved_index_comes_back_the_same(index, saved):
    loaded = Index.load(saved, "model-a")
    asked = random_vectors(3, 5)
    for before, after in zip(index.search(asked, 20), loaded.search(asked, 20), strict=True):
        np.testing.assert_array_equal(before, after)
    pd.testing.assert_frame_equal(index.metadata, loaded.metadata)
    assert (len(loaded), loaded.model_key) == (20, "model-a")


def test_the_card_of_a_saved_index_says_what_it_is(saved):
    card = json.loads((saved / "index.json").read_text())
    assert {path.name for path in saved.iterdir()} == {
        "index.faiss",
        "index.json",
        "metadata.parquet",
    }
    assert (card["dimension"], card["count"], card["model_key"]) == (16, 20, "model-a")
    assert card["versions"]["faiss"] == faiss.__version__
    assert card["sha256"]["index.faiss"] == sha256_of_file(saved / "index.faiss")


def test_saving_again_replaces_the_index_and_leaves_nothing_beside(saved):
    Index.build(random_vectors(5, 3), metadata_of(3), "model-b").save(saved)
    assert len(Index.load(saved, "model-b")) == 3
    assert [path.name for path in saved.parent.iterdir()] == ["index"]


def test_a_failed_save_keeps_the_old_index(saved, monkeypatch):
    def fail(path):
        raise OSError("broken disk")

    monkeypatch.setattr(retrieval, "sha256_of_file", fail)
    with pytest.raises(OSError, match="broken disk"):
        Index.build(random_vectors(5, 3), metadata_of(3), "model-b").save(saved)
    monkeypatch.undo()
    assert len(Index.load(saved, "model-a")) == 20
    assert [path.name for path in saved.parent.iterdir()] == ["index"]


def test_a_folder_that_is_no_index_is_not_overwritten(index, tmp_path):
    (tmp_path / "thesis.txt").write_text("dear")
    with pytest.raises(InputError, match="is not an index"):
        index.save(tmp_path)
    with pytest.raises(InputError, match="is not an index"):
        index.save(tmp_path / "thesis.txt")
    assert (tmp_path / "thesis.txt").read_text() == "dear"


def test_an_index_of_another_model_is_refused(saved):
    with pytest.raises(InputError, match="built by the model model-a, not by model-b"):
        Index.load(saved, "model-b")


@pytest.mark.parametrize("name", ["index.faiss", "metadata.parquet", "index.json"])
def test_a_missing_file_is_named(saved, name):
    (saved / name).unlink()
    with pytest.raises(InputError, match=rf"{name} is missing"):
        Index.load(saved, "model-a")


@pytest.mark.parametrize("name", ["index.faiss", "metadata.parquet"])
@pytest.mark.parametrize("damage", ["cut", "flipped"])
def test_a_damaged_file_is_refused_before_it_is_parsed(saved, name, damage, monkeypatch):
    content = bytearray((saved / name).read_bytes())
    if damage == "cut":
        content = content[: len(content) // 2]
    else:
        content[len(content) // 2] ^= 1
    (saved / name).write_bytes(content)
    monkeypatch.setattr(faiss, "read_index", None)
    with pytest.raises(InputError, match=rf"{name} is damaged"):
        Index.load(saved, "model-a")


def edit_card(folder, **changes):
    card = json.loads((folder / "index.json").read_text()) | changes
    (folder / "index.json").write_text(json.dumps(card))


def reseal(folder):
    names = ("index.faiss", "metadata.parquet")
    edit_card(folder, sha256={name: sha256_of_file(folder / name) for name in names})


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"format": 2}, "format 2, this version reads 1"),
        ({"count": 21}, "20 vectors of 16 dimensions and index.json says 21 of 16"),
        ({"dimension": 8}, "index.json says 20 of 8"),
        ({"count": "20"}, "damaged at count"),
        ({"surprise": 1}, "damaged at surprise"),
        ({"sha256": {}}, "index.faiss is damaged"),
    ],
)
def test_a_wrong_card_is_refused(saved, changes, sentence):
    edit_card(saved, **changes)
    with pytest.raises(InputError, match=sentence):
        Index.load(saved, "model-a")


@pytest.mark.parametrize("content", ["{", "[]", "\x00\xff"])
def test_a_card_that_is_no_card_is_refused(saved, content):
    (saved / "index.json").write_bytes(content.encode("latin-1"))
    with pytest.raises(InputError, match=r"index\.json"):
        Index.load(saved, "model-a")


def test_metadata_of_another_length_or_without_its_columns_is_refused(saved):
    metadata_of(19).to_parquet(saved / "metadata.parquet")
    reseal(saved)
    with pytest.raises(InputError, match="19 rows for 20 vectors"):
        Index.load(saved, "model-a")
    metadata_of(20).drop(columns=["text", "label"]).to_parquet(saved / "metadata.parquet")
    reseal(saved)
    with pytest.raises(InputError, match="lacks the columns label, text"):
        Index.load(saved, "model-a")
    with pytest.raises(InputError, match="3 rows for 2 vectors"):
        Index.build(random_vectors(0, 2), metadata_of(3), "m")


def test_another_kind_of_faiss_index_and_no_index_at_all_are_refused(saved):
    other = faiss.IndexFlatL2(16)
    other.add(random_vectors(0, 20))
    faiss.write_index(other, str(saved / "index.faiss"))
    reseal(saved)
    with pytest.raises(InputError, match="of the kind b'IxF2', not IndexFlatIP"):
        Index.load(saved, "model-a")
    (saved / "index.faiss").write_bytes(b"not an index")
    reseal(saved)
    with pytest.raises(InputError, match="is not a FAISS index"):
        Index.load(saved, "model-a")


def header(dimension, count, values):
    return struct.pack("<4siqqq?iQ", b"IxFI", dimension, count, 1 << 20, 1 << 20, True, 0, values)


VECTORS = 20 * 16
CRAFTED = {
    "2^40 vectors": ((16, 1 << 40), header(16, 1 << 40, 16 << 40), "are not 1,099,511,627,776 vec"),
    "2^30 dimensions": ((1 << 30, 20), header(1 << 30, 20, 20 << 30), "are not 20 vectors of 1,07"),
    "values without vectors": ((16, 20), header(16, 20, 1 << 60), "are not 20 vectors of 16 dimen"),
    "vectors without values": ((16, 20), header(16, 20, 0), "are not 20 vectors of 16 dimensions"),
    "a negative count": ((16, 20), header(16, -20, VECTORS), "holds -20 vectors of 16 dimensions"),
    "cut in the header": ((16, 20), header(16, 20, VECTORS)[:30], "is not a FAISS index"),
}


@pytest.mark.parametrize(("claim", "start", "said"), CRAFTED.values(), ids=CRAFTED)
def test_no_size_in_an_index_is_believed(saved, claim, start, said, monkeypatch):
    content = (saved / "index.faiss").read_bytes()
    whole = start + content[len(start) :] if len(start) == 45 else start
    (saved / "index.faiss").write_bytes(whole)
    reseal(saved)
    edit_card(saved, dimension=claim[0], count=claim[1])
    monkeypatch.setattr(faiss, "read_index", None)
    with pytest.raises(InputError, match=rf"index\.faiss .*{said}"):
        Index.load(saved, "model-a")


def test_the_header_that_is_looked_at_is_the_one_that_faiss_writes(saved):
    assert (saved / "index.faiss").read_bytes()[:45] == header(16, 20, VECTORS)


def test_vectors_that_are_none_are_refused(saved):
    content = bytearray((saved / "index.faiss").read_bytes())
    content[-4:] = struct.pack("<f", np.nan)
    (saved / "index.faiss").write_bytes(content)
    reseal(saved)
    with pytest.raises(InputError, match="vector 19 of 20 holds NaN"):
        Index.load(saved, "model-a")


@pytest.mark.parametrize("name", ["index.faiss", "metadata.parquet", "index.json"])
def test_no_file_of_an_index_leads_out_of_its_folder(saved, name):
    (saved / name).rename(saved.parent / name)
    (saved / name).symlink_to(saved.parent / name)
    with pytest.raises(
        InputError, match=rf"{name} leads out of .*index, to .*: put the file there"
    ):
        Index.load(saved, "model-a")


@pytest.mark.parametrize(
    ("column", "value"), [("label", 0.5), ("text", b"x"), ("study", 0.5), ("image", None)]
)
def test_metadata_of_another_kind_is_refused(saved, column, value):
    metadata_of(20).assign(**{column: [value] * 20}).to_parquet(saved / "metadata.parquet")
    reseal(saved)
    with pytest.raises(InputError, match=rf"metadata\.parquet is damaged at {column}, row 0 "):
        Index.load(saved, "model-a")


@pytest.mark.parametrize("k", [0, -3, 21])
def test_k_outside_the_index_is_refused(index, k):
    with pytest.raises(InputError, match=f"k is {k} and the index holds 20 studies"):
        index.search(random_vectors(1, 2), k)


def spoiled(value):
    vectors = random_vectors(1, 3)
    vectors[1] = value
    return vectors


@pytest.mark.parametrize(
    ("queries", "sentence"),
    [
        (np.empty((0, 16)), r"shape \[0, 16\]"),
        (random_vectors(1, 3)[0], r"shape \[16\]"),
        (random_vectors(1, 3, 8), "queries have 8 dimensions and the index has 16"),
        (spoiled(np.nan), "vector 1 of 3 holds NaN or infinity"),
        (spoiled(np.inf), "vector 1 of 3 holds NaN or infinity"),
        (spoiled(0), "vector 1 of 3 has length 0"),
        (spoiled(2), "vector 1 of 3 has length 8"),
    ],
)
def test_queries_that_cannot_be_searched_are_refused(index, queries, sentence):
    with pytest.raises(InputError, match=sentence):
        index.search(queries, 1)
    if "dimensions and" not in sentence:
        with pytest.raises(InputError, match=sentence):
            Index.build(queries, metadata_of(len(queries)), "m")


def test_vectors_without_direction_are_refused():
    with pytest.raises(InputError, match="vector 1 of 3 is all zeros"):
        normalised(spoiled(0))
    with pytest.raises(InputError, match="vector 1 of 3 holds NaN"):
        fused_vectors(random_vectors(0, 3), spoiled(np.nan))
    with pytest.raises(InputError, match="vector 0 of 2 is all zeros"):
        fused_vectors(random_vectors(0, 2), -random_vectors(0, 2))
    with pytest.raises(InputError, match=r"\[2, 16\].*\[3, 16\]"):
        fused_vectors(random_vectors(0, 2), random_vectors(0, 3))
