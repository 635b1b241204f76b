"""Documents out of one file: text, JSON, CSV and parquet. Every record that is left out is counted and named.

A reader yields documents, each an iterator of chunks, so that a text of any length is never in memory whole.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from runner.data.compression import Damaged, blocks, format_of, members
from runner.data.decoding import NotText, decoded, lines, well_formed
from runner.data.records import column_of, rendered, text_of
from runner.data.skipped_records import Skipped, Why

LONGEST_RECORD = 64 << 20
_ROWS = 64
_SPACE = " \t\n"

Document = Iterator[str]


def documents(path: Path, name: str, column: str | None, skipped: Skipped) -> Iterator[Document]:
    """Of the file at `path`, which is called `name` in what is said about it."""
    kind = format_of(path.name)
    if path.stat().st_size == 0:
        skipped.add(Why.EMPTY, name)
    elif kind == "parquet":
        yield from _parquet(path, name, column, skipped)
    elif kind == "zip":
        with _NotingDamage(name, skipped):
            for inner, content in members(path):
                yield from _member(inner, f"{name}/{inner}", content, column, skipped)
    elif kind is not None:
        yield from _read(kind, name, blocks(path), column, skipped)


def _member(
    inner: str, name: str, content: Iterator[bytes], column: str | None, skipped: Skipped
) -> Iterator[Document]:
    kind = format_of(inner)
    if inner.rpartition("/")[2].startswith(".") or inner.startswith("__MACOSX/"):
        skipped.add(Why.HIDDEN, name)
    elif kind in {None, "zip", "parquet"} or inner.lower().endswith((".gz", ".bz2", ".xz", ".zst", ".lz4")):
        skipped.add(Why.FORMAT, name)
    else:
        assert kind is not None
        yield from _read(kind, name, content, column, skipped)


def _read(
    kind: str, name: str, content: Iterator[bytes], column: str | None, skipped: Skipped
) -> Iterator[Document]:
    bad = 0

    def replaced(count: int) -> None:
        nonlocal bad
        if count and not bad:
            skipped.add(Why.REPLACED, name)
        bad += count

    with _NotingDamage(name, skipped):
        chunks = decoded(content, replaced)
        if kind == "text":
            yield chunks_of(chunks, name, skipped)
        elif kind == "jsonl":
            yield from _jsonl(lines(chunks, LONGEST_RECORD), name, column, skipped)
        elif kind == "json":
            yield from _json(chunks, name, column, skipped)
        else:
            yield from _csv(chunks, "\t" if kind == "tsv" else ",", name, column, skipped)


def chunks_of(chunks: Iterator[str], name: str, skipped: Skipped) -> Document:
    with _NotingDamage(name, skipped):
        yield from chunks


class _NotingDamage:
    """A file that cannot be read (any further) is counted, and the others are read."""

    def __init__(self, name: str, skipped: Skipped) -> None:
        self._name, self._skipped = name, skipped

    def __enter__(self) -> None:
        pass

    def __exit__(self, _: Any, error: BaseException | None, __: Any) -> bool:
        if isinstance(error, NotText):
            self._skipped.add(Why.BINARY if error.binary else Why.NOT_UTF8, self._name)
            return True
        if isinstance(error, Damaged):
            self._skipped.add(Why.DAMAGED, self._name)
            return True
        return False


def _record(value: Any, column: str | None, where: str, skipped: Skipped) -> Iterator[Document]:
    text = text_of(value, column)
    if text is None:
        wanted = column or "text"
        has = f"; it has {', '.join(map(str, list(value)[:8]))}" if isinstance(value, dict) else ""
        skipped.add(Why.NO_TEXT, f'{where} has no string called "{wanted}"{has}')
        return
    yield from _document(text, where, skipped)


def _document(text: str | bytes, where: str, skipped: Skipped) -> Iterator[Document]:
    if isinstance(text, bytes):
        text = text.decode("utf-8", "surrogateescape")
    text, bad = well_formed(text)
    if bad:
        skipped.add(Why.REPLACED, where)
    if text.strip():
        yield iter([text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text])
    else:
        skipped.add(Why.BLANK, where)


def _jsonl(
    found: Iterator[str | None], name: str, column: str | None, skipped: Skipped
) -> Iterator[Document]:
    for number, line in enumerate(found, 1):
        where = f"line {number} of {name}"
        if line is None:
            skipped.add(Why.LONG, where)
        elif line.strip():
            try:
                value = json.loads(line)
            except (ValueError, RecursionError):
                skipped.add(Why.NOT_JSON, where)
                continue
            yield from _record(value, column, where, skipped)


def _json(chunks: Iterator[str], name: str, column: str | None, skipped: Skipped) -> Iterator[Document]:
    """An array of records is read one by one; anything else as one record a line, or as one record in all."""
    head = ""
    for chunk in chunks:
        head = (head + chunk).lstrip(_SPACE)
        if head:
            break
    if head.startswith("["):
        yield from _array(head[1:], chunks, name, column, skipped)
        return
    first = head.partition("\n")[0]
    with suppress(ValueError, RecursionError):
        json.loads(first)
        yield from _jsonl(lines(_chain(head, chunks), LONGEST_RECORD), name, column, skipped)
        return
    whole = head
    for chunk in chunks:
        whole += chunk
        if len(whole) > LONGEST_RECORD:
            skipped.add(Why.LONG, name)
            return
    try:
        value = json.loads(whole)
    except (ValueError, RecursionError):
        skipped.add(Why.NOT_JSON, name)
        return
    rows = (
        max((part for part in value.values() if isinstance(part, list)), key=len, default=None)
        if (isinstance(value, dict) and text_of(value, column) is None)
        else None
    )
    for number, record in enumerate(rows if rows is not None else [value], 1):
        yield from _record(record, column, f"record {number} of {name}", skipped)


def _array(
    rest: str, chunks: Iterator[str], name: str, column: str | None, skipped: Skipped
) -> Iterator[Document]:
    decoder, number, ended = json.JSONDecoder(), 0, False
    while True:
        rest = rest.lstrip(_SPACE + ",")
        if rest.startswith("]"):
            return
        try:
            value, end = decoder.raw_decode(rest)
            if end == len(rest) and not ended:  # a number could go on in the next chunk
                raise ValueError
        except (ValueError, RecursionError):
            more = "".join(chunk for _, chunk in zip(range(1 + (len(rest) >> 20)), chunks, strict=False))
            if ended or len(rest) > LONGEST_RECORD:
                skipped.add(Why.NOT_JSON, f"what follows record {number} of {name}")
                return
            rest, ended = rest + more, not more
            continue
        rest, number = rest[end:], number + 1
        yield from _record(value, column, f"record {number} of {name}", skipped)


def _csv(
    chunks: Iterator[str], comma: str, name: str, column: str | None, skipped: Skipped
) -> Iterator[Document]:
    csv.field_size_limit(LONGEST_RECORD)
    rows = csv.reader((f"{line or ''}\n" for line in lines(chunks, LONGEST_RECORD)), delimiter=comma)
    with _NotingCsvDamage(name, skipped):
        header = next(rows, [])
        wanted = column_of(header, column)
        if wanted is None:
            skipped.add(
                Why.NO_COLUMN,
                f'{name} has no column called "{column or "text"}"; it has {", ".join(header[:8])}',
            )
            return
        at = header.index(wanted)
        for number, row in enumerate(rows, 2):
            if len(row) > at:
                yield from _document(row[at], f"row {number} of {name}", skipped)
            elif row:
                skipped.add(Why.NO_TEXT, f"row {number} of {name}")


class _NotingCsvDamage(_NotingDamage):
    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> bool:
        if isinstance(error, csv.Error):
            self._skipped.add(Why.DAMAGED, self._name)
            return True
        return super().__exit__(kind, error, trace)


def _parquet(path: Path, name: str, column: str | None, skipped: Skipped) -> Iterator[Document]:
    """Strings are read as bytes, since nothing promises that they are UTF-8."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    row = 0
    try:
        with pq.ParquetFile(path) as file:
            names = file.schema_arrow.names
            wanted = column_of(names, column)
            if wanted is None:
                skipped.add(
                    Why.NO_COLUMN,
                    f'{name} has no column called "{column or "text"}"; it has {", ".join(names[:8])}',
                )
                return
            for batch in file.iter_batches(batch_size=_ROWS, columns=[wanted]):
                for value in _values(batch.column(0)):
                    row += 1
                    record = value if column in {None, wanted} else text_of({wanted: value}, column)
                    text = rendered(record)
                    if text is None:
                        skipped.add(Why.NO_TEXT, f"row {row} of {name}")
                    else:
                        yield from _document(text, f"row {row} of {name}", skipped)
    except (pa.ArrowException, OSError):
        skipped.add(
            Why.DAMAGED, f"{name} is not a readable parquet file" + (f" after row {row}" if row else "")
        )


def _values(column: Any) -> Iterator[Any]:
    import pyarrow as pa

    kind = column.type
    if pa.types.is_dictionary(kind):
        column = column.dictionary_decode()
        kind = column.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        column = column.cast(pa.large_string() if pa.types.is_string_view(kind) else kind)
        column = column.view(pa.large_binary() if not pa.types.is_string(kind) else pa.binary())
    for value in column:
        try:
            yield value.as_py()
        except UnicodeDecodeError:
            yield None


def _chain(head: str, chunks: Iterator[str]) -> Iterator[str]:
    yield head
    yield from chunks
