"""The timeline: an append-only list of entries, each chaining a salted digest of the one before.

The desk appends, the fold (``bot.domain.incident``) reads, ``verify`` proves that nothing was changed or taken out.
The digest of an entry is made of the digest before it and of a *salted* digest of its own body, so that the body and the
salt of one entry can later be erased (a person's data) while the chain still verifies. Randomness comes from outside.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel, ConfigDict

from bot.domain.errors import UnknownEntryError
from bot.domain.facts import Fact, dump_fact, parse_fact

VERSION = 1
GENESIS = "0" * 64
MUSTER = "muster"
"""The ``by`` of what Muster did itself."""


class Entry(BaseModel):
    """One fact with its place in the chain. ``seq`` is 1-based; ``by`` a Slack user id, or "muster", or "terminal"."""

    model_config = ConfigDict(frozen=True)

    seq: int
    at: datetime
    by: str
    fact: Fact
    salt: str
    body_digest: str
    digest: str


def _canonical(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode("ascii")


def _body_digest(*, seq: int, at_ms: int, by: str, fact: dict[str, Any], salt: str) -> str:
    body = {"v": VERSION, "seq": seq, "at_ms": at_ms, "by": by, "fact": fact}
    return hashlib.sha256(salt.encode("ascii") + b"|" + _canonical(body)).hexdigest()


def _link(previous_digest: str, body_digest: str) -> str:
    return hashlib.sha256(f"{previous_digest}|{body_digest}".encode("ascii")).hexdigest()


def to_ms(moment: datetime) -> int:
    """Milliseconds since the epoch."""
    return round(moment.timestamp() * 1000)


def from_ms(milliseconds: int) -> datetime:
    """The aware UTC moment of ``milliseconds`` since the epoch."""
    return datetime.fromtimestamp(milliseconds / 1000, tz=UTC)


def chain(
    facts: Sequence[Fact], *, after_seq: int, after_digest: str, at: datetime, by: str, salts: Iterable[str]
) -> tuple[Entry, ...]:
    """The entries that put ``facts`` behind the entry numbered ``after_seq`` (0: an empty timeline, ``GENESIS``).

    ``salts`` gives one random hexadecimal string of at least 16 bytes for each fact.
    """
    entries: list[Entry] = []
    at = from_ms(to_ms(at))
    for fact, salt in zip(facts, salts, strict=False):
        seq = after_seq + len(entries) + 1
        body = _body_digest(seq=seq, at_ms=to_ms(at), by=by, fact=dump_fact(fact), salt=salt)
        digest = _link(entries[-1].digest if entries else after_digest, body)
        entries.append(Entry(seq=seq, at=at, by=by, fact=fact, salt=salt, body_digest=body, digest=digest))
    if len(entries) != len(facts):
        raise ValueError("fewer salts than facts")
    return tuple(entries)


def dump_entry(entry: Entry) -> str:
    """``entry`` as the JSON line that is stored."""
    return json.dumps(
        {
            "v": VERSION,
            "seq": entry.seq,
            "at_ms": to_ms(entry.at),
            "by": entry.by,
            "fact": dump_fact(entry.fact),
            "salt": entry.salt,
            "body": entry.body_digest,
            "digest": entry.digest,
        },
        separators=(",", ":"),
        ensure_ascii=True,
    )


def parse_entry(line: str | bytes) -> Entry:
    """The stored entry. Raises: UnknownEntryError for a version or a kind that this program does not know."""
    data = json.loads(line)
    if data.get("v") != VERSION:
        raise UnknownEntryError(
            f"the timeline holds an entry of format {data.get('v')!r}, this version of Muster reads format {VERSION}; "
            "run the newer version that wrote it"
        )
    return Entry.model_construct(
        seq=data["seq"],
        at=from_ms(data["at_ms"]),
        by=data["by"],
        fact=parse_fact(data["fact"]),
        salt=data["salt"],
        body_digest=data["body"],
        digest=data["digest"],
    )


def verify(entries: Sequence[Entry]) -> int | None:
    """The ``seq`` of the first entry that is not what was written, or None when the whole chain holds."""
    digest = GENESIS
    for position, entry in enumerate(entries, start=1):
        body = _body_digest(seq=entry.seq, at_ms=to_ms(entry.at), by=entry.by, fact=dump_fact(entry.fact), salt=entry.salt)
        digest = _link(digest, body)
        if entry.seq != position or body != entry.body_digest or digest != entry.digest:
            return position
    return None
