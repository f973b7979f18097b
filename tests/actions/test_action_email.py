"""Telling the users who are hit: each of them once, what was not seen is not repeated, and no address leaves."""

from __future__ import annotations

import asyncio
import shutil
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from bot.actions.email import AT_ONCE, MOST_NOT_NOW
from bot.actions.mail_templates import MAX_BYTES, read_template
from bot.actions.registry import load_actions
from bot.actions.runner import execute, preview
from bot.actions.spec import ActionContext, RunFacts
from bot.domain.errors import FencedError, MusterError, NotConfiguredError, UserError
from bot.domain.outcome import Outcome, Preview, Risk, State
from bot.providers.http import guarded
from bot.providers.table import Providers
from bot.sandbox.world import World, smtp
from bot.services.jobs import MemoryJob
from bot.storage.runbook_files import check_paths
from tests.actions.conftest import config_of, make_context
from tests.conftest import ROOT
from tests.notify.mail_server import END, GREETING, FaultyMailServer

SPEC = load_actions()["email.notify_users"]
TEXT = "Subject: News for ${name}\n\nHello ${name},\n\nthis happened: ${details}\n\nOn ${date}, as ${reference}.\n.\n"
USERS = ("user_2demo", "user_2quiet", "user_2many")
FACTS = RunFacts(
    incident_id="inc-7", incident_number=7, run_id="r1", accounts=USERS, confirmed_at=datetime(2026, 11, 20, 3, tzinfo=UTC)
)
PARAMS: dict[str, Any] = {"template": "news", "details": "somebody was in"}


@pytest.fixture
def templates(tmp_path: Path) -> Path:
    """A folder with one text."""
    (tmp_path / "news.txt").write_text(TEXT, encoding="utf-8")
    return tmp_path


@pytest.fixture
async def post(
    world: World, world_url: str, templates: Path, waits: list[float], lines: list[str]
) -> AsyncIterator[ActionContext]:
    """A context with the mail server of the world, for an incident that knows three accounts."""
    await world.start()
    config = config_of(world.environment(world_url)).model_copy(
        update={"smtp_url": SecretStr(world.smtp.url), "smtp_from": smtp.SENDER, "templates_dir": templates}
    )
    async with Providers(config) as providers:
        yield replace(make_context(providers, waits, lines), run=FACTS)
    await world.stop()


@pytest.fixture
async def faulty(post: ActionContext) -> AsyncIterator[tuple[FaultyMailServer, ActionContext]]:
    """The same over a mail server that fails where the test wants it."""
    server = FaultyMailServer()
    await server.start()
    config = post.providers.config.model_copy(update={"smtp_url": SecretStr(f"smtp://127.0.0.1:{server.port}")})
    async with Providers(config) as providers:
        yield server, replace(post, providers=providers)
    await server.stop()


async def notify(context: ActionContext, **params: Any) -> Outcome:
    """Run it."""
    return await execute(SPEC, {**PARAMS, **params}, context)


async def show(context: ActionContext, **params: Any) -> Preview:
    """Preview it."""
    return await preview(SPEC, {**PARAMS, **params}, context)


def receivers(world: World) -> Counter[str]:
    """Who got how many mails."""
    return Counter(address for mail in world.smtp.mails for address in mail.recipients)


def addresses(*names: str) -> Counter[str]:
    """One mail each."""
    return Counter({f"{name}@sandbox.example": 1 for name in names})


def test_it_needs_a_second_person() -> None:
    """A mail cannot be taken back."""
    assert SPEC.risk is Risk.DESTRUCTIVE
    assert SPEC.idempotency == "key"


async def test_the_preview_says_who_and_what_and_sends_nothing(world: World, post: ActionContext) -> None:
    """The number, the subject, the first lines, the ids; never an address."""
    shown = await show(post)
    assert shown.summary == "3 people get the mail “News for …”; it cannot be taken back"
    assert shown.items[:3] == ("Subject: News for …", "> Hello …,", "> this happened: somebody was in")
    assert "> On 2026-11-20, as inc-7." in shown.items
    assert {f"to {user_id}" for user_id in USERS} <= set(shown.items)
    assert (shown.accounts, shown.affects, shown.confirm_label) == (tuple(sorted(USERS)), 3, "Write to 3 people")
    assert "sandbox.example" not in shown.model_dump_json()
    assert world.smtp.mails == []


async def test_what_was_confirmed_is_bound_to_the_text_and_the_people(post: ActionContext, templates: Path) -> None:
    """Another text, or another account on the list, is another state: the run does nothing then."""
    first = (await show(post)).state
    assert first
    assert (await show(post)).state == first
    assert (await show(replace(post, run=replace(FACTS, accounts=USERS[:2])))).state != first
    (templates / "news.txt").write_text(TEXT.replace("happened", "occurred"), encoding="utf-8")
    assert (await show(post)).state != first


async def test_everybody_gets_their_own_mail(world: World, post: ActionContext, lines: list[str]) -> None:
    """At the primary address, by the first name, with the words of whoever sent it; the count is honest."""
    outcome = await notify(post)
    assert (outcome.state, outcome.value) == (State.OK, "3 of 3 sent")
    assert outcome.summary == "The mail server took 3 of 3 mails."
    assert outcome.facts["sent"] == 3
    assert receivers(world) == addresses("2demo", "2quiet", "2many")
    mail = world.smtp.mails[0]
    assert mail.subject == "News for Sandbox"
    assert mail.text.replace("\r\n", "\n").startswith(
        "Hello Sandbox,\n\nthis happened: somebody was in\n\nOn 2026-11-20, as inc-7.\n."
    )
    assert mail.message["From"] == smtp.SENDER
    assert mail.message["Auto-Submitted"] == "auto-generated"
    assert lines[-1] == "3 of 3 people done"
    assert "sandbox.example" not in outcome.model_dump_json()
    assert outcome.report.splitlines() == [f"{user_id}\tsent" for user_id in sorted(USERS)]


async def test_named_users_go_before_the_accounts_of_the_incident(world: World, post: ActionContext) -> None:
    """Typed one per line; twice the same is once."""
    await notify(post, user_ids="user_2pending\nuser_2pending, user_2demo")
    assert receivers(world) == addresses("2pending", "2demo")


@pytest.mark.parametrize(
    ("facts", "params", "words"),
    [
        (replace(FACTS, accounts=()), {}, "there is nobody to tell"),
        (replace(FACTS, protected=frozenset(USERS)), {}, "there is nobody to tell"),
        (replace(FACTS, drill=True), {}, "this is a drill, and users are real"),
        (replace(FACTS, accounts=("acct_1",)), {}, "acct_1 is no user of Clerk"),
        (FACTS, {"details": ""}, "says what happened; fill in"),
        (FACTS, {"details": "\u202e\u200b \n"}, "says what happened; fill in"),
        (FACTS, {"template": "nothing"}, "there is no text “nothing” in templates/ of the runbooks; there are: news"),
        (FACTS, {"template": "../news"}, "template: "),
        (FACTS, {"user_ids": "../../v1/user"}, "user_ids"),
        (FACTS, {"user_ids": "user_nobody"}, "none of these 1 accounts has an e-mail address"),
    ],
)
async def test_what_must_not_be_sent_is_not(
    world: World, post: ActionContext, facts: RunFacts, params: dict[str, Any], words: str
) -> None:
    """Neither shown nor done."""
    context = replace(post, run=facts)
    with pytest.raises(UserError, match=words):
        await show(context, **params)
    outcome = await notify(context, **params)
    assert outcome.state is not State.OK
    assert world.smtp.mails == []


@pytest.mark.parametrize("name", ["user_2many", "2MANY@sandbox.example"])
async def test_protected_accounts_are_left_out(world: World, post: ActionContext, name: str) -> None:
    """By id and by address, whoever named them; it is said, and nothing is amiss for that."""
    context = replace(post, run=replace(FACTS, protected=frozenset({name})))
    shown = await show(context)
    assert "user_2many is protected by policy.yml, and is left out" in shown.items
    assert "user_2many" not in shown.accounts
    outcome = await notify(context)
    assert (outcome.state, outcome.value, outcome.facts["protected"]) == (State.OK, "2 of 2 sent", 1)
    assert receivers(world) == addresses("2demo", "2quiet")
    assert "user_2many: protected" in outcome.details


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "there is no text “account-accessed” in templates/ of the runbooks; there are: signed-out"),
        (b"Hello ${name}\n", "templates/account-accessed.txt has to begin with “Subject: …”, then an empty line, then the text"),
        (b"Subject: x\n\n${password}\n", "templates/account-accessed.txt has ${password}, which is nothing; it may have ${name}"),
        (b"Subject: x\n\nGr\xfc\xdfe\n", "templates/account-accessed.txt is not UTF-8; save it as UTF-8"),
    ],
)
def test_a_text_that_cannot_be_sent_is_found_when_the_runbooks_are_read(tmp_path: Path, text: bytes | None, words: str) -> None:
    """Not in the night when it is needed."""
    folder = tmp_path / "runbooks"
    shutil.copytree(ROOT / "runbooks", folder)
    assert [fault for fault in check_paths([folder], actions=load_actions()) if fault.level == "error"] == []
    path = folder / "templates" / "account-accessed.txt"
    path.unlink()
    if text is not None:
        path.write_bytes(text)
    (fault,) = [fault for fault in check_paths([folder], actions=load_actions()) if fault.level == "error"]
    lines = (folder / "clerk" / "security-incident.yml").read_text("utf-8").splitlines()
    assert "with: {template: account-accessed}" in lines[fault.line - 1]
    assert words in str(fault)


async def test_who_has_no_address_is_counted(world: World, post: ActionContext) -> None:
    """Gone at Clerk, without a primary address, or with one that no server takes: failing, with the ids."""
    world.clerk.users["user_2quiet"]["primary_email_address_id"] = None
    world.clerk.users["user_2many"]["email_addresses"][0]["email_address"] = "a@b.example\r\nBcc: x@y.example"
    context = replace(post, run=replace(FACTS, accounts=(*USERS, "user_gone")))
    assert "user_gone has no e-mail address at Clerk, and is left out" in (await show(context)).items
    outcome = await notify(context)
    assert (outcome.state, outcome.facts["sent"], outcome.facts["no_address"]) == (State.FAILING, 1, 3)
    assert receivers(world) == addresses("2demo")
    assert "user_gone: no address" in outcome.details


async def test_one_mailbox_that_is_refused_stops_nobody_else(world: World, post: ActionContext) -> None:
    """It is named by its account, and the rest is sent."""
    world.smtp.behave("2quiet@sandbox.example", "unknown")
    outcome = await notify(post)
    assert (outcome.state, outcome.facts["refused"], outcome.facts["sent"]) == (State.FAILING, 1, 2)
    assert outcome.details[0].startswith("user_2quiet: refused: the mail server 127.0.0.1")
    assert receivers(world) == addresses("2demo", "2many")


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        ({GREETING: "554 5.7.1 no"}, "refused the connection"),
        ({"MAIL": "553 5.7.1 no"}, "check SMTP_FROM"),
        ({"DATA": "554 5.7.1 no"}, "demands of mails"),
    ],
)
async def test_a_server_that_takes_nothing_is_not_asked_for_everybody(
    faulty: tuple[FaultyMailServer, ActionContext], answers: dict[str, str], words: str
) -> None:
    """It ends with what to mend, and says who was not written to."""
    server, context = faulty
    server.answers = answers
    many = tuple(f"user_2{name}" for name in ("demo", "quiet", "many", "pending"))
    outcome = await notify(replace(context, run=replace(FACTS, accounts=many)))
    assert outcome.state is State.FAILING
    assert words in outcome.summary
    assert outcome.facts["sent"] == 0
    assert server.mails == []
    assert len([line for line in server.conversation if line.startswith("EHLO")]) <= AT_ONCE


async def test_what_the_server_does_not_take_now_is_tried_again(
    faulty: tuple[FaultyMailServer, ActionContext], waits: list[float]
) -> None:
    """Three times, and then it is counted as not sent; the run ends."""
    server, context = faulty
    server.answers = {"RCPT": "450 4.2.1 later"}
    outcome = await notify(context)
    assert (outcome.state, outcome.facts["not_sent"]) == (State.FAILING, 3)
    assert len(waits) == 2 * len(USERS)
    assert server.mails == []


async def test_nobody_listens_for_long(world: World, post: ActionContext) -> None:
    """After some people in a row the rest is not tried."""
    for number in range(20):
        account = {**world.clerk.users["user_2demo"], "id": f"user_x{number}"}
        world.clerk.users[f"user_x{number}"] = account
    await world.smtp.stop()
    outcome = await notify(replace(post, run=replace(FACTS, accounts=tuple(f"user_x{number}" for number in range(20)))))
    assert (outcome.state, outcome.facts["not_sent"]) == (State.FAILING, 20)
    assert len([line for line in outcome.report.splitlines() if "not begun" in line]) >= 20 - MOST_NOT_NOW - AT_ONCE


@pytest.mark.parametrize("answer", ["hang", "reset"])
async def test_a_mail_whose_end_nobody_saw_is_not_repeated(faulty: tuple[FaultyMailServer, ActionContext], answer: str) -> None:
    """Behind the last dot nobody knows: unknown, and not once more."""
    server, context = faulty
    server.answers = {END: answer}
    if answer == "hang":

        async def hang_up() -> None:
            while len(server.mails) < len(USERS):  # noqa: ASYNC110 - nobody tells when a mail is there
                await asyncio.sleep(0.01)
            for talk in list(server._talks):
                talk.cancel()

        outcome, _ = await asyncio.gather(notify(context), hang_up())
    else:
        outcome = await notify(context)
    assert (outcome.state, outcome.facts["may_have_been_sent"], outcome.facts["sent"]) == (State.UNKNOWN, 3, 0)
    assert len(server.mails) == 3
    assert "may have been sent" in outcome.summary


class Interrupted(MemoryJob):
    """A job whose process ends when mails have left and nothing was struck off yet."""

    def __init__(self, *, at: int) -> None:
        super().__init__()
        self._at = at

    async def end(self, ends: Any) -> None:
        """Dies at the last moment."""
        if any(end == "sent" for end in ends.values()):
            self._at -= 1
            if self._at == 0:
                raise asyncio.CancelledError
        await super().end(ends)


async def test_a_run_that_was_killed_goes_on_and_writes_to_nobody_twice(world: World, post: ActionContext) -> None:
    """Those under way are counted as in doubt, the others are written to once: done and doubtful and the rest are all."""
    for number in range(20):
        person = {**world.clerk.users["user_2demo"], "id": f"user_x{number}"}
        person["email_addresses"] = [{**person["email_addresses"][0], "email_address": f"x{number}@sandbox.example"}]
        world.clerk.users[f"user_x{number}"] = person
    people = tuple(f"user_x{number}" for number in range(20))
    job = Interrupted(at=3)
    context = replace(post, run=replace(FACTS, accounts=people), job=job)
    with pytest.raises(asyncio.CancelledError):
        await notify(context)
    assert len(world.smtp.mails) == 3 * AT_ONCE
    outcome = await notify(replace(context, run=replace(context.run, attempt=2, accounts=())))
    assert (outcome.state, outcome.facts["planned"]) == (State.UNKNOWN, 20)
    assert (outcome.facts["sent"], outcome.facts["may_have_been_sent"]) == (20 - AT_ONCE, AT_ONCE)
    assert set(receivers(world).values()) == {1}
    assert len(world.smtp.mails) == 20
    again = await notify(replace(context, run=replace(context.run, attempt=3)))
    assert again.facts == outcome.facts
    assert len(world.smtp.mails) == 20


async def test_a_text_that_was_changed_meanwhile_is_not_sent(world: World, post: ActionContext, templates: Path) -> None:
    """Half of the people must not read something else than what was confirmed."""
    job = Interrupted(at=1)
    context = replace(post, job=job)
    with pytest.raises(asyncio.CancelledError):
        await notify(context)
    sent = len(world.smtp.mails)
    (templates / "news.txt").write_text(TEXT + "And more.\n", encoding="utf-8")
    outcome = await notify(context)
    assert "the text was changed since it was confirmed" in outcome.summary
    assert outcome.state is not State.OK
    assert len(world.smtp.mails) == sent


async def test_stop_ends_before_the_next_mail(world: World, post: ActionContext) -> None:
    """Nothing is sent after it, and the rest is counted."""
    outcome = await notify(replace(post, is_stopping=lambda: True))
    assert (outcome.state, outcome.facts["not_sent"]) == (State.FAILING, 3)
    assert "it was stopped" in outcome.summary
    assert world.smtp.mails == []


async def test_without_the_lease_no_mail_leaves(world: World, post: ActionContext) -> None:
    """Another worker has it: no outcome of ours, and no mail."""

    def refuse() -> None:
        raise FencedError("somebody else has it")

    with pytest.raises(FencedError), guarded(refuse):
        await notify(post)
    assert world.smtp.mails == []


async def test_clerk_that_does_not_answer_stops_it_with_an_honest_count(world: World, post: ActionContext) -> None:
    """Nobody was written to, and that is said."""
    world.set("clerk_api", "error")
    outcome = await notify(post)
    assert (outcome.state, outcome.facts["sent"], outcome.facts["not_sent"]) == (State.FAILING, 0, 3)
    assert "Clerk" in outcome.summary


async def test_what_is_not_configured_is_named(post: ActionContext) -> None:
    """The mail server, and the sender."""
    for changes, words in (({"smtp_url": None}, "set SMTP_URL"), ({"smtp_from": None}, "SMTP_FROM: is not set")):
        async with Providers(post.providers.config.model_copy(update=changes)) as providers:
            with pytest.raises(MusterError, match=words):
                await show(replace(post, providers=providers))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"Hello", "has to begin with"),
        (b"Subject: a\nCc: b@example.com\n\nHello", "has to begin with"),
        (b"Subject: a\n\n \n", "has to begin with"),
        (b"Subject: a\n\nHello ${nane}", r"has \$\{nane\}, which is nothing; it may have \$\{name\}"),
        (b"Subject: \xff\n\nHello", "is not UTF-8"),
        (b"Subject: a\n\n" + b"x" * MAX_BYTES, "is longer than"),
    ],
)
def test_texts_that_cannot_be_sent(tmp_path: Path, text: bytes, words: str) -> None:
    """Each says what to mend."""
    (tmp_path / "bad.txt").write_bytes(text)
    with pytest.raises(UserError, match=words):
        read_template(tmp_path, "bad")


def test_values_are_not_looked_into(templates: Path) -> None:
    """What somebody is called, or typed, is no template."""
    values = {"name": "${details}{0}%s", "details": "${date}\r\nBcc: x", "date": "d", "reference": "r"}
    filled = read_template(templates, "news").filled(values)
    assert filled.subject == "News for ${details}{0}%s"
    assert "this happened: ${date}" in filled.body


@pytest.mark.parametrize("name", sorted(path.stem for path in (ROOT / "runbooks" / "templates").glob("*.txt")))
def test_the_texts_that_are_shipped(name: str) -> None:
    """They can be read, and say what happened."""
    template = read_template(ROOT / "runbooks" / "templates", name)
    assert template.wants("details")
    assert template.wants("reference")


def test_no_folder_of_texts() -> None:
    """The variable is named."""
    with pytest.raises(NotConfiguredError) as caught:
        read_template(None, "news")
    assert caught.value.setting == "MUSTER_RUNBOOKS"
