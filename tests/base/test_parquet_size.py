"""A table that would unpack to much more than its file is refused before it is unpacked."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cxr_mtl.base.errors import InputError
from cxr_mtl.base.files import read_table, write_table


@pytest.mark.parametrize("rows", [0, 1, 100_000])
def test_an_ordinary_table_is_read(tmp_path, rows):
    table = pd.DataFrame(
        {
            "study": [str(number) for number in range(rows)],
            "text": ["The lungs are clear."] * rows,
            "label": np.zeros(rows, int),
            "codes": [["a", "b"]] * rows,
        }
    )
    write_table(tmp_path / "x.parquet", table)
    assert len(read_table(tmp_path / "x.parquet")) == rows


BOMBS = {
    "rows": (pa.table({"x": pa.array(np.zeros(10_000_000, np.int8))}), "claims 10,000,000 rows in"),
    "values": (
        pa.table({"x": pa.array([[0] * 3_000_000], pa.list_(pa.int8()))}),
        "claims 3,000,000 values in",
    ),
    "text": (
        pa.table({"x": pa.array([str(n) for n in range(2000)]), "t": ["x" * 1_000_000] * 2000}),
        "would unpack to over 1,073,741,824 bytes of t: it was not",
    ),
}


@pytest.mark.parametrize(("table", "said"), BOMBS.values(), ids=BOMBS)
def test_a_small_file_of_a_huge_table_is_refused(tmp_path, table, said):
    pq.write_table(table, tmp_path / "x.parquet")
    assert (tmp_path / "x.parquet").stat().st_size < 300_000
    with pytest.raises(InputError, match=rf"x\.parquet {said}"):
        read_table(tmp_path / "x.parquet")


@pytest.mark.parametrize("codec", ["gzip", "zstd", "brotli"])
def test_a_codec_that_packs_bombs_is_refused(tmp_path, codec):
    pq.write_table(pa.table({"x": [1, 2]}), tmp_path / "x.parquet", compression=codec)
    with pytest.raises(InputError, match=f"is packed by {codec.upper()}, not by SNAPPY"):
        read_table(tmp_path / "x.parquet")
