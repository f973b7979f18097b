"""The doctor's judgement: each illness has its line with a remedy, hides no other, and nothing is changed by looking."""

from __future__ import annotations

import copy
import re
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import redis.asyncio as redis
import yaml
from aiohttp import web

from bot.settings import Settings, inspect_settings, load_settings
from bot.slack.client import READS
from bot.storage.embedded import embedded_redis
from bot.storage.keys import prefix
from bot.terminal.doctor import examine, read_settings
from bot.terminal.doctor_providers import UNUSED
from bot.terminal.doctor_slack import WITHOUT_SCOPE, compare_clock, compare_scopes, wanted_scopes
from bot.terminal.manifest import read_manifest
from tests.conftest import ROOT
from tests.scenarios.conftest import Stage
from tests.support.postgres import USERS, Database
from tests.terminal.conftest import CONTACTS, Report, doctor, filled_in, installed, manifest_without

DATA = prefix("T0SANDBOX")


@pytest.fixture
async def store(unstarted: Stage) -> AsyncIterator[redis.Redis]:
    """The Redis of the patient."""
    client = redis.Redis.from_url(unstarted.environment["REDIS_URL"], decode_responses=True)
    yield client
    await client.aclose()


# -- all good ------------------------------------------------------------------------------------------------------


async def test_a_healthy_muster_has_nothing_but_good_lines(patient: Stage, database: Database) -> None:
    """Everything that was asked for is looked at, and each line says what was seen."""
    database.execute(USERS)
    report = await doctor(patient.environment, DATABASE_URL=database.url)
    assert report.levels() == {"ok"}, [one for one in report.findings if one.level != "ok"]
    assert "T0SANDBOX" in report.text("Slack token")
    assert "comes by HTTP" in report.text("Slack traffic")
    assert "all 17 granted" in report.text("Slack scopes")
    assert "C0INCIDENTS" in report.text("incidents channel")
    assert "append-only" in report.text("Redis durability")
    assert "all 4 that have a `slack` can be paged" in report.text("contacts")
    assert "On-call engineer (@oncall, 1 person)" in report.text("level 1")
    assert "after 15 min" in report.text("level 2")
    assert "CTO (@cto, 1 person)" in report.text("level 3")
    assert "clerk.revoke_sessions" in report.text("Clerk")
    assert "development instance" in report.text("Clerk")
    assert "project web" in report.text("Vercel")
    assert "healthy" in report.text("health of clerk")
    assert "users can be read and written" in report.text("application database")
    assert "says that webhooks are taken" in report.text("webhook switch")
    assert "accepts the key, with 0 open incidents" in report.text("your status page")
    assert "On-call engineer (@oncall)" in report.text("while Redis is away")
    assert "pages wait until Redis is back, nothing is sent meanwhile" in report.text("while Redis is away")
    for what in ("PagerDuty", "Twilio"):
        assert "not configured" in report.text(what)
    assert "the doctor does not call it" in report.text("heartbeat")


async def test_looking_changes_nothing(unstarted: Stage, store: redis.Redis) -> None:
    """No message, no channel, no key: only methods that read, also at the providers."""
    await doctor(unstarted.environment)
    assert {call.method for call in unstarted.sandbox.calls} <= READS | {"bots.info", "users.lookupByEmail"}
    assert await store.dbsize() == 0
    assert {row["method"] for row in unstarted.world.ledger} == {"GET"}


async def test_a_bot_that_runs_is_not_disturbed(stage: Stage) -> None:
    """Its incidents are counted, its tasks are left to it."""
    await stage.workspace.command("developer", "general", "/incident clerk down")
    await stage.room()
    await stage.wait(lambda: stage.workspace.dm("oncall"), "the page of on-call")
    report = await doctor(stage.environment)
    assert report.faults() == []
    assert "1 open incident" in report.text("Redis data")
    assert "booked for later" in report.text("due tasks")


# -- Slack ---------------------------------------------------------------------------------------------------------


async def test_a_revoked_token_is_told_once(unstarted: Stage) -> None:
    """One fault with the remedy; what hangs on it is not looked up, and never shown as good."""
    unstarted.sandbox.revoke_token()
    report = await doctor(unstarted.environment)
    assert report.faults() == ["Slack token"]
    assert "reinstall the app" in report.text("Slack token")
    for what in ("Slack scopes", "incidents channel", "contacts", "level 1", "level 2", "level 3"):
        assert report.level(what) == "warn"
    assert report.level("Clerk") == "ok"
    assert report.level("Redis durability") == "ok"


async def test_a_missing_token_is_named(unstarted: Stage) -> None:
    """Which variable, and where in Slack to find its value; nothing is sent to Slack."""
    report = await doctor(unstarted.environment, SLACK_BOT_TOKEN="", SLACK_SIGNING_SECRET="")
    assert report.faults() == ["Slack token", "signing secret"]
    assert "SLACK_BOT_TOKEN" in report.text("Slack token")
    assert "Basic Information > Signing Secret" in report.text("signing secret")
    assert unstarted.sandbox.calls == []


async def test_each_missing_scope_says_what_would_not_work(redis_url: str) -> None:
    """By the header that Slack sends, against the manifest."""
    async with installed(manifest_without("bookmarks:write", "usergroups:read"), f"{redis_url}?db=1") as patient:
        report = await doctor(patient.environment)
    assert report.faults() == ["Slack scopes", "Slack scopes"]
    assert "bookmarks:write is missing, so rooms have no bookmarks" in report.text("Slack scopes")
    assert "usergroups:read is missing" in report.text("Slack scopes")
    assert "reinstall the app" in report.text("Slack scopes")


def test_every_scope_has_its_sentence() -> None:
    """The table and the manifest name the same scopes."""
    assert set(WITHOUT_SCOPE) == set(wanted_scopes(read_manifest()))


def test_scopes_that_cannot_be_seen_are_not_green() -> None:
    """A proxy that swallows the header is unknown; scopes that are not needed are mentioned."""
    assert compare_scopes(None, ("chat:write",))[0].level == "warn"
    (found,) = compare_scopes("chat:write, files:write", ("chat:write",))
    assert (found.level, "files:write" in found.finding) == ("ok", True)


@pytest.mark.parametrize(("off_s", "level"), [(0, "ok"), (60, "warn"), (-60, "warn"), (290, "fault"), (-3_600, "fault")])
def test_the_clock_of_this_machine(off_s: int, level: str) -> None:
    """Slack's requests are refused when it is five minutes off; without a usable header nothing is said."""
    assert compare_clock("Fri, 20 Nov 2026 20:00:00 GMT", 1_795_204_800 + off_s)[0].level == level
    assert compare_clock(None, 0) == []
    assert compare_clock("yesterday", 0) == []


async def test_socket_mode_is_asked_for_and_not_connected(redis_url: str) -> None:
    """With a good app-level token; a bad one is a fault whose remedy names the variable."""
    async with installed(manifest_without(), f"{redis_url}?db=1", app_token="xapp-good") as patient:
        report = await doctor(patient.environment, SLACK_APP_TOKEN="xapp-good")
        assert report.level("Slack traffic") == "ok"
        assert "Socket Mode" in report.text("Slack traffic")
        assert patient.sandbox.sockets == []
        assert "not needed" in (await doctor(patient.environment, SLACK_APP_TOKEN="xapp-good", SLACK_SIGNING_SECRET="")).text(
            "signing secret"
        )
        report = await doctor(patient.environment, SLACK_APP_TOKEN="xapp-bad")
    assert report.faults() == ["Slack traffic"]
    assert "SLACK_APP_TOKEN" in report.text("Slack traffic")


async def test_an_unknown_incidents_channel(unstarted: Stage) -> None:
    """The name that was not found, and what to do."""
    report = await doctor(unstarted.environment, MUSTER_INCIDENTS_CHANNEL="nowhere")
    assert report.faults() == ["incidents channel"]
    assert "“nowhere”" in report.text("incidents channel")
    assert "invite Muster" in report.text("incidents channel")


async def test_an_incidents_channel_without_muster(unstarted: Stage) -> None:
    """It exists, and the remedy is the invitation."""
    await unstarted.workspace.create_channel("cto", "quiet")
    report = await doctor(unstarted.environment, MUSTER_INCIDENTS_CHANNEL="quiet")
    assert report.faults() == ["incidents channel"]
    assert "/invite @muster" in report.text("incidents channel")


async def test_a_silent_slack_does_not_hide_the_rest(unstarted: Stage) -> None:
    """Each check has its own deadline; the others have answered."""
    unstarted.sandbox.faults.add("auth.test", "timeout", times=9, seconds=30)
    started = time.monotonic()
    report = await doctor(unstarted.environment, deadline_s=3)
    assert time.monotonic() - started < 6
    assert "no answer within 3 s" in report.text("Slack token")
    assert report.level("Clerk") == "ok"
    assert report.level("Redis data") == "ok"
    assert report.level("signing secret") == "ok"


async def test_a_check_that_breaks_is_a_fault_and_hides_nothing(unstarted: Stage) -> None:
    """Something that says `ok` and is not Slack: a fault of ours is shown, with its kind, and the rest goes on."""

    async def answer(_request: web.Request) -> web.Response:
        return web.json_response({"ok": True})

    app = web.Application()
    app.router.add_route("*", "/api/{method}", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        url = f"http://127.0.0.1:{runner.addresses[0][1]}/api/"
        report = await doctor(unstarted.environment, SLACK_API_URL=url)
    finally:
        await runner.cleanup()
    assert "the check itself failed (KeyError)" in report.text("Slack token")
    assert report.level("Clerk") == "ok"


# -- contacts ------------------------------------------------------------------------------------------------------


def contacts(folder: Path, **slack: str | None) -> str:
    """The runbooks with other `slack` names; None takes it away and gives a phone. The folder."""
    people = copy.deepcopy(CONTACTS["contacts"])
    for contact in people:
        name = slack.get(contact["id"].replace("-", "_"), contact["slack"])
        contact["slack"] = name
        if name is None:
            del contact["slack"]
            contact["phone"] = "+15550100123"
    return str(filled_in(folder, contacts=people))


def change(file: str, **fields: Any) -> None:
    """Write other values into a file of runbooks."""
    path = Path(file)
    content = {**yaml.safe_load(path.read_text("utf-8")), **fields}
    path.write_text(yaml.safe_dump(content, sort_keys=False, allow_unicode=True), "utf-8")


async def test_a_contact_that_nobody_is(unstarted: Stage, tmp_path: Path) -> None:
    """Said for the contact, and on its level; the others can be paged, so Muster works."""
    report = await doctor(unstarted.environment, MUSTER_RUNBOOKS=contacts(tmp_path, on_call="@nobody"))
    assert report.faults() == []
    assert "nobody in Slack is called @nobody" in report.text("contact on-call")
    assert report.level("level 1") == "warn"
    assert "nobody can be paged" in report.text("level 1")
    assert report.level("level 2") == "ok"
    assert "the next level follows" in report.text("when a page fails")


async def test_contacts_that_would_not_be_paged(unstarted: Stage, tmp_path: Path) -> None:
    """A phone that nobody can call from here, a bot, an id that nobody has: each says why."""
    folder = contacts(tmp_path, on_call=None, engineering_lead="@muster", cto="U0NOBODY")
    report = await doctor(unstarted.environment, MUSTER_RUNBOOKS=folder)
    assert "On-call engineer cannot be reached at all" in report.text("reach")
    assert "TWILIO_ACCOUNT_SID" in report.text("reach")
    assert "a bot" in report.text("contact engineering-lead")
    assert report.level("contact cto") == "warn"
    assert report.faults() == ["paging"]
    assert "nobody at all can be paged" in report.text("paging")


async def test_somebody_who_left(unstarted: Stage) -> None:
    """A deactivated account gets no message."""
    unstarted.sandbox.state.users["U0CTO"].deleted = True
    report = await doctor(unstarted.environment)
    assert report.level("contact cto") == "warn"
    assert report.level("level 3") == "warn"


async def test_a_user_group_is_counted(unstarted: Stage, tmp_path: Path) -> None:
    """Everybody in it would be paged."""
    report = await doctor(unstarted.environment, MUSTER_RUNBOOKS=contacts(tmp_path, on_call="@incident-responders"))
    assert "(@incident-responders, 2 people)" in report.text("level 1")


async def test_a_ladder_of_a_runbook_is_shown(unstarted: Stage, tmp_path: Path) -> None:
    """Levels that differ from the default ones have their own line, with the runbook's name."""
    folder = contacts(tmp_path)
    change(f"{folder}/clerk/auth-outage.yml", escalation={"inherit": "default", "levels": [{"after": "5m", "notify": ["cto"]}]})
    report = await doctor(unstarted.environment, MUSTER_RUNBOOKS=folder)
    assert "after 5 min" in report.text("level 2 of clerk-auth-outage")


# -- files ---------------------------------------------------------------------------------------------------------


async def test_broken_files_have_their_place(unstarted: Stage, tmp_path: Path) -> None:
    """File, line and column; what needs the files is not checked, the rest is."""
    folder = contacts(tmp_path)
    (Path(folder) / "contacts.yml").write_text("contacts: [\n", "utf-8")
    report = await doctor(unstarted.environment, MUSTER_RUNBOOKS=folder)
    assert report.faults() == ["files"]
    assert re.search(r"contacts\.yml:\d+:\d+: ", report.text("files"))
    assert report.level("contacts") == "warn"
    assert report.level("Clerk") == "ok"
    assert report.level("incidents channel") == "ok"


async def test_a_folder_that_is_not_there(unstarted: Stage, tmp_path: Path) -> None:
    """No other runbooks than the ones that were meant are read instead."""
    report = await doctor(unstarted.environment, MUSTER_RUNBOOKS=str(tmp_path / "none"))
    assert report.faults() == ["files"]
    assert "MUSTER_RUNBOOKS" in report.text("files")


# -- Redis ---------------------------------------------------------------------------------------------------------


async def test_a_redis_that_forgets(unstarted: Stage, forgetful_redis: str) -> None:
    """A fault with the setting to change; with MUSTER_DEV it is a warning."""
    report = await doctor(unstarted.environment, REDIS_URL=forgetful_redis)
    assert report.faults() == ["Redis durability"]
    assert "appendonly yes" in report.text("Redis durability")
    report = await doctor(unstarted.environment, REDIS_URL=forgetful_redis, MUSTER_DEV="1")
    assert report.faults() == []
    assert report.level("Redis durability") == "warn"


async def test_a_redis_that_is_down(unstarted: Stage, tmp_path: Path) -> None:
    """One fault, and what people are told meanwhile."""
    report = await doctor(unstarted.environment, REDIS_URL=f"unix://{tmp_path}/none")
    assert report.faults() == ["Redis"]
    assert "check REDIS_URL" in report.text("Redis")
    assert "people are told at once" in report.text("while Redis is away")


async def test_data_of_another_format(unstarted: Stage, store: redis.Redis) -> None:
    """They are not touched, and the way out is named."""
    await store.set(f"{DATA}format", "7")
    report = await doctor(unstarted.environment)
    assert report.faults() == ["Redis data"]
    assert "format 7" in report.text("Redis data")
    assert await store.get(f"{DATA}format") == "7"


async def test_overdue_tasks_are_a_warning(unstarted: Stage, store: redis.Redis) -> None:
    """How many, and how old the oldest is; a start after a pause must not be stopped by it."""
    seconds, _ = await store.time()
    now_ms = int(seconds) * 1000
    await store.set(f"{DATA}format", "1")
    await store.zadd(f"{DATA}due", {"old": now_ms - 20 * 60_000, "new": now_ms - 5_000, "later": now_ms + 600_000})
    report = await doctor(unstarted.environment)
    assert report.faults() == []
    assert report.level("due tasks") == "warn"
    assert "2 due, the oldest for 20 min" in report.text("due tasks")
    assert "1 booked" in report.text("due tasks")
    assert await store.zcard(f"{DATA}due") == 3


async def test_moved_time_counts_only_where_it_is_allowed(unstarted: Stage, store: redis.Redis) -> None:
    """The offset key of the sandbox moves the doctor's now as it moves the bot's."""
    seconds, _ = await store.time()
    await store.mset({f"{DATA}format": "1", f"{DATA}clock:offset": str(3_600_000)})
    await store.zadd(f"{DATA}due", {"task": (int(seconds) + 60) * 1000})
    assert "1 due" in (await doctor(unstarted.environment)).text("due tasks")
    real = await doctor(unstarted.environment, MUSTER_TIME_TRAVEL="false")
    assert "none is overdue, 1 booked" in real.text("due tasks")


async def test_without_slack_the_data_are_found_all_the_same(unstarted: Stage, store: redis.Redis) -> None:
    """On the day when Slack is down, what waits is still told."""
    unstarted.sandbox.revoke_token()
    await store.set(f"{DATA}format", "1")
    await store.sadd(f"{DATA}active", "inc-1", "inc-2")
    report = await doctor(unstarted.environment)
    assert "2 open incidents" in report.text("Redis data")


async def test_the_embedded_server_is_joined_not_doubled(unstarted: Stage, tmp_path: Path) -> None:
    """While one runs, the doctor uses that one and leaves it running; otherwise it starts it and stops it."""
    folder = tmp_path / "data"
    alone = await doctor(unstarted.environment, REDIS_URL="", MUSTER_DATA_DIR=str(folder))
    assert alone.faults() == []
    assert "started for this check" in alone.text("Redis")
    async with embedded_redis(folder) as server:
        pid = (folder / "redis" / "pid").read_text()
        report = await doctor(unstarted.environment, REDIS_URL="", MUSTER_DATA_DIR=str(folder))
        assert "joined the one that runs" in report.text("Redis")
        assert (folder / "redis" / "pid").read_text() == pid
        async with redis.Redis.from_url(server.url) as client:
            assert await client.ping()


async def test_the_embedded_server_on_a_platform_that_loses_its_disk(unstarted: Stage, tmp_path: Path) -> None:
    """It is refused there, and nothing is started."""
    report = await doctor(unstarted.environment, REDIS_URL="", DYNO="web.1", MUSTER_DATA_DIR=str(tmp_path / "data"))
    assert report.faults() == ["Redis"]
    assert "REDIS_URL" in report.text("Redis")
    assert not (tmp_path / "data").exists()


# -- providers -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "level", "part"),
    [
        ("unauthorized", "fault", "check that CLERK_SECRET_KEY is valid"),
        ("html", "fault", "check CLERK_API_URL"),
        ("rate_limited", "warn", "limits the rate"),
        ("error", "warn", "500"),
    ],
)
async def test_clerk_that_does_not_answer_well(unstarted: Stage, state: str, level: str, part: str) -> None:
    """A refused key is a fault, what passes is a warning; the others are not touched by it."""
    unstarted.world.set("clerk_api", state)
    report = await doctor(unstarted.environment)
    assert report.level("Clerk") == level
    assert part in report.text("Clerk")
    assert report.level("Vercel") == "ok"


async def test_vercel_that_refuses_or_hides(unstarted: Stage) -> None:
    """A refused token is a fault; a token that does not see production is a warning; no project, no call."""
    unstarted.world.set("vercel_api", "unauthorized")
    assert (await doctor(unstarted.environment)).level("Vercel") == "fault"
    unstarted.world.set("vercel_api", "ok")
    unstarted.world.set("vercel_env", "hidden")
    report = await doctor(unstarted.environment)
    assert report.level("Vercel") == "warn"
    assert "hidden from the token" in report.text("Vercel")
    report = await doctor(unstarted.environment, VERCEL_PROJECT="")
    assert "set VERCEL_PROJECT" in report.text("Vercel")


async def test_what_is_not_configured_is_named_and_not_asked(unstarted: Stage) -> None:
    """The variable to set, the actions that wait for it, and no call at all."""
    unset = ("CLERK_SECRET_KEY", "VERCEL_TOKEN", "MUSTER_VAR_CLERK_APP_URL", "APPLICATION_SWITCH_URL", "APPLICATION_SWITCH_TOKEN")
    unset += ("STATUSPAGE_API_KEY", "STATUSPAGE_PAGE_ID")
    report = await doctor(unstarted.environment, **dict.fromkeys(unset, ""))
    assert report.faults() == []
    assert "set CLERK_SECRET_KEY" in report.text("Clerk")
    assert "clerk.revoke_sessions" in report.text("Clerk")
    assert "set VERCEL_TOKEN" in report.text("Vercel")
    assert "set MUSTER_VAR_CLERK_APP_URL" in report.text("health of clerk")
    assert "set DATABASE_URL" in report.text("application database")
    assert "set APPLICATION_SWITCH_URL" in report.text("webhook switch")
    assert "set STATUSPAGE_API_KEY" in report.text("your status page")
    assert {row["provider"] for row in unstarted.world.ledger} == {"status"}


async def test_a_placeholder_is_not_probed(unstarted: Stage) -> None:
    """Nobody's address is as good as none."""
    report = await doctor(unstarted.environment, MUSTER_VAR_CLERK_APP_URL="https://yourapp.com")
    assert report.level("health of clerk") == "warn"
    assert "placeholder" in report.text("health of clerk")


async def test_trouble_elsewhere_is_told_but_no_fault_of_muster(unstarted: Stage) -> None:
    """Clerk is down and the application is not well: that is what Muster is for."""
    unstarted.world.set("clerk_status", "down")
    unstarted.world.set("app_health", "unhealthy")
    report = await doctor(unstarted.environment)
    assert report.faults() == []
    assert report.level("Clerk status page") == "warn"
    assert report.level("health of clerk") == "warn"


# -- settings ------------------------------------------------------------------------------------------------------


async def test_faulty_settings_do_not_hide_the_rest(unstarted: Stage) -> None:
    """Each has its line; what needs one of them is not run with a default that nobody meant."""
    environment = {
        **unstarted.environment,
        "PORT": "x",
        "CLERK_API_URL": "clerk.example.com",
        "REDIS_URL": "localhost",
        "MUSTER_DATA": "x",
    }
    settings, findings, faulty = read_settings(environment)
    assert faulty == {"PORT", "CLERK_API_URL", "REDIS_URL", "MUSTER_DATA"}
    report = Report([*findings, *await examine(settings, faulty=faulty)])
    assert set(report.faults()) == faulty
    assert "mend REDIS_URL first" in report.text("Redis")
    assert "mend CLERK_API_URL first" in report.text("Clerk")
    assert report.level("Slack token") == "ok"
    assert not [row for row in unstarted.world.ledger if row["provider"] == "clerk"]


async def test_a_faulty_address_of_slack_sends_the_token_nowhere(unstarted: Stage) -> None:
    """Falling back to the default address would give the token to somebody else than was meant."""
    settings, _, faulty = read_settings({**unstarted.environment, "SLACK_API_URL": "sandbox"})
    report = Report(await examine(settings, faulty=faulty))
    assert "mend SLACK_API_URL first" in report.text("Slack token")
    assert unstarted.sandbox.calls == []


def test_what_is_dangerous_or_in_vain_is_a_warning() -> None:
    """Development switches, and settings that nothing of this version reads."""
    environment = {"MUSTER_ENV_FILE": "", "MUSTER_DEV": "1", "MUSTER_TIME_TRAVEL": "1", "AUTHOS_TOKEN": "x"}
    _, findings, _ = read_settings(environment)
    assert [(found.level, found.what) for found in findings] == [
        ("ok", "settings"),
        ("warn", "MUSTER_DEV"),
        ("warn", "MUSTER_TIME_TRAVEL"),
        ("warn", "AUTHOS_TOKEN"),
    ]


def test_an_env_file_that_cannot_be_read(tmp_path: Path) -> None:
    """It is a fault, and the environment is judged without it."""
    path = tmp_path / "env"
    path.write_bytes(b"\xff\xfe")
    settings, findings, _ = read_settings({"MUSTER_ENV_FILE": str(path), "PORT": "8080"})
    assert (findings[0].level, findings[0].what) == ("fault", "MUSTER_ENV_FILE")
    assert settings.port == 8080


def test_inspected_settings_are_those_that_are_loaded() -> None:
    """Without a fault both say the same; with one, the sound ones are kept."""
    environment = {"MUSTER_ENV_FILE": "", "PORT": "8080", "LOG_LEVEL": "debug"}
    assert inspect_settings(environment) == (load_settings(environment), ())
    settings, faults = inspect_settings({**environment, "REDIS_URL": "x"})
    assert (settings.port, settings.log_level, settings.redis_url) == (8080, "debug", None)
    assert [line.split(":")[0] for line in faults] == ["REDIS_URL"]


def test_what_is_said_to_be_unused_is_unused() -> None:
    """As soon as something reads one of them, the doctor has to check it instead."""
    sources = [path.read_text("utf-8") for path in (ROOT / "bot").rglob("*.py") if path.name != "settings.py"]
    assert [name for name in UNUSED if any(f"settings.{name}" in text for text in sources)] == []
    assert set(UNUSED) <= set(Settings.model_fields)
