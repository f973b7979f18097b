"""The status page: the words before they are public, once on the page however often it runs, ok only when read back."""

from __future__ import annotations

import itertools
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import web
from pydantic import SecretStr

from bot.actions.registry import load_actions
from bot.actions.runner import execute, look, preview
from bot.actions.spec import ActionContext, RunFacts
from bot.domain.errors import FencedError, MusterError, UserError
from bot.domain.outcome import Risk, State
from bot.providers.config import ProviderConfig
from bot.providers.http import guarded
from bot.providers.table import Providers
from bot.sandbox.world import World
from bot.slack.blocks.runs import ITEMS_MOST, LINE_MAX_CHARS
from tests.actions.conftest import make_context

UPDATE = load_actions()["statuspage.update"]
TEXT = "Since 03:10 UTC nobody can sign in.\nWe write again at 03:40 UTC."
GIVEN: dict[str, Any] = {"text": TEXT, "status": "investigating", "title": "Problems with signing in"}
SECRET_TITLE = "stolen laptop of the finance team"


@pytest.fixture
async def context(world: World, world_url: str, waits: list[float], lines: list[str]) -> AsyncIterator[ActionContext]:
    """Of an incident whose title must not be public, with the world's page."""
    environment = world.environment(world_url)
    config = ProviderConfig(
        statuspage_api_key=SecretStr(environment["STATUSPAGE_API_KEY"]),
        statuspage_api_url=environment["STATUSPAGE_API_URL"],
        statuspage_page_id=environment["STATUSPAGE_PAGE_ID"],
    )
    async with Providers(config) as providers:
        facts = RunFacts(incident_id="inc1", incident_title=SECRET_TITLE, private=True)
        yield replace(make_context(providers, waits, lines), run=facts)


def writes(world: World) -> list[str]:
    """The calls that write."""
    return [row["method"] for row in world.ledger if row["method"] != "GET"]


async def test_the_preview_of_a_new_one(world: World, context: ActionContext) -> None:
    """The exact words, the page, that nobody is mailed; and nothing is published."""
    found = await preview(UPDATE, GIVEN, context)
    assert found.summary == (
        "A new incident “Problems with signing in” is opened on Sandbox Status (status.sandbox.example) as investigating; "
        "it cannot be taken back"
    )
    assert found.items == (
        "Title: Problems with signing in",
        "Status: investigating",
        "Subscribers of the page are not mailed",
        "> Since 03:10 UTC nobody can sign in.",
        "> We write again at 03:40 UTC.",
    )
    assert found.confirm_label == "Publish it"
    mailing = await preview(UPDATE, GIVEN | {"notify_subscribers": True}, context)
    assert (mailing.items[2], mailing.confirm_label) == ("Subscribers of the page get it by mail", "Publish and mail it")
    assert writes(world) == []


async def test_a_long_text_is_shown_whole(context: ActionContext) -> None:
    """Two thousand characters of it, none cut off."""
    text = " ".join(f"word{number}" for number in range(220))
    found = await preview(UPDATE, GIVEN | {"text": text}, context)
    assert len(found.items) <= ITEMS_MOST
    assert max(map(len, found.items)) <= LINE_MAX_CHARS
    assert " ".join(item.removeprefix("> ") for item in found.items if item.startswith("> ")) == text


async def test_published_updated_and_resolved(world: World, context: ActionContext) -> None:
    """One incident on the page, its three texts, each read back; nobody is mailed, and nothing of ours is public."""
    first = await execute(UPDATE, GIVEN, context)
    assert (first.state, first.value, first.facts["mailed"]) == (State.OK, "investigating", False)
    seen = await preview(UPDATE, GIVEN | {"text": "Found it.", "status": "identified"}, context)
    assert "gets an update: investigating → identified" in seen.summary
    assert seen.items[0] == "Title: Problems with signing in (stays as it is)"
    await execute(UPDATE, GIVEN | {"text": "Found it.", "status": "identified", "title": "Another"}, context)
    last = await execute(UPDATE, GIVEN | {"text": "It works.", "status": "resolved"}, context)
    assert (last.state, last.value) == (State.OK, "resolved")
    (public,) = world.statuspage.incidents
    assert (public["name"], public["status"]) == ("Problems with signing in", "resolved")
    assert world.statuspage.texts() == [TEXT, "Found it.", "It works."]
    assert world.statuspage.mailed == []
    assert SECRET_TITLE not in json.dumps([world.statuspage.incidents, first.model_dump(), last.model_dump()])


async def test_mailed_only_when_somebody_says_so(world: World, context: ActionContext) -> None:
    """The page would mail by default."""
    outcome = await execute(UPDATE, GIVEN | {"notify_subscribers": True}, context)
    assert "the subscribers get it by mail" in outcome.summary
    assert world.statuspage.mailed == [TEXT]


async def test_the_same_text_twice_is_there_once(world: World, context: ActionContext) -> None:
    """Also when it is resolved; the preview says that nothing would change."""
    for given in (GIVEN, GIVEN | {"text": "It works.", "status": "resolved"}):
        await execute(UPDATE, given, context)
        assert (await execute(UPDATE, given, context)).state is State.OK
        assert (await preview(UPDATE, given, context)).nothing_to_do
        assert (await look(UPDATE, given, context)).state is State.OK
    assert writes(world) == ["POST", "PATCH"]


async def test_the_incident_of_somebody_else_is_left_alone(world: World, context: ActionContext) -> None:
    """Another incident of Muster, or one that a person opened, gets no text of ours."""
    await execute(UPDATE, GIVEN, replace(context, run=RunFacts(incident_id="inc2")))
    await execute(UPDATE, GIVEN | {"text": "Ours"}, context)
    assert [len(public["incident_updates"]) for public in world.statuspage.incidents] == [1, 1]


async def test_after_its_end_a_new_one_is_opened(world: World, context: ActionContext) -> None:
    """It broke again: what is over stays as it was."""
    await execute(UPDATE, GIVEN, context)
    await execute(UPDATE, GIVEN | {"text": "It works.", "status": "resolved"}, context)
    again = GIVEN | {"text": "It is back."}
    assert (await preview(UPDATE, again, context)).summary.startswith("A new incident")
    assert (await execute(UPDATE, again, context)).state is State.OK
    assert [public["status"] for public in world.statuspage.incidents] == ["resolved", "investigating"]


async def test_a_confirmation_is_for_the_page_as_it_was_shown(context: ActionContext) -> None:
    """What somebody writes meanwhile changes the state that the confirmation is bound to."""
    before = (await preview(UPDATE, GIVEN | {"text": "Found it."}, context)).state
    assert (await preview(UPDATE, GIVEN | {"text": "Found it."}, context)).state == before
    await execute(UPDATE, GIVEN, context)
    assert (await preview(UPDATE, GIVEN | {"text": "Found it."}, context)).state != before


async def test_nothing_to_resolve(world: World, context: ActionContext) -> None:
    """Nobody was told that it began."""
    given = GIVEN | {"status": "resolved"}
    with pytest.raises(UserError, match="nothing to resolve"):
        await preview(UPDATE, given, context)
    assert (await execute(UPDATE, given, context)).state is State.FAILING
    assert writes(world) == []


@pytest.mark.parametrize(
    ("facts", "words"),
    [(RunFacts(incident_id="inc1", drill=True), "this is a drill"), (RunFacts(), "without an incident")],
    ids=["drill", "no incident"],
)
async def test_where_nothing_may_be_published(world: World, context: ActionContext, facts: RunFacts, words: str) -> None:
    """Nothing is."""
    barred = replace(context, run=facts)
    with pytest.raises(UserError, match=words):
        await preview(UPDATE, GIVEN, barred)
    outcome = await execute(UPDATE, GIVEN, barred)
    assert (outcome.state, outcome.value) == (State.FAILING, "not done")
    assert writes(world) == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"text": "  \n "},
        {"text": "a" * 2_001},
        {"text": "\n".join("abcdefghijklmnopq")},
        {"text": "the key is sk_live_abcdefghijklmnop1234"},
        {"title": "a" * 121},
        {"title": "two\nlines"},
        {"title": ""},
        {"status": "scheduled"},
        {"page": "another"},
    ],
)
async def test_parameters_that_do_not_fit(world: World, context: ActionContext, wrong: dict[str, Any]) -> None:
    """Nobody is asked; a secret is not repeated in the refusal."""
    with pytest.raises(UserError, match=r"statuspage\.update cannot run") as raised:
        await preview(UPDATE, GIVEN | wrong, context)
    assert "sk_live" not in str(raised.value)
    assert world.ledger == []


WRITE, READ_BACK = 3, 4
"""Which call of a run that opens an incident it is."""


def failing_at(number: int, fault: Callable[[], None], context: ActionContext) -> ActionContext:
    """``fault`` happens before that call, which is the next one after the limit let it pass."""
    passed = itertools.count(1)

    async def pace(_name: str, _per_s: float) -> None:
        if next(passed) == number:
            fault()

    return replace(context, pace=pace)


async def test_every_call_keeps_to_the_limit(world: World, context: ActionContext) -> None:
    """One a second, shared by all replicas."""
    paced: list[tuple[str, float]] = []

    async def pace(name: str, per_s: float) -> None:
        paced.append((name, per_s))

    limited = replace(context, pace=pace)
    await preview(UPDATE, GIVEN, limited)
    await execute(UPDATE, GIVEN, limited)
    assert paced == [("statuspage", 1.0)] * len(world.ledger)


async def test_a_lost_answer_is_looked_for(world: World, context: ActionContext) -> None:
    """It was done: the text is there, once, and the outcome says how that is known."""
    outcome = await execute(UPDATE, GIVEN, failing_at(WRITE, lambda: world.plant("statuspage", "done_then_drop", 1), context))
    assert (outcome.state, "The answer was lost" in outcome.details[0]) == (State.OK, True)
    assert world.statuspage.texts() == [TEXT]


async def test_a_call_that_was_lost_is_not_repeated_by_itself(world: World, context: ActionContext) -> None:
    """It was not done: that is seen and said, and a person may run it again."""
    outcome = await execute(UPDATE, GIVEN, failing_at(WRITE, lambda: world.plant("statuspage", "drop", 1), context))
    assert (outcome.state, outcome.value) == (State.FAILING, "not published")
    assert world.statuspage.texts() == []
    assert writes(world) == ["POST"]


async def test_a_text_that_cannot_be_read_back_is_not_green(world: World, context: ActionContext) -> None:
    """Statuspage took it; whether it stands there is not known, and it says to look first."""
    outcome = await execute(UPDATE, GIVEN, failing_at(READ_BACK, lambda: world.set("own_status_page", "error"), context))
    assert (outcome.state, outcome.value) == (State.UNKNOWN, "not seen")
    assert "took the text, but it could not be read back" in outcome.summary
    assert outcome.remedy.startswith("Look at the page before you write it again")


async def test_a_page_that_keeps_no_metadata_is_not_green(world: World, context: ActionContext) -> None:
    """The text cannot be found again, so nobody says that it is there."""

    def lose() -> None:
        world.statuspage.incidents[0]["metadata"] = {}

    outcome = await execute(UPDATE, GIVEN, failing_at(READ_BACK, lose, context))
    assert outcome.state is State.FAILING


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("unauthorized", "STATUSPAGE_API_KEY"),
        ("rate_limited", "limits the rate"),
        ("error", "answered 500"),
        ("html", "a web page"),
    ],
)
async def test_every_refusal_has_its_sentence(world: World, context: ActionContext, value: str, words: str) -> None:
    """And nothing was published."""
    world.set("own_status_page", value)
    outcome = await execute(UPDATE, GIVEN, context)
    assert outcome.state is State.UNKNOWN
    assert words in f"{outcome.summary} {outcome.remedy}"
    with pytest.raises(MusterError, match=words):
        await preview(UPDATE, GIVEN, context)
    assert world.statuspage.texts() == []


@pytest.mark.parametrize("status", [403, 404, 422, 429])
async def test_a_refused_text_is_not_published(serve: Callable[..., Awaitable[str]], context: ActionContext, status: int) -> None:
    """The reads work, the write does not: said as it is, without the key."""

    async def answer(request: web.Request) -> web.Response:
        return web.json_response({"error": "no"}, status=status) if request.method == "POST" else web.json_response([])

    config = ProviderConfig(
        statuspage_api_key=SecretStr("key-canary"), statuspage_api_url=await serve(answer), statuspage_page_id="page1"
    )
    async with Providers(config) as providers:
        outcome = await execute(UPDATE, GIVEN, replace(context, providers=providers))
    assert (outcome.state, str(status) in outcome.summary) == (State.UNKNOWN, True)
    assert outcome.remedy
    assert "canary" not in outcome.model_dump_json()


async def test_not_configured(context: ActionContext) -> None:
    """It names the variable; nobody is asked."""
    async with Providers(ProviderConfig()) as providers:
        outcome = await execute(UPDATE, GIVEN, replace(context, providers=providers))
    assert (outcome.state, "STATUSPAGE_PAGE_ID" in outcome.remedy) == (State.UNKNOWN, True)


async def test_the_write_is_not_sent_by_who_lost_the_lease(world: World, context: ActionContext) -> None:
    """Another replica has the run by now."""

    def lost() -> None:
        raise FencedError("another worker has it")

    with guarded(lost), pytest.raises(FencedError):
        await execute(UPDATE, GIVEN, context)
    assert writes(world) == []
    assert world.statuspage.texts() == []


def test_what_it_declares() -> None:
    """A second person approves it, and a repetition looks first."""
    assert (UPDATE.risk, UPDATE.idempotency, UPDATE.undo) == (Risk.DESTRUCTIVE, "lookup", "")
    assert UPDATE.settings == ("STATUSPAGE_API_KEY", "STATUSPAGE_PAGE_ID")
