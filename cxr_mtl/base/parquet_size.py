"""Whether a Parquet file, whoever wrote it, unpacks to no more than its bytes can stand for."""

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from cxr_mtl.base.errors import InputError

CODECS = ("SNAPPY", "UNCOMPRESSED")
"""What tables are written with; other codecs pack a thousand times as much into a byte."""
MOST_TEXT = 1 << 30  # bytes of one column


def check_parquet_size(path: Path | str) -> None:
    """Refuse a table whose rows or texts are many times what the file itself holds.

    Raises:
        InputError: which claim is not believed.
        OSError, ValueError: the file is no Parquet.
    """
    size = Path(path).stat().st_size
    with pq.ParquetFile(path) as file:
        metadata = file.metadata
        if metadata.num_rows > size:
            raise InputError(f"{path} claims {metadata.num_rows:,} rows in {size:,} bytes: {_AWAY}")
        for group in range(metadata.num_row_groups):
            for place in range(metadata.num_columns):
                column = metadata.row_group(group).column(place)
                if column.compression not in CODECS:
                    raise InputError(
                        f"{path} is packed by {column.compression}, not by SNAPPY: {_AWAY}"
                    )
                if column.num_values > 8 * size:
                    raise InputError(
                        f"{path} claims {column.num_values:,} values in {size:,} bytes: {_AWAY}"
                    )
        texts = [field.name for field in file.schema_arrow if pa.types.is_string(field.type)]
    for name in texts:
        # As a dictionary each text is held once, however often it stands in the column.
        held = pq.read_table(path, columns=[name], read_dictionary=[name]).column(name)
        if sum(map(_text_bytes, held.chunks)) > MOST_TEXT:
            raise InputError(f"{path} would unpack to over {MOST_TEXT:,} bytes of {name}: {_AWAY}")


_AWAY = "it was not written by this program, make it again"


def _text_bytes(texts: pa.Array) -> int:
    if not isinstance(texts, pa.DictionaryArray):
        return texts.nbytes
    lengths = pc.take(pc.binary_length(texts.dictionary), texts.indices)
    return pc.sum(pc.cast(lengths, pa.int64())).as_py() or 0
