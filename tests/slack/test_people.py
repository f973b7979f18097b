"""Who is who: read once, found by name, user group or display name, and believed for a while."""

from __future__ import annotations

import aiohttp
import pytest

from bot.domain.errors import PermanentError, TemporaryError
from bot.sandbox.models import UserGroup
from bot.sandbox.server import Sandbox
from bot.slack.client import SlackApi, make_client
from bot.slack.people import People, person_from
from tests.slack.conftest import Answering


def called(sandbox: Sandbox, method: str) -> int:
    """How often a method was called."""
    return sum(call.method == method for call in sandbox.calls)


# -- reading -------------------------------------------------------------------------------------------------------


async def test_everybody_is_read_at_the_start(people: People, sandbox: Sandbox) -> None:
    """Later looks cost nothing."""
    person = await people.get("U0ONCALL")
    assert (person.handle, person.name, person.team_id) == ("oncall", "oncall", "T0SANDBOX")
    assert (person.is_bot, person.is_guest, person.is_gone) == (False, False, False)
    assert called(sandbox, "users.info") == 0


async def test_all_pages_are_read(slack: SlackApi, sandbox: Sandbox) -> None:
    """users.list gives 200 at a time."""
    for number in range(450):
        sandbox.workspace.add_user(f"person{number}", "Person", channels=())
    people = People(slack)
    await people.warm()
    assert called(sandbox, "users.list") == 3
    assert (await people.get(sandbox.workspace.user("person449").id)).handle == "person449"
    assert called(sandbox, "users.info") == 0


async def test_a_newcomer_is_looked_up_alone(people: People, sandbox: Sandbox) -> None:
    """Once."""
    newcomer = sandbox.workspace.add_user("newcomer", "Newcomer")
    assert (await people.get(newcomer.id)).handle == "newcomer"
    assert (await people.get(newcomer.id)).handle == "newcomer"
    assert called(sandbox, "users.info") == 1


async def test_nobody_is_nobody(people: People) -> None:
    """The edge says it as Slack does."""
    with pytest.raises(PermanentError) as error:
        await people.get("U404")
    assert error.value.code == "user_not_found"


async def test_a_start_without_slack_reads_later(slack: SlackApi, sandbox: Sandbox) -> None:
    """What cannot be read now is read when it is needed; who is unknown meanwhile is an error, not a guess."""
    sandbox.faults.add("users.list", "500")
    people = People(slack)
    await people.warm()
    assert (await people.get("U0ONCALL")).handle == "oncall"
    sandbox.faults.add("users.info", "429")
    with pytest.raises(TemporaryError):
        await people.get("U0LEAD")


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"is_bot": True}, "is_bot"),
        ({"id": "USLACKBOT"}, "is_bot"),
        ({"is_restricted": True}, "is_guest"),
        ({"is_ultra_restricted": True}, "is_guest"),
        ({"is_stranger": True}, "is_guest"),
        ({"deleted": True}, "is_gone"),
    ],
)
def test_what_a_user_object_says(changed: dict[str, object], field: str) -> None:
    """Bots, guests of both kinds, strangers of shared channels, people who left."""
    person = person_from({"id": "U1", "name": "Somebody", "team_id": "T1", **changed})
    assert [name for name in ("is_bot", "is_guest", "is_gone") if getattr(person, name)] == [field]


@pytest.mark.parametrize(
    ("user", "name"),
    [
        ({"profile": {"display_name": "shown", "real_name": "real"}, "real_name": "Real", "name": "handle"}, "shown"),
        ({"profile": {"display_name": ""}, "real_name": "Real", "name": "handle"}, "Real"),
        ({"profile": {"real_name": "real"}, "name": "handle"}, "real"),
        ({"name": "handle"}, "handle"),
        ({"profile": None, "name": None}, ""),
    ],
)
def test_the_name_is_the_one_that_people_see(user: dict[str, object], name: str) -> None:
    """Display name, else the real one, else the handle."""
    assert person_from({"id": "U1", **user}).name == name


@pytest.mark.parametrize("flag", ["is_admin", "is_owner", "is_primary_owner"])
def test_owners_are_admins(flag: str) -> None:
    """Slack says three things."""
    assert person_from({"id": "U1", flag: True}).is_admin
    assert not person_from({"id": "U1", flag: False}).is_admin


@pytest.mark.parametrize(
    ("email", "mailbox"),
    [
        ("Some.Body+tag@Example.com", "some.body@example.com"),
        ("a@example.com", "a@example.com"),
        ("a++b@example.com", "a@example.com"),
        ("", ""),
        ("no-at", ""),
    ],
)
def test_what_addresses_come_to_one_mailbox(email: str, mailbox: str) -> None:
    """Case and what is behind a plus do not count; no address is no mailbox."""
    assert person_from({"id": "U1", "profile": {"email": email}}).mailbox == mailbox


async def test_a_reading_that_is_too_old_is_no_answer(people: People, sandbox: Sandbox) -> None:
    """Whoever wants to know who somebody is now is not told who they were."""
    now = people.now()
    sandbox.faults.add("users.info", "500")
    with pytest.raises(TemporaryError):
        await people.get("U0LEAD", read_since=now)
    sandbox.state.users["U0LEAD"].deleted = True
    assert not (await people.get("U0LEAD")).is_gone
    assert (await people.get("U0LEAD", read_since=now)).is_gone
    assert (await people.get("U0LEAD")).is_gone


async def test_the_members_of_a_group_and_nobody_else(people: People, sandbox: Sandbox) -> None:
    """By handle in any case, or by id; all groups in one call; an empty group is empty."""
    sandbox.state.groups["S0EMPTY"] = UserGroup("S0EMPTY", "night-shift", "Night shift", [])
    since = people.now()
    for group in ("@incident-responders", "@Incident-Responders", "S0RESPONDERS"):
        assert await people.members(group, read_since=since) == {"U0ONCALL", "U0LEAD"}
    assert await people.members("@night-shift", read_since=since) == frozenset()
    for group in ("@oncall", "@nobody", "S0NOTHING", "@"):
        with pytest.raises(PermanentError, match=r"no user group .* correct its name in runbooks/policy\.yml") as error:
            await people.members(group, read_since=since)
        assert error.value.code == "no_such_group"
    assert called(sandbox, "usergroups.list") == 1


# -- contacts ------------------------------------------------------------------------------------------------------


async def test_an_id_is_itself(people: People, sandbox: Sandbox) -> None:
    """Whether there is such a person shows when they are paged."""
    before = len(sandbox.calls)
    assert await people.resolve("U0ONCALL") == ("U0ONCALL",)
    assert await people.resolve("U404") == ("U404",)
    assert len(sandbox.calls) == before


@pytest.mark.parametrize("contact", ["@oncall", "@OnCall", "@ONCALL"])
async def test_a_user_is_found_by_name(people: People, contact: str) -> None:
    """In any case."""
    assert await people.resolve(contact) == ("U0ONCALL",)


async def test_a_user_group_is_its_members(people: People, sandbox: Sandbox) -> None:
    """Asked for once a minute, however often the room is looked at."""
    for _ in range(5):
        assert await people.resolve("@incident-responders") == ("U0ONCALL", "U0LEAD")
    assert called(sandbox, "usergroups.list") == 1
    assert called(sandbox, "usergroups.users.list") == 1


def shown_as(user_id: str, handle: str, display_name: str, **fields: object) -> dict[str, object]:
    """A user as users.list gives them."""
    return {"id": user_id, "name": handle, "profile": {"display_name": display_name}, **fields}


@pytest.fixture
async def chosen_names(server: Answering, session: aiohttp.ClientSession) -> People:
    """A workspace in which people have chosen display names, some of them with a plan."""
    server.methods["users.list"] = {
        "members": [
            shown_as("U1", "a.person", "Night Shift"),
            shown_as("U2", "b.person", "night shift"),
            shown_as("U3", "g.guest", "Night Shift", is_restricted=True),
            shown_as("U4", "deploybot", "Night Shift", is_bot=True),
            shown_as("U5", "former", "Night Shift", deleted=True),
            shown_as("U6", "oncall", "Somebody"),
            shown_as("U7", "joker", "oncall"),
            shown_as("U8", "joker2", "responders"),
        ]
    }
    server.methods["usergroups.list"] = {"usergroups": [{"id": "S1", "handle": "responders"}]}
    server.methods["usergroups.users.list"] = {"users": ["U6"]}
    people = People(SlackApi(make_client(session, token="xoxb-1", base_url=server.url)))
    await people.warm()
    return people


async def test_a_display_name_finds_the_members_who_show_it(chosen_names: People) -> None:
    """It is what Slack shows behind the @; guests, bots and people who left do not get in by it."""
    assert await chosen_names.resolve("@Night Shift") == ("U1", "U2")


async def test_a_chosen_display_name_diverts_no_page(chosen_names: People) -> None:
    """The user of that name and the group of that handle come first: anybody can call themselves "oncall"."""
    assert await chosen_names.resolve("@oncall") == ("U6",)
    assert await chosen_names.resolve("@responders") == ("U6",)


async def test_a_workspace_without_user_groups_still_finds_people(chosen_names: People, server: Answering) -> None:
    """They need a paid plan; a display name works without."""
    server.methods["usergroups.list"] = {"ok": False, "error": "plan_upgrade_required"}
    assert await chosen_names.resolve("@Night Shift") == ("U1", "U2")


async def test_an_unknown_handle_says_what_to_write(people: People) -> None:
    """And where."""
    with pytest.raises(PermanentError, match=r"nobody in Slack is called @nobody.*runbooks/contacts\.yml") as error:
        await people.resolve("@nobody")
    assert error.value.code == "contact_not_found"


async def test_an_empty_user_group_is_nobody(people: People, sandbox: Sandbox) -> None:
    """A rotation that nobody is in."""
    sandbox.state.groups["S0EMPTY"] = UserGroup("S0EMPTY", "night-shift", "Night shift", [])
    with pytest.raises(PermanentError, match="user group @night-shift is empty"):
        await people.resolve("@night-shift")


async def test_who_left_is_not_found(slack: SlackApi, sandbox: Sandbox) -> None:
    """A deactivated user keeps the name."""
    sandbox.workspace.add_user("former", "Former", deleted=True)
    people = People(slack)
    await people.warm()
    with pytest.raises(PermanentError):
        await people.resolve("@former")


async def test_a_group_that_cannot_be_read_is_tried_again(people: People, sandbox: Sandbox) -> None:
    """Nobody is paged wrongly because Slack was slow."""
    sandbox.faults.add("usergroups.list", "429", retry_after_s=3)
    with pytest.raises(TemporaryError):
        await people.resolve("@incident-responders")
    assert await people.resolve("@incident-responders") == ("U0ONCALL", "U0LEAD")
