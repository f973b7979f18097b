"""The doctor on the ways to people, on duty, and on whoever watches Muster: seen without waking anybody."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import redis.asyncio as redis

from bot.domain.duty import Cover
from bot.services.audit import AuditRecord
from bot.storage.keys import prefix
from tests.scenarios.conftest import Stage
from tests.terminal.conftest import CONTACTS, Report, doctor, filled_in

DATA = prefix("T0SANDBOX")
TODAY = datetime.now(UTC)


@pytest.fixture
def equipped(patient: Stage) -> Stage:
    """Every way is configured."""
    patient.environment.update(patient.world.environment(patient.sandbox.url, paging=True))
    patient.environment["MUSTER_URL"] = "https://muster.example.com"
    return patient


async def test_every_way_is_tried_and_nobody_is_woken(equipped: Stage) -> None:
    """A read of each account, a greeting of the mail server: no alert, no call, no text, no mail, no heartbeat."""
    report = await doctor(equipped.environment)
    # No server is behind the application's DATABASE_URL here; it has a test of its own.
    assert [found.what for found in report.findings if found.level != "ok"] == ["application database"]
    assert "integration key" in report.text("PagerDuty")
    assert "accepts the token" in report.text("PagerDuty REST")
    assert "accepts the account" in report.text("Twilio")
    assert "https://muster.example.com/pages/phone/" in report.text("pressed keys")
    assert "takes mail" in report.text("mail")
    world = equipped.world
    assert (world.pagerduty.incidents, world.twilio.calls, world.twilio.messages) == ([], {}, {})
    assert (world.pagerduty.ledger, world.twilio.ledger, world.smtp.ledger) == ([], [], [])


@pytest.mark.parametrize(
    ("changes", "what", "part"),
    [
        ({"PAGERDUTY_API_TOKEN": "wrong"}, "PagerDuty REST", "PAGERDUTY_API_TOKEN"),
        ({"TWILIO_AUTH_TOKEN": "wrong"}, "Twilio", "TWILIO_AUTH_TOKEN"),
        ({"TWILIO_FROM": ""}, "Twilio", "set TWILIO_FROM"),
        ({"SMTP_FROM": "", "SMTP_URL": "smtp://127.0.0.1:1"}, "SMTP_FROM", "set it to the sender"),
    ],
)
async def test_what_is_wrong_is_a_fault_that_names_the_variable(
    equipped: Stage, changes: dict[str, str], what: str, part: str
) -> None:
    """The others are not touched by it."""
    report = await doctor(equipped.environment, **changes)
    assert report.faults() == [what]
    assert part in report.text(what)


async def test_a_mail_server_that_refuses_the_sign_in(equipped: Stage) -> None:
    """A fault, without the password."""
    url = equipped.world.smtp.url.replace("sandbox-mail", "wrong-canary")
    report = await doctor(equipped.environment, SMTP_URL=url)
    assert report.faults() == ["mail"]
    assert "user and password in SMTP_URL" in report.text("mail")
    assert "wrong-canary" not in report.text("mail")


async def test_a_mail_server_that_is_away_is_a_warning(equipped: Stage) -> None:
    """It may be back by itself."""
    report = await doctor(equipped.environment, SMTP_URL="smtp://127.0.0.1:1")
    assert report.faults() == []
    assert report.level("mail") == "warn"


async def test_a_provider_that_is_unwell_is_a_warning(equipped: Stage) -> None:
    """As Clerk's and Vercel's."""
    equipped.world.twilio.fault = "500"
    equipped.world.pagerduty.fault = "500"
    report = await doctor(equipped.environment)
    assert report.faults() == []
    assert (report.level("Twilio"), report.level("PagerDuty REST")) == ("warn", "warn")


async def test_what_is_missing_around_them_is_said(equipped: Stage) -> None:
    """No public address, no token for reading, nobody outside who watches."""
    report = await doctor(equipped.environment, MUSTER_URL="", PAGERDUTY_API_TOKEN="", MUSTER_HEARTBEAT_URL="")
    assert report.faults() == []
    assert "set MUSTER_URL" in report.text("pressed keys")
    assert "set PAGERDUTY_API_TOKEN" in report.text("PagerDuty REST")
    assert report.level("heartbeat") == "warn"
    assert "MUSTER_HEARTBEAT_URL" in report.text("heartbeat")


async def test_who_is_not_reached_as_wanted(patient: Stage, tmp_path: Path) -> None:
    """By phone was wanted, in Slack it is; nobody in a team."""
    policies: Any = [{"id": "default", "levels": [{"after": "0m", "notify": ["on-call"], "via": ["phone"]}]}]
    teams = [{"id": "engineering", "name": "Engineering"}, {"id": "executives", "name": "Executives", "members": ["cto"]}]
    report = await reported(patient, tmp_path, policies=policies, teams=teams)
    assert report.faults() == []
    assert "On-call engineer is reached in Slack instead of by phone" in report.text("reach")
    assert "Engineering cannot be reached at all" in report.text("reach")


async def test_a_level_says_how_everybody_is_reached(equipped: Stage, tmp_path: Path) -> None:
    """In the order in which it is tried."""
    contacts = [{**one, "phone": "+15555550101"} if one["id"] == "on-call" else one for one in CONTACTS["contacts"]]
    policies: Any = [{"id": "default", "levels": [{"after": "0m", "notify": ["on-call", "executives"], "via": ["phone"]}]}]
    report = await reported(equipped, tmp_path, contacts=contacts, policies=policies)
    assert "On-call engineer (by phone, then @oncall, 1 person, then by text message)" in report.text("level 1")
    assert "Executives: CTO (@cto, 1 person)" in report.text("level 1")


async def reported(patient: Stage, tmp_path: Path, **changes: Any) -> Report:
    """The report on other contacts."""
    folder = filled_in(tmp_path / "other", **changes)
    return await doctor(patient.environment, MUSTER_RUNBOOKS=str(folder))


# -- on duty -------------------------------------------------------------------------------------------------------------


async def test_who_is_on_duty_now(patient: Stage, tmp_path: Path) -> None:
    """And until when; a rotation that has not begun is a hole."""
    rotations = [
        {"id": "primary", "name": "Primary", "members": ["cto"], "starts": "2020-01-06"},
        {
            "id": "secondary",
            "name": "Secondary",
            "members": ["cto", "on-call"],
            "every": "day",
            "starts": f"{TODAY - timedelta(days=30):%Y-%m-%d}",
        },
        {"id": "future", "name": "Future", "members": ["cto"], "starts": f"{TODAY + timedelta(days=30):%Y-%m-%d}"},
        {"id": "asked", "name": "Asked", "pagerduty": {"schedule": "P1A2B3C"}},
    ]
    report = await reported(patient, tmp_path, rotations=rotations)
    assert report.faults() == []
    assert report.text("rotation primary").startswith("CTO is on duty for good")
    assert "is on duty until 20" in report.text("rotation secondary")
    assert report.level("rotation future") == "warn"
    assert "nobody is on duty until 20" in report.text("rotation future")
    assert "set PAGERDUTY_API_TOKEN" in report.text("rotation asked")


async def test_whoever_covers_is_named(patient: Stage) -> None:
    """Redis knows what the files do not say; what is over is not told."""
    covers = [
        Cover(
            rotation=rotation,
            user_id="U0COVER",
            from_at=TODAY - timedelta(days=2),
            until_at=TODAY + timedelta(hours=hours),
            by="U0COVER",
        )
        for rotation, hours in (("primary", 3), ("secondary", -3))
    ]
    async with redis.Redis.from_url(patient.environment["REDIS_URL"]) as store:
        await store.set(f"{DATA}format", "1")
        await store.rpush(f"{DATA}covers", *(cover.model_dump_json() for cover in covers))
    report = await doctor(patient.environment)
    assert "U0COVER is on duty instead until 20" in report.text("cover primary")
    assert report.about("cover secondary") == []


# -- who watches ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("ago_s", "level"), [(30, "ok"), (600, "warn")])
async def test_the_last_audit(patient: Stage, ago_s: int, level: str) -> None:
    """One that is long ago means that nobody audits, or that something is not well."""
    async with redis.Redis.from_url(patient.environment["REDIS_URL"], decode_responses=True) as store:
        seconds, _ = await store.time()
        well_at = datetime.fromtimestamp(int(seconds) - ago_s, tz=UTC)
        await store.mset({f"{DATA}format": "1", f"{DATA}audit": AuditRecord(well_at=well_at).model_dump_json()})
    report = await doctor(patient.environment)
    assert report.faults() == []
    assert report.level("audit") == level
    assert "found everything well" in report.text("audit")
