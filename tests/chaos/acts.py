"""Every action that changes something, as the chaos runs try it: with what, on which world, and how its effect is read there.

`TABLE` has one line for each of them; a test holds it against the registry. What is tried with them is in `tests.chaos.actions`.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, LiteralString, cast

import psycopg

from bot.domain.outcome import Outcome
from bot.providers.config import DATABASE_URL
from bot.sandbox.world import clerk_data, vercel_data
from bot.sandbox.world.application import PROTECTED_PATH
from bot.sandbox.world.application_data import COLUMNS
from bot.sandbox.world.vercel import LIVE_ID, PREVIOUS_ID
from tests.chaos.ground import LOOK_EVERY_S, Ground

Row = dict[str, Any]
Held = Callable[[], Awaitable[bool]]
Hold = Callable[[Ground], AbstractAsyncContextManager[Held]]
"""In it a provider does not answer; the function that it gives says whether the call is there."""

USER = "user_2demo"
MANY = ("user_2demo", "user_2quiet", "user_2many", "user_2pending", "user_2admin")
ADDRESS = "stranger@example.com"
PUBLIC = "Since 03:10 UTC nobody can sign in."
BYPASS = "CLERK_EMERGENCY_BYPASS"
SESSIONS = 7
ASKED, ANSWERED = "effect.asked", "effect.answered"
SLOW_MAIL_S = 1.0
SLOW_COUNT_S = 4.0


def of_no_account(_site: Ground) -> dict[str, Any]:
    """An action without parameters."""
    return {}


def of_one_user(_site: Ground) -> dict[str, Any]:
    """The user with seven sessions."""
    return {"user_id": USER}


def nothing(_site: Ground) -> None:
    """The world is good as it is."""


def no_count(_site: Ground, _rows: list[Row]) -> Counter[str]:
    """A repetition changes nothing, so nobody counts."""
    return Counter()


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """One action. ``idempotency`` is what it is expected to declare; ``calls`` how many calls of one run change something.

    ``is_done`` looks at the world; ``things`` counts, there or in the calls of the run, what must not be there twice although
    the provider would do it twice.
    ``holds`` are the ways to catch it in a phase in which no crash point is passed: there the effect is not one of HTTP.
    ``notes`` are in the job of the run before it begins, so that nobody waits for what takes its time.
    """

    name: str
    idempotency: str
    is_done: Callable[[Ground, Outcome], bool]
    params: Callable[[Ground], dict[str, Any]] = of_no_account
    prepare: Callable[[Ground], None] = nothing
    things: Callable[[Ground, list[Row]], Counter[str]] = no_count
    calls: int = 1
    holds: Mapping[str, Hold] | None = None
    notes: Callable[[], dict[str, Any]] = field(default=dict)

    def passes(self, point: str) -> bool:
        """Whether there is such a phase in it."""
        return self.holds is None or not point.startswith("effect.") or point in self.holds

    @property
    def is_in_doubt(self) -> bool:
        """Nobody can ask the provider afterwards what became of a call."""
        return self.idempotency == "key"

    @property
    def needs_postgres(self) -> bool:
        """It works on the application's own data."""
        return self.name in ("application.resync_users", "application.export_table")


def renew(site: Ground) -> None:
    """The world as it is at its beginning; what takes time there takes none."""
    clerk, vercel = site.world.clerk, site.world.vercel
    now_ms = round(site.sandbox.clock.now() * 1000)
    for known, fresh in ((clerk.users, clerk_data.users(now_ms)), (clerk.sessions, clerk_data.sessions(now_ms))):
        known.clear()
        known.update(fresh)
    clerk.directory.compromised.clear()
    clerk.instance.blocked.clear()
    clerk.instance.protect = dict.fromkeys(clerk.instance.protect, False)
    clerk.instance.restrictions = dict.fromkeys(clerk.instance.restrictions, False) | {"blocklist": True}
    vercel.build_s = vercel.alias_s = 0.0
    vercel.variables[:] = vercel_data.variables()
    vercel.deployments[:] = vercel_data.deployments(now_ms)
    vercel.live_id, vercel.auto_assign, vercel.last_alias_request = LIVE_ID, True, None
    vercel.serve_with({})
    site.world.application_data.paused_since = None
    site.world.statuspage.incidents.clear()
    site.world.smtp.mails.clear()
    site.world.smtp.fault = None


# -- reading and preparing the world ---------------------------------------------------------------------------------


def _pause(site: Ground) -> None:
    site.world.application_data.paused_since = datetime.now(UTC).replace(microsecond=0)


def _ban(site: Ground) -> None:
    site.world.clerk.users[USER] = {**site.world.clerk.users[USER], "banned": True}


def _demand_reset(site: Ground) -> None:
    site.world.clerk.directory.compromised.add(USER)


def _restrict(site: Ground) -> None:
    instance = site.world.clerk.instance
    instance.protect["rules_enabled"] = instance.restrictions["block_disposable_email_domains"] = True


def _block(site: Ground) -> None:
    site.world.clerk.instance.result("POST", ("blocklist_identifiers",), {"identifier": ADDRESS})


def _bypass(site: Ground) -> None:
    vercel = site.world.vercel
    vercel.variables.append(vercel_data.variable("env_on", BYPASS, ["production"], value="true", type="plain"))
    vercel.serve_with({BYPASS: "true"})


def _is_signed_out(site: Ground, _outcome: Outcome) -> bool:
    return not site.world.clerk.live_sessions(USER)


def _are_signed_out(site: Ground, _outcome: Outcome) -> bool:
    return not any(site.world.clerk.live_sessions(user_id) for user_id in (USER, "user_2pending"))


def _is_restricted(site: Ground) -> tuple[bool, bool]:
    instance = site.world.clerk.instance
    return instance.protect["rules_enabled"], instance.restrictions["block_disposable_email_domains"]


def _blocked(site: Ground) -> list[str]:
    return [entry["identifier"] for entry in site.world.clerk.instance.blocked.values()]


def _variables(site: Ground) -> list[str]:
    return [found["value"] for found in site.world.vercel.variables if found["key"] == BYPASS]


def _is_off(site: Ground, _outcome: Outcome) -> bool:
    return not site.world.application.is_bypassed and not _variables(site)


def _serves_anew(site: Ground, outcome: Outcome) -> bool:
    return site.world.vercel.live_id == outcome.facts.get("deployment") != LIVE_ID


def _is_told(site: Ground, outcome: Outcome) -> bool:
    """Whoever is said to have got the mail has it, whoever may have it is said to, and nobody is left out."""
    told = {f"{name.removeprefix('user_')}@sandbox.example" for name in MANY}
    mailed = set(_mails(site, []))
    sent, unsure = (int(outcome.facts.get(name) or 0) for name in ("sent", "may_have_been_sent"))
    return mailed <= told and sent + unsure == len(MANY) and len(mailed) >= sent


def _mails(site: Ground, _rows: list[Row]) -> Counter[str]:
    return Counter(to for mail in site.world.smtp.mails for to in mail.recipients if to.endswith("@sandbox.example"))


def _published(site: Ground, _rows: list[Row]) -> Counter[str]:
    return Counter(site.world.statuspage.texts())


def _deployments(site: Ground, _rows: list[Row]) -> Counter[str]:
    """Those that Muster made, by their mark."""
    return Counter(str(made["meta"]["muster"]) for made in site.world.vercel.deployments if "muster" in made["meta"])


def _calls(_site: Ground, rows: list[Row]) -> Counter[str]:
    """The calls themselves, whatever their answer."""
    return Counter(f"{row['method']} {row['path']}" for row in rows)


def _with_application(site: Ground) -> dict[str, Any]:
    return {"app_url": f"{site.sandbox.url}/app", "protected_path": PROTECTED_PATH}


def _begun_a_minute_ago() -> dict[str, Any]:
    now = time.time()
    return {"cutoff_ms": round(now * 1000), "began_at": now - 60, "listed": False, "cursor": ""}


# -- the application's database, and the mail server: nothing of HTTP --------------------------------------------------


def _query(site: Ground, statement: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(site.environment[DATABASE_URL], autocommit=True) as connection:
        cursor = connection.execute(cast(LiteralString, statement))
        return cursor.fetchall() if cursor.description else []


def _fall_behind(site: Ground) -> None:
    """One user has no row, one row is of before, one is of nobody any more."""
    _query(
        site,
        "DELETE FROM users; "
        "INSERT INTO users (clerk_id, email) VALUES ('user_2demo', 'old@sandbox.example'), ('user_2gone', 'gone@x.example')",
    )


def _is_copied(site: Ground, _outcome: Outcome) -> bool:
    rows = dict(_query(site, "SELECT clerk_id, email FROM users"))
    return rows == {"user_2gone": "gone@x.example", **{name: f"{name.removeprefix('user_')}@sandbox.example" for name in MANY}}


def _is_exported(_site: Ground, outcome: Outcome) -> bool:
    """The file is whole, and what its outcome says."""
    path = Path(str(outcome.facts.get("path")))
    if not path.is_file():
        return False
    return hashlib.sha256(path.read_bytes()).hexdigest() == outcome.facts["sha256"] and outcome.facts["rows"] == 2


def _locked(mode: str) -> Hold:
    """Somebody else holds the table."""

    @contextlib.asynccontextmanager
    async def hold(site: Ground) -> AsyncIterator[Held]:
        connection = await psycopg.AsyncConnection.connect(site.environment[DATABASE_URL])
        await connection.execute(cast(LiteralString, f"LOCK TABLE users IN {mode} MODE"))

        async def is_waited_for() -> bool:
            return bool(await asyncio.to_thread(_query, site, "SELECT 1 FROM pg_locks WHERE NOT granted"))

        try:
            yield is_waited_for
        finally:
            await connection.close()

    return hold


@contextlib.asynccontextmanager
async def _written(site: Ground) -> AsyncIterator[Held]:
    """The rows are there, and Clerk is slow to say how many users it has, which is asked next."""
    site.world.clerk.delays_s["/v1/users/count"] = SLOW_COUNT_S

    async def is_written() -> bool:
        return bool(await asyncio.to_thread(_query, site, "SELECT 1 FROM users WHERE clerk_id = 'user_2admin'"))

    try:
        yield is_written
    finally:
        site.world.clerk.delays_s.clear()


@contextlib.asynccontextmanager
async def _mails_on_their_way(site: Ground) -> AsyncIterator[Held]:
    mail = site.world.smtp
    mail.trouble.slow_s, mail.fault = SLOW_MAIL_S, "slow"
    before = mail.trouble.taken.get("slow", 0)

    async def is_begun() -> bool:
        return mail.trouble.taken.get("slow", 0) > before

    try:
        yield is_begun
    finally:
        await asyncio.sleep(SLOW_MAIL_S)  # a mail that had left arrives after all
        mail.fault = None


@contextlib.asynccontextmanager
async def _mails_taken(site: Ground) -> AsyncIterator[Held]:
    mail = site.world.smtp
    mail.fault = "hang_after_accept"

    async def is_taken() -> bool:
        return bool(_mails(site, []))

    try:
        yield is_taken
    finally:
        mail.fault = None


async def until_held(is_held: Held, patience_s: float) -> None:
    """Wait for the call. Raises: TimeoutError."""
    async with asyncio.timeout(patience_s):
        while not await is_held():  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(LOOK_EVERY_S)


# -- the table ---------------------------------------------------------------------------------------------------------

TABLE: tuple[Act, ...] = (
    Act(
        name="application.pause_webhooks",
        idempotency="natural",
        is_done=lambda site, _: site.world.application_data.paused_since is not None,
    ),
    Act(
        name="application.resume_webhooks",
        idempotency="natural",
        prepare=_pause,
        is_done=lambda site, _: site.world.application_data.paused_since is None,
    ),
    Act(
        name="application.resync_users",
        idempotency="natural",
        params=lambda _: {"table": "users", "columns": COLUMNS},
        prepare=_fall_behind,
        is_done=_is_copied,
        holds={ASKED: _locked("SHARE ROW EXCLUSIVE"), ANSWERED: _written},
    ),
    Act(
        name="application.export_table",
        idempotency="natural",
        params=lambda _: {"table": "users"},
        prepare=_fall_behind,
        is_done=_is_exported,
        holds={ASKED: _locked("ACCESS EXCLUSIVE")},
    ),
    Act(name="clerk.revoke_sessions", idempotency="natural", params=of_one_user, is_done=_is_signed_out, calls=SESSIONS),
    Act(
        name="clerk.ban_user",
        idempotency="natural",
        params=of_one_user,
        is_done=lambda site, outcome: site.world.clerk.users[USER]["banned"] and _is_signed_out(site, outcome),
    ),
    Act(
        name="clerk.unban_user",
        idempotency="natural",
        params=of_one_user,
        prepare=_ban,
        is_done=lambda site, _: not site.world.clerk.users[USER]["banned"],
    ),
    Act(
        name="clerk.require_password_reset",
        idempotency="natural",
        params=of_one_user,
        is_done=lambda site, outcome: USER in site.world.clerk.directory.compromised and _is_signed_out(site, outcome),
    ),
    Act(
        name="clerk.withdraw_password_reset",
        idempotency="natural",
        params=of_one_user,
        prepare=_demand_reset,
        is_done=lambda site, _: USER not in site.world.clerk.directory.compromised,
    ),
    Act(
        name="clerk.restrict_sign_up",
        idempotency="natural",
        is_done=lambda site, _: _is_restricted(site) == (True, True),
        calls=2,
    ),
    Act(
        name="clerk.restore_sign_up",
        idempotency="natural",
        params=lambda _: {"rules_enabled": False, "block_disposable_email_domains": False},
        prepare=_restrict,
        is_done=lambda site, _: _is_restricted(site) == (False, False),
        calls=2,
    ),
    Act(
        name="clerk.block_identifier",
        idempotency="lookup",
        params=lambda _: {"identifier": ADDRESS},
        is_done=lambda site, _: _blocked(site) == [ADDRESS],
        things=_calls,
    ),
    Act(
        name="clerk.unblock_identifier",
        idempotency="natural",
        params=lambda _: {"identifier": ADDRESS},
        prepare=_block,
        is_done=lambda site, _: _blocked(site) == [],
    ),
    Act(
        name="clerk.revoke_everywhere",
        idempotency="natural",
        params=lambda _: {"user_ids": [USER, "user_2pending"]},
        is_done=_are_signed_out,
        calls=SESSIONS + 3,
        notes=_begun_a_minute_ago,
    ),
    Act(
        name="email.notify_users",
        idempotency="key",
        params=lambda _: {"template": "signed-out", "user_ids": list(MANY), "details": "we saw a stranger."},
        is_done=_is_told,
        things=_mails,
        holds={ASKED: _mails_on_their_way, ANSWERED: _mails_taken},
    ),
    Act(
        name="statuspage.update",
        idempotency="lookup",
        params=lambda _: {"text": PUBLIC, "status": "investigating", "title": "Sign-in"},
        is_done=lambda site, _: site.world.statuspage.texts() == [PUBLIC],
        things=_published,
    ),
    Act(
        name="vercel.rollback",
        idempotency="lookup",
        is_done=lambda site, _: site.world.vercel.live_id == PREVIOUS_ID,
        things=_calls,
    ),
    Act(
        name="vercel.promote",
        idempotency="lookup",
        params=lambda _: {"deployment_id": PREVIOUS_ID},
        is_done=lambda site, _: site.world.vercel.live_id == PREVIOUS_ID,
        things=_calls,
    ),
    Act(name="vercel.redeploy", idempotency="lookup", is_done=_serves_anew, things=_deployments),
    Act(
        name="clerk.emergency_bypass",
        idempotency="natural",
        params=lambda site: {**_with_application(site), "minutes": 60},
        is_done=lambda site, _: site.world.application.is_bypassed and _variables(site) == ["true"],
        things=_deployments,
        calls=2,
    ),
    Act(
        name="clerk.emergency_bypass_off",
        idempotency="natural",
        params=_with_application,
        prepare=_bypass,
        is_done=_is_off,
        things=_deployments,
        calls=2,
    ),
)
BY_NAME: Mapping[str, Act] = {act.name: act for act in TABLE}
