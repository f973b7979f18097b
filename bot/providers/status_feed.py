"""What the RSS feed of a status page says: the last resort of `bot.providers.status_page`. Pure.

A feed is a log of updates, not a state: entries are folded to the newest one of each incident, and an incident is over
when that one's `Status:` line says so. The title of an incident stays what it was, so titles say nothing.

The XML is parsed by the standard library after any document type is refused: without one there are no entities to
expand and nothing external to load, which is all that defusedxml would add.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final

from bot.providers.status_shapes import CLOSED, Level, StatusReading, WrongShapeError, incident_line, names

if TYPE_CHECKING:
    from xml.etree import ElementTree as ET

_STATUS_LINE: Final = re.compile(r"status:\s*([a-z][a-z _]{2,30}?)\s*(?:$|[\n.,;(])", re.IGNORECASE)
_COMPONENT: Final = re.compile(r"<li>([^<]{1,120})</li>", re.IGNORECASE)
_IMPACT: Final = re.compile(r"\((?P<impact>[A-Za-z ]{3,40})\)\s*$")
_TAG: Final = re.compile(r"<[^>]{0,500}>")
_PLANNED: Final = frozenset({"scheduled", "maintenance_scheduled"})
_MAINTENANCE_NOW: Final = frozenset({"in_progress", "verifying", "maintenance_in_progress"})
_LONG_AGO: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class _Entry:
    incident: str
    title: str
    html: str
    published_at: datetime


def read_feed(body: bytes) -> StatusReading:
    """The state that the newest update of each incident gives. Raises: WrongShapeError when it is no safe RSS feed.

    An entry whose status cannot be read makes the reading `UNRECOGNISED` at least: it may be an open incident.
    """
    lines: list[str] = []
    components: list[str] = []
    worst = Level.OPERATIONAL
    for entry in _newest_of_each(_entries(body)):
        status = _status_of(entry.html)
        if status in CLOSED or status in _PLANNED:
            continue
        parts = [_part(text) for text in _COMPONENT.findall(entry.html)]
        level = _level(status, [impact for _, impact in parts])
        worst = max(worst, level)
        lines.append(incident_line(entry.title, status or "status not readable", level))
        components += [name for name, _ in parts]
    return StatusReading(level=worst, incidents=tuple(lines), components=names(components))


def _level(status: str, impacts: list[Level]) -> Level:
    if not status:
        return Level.UNRECOGNISED
    if status in _MAINTENANCE_NOW:
        return Level.UNDER_MAINTENANCE
    return max([Level.DEGRADED_PERFORMANCE, *impacts])


def _entries(body: bytes) -> list[_Entry]:
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise WrongShapeError("the feed is not UTF-8") from error
    if "<!doctype" in text.casefold() or "<!entity" in text.casefold():
        raise WrongShapeError("the feed has a document type, which could expand without end")
    from xml.etree import ElementTree as ET  # here: hardly anybody has a feed, and each idle process would carry it

    try:
        root = ET.fromstring(text)  # noqa: S314 - no document type, so no entities
    except (ET.ParseError, ValueError, RecursionError) as error:
        raise WrongShapeError("the feed is not XML") from error
    channel = root.find("channel") if root.tag == "rss" else None
    if channel is None:
        raise WrongShapeError("the feed is not RSS")
    return [_entry(item) for item in channel.findall("item")]


def _entry(item: ET.Element) -> _Entry:
    title = item.findtext("title", "").strip()
    link = item.findtext("link", "").strip().split("#")[0]
    return _Entry(
        incident=link or title,
        title=title,
        html=item.findtext("description", "") or item.findtext(f"{{{_CONTENT}}}encoded", ""),
        published_at=_moment(item.findtext("pubDate", "")),
    )


_CONTENT: Final = "http://purl.org/rss/1.0/modules/content/"


def _newest_of_each(entries: list[_Entry]) -> list[_Entry]:
    """One entry for each incident; of two from the same moment the one further up, as feeds put the newest first."""
    newest: dict[str, _Entry] = {}
    for entry in entries:
        known = newest.get(entry.incident)
        if known is None or entry.published_at > known.published_at:
            newest[entry.incident] = entry
    return list(newest.values())


def _status_of(html: str) -> str:
    """ "investigating" of `<b>Status: Investigating</b><br/>…`; "" when there is no such line."""
    found = _STATUS_LINE.search(_TAG.sub("\n", html.replace("</b>:", ":</b>")))
    return re.sub(r"\s+", "_", found[1].strip().casefold()) if found else ""


def _part(text: str) -> tuple[str, Level]:
    """ "Sign-in (Full outage)" is ("Sign-in", FULL_OUTAGE)."""
    impact = _IMPACT.search(text)
    if impact is None:
        return text.strip(), Level.DEGRADED_PERFORMANCE
    level = {
        "degraded performance": Level.DEGRADED_PERFORMANCE,
        "partial outage": Level.PARTIAL_OUTAGE,
        "full outage": Level.FULL_OUTAGE,
        "major outage": Level.FULL_OUTAGE,
    }.get(impact["impact"].strip().casefold(), Level.DEGRADED_PERFORMANCE)
    return text[: impact.start()].strip(), level


def _moment(text: str) -> datetime:
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return _LONG_AGO
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
