"""Parquet tables: frozen dataclasses or columns in and out, written whole or not at all."""

import os
import uuid
from array import array
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import MISSING, fields
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, get_type_hints

from curate.errors import CurateError, cannot_write

if TYPE_CHECKING:
    import pyarrow as pa

Row = TypeVar("Row")

_MAKE_AGAIN = "delete it and run `curate score` again, which makes it anew"


def atomic_replace(path: Path, data: bytes) -> None:
    """Write `data` to `path` so that a reader, or a kill, sees the old content or the new, never a part.

    CurateError where it cannot be written; the old content stays.
    """
    with _replacing(path) as temporary:
        temporary.write_bytes(data)


def write_table(path: Path, table: "pa.Table") -> None:
    """Write a Parquet table as `atomic_replace` does."""
    import pyarrow.parquet as pq

    with _replacing(path) as temporary:
        pq.write_table(table, temporary, compression="zstd")


def read_table(path: Path, columns: list[str] | None = None, *, remedy: str = _MAKE_AGAIN) -> "pa.Table":
    """Read a Parquet table; CurateError where the file is not one.

    `remedy` tells a person what to do then; without it the table is one that follows from others.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        # Not pq.read_table, which takes longer for a small file, and reads more into folders named a=b.
        with pq.ParquetFile(path) as file:
            return file.read(columns=columns)
    except (pa.ArrowInvalid, OSError) as error:
        raise CurateError(f"{path}: not a readable Parquet table ({error}); {remedy}") from error


def schema_of(row_type: type[Any]) -> "pa.Schema":
    """The Arrow schema of a dataclass of str, int and float fields (Literal counts as str)."""
    import pyarrow as pa

    arrow = {int: pa.int64(), float: pa.float64()}
    hints = get_type_hints(row_type)
    return pa.schema([(field.name, arrow.get(hints[field.name], pa.string())) for field in fields(row_type)])


def to_table(rows: Iterable[Row], row_type: type[Row]) -> "pa.Table":
    """Dataclass instances to a table, one column a field."""
    import pyarrow as pa

    rows = list(rows)
    schema = schema_of(row_type)
    columns = [to_column([getattr(row, field.name) for row in rows], field.type) for field in schema]
    return pa.Table.from_arrays(columns, schema=schema)


def to_column(values: Sequence[str] | Sequence[int] | Sequence[float], arrow_type: "pa.DataType") -> "pa.Array":
    """An Arrow array of strings, 64-bit integers or floats.

    As `pa.array`, which first imports pandas where that is installed: longer than ten short clips take to read.
    """
    import pyarrow as pa

    if arrow_type == pa.string():
        encoded = [str(value).encode() for value in values]
        offsets = array("i", accumulate(map(len, encoded), initial=0))
        buffers = [None, pa.py_buffer(offsets), pa.py_buffer(b"".join(encoded))]
    else:
        codes = {pa.int64(): "q", pa.float64(): "d"}
        buffers = [None, pa.py_buffer(array(codes[arrow_type], values))]
    return pa.Array.from_buffers(arrow_type, len(values), buffers)


def to_rows(table: "pa.Table", row_type: type[Row]) -> list[Row]:
    """The inverse of `to_table`. A column that the table was written without has the field's default."""
    there = set(table.column_names)
    needed = [
        field.name
        for field in fields(row_type)  # type: ignore[arg-type]
        if field.name in there or field.default is MISSING
    ]
    return [row_type(**row) for row in table.select(needed).to_pylist()]


@contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    """A file beside `path` that takes its place when the block ends, and is deleted where it fails."""
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        raise cannot_write(path, error) from error
    finally:
        with suppress(OSError):
            temporary.unlink()
