"""The RSS feed of a status page: updates folded to incidents, and XML that could do harm."""

from __future__ import annotations

from xml.sax.saxutils import escape

import pytest

from bot.providers.status_feed import read_feed
from bot.providers.status_shapes import Level, WrongShapeError


def item(title: str, html: str, *, link: str = "", published: str = "Fri, 20 Nov 2026 19:00:00 GMT") -> str:
    """One entry of a feed."""
    return (
        f"<item><title>{escape(title)}</title><link>{link or 'https://s/' + title}</link>"
        f"<pubDate>{published}</pubDate><description>{escape(html)}</description></item>"
    )


def feed(*items: str) -> bytes:
    """A feed with these entries."""
    return f'<?xml version="1.0"?><rss version="2.0"><channel><title>S</title>{"".join(items)}</channel></rss>'.encode()


def test_an_open_incident_with_its_parts() -> None:
    """Status, components and their impact are read from the text."""
    html = "<b>Status: Identified</b><br/>We know.<ul><li>Sign-in (Partial outage)</li><li>API (Full outage)</li></ul>"
    reading = read_feed(feed(item("Errors", html)))
    assert (reading.level, reading.components) == (Level.FULL_OUTAGE, ("Sign-in", "API"))
    assert reading.incidents == ("Errors: identified, full outage",)


def test_only_the_newest_update_of_an_incident_counts() -> None:
    """An incident whose newest update is resolved is over, in whatever order the entries stand."""
    old = item("Errors", "<b>Status: Investigating</b>", link="https://s/1#u1")
    new = item("Errors", "<b>Status: Resolved</b>", link="https://s/1#u2", published="Fri, 20 Nov 2026 20:00:00 GMT")
    for order in ((old, new), (new, old)):
        assert read_feed(feed(*order)).level is Level.OPERATIONAL


def test_a_feed_without_entries_is_good_news() -> None:
    """Nothing was ever announced."""
    assert read_feed(feed()).level is Level.OPERATIONAL


def test_an_entry_without_a_status_is_not_good_news() -> None:
    """What cannot be read may be an open incident."""
    reading = read_feed(feed(item("Hm", "<p>Something is happening</p>")))
    assert reading.level is Level.UNRECOGNISED
    assert "status not readable" in reading.incidents[0]


@pytest.mark.parametrize(
    ("status", "level"),
    [
        ("Scheduled", Level.OPERATIONAL),
        ("In progress", Level.UNDER_MAINTENANCE),
        ("Completed", Level.OPERATIONAL),
        ("Monitoring", Level.DEGRADED_PERFORMANCE),
        ("Whatever", Level.DEGRADED_PERFORMANCE),
    ],
)
def test_statuses(status: str, level: Level) -> None:
    """Maintenance and the phases of an incident; an unknown phase is an open incident."""
    assert read_feed(feed(item("X", f"<b>Status: {status}</b><br/>text"))).level is level


def test_odd_dates_do_not_hurt() -> None:
    """An entry without a readable date is older than any other."""
    undated = item("E", "Status: Investigating", link="https://s/1", published="soon")
    dated = item("E", "Status: Resolved", link="https://s/1")
    assert read_feed(feed(undated, dated)).level is Level.OPERATIONAL


BOMB = (
    '<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY a "lol"><!ENTITY b "&a;&a;&a;&a;">]>'
    "<rss><channel><title>&b;</title></channel></rss>"
)


@pytest.mark.parametrize(
    "body",
    [
        BOMB.encode(),
        BOMB.replace("DOCTYPE", "doctype").encode(),
        BOMB.encode("utf-16"),
        b'<!DOCTYPE r [<!ENTITY x SYSTEM "file:///etc/passwd">]><rss><channel>&x;</channel></rss>',
        b"<rss><channel>",
        b"<html><body>Status</body></html>",
        b"<feed xmlns='http://www.w3.org/2005/Atom'/>",
        b"<rss/>",
        b"",
        b"\x00\x01",
        b'{"ok": true}',
    ],
    ids=["bomb", "lower case", "utf-16", "external", "half", "html", "atom", "no channel", "empty", "binary", "json"],
)
def test_what_is_not_a_safe_feed_says_nothing(body: bytes) -> None:
    """Entities are refused before they are parsed, and anything that is not RSS is no reading."""
    with pytest.raises(WrongShapeError):
        read_feed(body)
