"""A table of the application's database as a file on this machine, before anything in it is changed.

The file is `<table>-<incident>-<moment>.csv.gz` in the folder `exports` of MUSTER_DATA_DIR, for nobody else to read, and is
never written over: it gets its name when it is whole, by a link that fails when there is one. Until then it is a `.part`, which
goes away whatever happens short of kill -9; what that leaves behind, the next export of the same table takes away.
"""

from __future__ import annotations

import asyncio
import errno
import gzip
import hashlib
import os
import re
import shutil
import socket
import threading
import zlib
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

import structlog
from pydantic import Field

from bot.actions.spec import ActionContext, ActionParams
from bot.actions.user_table import TABLE_PATTERN
from bot.domain.errors import MusterError
from bot.domain.outcome import Outcome, Preview, State
from bot.providers.config import DATABASE_URL, MUSTER_DATA_DIR
from bot.providers.faults import Refused, Unavailable

if TYPE_CHECKING:  # psycopg is imported by whoever has a database
    from bot.providers.app_database import Export, Table, TableFacts

EXPORT_DEADLINE_S: Final = 3_600.0
COPY_TIMEOUT_S: Final = 3_500.0
"""Below the deadline, so that it is PostgreSQL that ends it, and the sentence is its own."""
PIECE_BYTES: Final = 1 << 20
PROGRESS_EVERY_BYTES: Final = 32 << 20
LEFT_FREE_BYTES: Final = 256 << 20
"""What an export leaves on the disk; Muster's own store may be there."""
STALE_S: Final = 2 * EXPORT_DEADLINE_S
"""A half-written file that nobody has touched for so long belongs to a run that was killed."""

log = structlog.get_logger(__name__)


class ExportParams(ActionParams):
    """Which table."""

    table: str = Field(
        title="Table",
        description="The table in the application's database that is exported, as it is written there; capitals count.",
        pattern=TABLE_PATTERN,
        json_schema_extra={"placeholder": "public.users"},
    )


async def preview_export(params: ExportParams, context: ActionContext) -> Preview:
    """How many rows go where. Raises: Refused when the table cannot be read or the disk is too small, NotConfiguredError."""
    folder = _folder(context)
    table, facts, rows = await _look_at(params, context, counting=True)
    free = await asyncio.to_thread(_free_bytes, folder)
    _refuse_small_disk(facts.size_bytes, free, folder)
    return Preview(
        summary=f"{_rows(rows)} of {table} (at most {_size(facts.size_bytes)}) are copied into a new file in {folder} on "
        f"{socket.gethostname()}; nothing in the database changes.",
        confirm_label="Export the table",
    )


async def export_table(params: ExportParams, context: ActionContext) -> Outcome:
    """The table as a gzip'd CSV file. Each run makes a file of its own."""
    folder = _folder(context)
    table, facts, _ = await _look_at(params, context)
    try:
        await asyncio.to_thread(_prepare, folder, table)
        _refuse_small_disk(facts.size_bytes, await asyncio.to_thread(_free_bytes, folder), folder)
        writer = _Writer(folder, _file_name(table, context))
        try:
            exported = await _copy(table, writer, context)
            path = await asyncio.to_thread(writer.finish)
            digest, length = await asyncio.to_thread(_read_back, path)
        finally:
            await asyncio.to_thread(writer.discard)
    except _StoppedError:
        return _stopped(table)
    except OSError as error:
        raise _disk_fault(error, folder) from error
    return _outcome(table, path, writer, rows=exported, digest=digest, length=length)


async def _look_at(
    params: ExportParams, context: ActionContext, *, counting: bool = False
) -> tuple[Table, TableFacts, int | None]:
    """The table, what is known of it, and its rows when they could be counted quickly."""
    from bot.providers.app_database import Table

    table = Table.parse(params.table)
    async with context.providers.app_database().session() as session:
        facts = await session.describe(table)
        if not facts.may_read:
            raise Refused(
                f"The user of {DATABASE_URL} may not read {table}", remedy="grant it SELECT on the table", code="forbidden"
            )
        rows: int | None = None
        if counting:
            with suppress(Unavailable):  # a table this large is not counted just to be shown
                rows = await session.count(table)
    return table, facts, rows


class _StoppedError(Exception):
    """Somebody pressed Stop: raised where the rows come, because PostgreSQL is told to end only by a fault there."""


async def _copy(table: Table, writer: _Writer, context: ActionContext) -> int:
    """The number of rows that were written. Raises: _StoppedError."""
    async with context.providers.app_database().session() as session:
        async with session.export(table, timeout_s=COPY_TIMEOUT_S) as export:
            await _pour(export, writer, context)
        return export.rows


async def _pour(export: Export, writer: _Writer, context: ActionContext) -> None:
    """Piece by piece, in a thread: compressing holds up the loop. Raises: _StoppedError."""
    piece = bytearray()
    shown_bytes = 0
    async for found in export:
        piece += found
        if len(piece) < PIECE_BYTES:
            continue
        if context.is_stopping():
            raise _StoppedError
        await asyncio.to_thread(writer.write, bytes(piece))
        piece.clear()
        if writer.length - shown_bytes >= PROGRESS_EVERY_BYTES:
            shown_bytes = writer.length
            await _report(context, f"{_size(shown_bytes)} of the table written")
    await asyncio.to_thread(writer.write, bytes(piece))


async def _report(context: ActionContext, line: str) -> None:
    try:
        await context.progress(line)
    except MusterError as error:
        log.warning("progress_not_shown", action="application.export_table", error=type(error).__name__)


class _Writer:
    """A file in the making. Its methods block and are called in threads, one after the other; whoever was cancelled does not wait
    for the thread that works for it, so `discard` does. Raises: OSError."""

    def __init__(self, folder: Path, name: str) -> None:
        self.length = 0
        """Bytes of CSV so far."""
        self._path = folder / name
        self._part = folder / f"{name}.part"
        self._lock = threading.Lock()
        self._is_over = False
        self._file: BinaryIO | None = None
        self._gzip: gzip.GzipFile | None = None

    def write(self, piece: bytes) -> None:
        """Append CSV; the first call makes the file."""
        with self._lock:
            if self._is_over:
                return
            if self._gzip is None:
                descriptor = os.open(self._part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
                self._file = os.fdopen(descriptor, "wb")
                self._gzip = gzip.GzipFile(filename="", mode="wb", compresslevel=6, fileobj=self._file)
            self._gzip.write(piece)
            self.length += len(piece)

    def finish(self) -> Path:
        """The whole file, on the disk and under its name."""
        with self._lock:
            if self._gzip is not None and self._file is not None:
                self._gzip.close()
                self._file.flush()
                os.fsync(self._file.fileno())
                os.link(self._part, self._path)
            return self._path

    def discard(self) -> None:
        """Leave nothing half-written behind. Safe to repeat, and after `finish`."""
        with self._lock:
            self._is_over = True
            self._part.unlink(missing_ok=True)
            if self._file is not None:
                self._file.close()  # the gzip object has no descriptor of its own


def _prepare(folder: Path, table: Table) -> None:
    """The folder, without what killed exports of this table left."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    now = datetime.now(UTC).timestamp()
    for part in folder.glob(f"{_slug(table)}-*.csv.gz.part"):
        if now - part.stat().st_mtime > STALE_S:
            part.unlink(missing_ok=True)


def _read_back(path: Path) -> tuple[str, int]:
    """The checksum of the file as it is on the disk, and how many bytes of CSV come out of it. Raises: OSError."""
    digest = hashlib.sha256()
    inflate = zlib.decompressobj(wbits=31)
    length = 0
    with path.open("rb") as file:
        while piece := file.read(PIECE_BYTES):
            digest.update(piece)
            length += len(inflate.decompress(piece))
    return digest.hexdigest(), length if inflate.eof else -1


def _outcome(table: Table, path: Path, writer: _Writer, *, rows: int, digest: str, length: int) -> Outcome:
    facts: dict[str, str | int | bool | None] = {
        "table": str(table),
        "path": str(path),
        "host": socket.gethostname(),
        "rows": rows,
        "bytes": path.stat().st_size,
        "sha256": digest,
    }
    if length != writer.length:
        return Outcome(
            state=State.FAILING,
            value="not readable",
            summary=f"{path.name} was written, but what is read back is not what came from the database",
            remedy="Look at the disk of that machine, and do not rely on the file",
            facts=facts,
        )
    return Outcome(
        state=State.OK,
        value=_rows(rows),
        summary=f"{_rows(rows)} of {table} are in {path} on {socket.gethostname()}, read back and whole",
        details=(f"SHA-256: {digest}", f"Size: {_size(path.stat().st_size)}"),
        facts=facts,
    )


def _stopped(table: Table) -> Outcome:
    return Outcome(
        state=State.FAILING,
        value="stopped",
        summary=f"The export of {table} was stopped; no file was kept",
        remedy="Run it again when it may go on",
    )


def _folder(context: ActionContext) -> Path:
    folder = context.providers.config.exports_dir
    if folder is None:
        raise Refused(
            "This machine loses its files at every restart, so nothing was exported to it",
            remedy="run pg_dump on a machine that keeps them",
            code="unexpected",
        )
    return folder.absolute()


def _file_name(table: Table, context: ActionContext) -> str:
    of = f"-incident-{context.run.incident_number}" if context.run.incident_number else ""
    return f"{_slug(table)}{of}-{datetime.now(UTC):%Y%m%dT%H%M%S%f}Z.csv.gz"


def _slug(table: Table) -> str:
    return re.sub(r"[^A-Za-z0-9_]", "_", str(table))


def _free_bytes(folder: Path) -> int:
    """Of the disk that the folder is, or will be, on."""
    there = next(parent for parent in (folder, *folder.parents) if parent.exists())
    return shutil.disk_usage(there).free


def _refuse_small_disk(needed: int, free: int, folder: Path) -> None:
    if needed + LEFT_FREE_BYTES > free:
        raise Refused(
            f"The table may need {_size(needed)}, and the disk of {folder} has {_size(free)} left; nothing was exported",
            remedy=f"make room there, or let {MUSTER_DATA_DIR} name a larger disk",
            code="too_large",
        )


def _disk_fault(error: OSError, folder: Path) -> Refused:
    words = {errno.ENOSPC: "it is full", errno.EACCES: "Muster may not write there", errno.EROFS: "it takes no writes"}
    said = words.get(error.errno or 0, error.strerror or type(error).__name__)
    return Refused(
        f"{folder} cannot be used: {said}; no file was kept",
        remedy=f"mend that, or let {MUSTER_DATA_DIR} name another place",
        code="unexpected",
    )


def _rows(count: int | None) -> str:
    return "All rows" if count is None else f"{count:,} row{'' if count == 1 else 's'}"


def _size(size_bytes: float) -> str:
    for unit in ("bytes", "KB", "MB", "GB"):
        if size_bytes < 1024 or unit == "GB":
            break
        size_bytes /= 1024
    return f"{size_bytes:.0f} {unit}" if unit == "bytes" else f"{size_bytes:.1f} {unit}"
