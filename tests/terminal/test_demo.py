"""``muster demo``: whom its people can be reached by, and what its bot is given."""

from __future__ import annotations

import asyncio
from pathlib import Path

import aiohttp
import pytest
import yaml

from bot.actions.registry import load_actions
from bot.domain.errors import ConfigError
from bot.settings import Settings
from bot.storage.runbook_files import check_paths
from bot.terminal.demo import demo_workspace
from bot.terminal.demo_people import PEOPLE, copy_runbooks, with_people

CONTACTS = """
# a comment
business_hours: {from: "09:00", to: 17:00, timezone: UTC}
contacts:
  - id: on-call
    name: On-call engineer
    slack: "@oncall"
    phone: +4930123456
    new_field: [a, 0777, 1:30]
  - {id: somebody-else, name: Somebody else, starts: 2026-11-02}
  - id: cto
    name: CTO
rest: yes
"""


def test_numbers_are_given_by_id_and_the_rest_stays() -> None:
    """Those who are there get them, others nothing, and no value is read as something else on its way through."""
    text, names = with_people(CONTACTS)
    before, after = (yaml.load(each, Loader=yaml.BaseLoader) for each in (CONTACTS, text))  # noqa: S506 - texts only
    for contact in before["contacts"]:
        reached = PEOPLE.get(contact["id"])
        contact.update(reached._asdict() if reached else {})
    assert after == before
    assert names == {
        "+15555550101": "On-call engineer",
        "oncall@example.com": "On-call engineer",
        "+15555550103": "CTO",
        "cto@example.com": "CTO",
    }


@pytest.mark.parametrize("text", ["", "contacts: none", "contacts: [1, {name: x}]", "- a list"])
def test_contacts_of_another_shape_stay_as_they_are(text: str) -> None:
    """Whatever is wrong with them is for `muster check` to say."""
    changed, names = with_people(text)
    assert yaml.safe_load(changed) == yaml.safe_load(text)
    assert names == {}


def test_the_shipped_runbooks_are_good_after_the_change(tmp_path: Path) -> None:
    """The copy has no fault that the original has not, and the three people of the first ladder have telephones."""
    source = Settings().runbooks_dir()
    names = copy_runbooks(source, tmp_path / "runbooks")
    assert set(names.values()) == {"On-call engineer", "Engineering lead", "CTO"}
    original, copy = (
        {fault.message for fault in check_paths([folder], actions=load_actions()) if fault.level == "error"}
        for folder in (source, tmp_path / "runbooks")
    )
    assert copy <= original


def test_contacts_that_cannot_be_read(tmp_path: Path) -> None:
    """One line that names the file."""
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "contacts.yml").write_text("contacts: [")
    with pytest.raises(ConfigError, match=r"contacts\.yml"):
        copy_runbooks(tmp_path / "source", tmp_path / "runbooks")


async def test_the_bot_of_the_demo_can_page(tmp_path: Path) -> None:
    """It becomes ready with everything that reaches people outside of Slack, and the page knows whose phones they are."""
    stop = asyncio.Event()
    async with demo_workspace(tmp_path, port=0) as (sandbox, bot):
        await bot.wait_until_ready(stop)
        given = bot.environment
        assert given["MUSTER_RUNBOOKS"] == str(tmp_path / "runbooks")
        assert given["MUSTER_URL"] == sandbox.bot_url
        assert given["PAGERDUTY_API_URL"] == f"{sandbox.url}/pagerduty/api"
        assert given["TWILIO_API_URL"] == f"{sandbox.url}/twilio"
        assert given["SMTP_URL"].startswith("smtp://")
        assert sandbox.phone_book["+15555550102"] == "Engineering lead"
        async with aiohttp.ClientSession(sandbox.url) as browser, browser.get("/sandbox/paging") as response:
            assert (await response.json())["paging"] == {"calls": [], "texts": [], "mails": [], "pagerduty": []}
