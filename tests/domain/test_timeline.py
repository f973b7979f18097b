"""The chain: what was written verifies, what was changed is found, what is not understood is refused."""

from __future__ import annotations

import json

import pytest

from bot.domain import facts
from bot.domain.catalog import Catalog
from bot.domain.errors import UnknownEntryError
from bot.domain.incident import facts_without_a_fold, fold
from bot.domain.timeline import chain, dump_entry, parse_entry, verify
from tests.conftest import at
from tests.domain.story import Story


@pytest.fixture
def story(catalog: Catalog) -> Story:
    """An incident with a few entries."""
    made = Story(catalog)
    made.open("clerk-auth-outage", title="clerk \ud83d\udd25 down \u00e9")
    return made


def test_entries_survive_storage(story: Story) -> None:
    """Written as JSON and read back, they are the same and verify."""
    read = [parse_entry(dump_entry(entry)) for entry in story.entries]
    assert read == story.entries
    assert verify(read) is None
    assert fold(read) == story.incident


@pytest.mark.parametrize("change", ["by", "fact", "salt", "order", "gap"])
def test_a_changed_chain_does_not_verify(story: Story, change: str) -> None:
    """Another author, another fact, another salt, another order, something left out."""
    lines = [json.loads(dump_entry(entry)) for entry in story.entries]
    if change == "by":
        lines[0]["by"] = "U666"
    elif change == "fact":
        lines[0]["fact"]["title"] = "nothing happened"
    elif change == "salt":
        lines[0]["salt"] = "11" * 16
    elif change == "order":
        lines.reverse()
    else:
        del lines[0]
    assert verify([parse_entry(json.dumps(line)) for line in lines]) == 1


def test_the_salt_makes_equal_facts_differ() -> None:
    """So that a digest says nothing about a short text."""
    fact = facts.ResponderJoined(user_id="U1")
    first, second = (
        chain([fact], after_seq=0, after_digest="0" * 64, at=at(), by="U1", salts=[salt])[0] for salt in ("00" * 16, "11" * 16)
    )
    assert first.body_digest != second.body_digest


def test_a_missing_salt_is_a_fault() -> None:
    """Every fact has one."""
    fact = facts.ResponderJoined(user_id="U1")
    with pytest.raises(ValueError, match="salts"):
        chain([fact, fact], after_seq=0, after_digest="0" * 64, at=at(), by="U1", salts=["00"])


def test_a_kind_that_is_not_known_is_refused(story: Story) -> None:
    """Refuse to decide, don't guess."""
    line = json.loads(dump_entry(story.entries[0]))
    line["fact"] = {"kind": "teleported", "to": "mars"}
    with pytest.raises(UnknownEntryError, match="teleported"):
        parse_entry(json.dumps(line))


def test_a_format_that_is_not_known_is_refused(story: Story) -> None:
    """A newer Muster wrote it."""
    line = json.loads(dump_entry(story.entries[0]))
    line["v"] = 2
    with pytest.raises(UnknownEntryError, match="format 2"):
        parse_entry(json.dumps(line))


def test_an_entry_that_cannot_follow_is_refused(story: Story) -> None:
    """A hole in the sequence, and a timeline without a beginning."""
    with pytest.raises(UnknownEntryError, match="cannot follow"):
        story.incident.apply(story.entries[0])
    with pytest.raises(UnknownEntryError, match="begins with its opening"):
        fold(story.entries[1:])


def test_every_kind_of_fact_is_folded() -> None:
    """None but the opening, which begins the fold."""
    assert list(facts_without_a_fold()) == ["IncidentOpened"]
