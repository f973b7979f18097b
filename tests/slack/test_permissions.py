"""Who may do what: circles, groups, people; what Slack cannot say; two accounts of one human; groups that change."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Coroutine
from dataclasses import replace
from typing import Any

import pytest

from bot.domain.catalog import Catalog
from bot.domain.commands import (
    BreakGlass,
    ConfirmRun,
    Declaration,
    Join,
    Leave,
    Note,
    RecordPreview,
    RecordRoom,
    RequestRun,
)
from bot.domain.errors import ForbiddenError, TemporaryError
from bot.domain.facts import Origin
from bot.domain.incident import Incident
from bot.domain.outcome import Preview, Risk
from bot.domain.policy import ADMINS, EVERYONE, RESPONDERS, ActionPolicy, Permission
from bot.domain.run import Run
from bot.sandbox.models import BOT_USER_ID, TEAM_ID, UserGroup
from bot.sandbox.server import Sandbox
from bot.services.desk import Desk
from bot.slack.client import CALL_TIMEOUT_S, SlackApi
from bot.slack.people import GROUP_FRESH_S, People, person_from
from bot.slack.permissions import CLICK_FRESH_S, Permissions, UnsureError
from bot.storage.redis import RedisStore
from tests.conftest import MovingClock

SRE = "@incident-responders"
SRE_ID = "S0RESPONDERS"
IN_SRE = "U0LEAD"


class Ground:
    """An incident that the developer declared, with its room, and whoever is asked who may what in it."""

    def __init__(self, store: RedisStore, desk: Desk, sandbox: Sandbox, slack: SlackApi) -> None:
        self.store = store
        self.desk = desk
        self.sandbox = sandbox
        self.later_s = 0.0
        """How much time has passed; by itself none does, but for a moment at each look at the clock."""
        looks = itertools.count()
        self.people = People(slack, now=lambda: self.later_s + next(looks) / 1_000_000)
        self.permissions = Permissions(desk=desk, slack=slack, people=self.people, team_id=TEAM_ID, soon=self._soon)
        self.incident_id = ""
        self.room = sandbox.state.create_channel("inc-1", creator=BOT_USER_ID)
        self._work: list[asyncio.Task[None]] = []

    def _soon(self, work: Coroutine[Any, Any, None], *, name: str) -> None:
        self._work.append(asyncio.create_task(work, name=name))

    async def open(self) -> None:
        """The developer declares it."""
        declaration = Declaration(
            title="Somebody is in", runbook_ids=("clerk-security-incident",), origin=Origin(how="command"), private=False
        )
        self.incident_id = (await self.desk.declare(declaration, by="U0DEVELOPER", delivery=None)).incident.id
        await self.do(RecordRoom(channel_id=self.room.id, name="inc-1"), by="muster")
        self.sandbox.state.join(self.room, "U0DEVELOPER")

    async def do(self, command: Any, *, by: str) -> Incident:
        """A command. Who comes in is there in Slack, too."""
        if isinstance(command, Join) and command.user_id not in self.room.members:
            self.sandbox.state.join(self.room, command.user_id)
        return (await self.desk.handle(self.incident_id, command, by=by)).incident

    async def incident(self) -> Incident:
        """As it is now."""
        return await self.desk.get(self.incident_id)

    def allow(self, *, admins: tuple[str, ...] = (), **permissions: tuple[str, ...]) -> None:
        """policy.yml says so."""
        named = {Permission(name): who for name, who in permissions.items()}
        self.desk.catalog = replace(self.desk.catalog, policy=ActionPolicy(permissions=named, admins=admins))

    async def may(self, user_id: str, permission: Permission, *, certain: bool = False) -> str:
        """ "" when they may, else what they are told."""
        try:
            await self.permissions.require(user_id, permission, await self.incident(), certain=certain)
        except ForbiddenError as refused:
            return str(refused)
        return ""

    async def run(
        self, risk: Risk, *, by: str = "U0DEVELOPER", confirmed_by: str = "", alone: bool = False
    ) -> tuple[Incident, Run]:
        """A run that somebody asked for, and that somebody confirmed."""
        request = RequestRun(
            step_id="revoke", action="clerk.revoke_sessions", title="End sessions", risk=risk, params={"user_id": "user_2demo"}
        )
        incident = await self.do(request, by=by)
        run_id = list(incident.runs)[-1]
        if risk is not Risk.READ:
            incident = await self.do(RecordPreview(run_id=run_id, preview=Preview(summary="7 end")), by="muster")
            command = BreakGlass(run_id=run_id, reason="alone", alone=True) if alone else ConfirmRun(run_id=run_id)
            incident = await self.do(command, by=confirmed_by or by) if confirmed_by else incident
        return incident, incident.runs[run_id]

    def group(self, *user_ids: str) -> None:
        """These are in the group now."""
        self.sandbox.state.groups[SRE_ID].users[:] = user_ids

    def silence(self, *methods: str) -> None:
        """Slack answers these no more."""
        for method in methods:
            self.sandbox.faults.add(method, "500", times=100)

    def asked(self, method: str) -> int:
        """How often a method was called."""
        return sum(call.method == method for call in self.sandbox.calls)

    async def notes(self) -> list[str]:
        """What Muster wrote into the room by itself."""
        await asyncio.gather(*self._work)
        entries = await self.store.timeline(self.incident_id)
        return [entry.fact.text for entry in entries if entry.fact.kind == "noted"]


@pytest.fixture
async def ground(
    store: RedisStore,
    clock: MovingClock,
    catalog: Catalog,
    sandbox: Sandbox,
    slack: SlackApi,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[Ground]:
    """See ``Ground``. No request of Slack's waits here: how long a look-up takes on this machine changes nothing."""
    monkeypatch.setattr("bot.slack.patience.WHILE_SLACK_WAITS_S", CALL_TIMEOUT_S)
    made = Ground(store, Desk(store=store, clock=clock, catalog=catalog), sandbox, slack)
    await made.people.warm()
    await made.open()
    yield made
    await made.notes()  # nothing goes on behind the test


# -- who somebody is -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("permission", list(Permission))
async def test_no_outsider_may_anything(ground: Ground, permission: Permission) -> None:
    """Guests, bots, people who left, people of another workspace, nobody: also where everyone may, or they are named."""
    workspace = ground.sandbox.workspace
    former = workspace.add_user("former", "Former", deleted=True)
    stranger = workspace.add_user("stranger", "Stranger", team_id="T0OTHER")
    outsiders = ("U0GUEST", BOT_USER_ID, "USLACKBOT", former.id, stranger.id, "U0NOBODY")
    ground.group(*outsiders)
    for names in ((EVERYONE,), (RESPONDERS,), (ADMINS,), (SRE,), outsiders):
        ground.allow(admins=outsiders, **{permission.value: names})
        for user_id in outsiders:
            await ground.do(Join(user_id=user_id), by="muster")
            assert await ground.may(user_id, permission), (user_id, names)


def test_a_workflow_is_a_bot() -> None:
    """Its steps act as a user of their own."""
    assert person_from({"id": "U1", "name": "Workflow", "is_workflow_bot": True}).is_bot


async def test_everyone_is_every_member(ground: Ground) -> None:
    """Whoever is in no room, too; that is the default for declaring only."""
    assert await ground.may("U0SUPPORT", Permission.DECLARE) == ""
    for permission in set(Permission) - {Permission.DECLARE}:
        assert await ground.may("U0SUPPORT", permission)
    ground.allow(change=(EVERYONE,))
    assert await ground.may("U0SUPPORT", Permission.CHANGE) == ""


async def test_somebody_whom_slack_cannot_name(ground: Ground) -> None:
    """Calls for help and reads; what changes something is only for whom Slack knows."""
    newcomer = ground.sandbox.workspace.add_user("newcomer", "Newcomer")
    await ground.do(Join(user_id=newcomer.id), by=newcomer.id)
    ground.silence("users.info")
    assert await ground.may(newcomer.id, Permission.DECLARE) == ""
    assert await ground.may(newcomer.id, Permission.READ) == ""
    assert "cannot say who you are" in await ground.may(newcomer.id, Permission.CHANGE, certain=True)
    for permission in (Permission.DESTRUCTIVE, Permission.APPROVE, Permission.CONFIGURE):
        assert "cannot say who you are" in await ground.may(newcomer.id, permission)


async def test_what_is_grave_is_judged_by_who_somebody_is_now(ground: Ground) -> None:
    """Deactivated since everybody was read: still believed for a tick, not for an approval."""
    await ground.do(Join(user_id="U0LEAD"), by="U0LEAD")
    ground.sandbox.state.users["U0LEAD"].deleted = True
    ground.later_s = CLICK_FRESH_S + 1
    assert await ground.may("U0LEAD", Permission.READ) == ""
    assert "Only people of this workspace" in await ground.may("U0LEAD", Permission.APPROVE)
    assert "Only people of this workspace" in await ground.may("U0LEAD", Permission.READ)  # what was learned counts


# -- circles, groups, people ---------------------------------------------------------------------------------------


async def test_responders_are_the_people_of_the_room(ground: Ground) -> None:
    """The declarer, and whoever is in the room of Slack: who was not seen coming in is recorded."""
    assert await ground.may("U0DEVELOPER", Permission.CHANGE) == ""
    assert f"Only people in <#{ground.room.id}> can do that" in await ground.may("U0SUPPORT", Permission.CHANGE)
    assert "U0SUPPORT" not in (await ground.incident()).responders
    ground.sandbox.state.join(ground.room, "U0SUPPORT")
    assert await ground.may("U0SUPPORT", Permission.CHANGE) == ""
    assert "U0SUPPORT" in (await ground.incident()).responders


async def test_before_there_is_an_incident_nobody_is_a_responder(ground: Ground) -> None:
    """`declare: [responders, "@sre"]` is for the group alone."""
    ground.allow(declare=(RESPONDERS, SRE))
    await ground.permissions.require(IN_SRE, Permission.DECLARE, None)
    with pytest.raises(ForbiddenError, match=r"Only people in the room of the incident or members of the user group @inc"):
        await ground.permissions.require("U0DEVELOPER", Permission.DECLARE, None)


@pytest.mark.parametrize("name", [SRE, SRE_ID, "U0LEAD", "lead@example.com", "Lead@Example.com"])
async def test_whoever_is_named_need_not_be_in_the_room(ground: Ground, name: str) -> None:
    """And whoever is in the room but not named may not."""
    ground.allow(destructive=(name,), change=(name,))
    for permission in (Permission.DESTRUCTIVE, Permission.CHANGE):
        assert await ground.may("U0LEAD", permission) == ""
        assert "nothing was done" in await ground.may("U0DEVELOPER", permission)
    assert "U0LEAD" not in (await ground.incident()).responders


async def test_who_is_refused_reads_who_may(ground: Ground) -> None:
    """By name, where the name is known."""
    ground.allow(approve=(SRE, "U0CTO", RESPONDERS))
    told = await ground.may("U0SUPPORT", Permission.APPROVE)
    assert told == (
        "Only members of the user group @incident-responders, cto or people in the room of the incident can approve what needs "
        "a second person; nothing was done."
    )


async def test_nobody_is_a_group_by_calling_themselves_so(ground: Ground) -> None:
    """A user, or a display name, of the name of a group that is not there gives no right; the policy is at fault, and says so."""
    imposter = ground.sandbox.workspace.add_user("sre", "sre")
    ground.allow(approve=("@sre",))
    told = await ground.may(imposter.id, Permission.APPROVE)
    assert "there is no user group @sre in Slack; correct its name in runbooks/policy.yml" in told


async def test_admins_are_those_of_the_workspace_until_some_are_named(ground: Ground) -> None:
    """The owner; named ones take their place."""
    assert await ground.may("U0CTO", Permission.CONFIGURE) == ""
    assert await ground.may("U0LEAD", Permission.CONFIGURE) == (
        "Only admins of this workspace can change what Muster does for everybody; nothing was done."
    )
    ground.allow(admins=(SRE,))
    assert await ground.may("U0LEAD", Permission.CONFIGURE) == ""
    assert "members of the user group @incident-responders" in await ground.may("U0CTO", Permission.CONFIGURE)


# -- groups that cannot be read, and fresh ones ----------------------------------------------------------------------


async def test_a_group_that_cannot_be_read_lets_nobody_in(ground: Ground) -> None:
    """Not even whoever was in it when it was read last."""
    ground.allow(destructive=(SRE,), declare=(SRE,))
    ground.silence("usergroups.list")
    for permission in (Permission.DESTRUCTIVE, Permission.DECLARE):
        assert "cannot say at the moment who is in @incident-responders" in await ground.may(IN_SRE, permission)
    with pytest.raises(TemporaryError):
        await ground.people.members(SRE, read_since=0)


async def test_a_group_that_cannot_be_read_does_not_keep_the_others_out(ground: Ground) -> None:
    """One name is enough."""
    ground.allow(destructive=(SRE, RESPONDERS), approve=(SRE, "U0CTO"))
    ground.silence("usergroups.list")
    assert await ground.may("U0DEVELOPER", Permission.DESTRUCTIVE) == ""
    assert await ground.may("U0CTO", Permission.APPROVE) == ""


async def test_groups_are_read_at_once_and_seldom(ground: Ground) -> None:
    """A hundred clicks are one call: it is Tier 2. Right before a run begins it is asked once more."""
    ground.sandbox.state.groups["S0OTHER"] = UserGroup("S0OTHER", "other", "Other", ["U0CTO"])
    ground.allow(change=(SRE, "@other"), destructive=(SRE, "@other"), approve=(SRE,))
    for _ in range(50):
        assert await ground.may(IN_SRE, Permission.CHANGE) == ""
        assert await ground.may("U0CTO", Permission.DESTRUCTIVE) == ""
    assert ground.asked("usergroups.list") == 1
    incident, run = await ground.run(Risk.DESTRUCTIVE, by="U0CTO", confirmed_by=IN_SRE)
    assert await ground.permissions.refusal(incident, run) == ""
    assert ground.asked("usergroups.list") == 2
    for later_s, permission in ((CLICK_FRESH_S + 1, Permission.DESTRUCTIVE), (GROUP_FRESH_S, Permission.CHANGE)):
        ground.later_s += later_s
        ground.group()
        assert await ground.may(IN_SRE, permission), permission
        ground.group(IN_SRE)


# -- right before a run begins ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("risk", list(Risk))
async def test_what_those_confirmed_who_may_begins(ground: Ground, risk: Risk) -> None:
    """The developer asks, the lead approves; both are in the room."""
    await ground.do(Join(user_id="U0LEAD"), by="U0LEAD")
    incident, run = await ground.run(risk, confirmed_by="U0LEAD")
    assert await ground.permissions.refusal(incident, run) == ""


@pytest.mark.parametrize("removed", ["U0DEVELOPER", "U0LEAD"])
async def test_removed_from_the_group_a_second_ago(ground: Ground, removed: str) -> None:
    """Whoever asked, or approved, was in the group at the click: what counts is now."""
    ground.allow(destructive=(SRE,), approve=(SRE,))
    ground.group("U0DEVELOPER", "U0LEAD")
    for user_id in ("U0DEVELOPER", "U0LEAD"):
        assert await ground.may(user_id, Permission.APPROVE) == ""
    incident, run = await ground.run(Risk.DESTRUCTIVE, confirmed_by="U0LEAD")
    ground.sandbox.state.groups[SRE_ID].users.remove(removed)
    refused = await ground.permissions.refusal(incident, run)
    what = "asked for it" if removed == "U0DEVELOPER" else "approved it"
    assert f"who {what}, may not any more, so nothing was done: only members of the user group {SRE} may." in refused


async def test_who_left_the_room_or_the_workspace_meanwhile(ground: Ground) -> None:
    """The approver left the room; the approver was deactivated."""
    ground.sandbox.state.join(ground.room, "U0LEAD")
    await ground.do(Join(user_id="U0LEAD"), by="U0LEAD")
    _, run = await ground.run(Risk.DESTRUCTIVE, confirmed_by="U0LEAD")
    ground.sandbox.state.users["U0LEAD"].deleted = True
    assert "may not any more" in await ground.permissions.refusal(await ground.incident(), run)
    ground.sandbox.state.users["U0LEAD"].deleted = False
    assert await ground.permissions.refusal(await ground.incident(), run) == ""
    await ground.sandbox.workspace.leave("engineering-lead", "inc-1")
    incident = await ground.do(Leave(user_id="U0LEAD"), by="U0LEAD")
    assert "engineering-lead, who approved it, may not any more" in await ground.permissions.refusal(incident, run)


async def test_nobody_approves_their_own_request(ground: Ground) -> None:
    """Whatever wrote it into the timeline: a confirmation by whoever asked begins nothing, without a break-glass."""
    incident, run = await ground.run(Risk.DESTRUCTIVE, confirmed_by="U0DEVELOPER", alone=True)
    assert await ground.permissions.refusal(incident, run) == ""
    assert "needs a second person" in await ground.permissions.refusal(incident, replace(run, break_glass=""))
    assert "Nobody has confirmed it" in await ground.permissions.refusal(incident, replace(run, confirmed=None))


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("a@example.com", "a@example.com", True),
        ("a@example.com", "A+work@Example.com", True),
        ("a+1@example.com", "a+2@example.com", True),
        ("a@example.com", "b@example.com", False),
        ("a@example.com", "a@example.net", False),
        (None, None, False),
    ],
)
async def test_two_accounts_of_one_human_are_one_person(
    ground: Ground, first: str | None, second: str | None, same: bool
) -> None:
    """By the mailbox behind the address: at the click, and once more before it begins."""
    users = ground.sandbox.state.users
    users["U0DEVELOPER"].email, users["U0LEAD"].email = first, second
    await ground.do(Join(user_id="U0LEAD"), by="U0LEAD")
    incident, run = await ground.run(Risk.DESTRUCTIVE, confirmed_by="U0LEAD")
    assert ("same e-mail address" in await ground.permissions.refusal(incident, run)) is same
    try:
        await ground.permissions.require_confirmer("U0LEAD", incident, run)
        refused = False
    except ForbiddenError:
        refused = True
    assert refused is same


async def test_whoever_works_at_the_terminal_is_trusted(ground: Ground) -> None:
    """They have a shell; an invented user that is neither is not."""
    for risk in Risk:
        incident, run = await ground.run(risk, by="terminal:root", confirmed_by="terminal:root", alone=risk is Risk.DESTRUCTIVE)
        assert await ground.permissions.refusal(incident, run) == ""
        await ground.do(Note(text="x"), by="U0DEVELOPER")
        moment = run.requested.model_copy(update={"by": "phone:+1555"})
        assert "is nobody in Slack" in await ground.permissions.refusal(incident, replace(run, requested=moment))
        break  # one run of a step at a time


@pytest.mark.parametrize(("risk", "begins"), [(Risk.DESTRUCTIVE, False), (Risk.CHANGE, False), (Risk.READ, True)])
async def test_when_slack_cannot_say_who_they_are(ground: Ground, risk: Risk, begins: bool) -> None:
    """Reading goes on; nothing else does. It is asked more than once."""
    newcomer = ground.sandbox.workspace.add_user("newcomer", "Newcomer")
    await ground.do(Join(user_id=newcomer.id), by=newcomer.id)
    await ground.do(Join(user_id="U0LEAD"), by="U0LEAD")
    incident, run = await ground.run(risk, by=newcomer.id, confirmed_by="U0LEAD")
    ground.silence("users.info")
    refused = await ground.permissions.refusal(incident, run)
    assert (refused == "") is begins
    assert begins or "Slack cannot say at the moment whether" in refused
    assert begins or ground.asked("users.info") == 3


async def test_slack_that_answers_a_second_later_stops_no_run(ground: Ground) -> None:
    """One failure is not an answer."""
    await ground.do(Join(user_id="U0LEAD"), by="U0LEAD")
    incident, run = await ground.run(Risk.DESTRUCTIVE, confirmed_by="U0LEAD")
    ground.sandbox.faults.add("users.info", "500")
    assert await ground.permissions.refusal(incident, run) == ""


async def test_the_permission_is_that_of_the_risk(ground: Ground) -> None:
    """Asking for a change needs `change`, approving needs `approve`, and neither gives the other."""
    ground.allow(change=("U0DEVELOPER",), destructive=("U0DEVELOPER",), approve=("U0LEAD",), read=("U0CTO",))
    incident, run = await ground.run(Risk.DESTRUCTIVE, confirmed_by="U0LEAD")
    assert await ground.permissions.refusal(incident, run) == ""
    await ground.permissions.require_confirmer("U0LEAD", incident, run)
    with pytest.raises(ForbiddenError, match="Only engineering-lead can approve"):
        await ground.permissions.require_confirmer("U0CTO", incident, run)
    change = replace(run, risk=Risk.CHANGE)
    assert "only developer may" in await ground.permissions.refusal(incident, change)  # the lead confirmed it
    reading = replace(run, risk=Risk.READ)
    assert "only cto may" in await ground.permissions.refusal(incident, reading)


async def test_everybody_who_could_have_a_say_may_say_no(ground: Ground) -> None:
    """The room, and whoever might ask or approve; nobody else."""
    ground.allow(destructive=("U0CTO",), approve=(SRE,))
    incident, run = await ground.run(Risk.DESTRUCTIVE)
    for user_id in ("U0DEVELOPER", "U0CTO", IN_SRE):
        await ground.permissions.require_no(user_id, incident, run)
    with pytest.raises(ForbiddenError, match="can stop this"):
        await ground.permissions.require_no("U0SUPPORT", incident, run)


# -- who else may approve --------------------------------------------------------------------------------------------


async def test_who_else_may_approve(ground: Ground) -> None:
    """Not whoever asked, not a second account of theirs, no guest, nobody who left."""
    double = ground.sandbox.workspace.add_user("developer.two", "Developer")
    double.email = "developer+2@example.com"
    ground.allow(approve=(SRE, "cto@example.com", double.id))
    ground.group("U0DEVELOPER", "U0ONCALL", "U0GUEST")
    incident, run = await ground.run(Risk.DESTRUCTIVE)
    assert await ground.permissions.approvers(incident, run) == {"U0ONCALL", "U0CTO"}


async def test_a_team_of_one_has_no_second_person(ground: Ground) -> None:
    """Until somebody comes into the room."""
    incident, run = await ground.run(Risk.DESTRUCTIVE)
    assert await ground.permissions.approvers(incident, run) == frozenset()
    ground.sandbox.state.join(ground.room, "U0LEAD")
    assert await ground.permissions.approvers(incident, run) == {"U0LEAD"}


async def test_admins_may_approve(ground: Ground) -> None:
    """Those of the workspace, or those that are named."""
    ground.allow(approve=(ADMINS,))
    incident, run = await ground.run(Risk.DESTRUCTIVE)
    assert await ground.permissions.approvers(incident, run) == {"U0CTO"}
    ground.allow(approve=(ADMINS,), admins=(SRE,))
    assert await ground.permissions.approvers(incident, run) == {"U0ONCALL", "U0LEAD"}


async def test_approvers_that_cannot_be_listed(ground: Ground) -> None:
    """Everyone; and a group that Slack does not show, which does not mean that there is nobody."""
    incident, run = await ground.run(Risk.DESTRUCTIVE)
    ground.allow(approve=(EVERYONE,))
    assert await ground.permissions.approvers(incident, run) is None
    ground.allow(approve=(SRE,))
    ground.silence("usergroups.list")
    assert await ground.permissions.approvers(incident, run) is None


# -- groups that change during an incident -----------------------------------------------------------------------------


async def test_the_room_hears_that_a_group_that_gives_rights_has_changed(ground: Ground) -> None:
    """Whoever may edit the group lets himself in: it works, and everybody reads it, once."""
    ground.allow(approve=(SRE,), change=("@other",))
    ground.sandbox.state.groups["S0OTHER"] = UserGroup("S0OTHER", "other", "Other", ["U0CTO"])
    await ground.permissions.warm()
    ground.group("U0ONCALL", "U0SUPPORT")
    ground.sandbox.state.groups["S0OTHER"].users.append("U0SUPPORT")
    ground.later_s = GROUP_FRESH_S + 1
    assert await ground.may("U0SUPPORT", Permission.APPROVE) == ""
    assert await ground.may("U0SUPPORT", Permission.CHANGE) == ""
    assert await ground.may("U0SUPPORT", Permission.APPROVE) == ""
    (note,) = await ground.notes()
    assert "The members of @incident-responders changed during this incident" in note
    assert "added: support-agent (U0SUPPORT); removed: engineering-lead (U0LEAD)" in note


async def test_a_group_that_did_not_change_is_no_news(ground: Ground) -> None:
    """Nor is the first look at it."""
    ground.allow(approve=(SRE,))
    assert await ground.may(IN_SRE, Permission.APPROVE) == ""
    incident, run = await ground.run(Risk.DESTRUCTIVE, confirmed_by=IN_SRE)
    assert await ground.permissions.refusal(incident, run) == ""
    assert await ground.notes() == []


async def test_a_start_without_slack_warms_nothing_and_fails_nothing(ground: Ground) -> None:
    """The groups are read when they are needed."""
    ground.allow(approve=(SRE,))
    ground.sandbox.faults.add("usergroups.list", "500")
    await ground.permissions.warm()
    assert await ground.may(IN_SRE, Permission.APPROVE) == ""


async def test_unsure_is_a_refusal() -> None:
    """Whoever catches a refusal catches it."""
    assert issubclass(UnsureError, ForbiddenError)
