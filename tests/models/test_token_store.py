"""A store holds what was computed, whatever interrupted, damaged or crowded its filling."""

import errno
import json
import os
import pickle
import shutil
import threading
import weakref
from collections import namedtuple

import psutil
import pytest
import torch

from cxr_mtl.base.errors import InputError
from cxr_mtl.models import token_layout
from cxr_mtl.models.token_store import TokenStore, fill_store

WIDTH = 6
RAGGED = torch.tensor([5, 2, 9, 3, 3, 7, 1, 4, 2, 8])
UNIFORM = torch.full((10,), 4)


@pytest.fixture(autouse=True)
def shards_of_three_studies(monkeypatch):
    monkeypatch.setattr(token_layout, "SHARD", 3)


class Model:
    """Computes recognisable tokens, puts NaN into the padding, and remembers the rows."""

    def __init__(self, lengths, dies_at=None, death=RuntimeError):
        self.lengths, self.dies_at, self.death = lengths, dies_at, death
        self.rows = []

    def sequence(self, row):
        rng = torch.Generator().manual_seed(int(row))
        return torch.randn(int(self.lengths[row]), WIDTH, generator=rng)

    def __call__(self, rows):
        if self.dies_at is not None and len(self.rows) >= self.dies_at:
            raise self.death
        self.rows += rows.tolist()
        tokens = torch.nn.utils.rnn.pad_sequence(
            [self.sequence(row) for row in rows], batch_first=True, padding_value=float("nan")
        )
        return tokens, tokens[:, 0] * 2


def fill(folder, model, dtype=torch.float32, **options):
    options = {"batch_size": 2, "about": {"model": "toy"}} | options
    return fill_store(folder, model.lengths, WIDTH, dtype, model, **options)


def contents(folder):
    return {name: (folder / name).read_bytes() for name in ("tokens.bin", "query.bin")}


def shard_rows(lengths, number):
    return sorted(torch.argsort(lengths, stable=True).split(3)[number].tolist())


def change(path, position):
    """Flip a byte; the file system's clock may be too coarse to see so quick a change."""
    with open(path, "r+b") as file:
        file.seek(position)
        byte = file.read(1)
        file.seek(position)
        file.write(bytes([byte[0] ^ 1]))
    touch_later(path)


def touch_later(path):
    stat = path.stat()
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns + 10**9))


@pytest.mark.parametrize("lengths", [RAGGED, UNIFORM])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_batch_is_what_was_computed_in_the_stored_precision(tmp_path, lengths, dtype):
    model = Model(lengths)
    store = fill(tmp_path, model, dtype)
    rows = torch.tensor([7, 0, 7, 2])
    batch = store.batch(rows)
    assert len(store) == len(lengths)
    assert torch.equal(batch.lengths, lengths[rows])
    assert batch.tokens.shape == (4, int(lengths[rows].max()), WIDTH)
    for row, tokens, query in zip(rows, batch.tokens, batch.query, strict=True):
        expected = model.sequence(row)
        assert torch.equal(tokens[: len(expected)], expected.to(dtype))
        assert torch.equal(query, expected[0] * 2)
    assert sorted(model.rows) == list(range(10))


def test_padding_repeats_the_last_token_of_its_sequence(tmp_path):
    store = fill(tmp_path, Model(RAGGED))
    batch = store.batch(torch.tensor([6, 2]))
    assert torch.equal(batch.tokens[0], batch.tokens[0, :1].expand(9, -1))


def test_equal_lengths_in_a_ragged_store_are_batched_like_any_other(tmp_path):
    model = Model(RAGGED)
    batch = fill(tmp_path, model).batch(torch.tensor([4, 3]))
    assert torch.equal(batch.tokens, torch.stack([model.sequence(4), model.sequence(3)]))


def test_the_file_holds_no_padding(tmp_path):
    fill(tmp_path, Model(RAGGED), torch.bfloat16)
    assert (tmp_path / "tokens.bin").stat().st_size == int(RAGGED.sum()) * WIDTH * 2
    assert (tmp_path / "query.bin").stat().st_size == len(RAGGED) * WIDTH * 4


def test_a_complete_store_computes_nothing_and_is_not_written_again(tmp_path):
    fill(tmp_path, Model(RAGGED))
    before = {path.name: path.stat().st_mtime_ns for path in tmp_path.glob("*.*")}
    again = Model(RAGGED, dies_at=0)
    fill(tmp_path, again)
    assert {path.name: path.stat().st_mtime_ns for path in tmp_path.glob("*.*")} == before


@pytest.mark.parametrize("computed", [2, 3, 5, 9])
def test_an_interrupted_filling_goes_on_at_the_first_unfinished_shard(tmp_path, computed):
    whole = fill(tmp_path / "whole", Model(RAGGED)).folder
    interrupted = Model(RAGGED, dies_at=computed, death=KeyboardInterrupt)
    with pytest.raises(KeyboardInterrupt):
        fill(tmp_path / "cut", interrupted)
    with pytest.raises(InputError, match=r"incomplete"):
        TokenStore.open(tmp_path / "cut")
    resumed = Model(RAGGED)
    fill(tmp_path / "cut", resumed)
    finished = len(interrupted.rows) // 3 * 3
    in_order = torch.argsort(RAGGED, stable=True).tolist()
    assert resumed.rows == in_order[finished:]
    assert contents(tmp_path / "cut") == contents(whole)


def test_a_killed_process_leaves_a_store_that_the_next_one_completes(tmp_path):
    child = os.fork()
    if child == 0:
        try:
            model = Model(RAGGED)
            fill(tmp_path, preceded(model, lambda: os._exit(9) if model.rows[4:] else None))
        finally:
            os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    resumed = Model(RAGGED)
    store = fill(tmp_path, resumed)
    assert len(resumed.rows) == 7
    assert torch.equal(store.batch(torch.tensor([2])).tokens[0], resumed.sequence(2))


def preceded(model, before):
    """The model, with something done before each batch."""

    def compute(rows):
        before()
        return model(rows)

    compute.lengths = model.lengths
    return compute


@pytest.mark.parametrize("name", ["tokens.bin", "query.bin"])
@pytest.mark.parametrize("lengths", [RAGGED, UNIFORM])
def test_a_flipped_byte_recomputes_its_shard_alone_and_says_so(tmp_path, name, lengths):
    fill(tmp_path, Model(lengths))
    sound = contents(tmp_path)
    row = 8
    shard = next(n for n in range(4) if row in shard_rows(lengths, n))
    store = TokenStore.open(tmp_path)
    place = row if name == "query.bin" else int(store.starts[row])
    change(tmp_path / name, place * WIDTH * 4 + 1)
    mending, said = Model(lengths), []
    fill(tmp_path, mending, report=said.append)
    assert sorted(mending.rows) == shard_rows(lengths, shard)
    assert contents(tmp_path) == sound
    assert said == [
        f"{tmp_path / name} is damaged in 1 of 4 shards (number {shard}): they are computed again"
    ]


def test_a_killed_mending_leaves_an_incomplete_store_not_a_damaged_one(tmp_path):
    fill(tmp_path, Model(RAGGED))
    change(tmp_path / "tokens.bin", 0)
    with pytest.raises(KeyboardInterrupt):
        fill(tmp_path, Model(RAGGED, dies_at=0, death=KeyboardInterrupt))
    with pytest.raises(InputError, match="incomplete"):
        TokenStore.open(tmp_path)


@pytest.mark.parametrize(
    ("name", "size", "shards"),
    [
        ("tokens.bin", 40, [0, 1, 2, 3]),
        ("tokens.bin", -1, [3]),
        ("query.bin", -1, [2]),
        ("tokens.bin", 0, [0, 1, 2, 3]),
    ],
)
def test_a_truncated_file_loses_only_the_shards_that_were_cut(tmp_path, name, size, shards):
    fill(tmp_path, Model(RAGGED))
    sound = contents(tmp_path)
    (tmp_path / name).write_bytes(sound[name][:size])
    touch_later(tmp_path / name)
    with pytest.raises(InputError, match=rf"{name} is damaged"):
        TokenStore.open(tmp_path)
    mending, said = Model(RAGGED), []
    fill(tmp_path, mending, report=said.append)
    assert sorted(mending.rows) == sorted(row for n in shards for row in shard_rows(RAGGED, n))
    assert contents(tmp_path) == sound
    assert all(str(tmp_path / name) in sentence for sentence in said)


def test_a_missing_file_is_computed_again(tmp_path):
    fill(tmp_path, Model(RAGGED))
    sound = contents(tmp_path)
    (tmp_path / "query.bin").unlink()
    fill(tmp_path, Model(RAGGED))
    assert contents(tmp_path) == sound


def test_a_grown_file_is_cut_back_and_nothing_is_computed(tmp_path):
    fill(tmp_path, Model(RAGGED))
    sound, said = contents(tmp_path), []
    with open(tmp_path / "tokens.bin", "ab") as file:
        file.write(b"more")
    touch_later(tmp_path / "tokens.bin")
    fill(tmp_path, Model(RAGGED, dies_at=0), report=said.append)
    assert contents(tmp_path) == sound
    assert said == [f"{tmp_path / 'tokens.bin'} has 1,060 bytes instead of 1,056: it is mended"]


def test_a_store_is_read_through_only_when_its_files_changed(tmp_path, monkeypatch):
    fill(tmp_path, Model(RAGGED))
    checked = []
    digests = token_layout.Layout.digests

    def counted(*arguments):
        checked.append(1)
        return digests(*arguments)

    monkeypatch.setattr(token_layout.Layout, "digests", counted)
    fill(tmp_path, Model(RAGGED, dies_at=0))
    assert len(checked) == 0
    touch_later(tmp_path / "tokens.bin")
    for _ in range(2):
        fill(tmp_path, Model(RAGGED, dies_at=0))
        assert len(checked) == 4


@pytest.mark.parametrize(
    ("setting", "lengths", "dtype"),
    [("lengths", RAGGED + 1, torch.float32), ("dtype", RAGGED, torch.bfloat16)],
)
def test_a_store_of_another_kind_is_refused_and_kept(tmp_path, setting, lengths, dtype):
    fill(tmp_path, Model(RAGGED))
    sound = contents(tmp_path)
    with pytest.raises(InputError, match=rf"differs in its {setting}: delete it and run again"):
        fill(tmp_path, Model(lengths), dtype)
    assert contents(tmp_path) == sound


def test_another_format_is_refused_when_filled_and_when_opened(tmp_path):
    fill(tmp_path, Model(RAGGED))
    about = json.loads((tmp_path / "about.json").read_text())
    (tmp_path / "about.json").write_text(json.dumps(about | {"format": 1}))
    with pytest.raises(InputError, match="differs in its format"):
        fill(tmp_path, Model(RAGGED))
    with pytest.raises(InputError, match="another version"):
        TokenStore.open(tmp_path)


@pytest.mark.parametrize("name", ["about.json", "shards.json"])
def test_a_damaged_record_is_named_and_its_deletion_recomputes_all(tmp_path, name):
    fill(tmp_path, Model(RAGGED))
    sound = contents(tmp_path)
    (tmp_path / name).write_text("{half")
    with pytest.raises(InputError, match=rf"{name} is not valid JSON .*: delete it and run again"):
        fill(tmp_path, Model(RAGGED))
    (tmp_path / name).unlink()
    again = Model(RAGGED)
    fill(tmp_path, again)
    assert len(again.rows) == 10
    assert contents(tmp_path) == sound


def test_what_the_store_was_made_by_is_kept_for_people(tmp_path):
    fill(tmp_path, Model(RAGGED), about={"backbone": "x"})
    assert json.loads((tmp_path / "about.json").read_text())["about"] == {"backbone": "x"}


def test_too_little_space_is_told_before_the_work(tmp_path, monkeypatch):
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(1000))
    needed = r"needs 1\.3e-06 GB more and the disk has 1e-06 GB free: free some space"
    with pytest.raises(InputError, match=needed):
        fill(tmp_path, Model(RAGGED, dies_at=0))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(1296))
    fill(tmp_path, Model(RAGGED))


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_disk_that_fills_up_is_told_and_finished_shards_are_kept(tmp_path, monkeypatch, number):
    flush, flushed = os.fsync, []

    def full_at_the_second_shard(file):
        flushed.append(file)
        if len(flushed) > 2:
            raise OSError(number, "No space left on device")
        flush(file)

    monkeypatch.setattr(os, "fsync", full_at_the_second_shard)
    with pytest.raises(InputError, match=r"disk is full while writing .* shards are kept"):
        fill(tmp_path, Model(RAGGED))
    monkeypatch.setattr(os, "fsync", flush)
    resumed = Model(RAGGED)
    fill(tmp_path, resumed)
    assert len(resumed.rows) == 7


def test_an_error_that_is_no_full_disk_is_not_called_one(tmp_path):
    with pytest.raises(PermissionError):
        fill(tmp_path, Model(RAGGED, dies_at=0, death=PermissionError(errno.EACCES, "denied")))


def test_two_fill_one_folder_one_after_the_other(tmp_path):
    first, second, waiting = Model(RAGGED), Model(RAGGED, dies_at=0), threading.Event()
    stores, said = [], []

    def say(sentence):
        said.append(sentence)
        waiting.set()

    def fill_as_second():
        stores.append(fill(tmp_path, second, report=say))

    thread = threading.Thread(target=fill_as_second)

    def start_the_second():
        if not first.rows:
            thread.start()
            assert waiting.wait(10)

    fill(tmp_path, preceded(first, start_the_second))
    thread.join(10)
    assert len(stores[0]) == 10
    assert second.rows == []
    assert said == [f"{tmp_path} is being filled by another process: waiting for it"]


def test_progress_counts_every_study_and_the_pace_of_this_call_alone(tmp_path, monkeypatch):
    lengths = torch.tensor([1, 2, 3, 10, 10, 20])
    with pytest.raises(RuntimeError):
        fill(tmp_path, Model(lengths, dies_at=3))
    clock = iter((100.0, 104.0, 110.0))
    monkeypatch.setattr("time.monotonic", lambda: next(clock))
    calls = []
    fill(tmp_path, Model(lengths), progress=lambda *call: calls.append(call))
    assert calls == [(5, 6, 4.0 / 20 * 20), (6, 6, 0.0)]


def test_no_batch_is_held_after_it_was_written(tmp_path):
    alive = []

    class Watched(Model):
        def __call__(self, rows):
            assert not any(batch() is not None for batch in alive)
            tokens, query = super().__call__(rows)
            alive.append(weakref.ref(tokens))
            return tokens, query

    fill(tmp_path, Watched(RAGGED))
    assert len(alive) == 7


def test_compute_runs_without_gradients(tmp_path):
    model = Model(RAGGED)
    weight = torch.ones(1, requires_grad=True)

    def compute(rows):
        tokens, query = model(rows)
        assert not torch.is_grad_enabled()
        return tokens * weight, query * weight

    compute.lengths = RAGGED
    assert not fill(tmp_path, compute).tokens.requires_grad


@pytest.mark.parametrize("shapes", [((2, 9, WIDTH), (2, WIDTH)), ((2, 4, WIDTH), (2, 1, WIDTH))])
def test_a_computation_of_the_wrong_shape_writes_nothing(tmp_path, shapes):
    def compute(rows):
        return torch.zeros(shapes[0]), torch.zeros(shapes[1])

    compute.lengths = UNIFORM
    with pytest.raises(ValueError, match="instead of"):
        fill(tmp_path, compute)
    assert not any(contents(tmp_path)["tokens.bin"])


@pytest.mark.parametrize("lengths", [torch.tensor([], dtype=torch.int64), torch.tensor([3, 0])])
def test_a_store_without_studies_or_with_one_without_tokens_is_refused(tmp_path, lengths):
    with pytest.raises(InputError, match="no study or one without tokens"):
        fill(tmp_path / "store", Model(lengths))
    assert not (tmp_path / "store").exists()


def test_a_pickled_store_is_its_folder(tmp_path):
    store = fill(tmp_path, Model(torch.full((300,), 50)))
    pickled = pickle.dumps(store)
    assert len(pickled) < 1000
    rows = torch.tensor([299, 4])
    for ours, theirs in zip(store.batch(rows), pickle.loads(pickled).batch(rows), strict=True):
        assert torch.equal(ours, theirs)


def test_a_batch_is_a_copy_that_may_be_written_to(tmp_path):
    store = fill(tmp_path, Model(UNIFORM))
    before = contents(tmp_path)
    store.batch(torch.arange(10)).tokens.zero_()
    assert contents(tmp_path) == before
    assert store.tokens.count_nonzero() == store.tokens.numel()


def test_a_store_on_its_device_already_is_itself(tmp_path):
    store = fill(tmp_path, Model(RAGGED))
    assert store.to("cpu") is store


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("lengths", [RAGGED, UNIFORM])
def test_a_store_computed_and_kept_on_a_gpu_gives_the_same_batches(tmp_path, lengths):
    model = Model(lengths)

    def compute(rows):
        tokens, query = model(rows)
        return tokens.cuda(), query.cuda()

    compute.lengths = lengths
    store = fill(tmp_path, compute, torch.bfloat16)
    rows = torch.tensor([7, 0, 7, 2])
    expected = store.batch(rows)
    for where in (rows, rows.cuda()):
        batch = store.to("cuda").batch(where)
        for ours, theirs in zip(batch, expected.to("cuda"), strict=True):
            assert ours.is_cuda
            assert torch.equal(ours, theirs)


def test_a_store_larger_than_the_memory_is_mapped(tmp_path):
    fill(tmp_path, Model(torch.tensor([1, 2])))
    about = json.loads((tmp_path / "about.json").read_text())
    long = 3 * psutil.virtual_memory().total // (WIDTH * 4)
    (tmp_path / "about.json").write_text(json.dumps(about | {"lengths": [1, long]}))
    os.truncate(tmp_path / "tokens.bin", (1 + long) * WIDTH * 4)  # sparse: takes no space
    store = TokenStore.open(tmp_path)
    assert store.tokens.shape == (1 + long, WIDTH)
    assert torch.equal(
        store.batch(torch.tensor([0])).tokens[0], Model(torch.tensor([1])).sequence(0)
    )
