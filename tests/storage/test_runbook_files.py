"""The folder of runbooks: what a good one becomes, and where each fault of a bad one is."""

# ruff: noqa: E501 - a fault is one line, as it is printed

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from bot.domain.catalog import Catalog
from bot.domain.escalation import Way
from bot.domain.outcome import Risk
from bot.domain.severity import Severity
from bot.slack.blocks.ids import MOST_CANDIDATES
from bot.storage.findings import Action, FileCheck
from bot.storage.phrase_rules import OFFERED_MOST
from bot.storage.runbook_files import check_paths, load_catalog, runbook_json_schema
from bot.storage.yaml_strict import Fault


class UrlParams(BaseModel):
    """Parameters of a probe."""

    model_config = ConfigDict(extra="forbid")

    url: str
    timeout_s: int = Field(default=5, ge=1, le=30)

    @field_validator("url")
    @classmethod
    def _is_an_address(cls, value: str) -> str:
        if not value.startswith("http"):
            raise ValueError("must begin with http")
        return value


class NoParams(BaseModel):
    """Nothing to say."""

    model_config = ConfigDict(extra="forbid")


class UserParams(BaseModel):
    """Parameters of something done to a user."""

    model_config = ConfigDict(extra="forbid")

    user_id: str = Field(pattern="^user_[a-z]+$")


class EitherParams(BaseModel):
    """Parameters that are right or wrong together."""

    model_config = ConfigDict(extra="forbid")

    user_id: str = ""
    everyone: bool = False

    @model_validator(mode="after")
    def _is_one_of_them(self) -> EitherParams:
        if bool(self.user_id) is self.everyone:
            raise ValueError("say either user_id or everyone")
        return self


@dataclass(frozen=True)
class Act:
    """An action, as far as the files care."""

    params: type[BaseModel] = NoParams
    risk: Risk = Risk.READ
    settings: tuple[str, ...] = ()
    undo: str = ""
    check: FileCheck | None = None


ACTIONS: dict[str, Action] = {
    "http.probe": Act(UrlParams),
    "shop.revoke": Act(UserParams, Risk.CHANGE, ("SHOP_KEY",), undo="shop.restore"),
    "shop.restore": Act(UserParams, Risk.CHANGE),
    "shop.status": Act(settings=("SHOP_KEY", "SHOP_URL")),
    "shop.burn": Act(risk=Risk.DESTRUCTIVE),
    "shop.sweep": Act(EitherParams, Risk.CHANGE),
    "shop.count": Act(EitherParams),
}

SERVICES = """\
services:
  - id: shop
    title: The shop
    vars:
      url: https://shop.test
      nested: x
      unset: ""
  - id: asleep
    title: Asleep
    enabled: false
    vars: {unset: ""}
"""
CONTACTS = """\
contacts:
  - {id: on-call, name: On-call engineer, slack: "@oncall"}
  - {id: lead, name: Engineering lead, phone: +15551234567}
external:
  - {id: vendor, name: Vendor, url: "https://vendor.test", note: ask for the manager}
policies:
  - id: default
    levels:
      - {after: 0m, notify: [on-call]}
      - {after: 15m, notify: [lead]}
"""
SEVERITIES = "".join(
    f"SEV{n}: {{title: T{n}, criteria: [c], response: [r], respond_within: 15m, resolve_within: {n}h}}\n" for n in (1, 2, 3, 4)
)
RUNBOOK = """\
id: shop-down
title: Shop down
service: shop
severity: SEV1
symptoms: [Nobody can buy]
triggers:
  phrases: [shop down]
diagnostics:
  - {id: status, title: Status, run: shop.status}
  - {id: health, title: Health, run: http.probe, with: {url: "${url}/health", timeout_s: 10}}
checklist:
  - {id: confirm, title: Confirm, shows: [status, health]}
  - {id: revoke, title: Revoke, run: shop.revoke, undo: shop.restore, caution: Careful.}
  - id: cause
    title: Whose fault?
    choose:
      - id: theirs
        title: Theirs
        suggested_when: {diagnostic: status, is: failing}
        steps:
          - {id: wait, title: Wait, guide: "See ${url}.", link: {title: Page, url: "${url}/page"}}
      - id: ours
        title: Ours
        steps: [{id: mend, title: Mend}]
  - {id: review, title: Review}
links:
  - {title: Shop, url: "${url}"}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A faultless folder, but for two variables that are not set."""
    top = tmp_path / "runbooks"
    (top / "shop").mkdir(parents=True)
    (top / "services.yml").write_text(SERVICES)
    (top / "contacts.yml").write_text(CONTACTS)
    (top / "severities.yml").write_text(SEVERITIES)
    (top / "policy.yml").write_text("on_phrase: ask\ndefault_severity: SEV2\n")
    (top / "shop" / "down.yml").write_text(RUNBOOK)
    return top


UNSET = "services.yml:7:14: warning: the variable “unset” of “shop” has no value: what needs it will answer “unknown”; write it here, or set MUSTER_VAR_SHOP_UNSET"


def said(faults: tuple[Fault, ...], folder: Path) -> list[str]:
    """The faults as they are printed, with short paths, without the warning that the fixture brings along."""
    lines = [str(fault).removeprefix(f"{folder}{os.sep}") for fault in faults]
    return [line for line in lines if line != UNSET]


def load(folder: Path, **overrides: str) -> Catalog:
    """The catalog of a folder without errors."""
    result = load_catalog(folder, actions=ACTIONS, overrides=overrides)
    assert result.catalog is not None, "\n".join(str(fault) for fault in result.faults)
    return result.catalog


def faults_of(folder: Path) -> list[str]:
    """The errors and warnings of a folder that gives no catalog."""
    result = load_catalog(folder, actions=ACTIONS)
    assert result.catalog is None
    return said(tuple(fault for fault in result.faults if fault.level != "info"), folder)


def remarks_of(folder: Path, *unset: str) -> list[str]:
    """The warnings and infos of a folder that is usable; of the settings, those in ``unset`` have no value."""
    result = load_catalog(folder, actions=ACTIONS, is_set=lambda name: name not in unset)
    assert result.catalog is not None, "\n".join(str(fault) for fault in result.faults)
    return said(result.faults, folder)


def change(path: Path, old: str, new: str) -> None:
    """Replace the one ``old`` in a file."""
    text = path.read_text()
    assert text.count(old) == 1, f"{old!r} is {text.count(old)} times in {path.name}"
    path.write_text(text.replace(old, new))


def test_a_good_folder_becomes_a_catalog(folder: Path) -> None:
    """Everything that the files say, in the models; the only fault is the warning about a variable."""
    result = load_catalog(folder, actions=ACTIONS)
    assert [str(fault).removeprefix(f"{folder}{os.sep}") for fault in result.faults] == [UNSET]
    catalog = result.catalog
    assert catalog is not None
    assert list(catalog.runbooks) == ["shop-down"]
    assert list(catalog.services) == ["shop", "asleep"]
    assert list(catalog.contacts) == ["on-call", "lead"]
    assert list(catalog.external_contacts) == ["vendor"]
    assert catalog.contacts["lead"].phone == "+15551234567"
    assert catalog.severities[Severity.SEV4].resolve_within_s == 4 * 3600
    assert (catalog.on_phrase, catalog.default_severity) == ("ask", Severity.SEV2)
    assert catalog.matcher.match("shop is down") is not None


def test_variables_are_replaced_everywhere_they_may_stand(folder: Path) -> None:
    """In the parameters of actions, in guides, in the addresses of links."""
    runbook = load(folder).runbooks["shop-down"]
    assert runbook.diagnostics[1].with_ == {"url": "https://shop.test/health", "timeout_s": "10"}
    wait = runbook.step("wait")
    assert wait.guide == "See https://shop.test."
    assert wait.link is not None
    assert wait.link.url == "https://shop.test/page"
    assert runbook.links[0].url == "https://shop.test"


@pytest.mark.parametrize("name", ["SHOP_URL", "MUSTER_VAR_SHOP_URL"])
def test_the_environment_overrides_a_variable(folder: Path, name: str) -> None:
    """With or without the prefix; a value that looks like a variable is not replaced in turn."""
    runbook = load(folder, **{name: "http://127.0.0.1:9/${nested}"}).runbooks["shop-down"]
    assert runbook.links[0].url == "http://127.0.0.1:9/${nested}"


def test_an_override_of_nothing_is_a_fault(folder: Path) -> None:
    """A slip of the pen in the environment would silently probe the wrong address."""
    result = load_catalog(folder, actions=ACTIONS, overrides={"SHOP_URI": "x"})
    assert result.catalog is None
    assert said(result.faults, folder) == [
        "services.yml:2:3: MUSTER_VAR_SHOP_URI is set, but no service has that variable; did you mean “MUSTER_VAR_SHOP_URL”?"
    ]


def test_an_override_gives_a_value_to_what_has_none(folder: Path) -> None:
    """The warning goes away."""
    assert load_catalog(folder, actions=ACTIONS, overrides={"SHOP_UNSET": "x"}).faults == ()


def test_a_diagnostic_with_an_unset_variable_is_left_for_its_action(folder: Path) -> None:
    """It keeps the name, so that nothing is contacted, and its outcome can say which variable to set."""
    change(folder / "shop" / "down.yml", "${url}/health", "${unset}/health")
    assert load(folder).runbooks["shop-down"].diagnostics[1].with_["url"] == "${unset}/health"


def test_policy_may_be_left_out(folder: Path) -> None:
    """Phrases open incidents by default."""
    (folder / "policy.yml").unlink()
    catalog = load(folder)
    assert (catalog.on_phrase, catalog.default_severity) == ("auto", Severity.SEV3)


def test_a_silenced_service_has_no_runbooks_but_they_are_checked(folder: Path) -> None:
    """A fault is found before the service is enabled again."""
    change(folder / "shop" / "down.yml", "service: shop", "service: asleep")
    change(folder / "shop" / "down.yml", "${url}/health", "https://x/health")
    change(folder / "shop" / "down.yml", "See ${url}.", "See.")
    change(folder / "shop" / "down.yml", "${url}/page", "https://x")
    change(folder / "shop" / "down.yml", "${url}", "https://x")
    assert load(folder).runbooks == {}
    change(folder / "shop" / "down.yml", "run: shop.status", "run: shop.state")
    assert "there is no action “shop.state”" in faults_of(folder)[0]


BRANCH = """\
      - id: more-{n}
        title: More {n}
        suggested_when: {when}
        steps: [{{id: step-{n}, title: S}}]
"""
PLAIN_BRANCH = """\
      - id: plain-{n}
        title: Plain {n}
        steps: [{{id: plain-step-{n}, title: S}}]
"""

RUNBOOK_FAULTS: list[tuple[str, str, str]] = [
    # keys and shapes
    ("title: Shop down", "titel: Shop down", "2:1: `titel` is not known here; did you mean “title”?"),
    ("title: Shop down\n", "", "1:1: the file has no `title`; add `title: …`"),
    ("  - {id: review, title: Review}", "  - {id: review}", "25:5: entry 4 of `checklist` has no `title`; add `title: …`"),
    ("symptoms: [Nobody can buy]", "symptoms: Nobody", "5:11: `symptoms` is not a list; write [one, two], or lines that begin with “- ”"),
    ("{id: review, title: Review}", "review", "25:5: entry 4 of `checklist` is not a mapping; write `key: value` lines below it"),
    ("title: Confirm", "title: [Confirm]", "12:26: `title` is not a text; write one value here"),
    ("id: shop-down", "id: Shop Down", "1:5: `id` is not an id: Shop Down; use lower-case letters, digits and single hyphens, for example clerk-auth-outage"),
    ("severity: SEV1", "severity: sev1", "4:11: `severity` is “sev1”, which is no such word; did you mean “SEV1”?"),
    ("severity: SEV1", "severity: P1", "4:11: `severity` is “P1”, which is no such word; there is only SEV1, SEV2, SEV3, SEV4"),
    ("is: failing", "is: broken", "19:50: `is` is “broken”, which is no such word; there is only failing, ok, unknown"),
    ("title: Mend", "title: Mend, colour: red", "24:41: `colour` is not known here; there is only caution, choose, guide, id, link, run, shows, steps, title, undo, watch, with"),
    ("severity: SEV1", "severity: SEV1\nprivate: no", "5:10: `private` is neither true nor false; write one of the two"),
    ("title: Mend", 'title: "  "', "24:35: `title` is empty; write at least one, or delete the line"),
    ("title: Mend", f"title: {'x' * 151}", "24:35: `title` is longer than 150 characters; say it shorter"),
    ("title: Mend", "title: Mend, watch: {every: 1m}", "24:17: entry 1 of `steps` has watch but shows nothing; name the diagnostic to repeat in shows"),
    ("shows: [status, health]", "shows: [status], watch: {every: 5s}", "12:59: `watch` `every` is between 10s and 1h: more often only costs, and less often nobody waits for"),
    ("shows: [status, health]", "shows: [status], watch: {every: 2h}", "12:59: `watch` `every` is between 10s and 1h: more often only costs, and less often nobody waits for"),
    ("shows: [status, health]", "shows: [status], watch: {until: good}", "12:67: `until` is not like `3 good`: how many good results in a row end it"),
    ("shows: [status, health]", "shows: [status], watch: {until: 0 good}", "12:67: `until` is not like `3 good`: how many good results in a row end it"),
    ("title: Mend", "title: Mend, shows: [status], run: shop.revoke", "24:17: entry 1 of `steps` has run and shows; a step is one of them, so make two steps of it"),
    ('url: "${url}/page"', "url: javascript:x", "21:84: `url` is not a web address; write https:// and a host, without a user, blanks or < > |"),
    # references
    ("service: shop", "service: shopp", "3:10: there is no service “shopp”; did you mean “shop”?"),
    ("shows: [status, health]", "shows: [status, helth]", "12:51: there is no diagnostic “helth” in this runbook; did you mean “health”?"),
    ("{diagnostic: status, is", "{diagnostic: page, is", "19:38: there is no diagnostic “page” in this runbook; there is only health, status"),
    ("run: shop.status", "run: shop.statsu", "9:38: there is no action “shop.statsu”; did you mean “shop.status”?"),
    ("run: shop.revoke", "run: shop.revoke_all", "13:38: there is no action “shop.revoke_all”; did you mean “shop.revoke”?"),
    ("undo: shop.restore", "undo: shop.undo", "13:57: there is no action “shop.undo”; did you mean “shop.burn”?"),
    ("links:", "escalation: {inherit: night}\nlinks:", "26:23: there is no escalation policy “night”; there is only default"),
    ("links:", "escalation: {levels: [{after: 5m, notify: [leed]}]}\nlinks:", "26:44: there is no contact “leed”; did you mean “lead”?"),
    ("links:", "escalation: {levels: [{after: 5m, notify: [vendor]}]}\nlinks:", "26:44: “vendor” is an external contact, who is never paged; name one of our own contacts"),
    ("links:", "escalation: {levels: [{after: 5m, notify: [lead, lead]}]}\nlinks:", "26:50: “lead” is notified twice; delete one of them"),
    ("links:", "escalation: {levels: [{after: 5, notify: [lead]}]}\nlinks:", "26:31: `after` is not a duration; write a number and a unit, for example 30s, 15m, 1h30m, 24h or 1w"),
    ("links:", "escalation: {levels: [{level: two, after: 5m, notify: [lead]}]}\nlinks:", "26:31: `level` is not a whole number; write digits"),
    # parameters of actions
    ('with: {url: "${url}/health", timeout_s: 10}', "with: {timeout_s: 10}", "10:5: the diagnostic “health” does not say `url`, which http.probe needs; add it: `with: {url: …}`"),
    ("timeout_s: 10", "timeout: 10", "10:79: `timeout` is not known here; did you mean “timeout_s”?"),
    ("timeout_s: 10", "timeout_s: 60", "10:90: `timeout_s` input should be less than or equal to 30"),
    ("timeout_s: 10", "timeout_s: soon", "10:90: `timeout_s` input should be a valid integer, unable to parse string as an integer"),
    ('"${url}/health"', "ftp://x", "10:62: `url` must begin with http"),
    ("run: shop.revoke,", "run: shop.revoke, with: {user_id: me},", "13:67: `user_id` does not have the form ^user_[a-z]+$: me"),
    # uniqueness
    ("checklist:", "  - {id: status, title: Again, run: shop.status}\nchecklist:", "11:10: another diagnostic has the id “status” too; give each its own id"),
    ("id: mend", "id: confirm", "24:22: another step has the id “confirm” too; give each its own id"),
    ("- id: ours", "- id: theirs", "22:13: another branch of this step has the id “theirs” too; give each its own id"),
    ("[shop down]", "[shop down, Shop is DOWN]", "7:24: the phrase “Shop is DOWN” says the same as “shop down”; delete one of them"),
    ("        title: Ours\n", "        title: Ours\n        suggested_when: {diagnostic: status, is: failing}\n", "24:25: the branch “ours” waits for the same evidence as one before it; change one of the two conditions"),
    # phrases
    ("[shop down]", '["24/7"]', "7:13: entry 1 of `phrases` has no letters, so nobody can say it; write the words that people use"),
    # what may stand where
    ("run: shop.status", "run: shop.burn", "9:38: the diagnostic “status” runs shop.burn, which changes something (destructive); diagnostics run unasked; make it a step"),
    ("title: Mend", "title: Mend, run: shop.burn", "24:17: the step “mend” runs shop.burn, which is destructive, without a caution; add `caution: …`: what to think of before doing it"),
    ("undo: shop.restore", "undo: shop.sweep", "13:57: shop.revoke is taken back by shop.restore, not by shop.sweep; write shop.restore"),
    ("undo: shop.restore", "undo: shop.status", "13:57: shop.status only reads, so it takes nothing back; name the action that does"),
    ("title: Mend", "title: Mend, run: shop.status, undo: shop.restore", "24:65: shop.status only reads, so there is nothing to take back; delete `undo`"),
    ("shows: [status, health]", "shows: [status, status]", "12:51: “status” is shown twice; delete one of them"),
    # branches that nobody can tell apart, or that are never suggested or never chosen
    ("title: Ours", "title: theirs", "23:16: another branch of this step has the title “theirs” too; say what is different"),
    ("      - id: ours\n", "".join(BRANCH.format(n=n, when=f"{{diagnostic: status, is: {state}}}") for n, state in enumerate(("ok", "unknown"))) + "      - id: ours\n        suggested_when: {diagnostic: health, is: ok}\n", "31:25: the branch “ours” is never suggested: those before it take every result of “status”; put it before them, or take one of their conditions out"),
    ("      - id: ours\n", "".join(PLAIN_BRANCH.format(n=n) for n in range(24)) + "      - id: ours\n", "91:9: the branch “plain-23” can never be chosen: Slack shows 25 buttons in a row, one is Skip; make two choices of it"),
    # phrases
    ("[shop down]", "['<https://x.test> down']", "7:13: the phrase “<https://x.test> down” can never be found as it is written; write it as “https x test down”"),
    # variables
    ("${url}/health", "${uri}/health", "10:62: the service “shop” has no variable “uri”; did you mean “url”?"),
    ("${url}/health", "${URL}/health", "10:62: “${URL}” is not a variable; write ${name}: lower-case letters, digits and _, closed by }"),
    ("${url}/health", "${url/health", "10:62: “${url/health” is not a variable; write ${name}: lower-case letters, digits and _, closed by }"),
    ("See ${url}.", "See ${unset}.", "21:44: the variable “unset” has no value, so this would lead nowhere; give it one in services.yml, or set MUSTER_VAR_SHOP_UNSET"),
    ("${url}/page", "${uri}/page", "21:84: the service “shop” has no variable “uri”; did you mean “url”?"),
    ("title: Mend", 'title: "Mend ${url}"', "24:35: a ${variable} is not replaced here; use it in `with`, in a `guide` or in the `url` of a link"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "fault"), RUNBOOK_FAULTS, ids=[fault[2][:60] for fault in RUNBOOK_FAULTS])
def test_faults_of_a_runbook(folder: Path, old: str, new: str, fault: str) -> None:
    """One mistake gives one fault: its line and column, what is wrong, what to write instead."""
    change(folder / "shop" / "down.yml", old, new)
    assert faults_of(folder) == [f"shop/down.yml:{fault}"]


def test_what_parameters_must_be_together_is_left_to_the_form(folder: Path) -> None:
    """A step need not give any of them; a diagnostic, at which nobody is asked, must."""
    change(folder / "shop" / "down.yml", "run: shop.revoke, undo: shop.restore", "run: shop.sweep")
    assert load(folder).runbooks["shop-down"].step("revoke").run == "shop.sweep"
    change(folder / "shop" / "down.yml", "title: Status, run: shop.status", "title: Status, run: shop.count")
    assert faults_of(folder) == ["shop/down.yml:9:5: `with` say either user_id or everyone"]


def remove(name: str) -> Callable[[Path], None]:
    """Delete a file."""
    return lambda folder: (folder / name).unlink()


def replace(name: str, old: str, new: str) -> Callable[[Path], None]:
    """Change a file."""
    return lambda folder: change(folder / name, old, new)


def write(name: str, text: str) -> Callable[[Path], None]:
    """Write a file."""

    def apply(folder: Path) -> None:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)

    return apply


def insert(text: str) -> Callable[[Path], None]:
    """Put a key into contacts.yml, in line 4."""
    return replace("contacts.yml", "external:", f"{text}\nexternal:")


def rotation(rest: str) -> str:
    """A rotation that has begun."""
    return f"rotations: [{{id: duty, name: Duty, starts: 2026-01-05, {rest}}}]"


FOLDER_FAULTS: list[tuple[Callable[[Path], None], str]] = [
    (remove("services.yml"), "services.yml:1:1: is missing; create it; docs/runbooks.md shows how"),
    (remove("contacts.yml"), "contacts.yml:1:1: is missing; create it; docs/runbooks.md shows how"),
    (remove("severities.yml"), "severities.yml:1:1: is missing; create it; docs/runbooks.md shows how"),
    (replace("services.yml", "- id: asleep", "- id: shop"), "services.yml:8:9: another service has the id “shop” too; give each its own id"),
    (replace("services.yml", "enabled: false", "enabled: off"), "services.yml:10:14: `enabled` is neither true nor false; write one of the two"),
    (replace("services.yml", "nested: x", "Nested: x"), "services.yml:6:7: `Nested` is not the name of a variable: Nested; use lower-case letters, digits and _, beginning with a letter"),
    (replace("services.yml", "nested: x", "nested: ${url}"), "services.yml:6:15: a value cannot use another variable; write the value out"),
    (replace("services.yml", "nested: x", "url: x"), "services.yml:6:7: has the key “url” twice, first in line 5; keep one of them"),
    (replace("contacts.yml", "external:", "  - {id: on-call, name: Again, slack: U012ABC}\nexternal:"), "contacts.yml:4:10: another contact, team or rotation has the id “on-call” too; give each its own id"),
    (replace("contacts.yml", "policies:", "  - {id: vendor, name: Again, note: ask}\npolicies:"), "contacts.yml:6:10: another contact, team or rotation has the id “vendor” too; give each its own id"),
    (replace("contacts.yml", '"@oncall"', "oncall"), "contacts.yml:2:50: `slack` is no member and no handle of Slack: oncall; write @handle in quotes, or a member id like U012ABCDEF"),
    (replace("contacts.yml", "+15551234567", "0555123"), "contacts.yml:3:47: `phone` is not an international phone number: 0555123; write it with + and the country code, +15551234567"),
    (replace("contacts.yml", "phone: +15551234567", "email: lead"), "contacts.yml:3:47: `email` is not an e-mail address: lead; write name@host"),
    (replace("contacts.yml", "notify: [lead]", "notify: [cto]"), "contacts.yml:10:31: there is no contact “cto”; there is only lead, on-call"),
    (replace("contacts.yml", "notify: [lead]", "notify: [vendor]"), "contacts.yml:10:31: “vendor” is an external contact, who is never paged; name one of our own contacts"),
    (replace("contacts.yml", "notify: [lead]", "notify: []"), "contacts.yml:10:30: `notify` is empty; write at least one, or delete the line"),
    (replace("contacts.yml", "{after: 15m", "{level: 1, after: 15m"), "contacts.yml:10:17: level 1 is number 2 in time; number the levels in order of time, or leave the numbers out"),
    (replace("contacts.yml", "id: default", "id: nights"), "contacts.yml:7:3: there is no escalation policy “default”; add it: runbooks inherit it unless they say otherwise"),
    (replace("contacts.yml", "    levels:\n      - {after: 0m, notify: [on-call]}\n      - {after: 15m, notify: [lead]}\n", "    levels: []\n"), "contacts.yml:8:13: the escalation policy “default” has no level, so nobody would be paged; add one: `- {after: 0m, notify: […]}`"),
    (replace("contacts.yml", "+15551234567", "+1-xxx-xxx-xxxx"), "contacts.yml:3:47: `phone` is a placeholder and no number: +1-xxx-xxx-xxxx; write the real number, or delete the line until you know it"),
    (replace("contacts.yml", "phone: +15551234567", 'slack: "@lead", via: [telephone]'), "contacts.yml:3:62: entry 1 of `via` is “telephone”, which is no such word; did you mean “phone”?"),
    # business hours
    (insert("business_hours: {timezone: Europe/Berln}"), "contacts.yml:4:28: `timezone` is no time zone: Europe/Berln; did you mean “Europe/Berlin”?"),
    (insert("business_hours: {timezone: Mars}"), "contacts.yml:4:28: `timezone` is no time zone: Mars; write one of the tz database, for example Europe/Berlin"),
    (insert("business_hours: {from: 9am}"), "contacts.yml:4:24: `from` is no time of day: 9am; write hours and minutes, 00:00 to 23:59, for example 09:00"),
    (insert('business_hours: {from: "17:00", to: "09:00"}'), "contacts.yml:4:17: `business_hours` is empty; give days, and a time `to` that is later than `from`"),
    (insert('business_hours: {from: "09:00", to: "09:59"}'), "contacts.yml:4:17: `business_hours` is shorter than an hour a day; give a longer working day"),
    # teams
    (insert("teams: [{id: lead, name: Leads, members: [lead]}]"), "contacts.yml:4:14: another contact, team or rotation has the id “lead” too; give each its own id"),
    (insert("teams: [{id: leads, name: Leads, members: [leed]}]"), "contacts.yml:4:44: there is no contact “leed”; did you mean “lead”?"),
    (insert("teams: [{id: leads, name: Leads, members: [lead, lead]}]"), "contacts.yml:4:50: “lead” is a member twice; delete one of them"),
    (insert("teams: [{id: leads, name: Leads, members: [vendor]}]"), "contacts.yml:4:44: “vendor” is an external contact, and only contacts can stand here; name contacts"),
    (insert("teams: [{id: a, name: A, members: [lead]}, {id: b, name: B, members: [a]}]"), "contacts.yml:4:71: “a” is a team, and only contacts can stand here; name contacts"),
    # rotations
    (insert(rotation("members: [lead, nobody]")), "contacts.yml:4:72: there is no contact “nobody”; there is only lead, on-call"),
    (insert(rotation("members: [lead], every: month")), "contacts.yml:4:80: `every` is “month”, which is no such word; there is only day, week"),
    (insert(rotation('members: [lead], at: "24:00"')), "contacts.yml:4:77: `at` is no time of day: 24:00; write hours and minutes, 00:00 to 23:59, for example 09:00"),
    (insert("rotations: [{id: duty, name: Duty, members: [lead]}]"), "contacts.yml:4:13: entry 1 of `rotations` has members and no `starts`; write the day on which the first of them takes over"),
    (insert("rotations: [{id: duty, name: Duty, members: [lead], starts: 2026-02-30}]"), "contacts.yml:4:61: `starts` is no day: 2026-02-30; write year-month-day, for example 2026-11-02"),
    (insert("rotations: [{id: duty, name: Duty}]"), "contacts.yml:4:13: entry 1 of `rotations` wants either members, who take turns, or pagerduty, which is asked"),
    (insert("rotations: [{id: duty, name: Duty, pagerduty: {schedule: /schedules/P1}}]"), "contacts.yml:4:58: `schedule` is no id of PagerDuty: /schedules/P1; take it from the address of its page, for example P1A2B3C"),
    (insert(rotation("members: [lead], overrides: [{from: 2026-12-24T09:00, to: 2026-12-24T10:00, contact: nobody}]")), "contacts.yml:4:141: there is no contact “nobody”; there is only lead, on-call"),
    (insert(rotation("members: [lead], overrides: [{from: 2026-12-24T09:00Z, to: 2026-12-24T10:00, contact: lead}]")), "contacts.yml:4:92: `from` is not a local time: 2026-12-24T09:00Z; write 2026-12-24T09:00, without a zone: the rotation has one"),
    (insert(rotation("members: [lead], overrides: [{from: 2026-12-24T09:00, to: 2026-12-24T09:00, contact: lead}]")), "contacts.yml:4:85: entry 1 of `overrides` ends before it begins; give `to` a later time than `from`"),
    (insert(rotation("members: [lead], overrides: [{from: 2026-12-24T09:00, to: 2026-12-26T09:00, contact: lead}, {from: 2026-12-26T08:00, to: 2026-12-27T08:00, contact: lead}]")), "contacts.yml:4:155: this override and number 1 hold at the same time; let one end before the other begins"),
    # levels and conditions
    (replace("contacts.yml", "policies:", "policies:\n  - id: more\n    levels: []\n    conditions: [{id: a, when: [open], notify: [lead]}]"), "contacts.yml:9:18: open without a duration is true from the opening on, so this would page at once; add `for`, for example `for: 30m`"),
    (replace("contacts.yml", "policies:", "policies:\n  - id: more\n    levels: []\n    conditions: [{id: a, when: [sev1, no_progress], notify: [lead]}]"), "contacts.yml:9:18: no_progress without a duration is true from the opening on, so this would page at once; add `for`, for example `for: 30m`"),
    (replace("contacts.yml", "policies:", "policies:\n  - id: more\n    levels: []\n    conditions: [{id: a, when: [sev1], notify: [lead]}, {id: a, when: [sev2], notify: [lead]}]"), "contacts.yml:9:62: another condition has the id “a” too; give each its own id"),
    (replace("contacts.yml", "policies:", "policies:\n  - id: more\n    levels: []\n    conditions: [{id: level-2, when: [sev1], notify: [lead]}]"), "contacts.yml:9:23: the id “level-2” is one of Muster's own; call the condition after what it is about"),
    (replace("contacts.yml", "policies:", "policies:\n  - id: more\n    levels: []\n    conditions: [{id: a, when: [sev1], notify: [vendor]}]"), "contacts.yml:9:49: “vendor” is an external contact, who is never paged; name one of our own contacts"),
    (replace("contacts.yml", "policies:", "policies:\n  - id: more\n    levels: []\n    conditions: [{id: a, when: [sev5], notify: [lead]}]"), "contacts.yml:9:33: entry 1 of `when` is “sev5”, which is no such word; did you mean “sev4”?"),
    (replace("shop/down.yml", "links:", "escalation: {conditions: [{id: a, when: [security], notify: [leed]}]}\nlinks:"), "shop/down.yml:26:62: there is no contact “leed”; did you mean “lead”?"),
    # severities
    (replace("severities.yml", "resolve_within: 1h", "resolve_within: 1h, invite: [leed]"), "severities.yml:1:99: there is no contact “leed”; did you mean “lead”?"),
    (replace("severities.yml", "resolve_within: 1h", "resolve_within: 1h, standby: [vendor]"), "severities.yml:1:100: “vendor” is an external contact, who is never paged; name one of our own contacts"),
    (replace("severities.yml", "resolve_within: 1h", "resolve_within: 1h, notify: [lead, lead]"), "severities.yml:1:105: “lead” is notified twice; delete one of them"),
    (replace("severities.yml", "resolve_within: 1h", "resolve_within: 1h, page: sometimes"), "severities.yml:1:96: `page` is “sometimes”, which is no such word; there is only at_once, business_hours, never"),
    (write("shop/DOWN.YML", RUNBOOK), "shop/DOWN.YML:1:1: is not read: its name ends in .YML; rename it to .yml"),
    (write("shop/half.yml", RUNBOOK[:300]), "shop/half.yml:12:13: has a mapping in {braces} that is not closed; add the comma or the closing }"),
    (lambda folder: (folder / "shop" / "latin.yml").write_bytes("id: caf\xe9\n".encode("latin-1")), "shop/latin.yml:1:8: is not UTF-8 from here on; save it as UTF-8"),
    (write("shop/nothing.yml", ""), "shop/nothing.yml:1:1: is empty; write the content, or delete the file"),
    (lambda folder: (folder / "shop" / "dead.yml").symlink_to("gone.yml"), "shop/dead.yml:1:1: cannot be read: no such file or directory; check the path and its permissions"),
    (replace("severities.yml", "SEV4", "SEV5"), "severities.yml:4:1: `SEV5` is not known here; did you mean “SEV4”?"),
    (replace("severities.yml", "SEV4", "# SEV4"), "severities.yml:1:1: the file has no `SEV4`; add `SEV4: …`"),
    (replace("severities.yml", "resolve_within: 3h", "resolve_within: 3"), "severities.yml:3:86: `resolve_within` is not a duration; write a number and a unit, for example 30s, 15m, 1h30m, 24h or 1w"),
    (write("policy.yml", "on_phrase: always\n"), "policy.yml:1:12: `on_phrase` is “always”, which is no such word; there is only ask, auto, off"),
    (write("policy.yml", "on_phrases: ask\n"), "policy.yml:1:1: `on_phrases` is not known here; did you mean “on_phrase”?"),
    (write("policy.yml", ""), "policy.yml:1:1: is empty; write the content, or delete the file"),
    (write("policy.yml", "- on_phrase\n"), "policy.yml:1:1: the file is not a mapping; write `key: value` lines below it"),
    (write("shop/other.yml", RUNBOOK), "shop/other.yml:1:5: the runbook {folder}/shop/down.yml has the id “shop-down” too; give each its own id"),
    (write("shop/other.yaml", RUNBOOK), "shop/other.yaml:1:1: is not read: its name ends in .yaml; rename it to .yml"),
    (write("other.yml", RUNBOOK), "other.yml:1:1: is not read: it is no file that Muster knows; put runbooks into a sub-folder"),
    (write("shop/bad.yml", "a: &x b\n"), "shop/bad.yml:1:4: has an anchor (&…); take it out; put a text that begins with & in quotes"),
    (lambda folder: os.mkfifo(folder / "shop" / "pipe.yml"), "shop/pipe.yml:1:1: is not a regular file; only files are read; move it out of the folder"),
    (lambda folder: (folder / "shop" / "dir.yml").mkdir(), "shop/dir.yml:1:1: is not a regular file; only files are read; move it out of the folder"),
    (lambda folder: (folder / "shop" / "link.yml").symlink_to("/etc/hostname"), "shop/link.yml:1:1: is a symbolic link that leads out of its folder; put the file itself there"),
]  # fmt: skip


@pytest.mark.parametrize(("apply", "fault"), FOLDER_FAULTS, ids=[fault[1][:60] for fault in FOLDER_FAULTS])
def test_faults_of_the_other_files(folder: Path, apply: Callable[[Path], None], fault: str) -> None:
    """Each with its file, line and column; nothing outside of the folder is read, nothing blocks."""
    apply(folder)
    found = faults_of(folder)
    assert found[0] == fault.replace("{folder}", str(folder))
    assert len(found) == (2 if "no escalation policy" in fault else 1)  # whoever inherits it misses it, too


def test_all_faults_are_found_in_one_run(folder: Path) -> None:
    """In order of file, line and column."""
    change(folder / "contacts.yml", "notify: [lead]", "notify: [leed]")
    change(folder / "services.yml", "title: Asleep", "titel: Asleep")
    change(folder / "shop" / "down.yml", "severity: SEV1", "severity: SEV9")
    change(folder / "shop" / "down.yml", "id: review", "id: Review")
    assert [line.split(": ")[0] for line in faults_of(folder)] == [
        "contacts.yml:10:31",
        "services.yml:9:5",
        "shop/down.yml:4:11",
        "shop/down.yml:25:10",
    ]


def test_a_broken_file_is_not_blamed_on_those_that_refer_to_it(folder: Path) -> None:
    """One fault in services.yml, none in the runbook that names a service."""
    (folder / "services.yml").write_text("services: [")
    (folder / "contacts.yml").write_text("contacts: {")
    assert [line.split(":")[0] for line in faults_of(folder)] == ["contacts.yml", "services.yml"]


def test_a_contact_that_nobody_can_reach_is_a_warning(folder: Path) -> None:
    """The catalog is usable: paging falls through to the next level."""
    change(folder / "contacts.yml", ", phone: +15551234567", "")
    result = load_catalog(folder, actions=ACTIONS)
    assert result.catalog is not None
    assert said(result.faults, folder) == [
        "contacts.yml:3:5: warning: nobody can reach the contact “lead”; add slack, phone or email",
        "contacts.yml:10:30: warning: nobody in this level can be reached, so nobody would be woken; give one of its contacts slack, phone or email",
    ]


def test_a_phrase_of_everyday_words_is_a_warning(folder: Path) -> None:
    """It would be found in half of all messages."""
    change(folder / "shop" / "down.yml", "[shop down]", "[shop down, not working]")
    result = load_catalog(folder, actions=ACTIONS)
    assert result.catalog is not None
    assert "warning: the phrase “not working” is made of everyday words" in said(result.faults, folder)[0]


REMARKS: list[tuple[str, str, str, list[str]]] = [
    # phrases
    ("down.yml", "[shop down]", "['shop/checkout down']", ["shop/down.yml:7:13: warning: the phrase “shop/checkout down” is found only when it is the whole message: its signs end a sentence, quote, or mark an address; write it as “shop checkout down”"]),
    ("down.yml", "[shop down]", "['> shop down']", ["shop/down.yml:7:13: warning: the phrase “> shop down” is found only within a sentence: its signs end a sentence, quote, or mark an address; write it as “shop down”"]),
    ("down.yml", "[shop down]", "[shop down, the shop down page]", ["shop/down.yml:7:24: warning: the phrase “the shop down page” is never needed: wherever it stands, “shop down” is found; delete one of them"]),
    # people
    ("contacts.yml", ', url: "https://vendor.test", note: ask for the manager', "", ["contacts.yml:5:5: warning: nobody can reach the external contact “vendor”; add url, email, phone or a note"]),
    ("contacts.yml", "phone: +15551234567", "email: lead@example.com", ["contacts.yml:3:47: warning: the contact “lead” has an e-mail address only, and a mail wakes nobody; add slack or phone"]),
    ("contacts.yml", "external:", "teams: [{id: leads, name: Leads}]\nexternal:", ["contacts.yml:4:9: warning: nobody is in the team “leads”; give it members, or its user group of Slack in slack"]),
    ("contacts.yml", "external:", "  - {id: ghost, name: Ghost}\nteams: [{id: ghosts, name: Ghosts, members: [ghost]}]\nexternal:", ["contacts.yml:4:5: warning: nobody can reach the contact “ghost”; add slack, phone or email", "contacts.yml:5:45: warning: nobody in the team “ghosts” can be reached; give one of its members slack, phone or email"]),
    ("contacts.yml", "external:", "teams: [{id: leads, name: Leads, slack: '@leads'}]\nexternal:", []),
    ("contacts.yml", "external:", "rotations: [{id: duty, name: Duty, members: [lead, on-call], timezone: Europe/Berlin, starts: 2150-01-05}]\nexternal:", ["contacts.yml:4:95: warning: nobody is on duty until 2150-01-05 08:00 UTC; let it start on a day that has been"]),
    # ways
    ("contacts.yml", "notify: [on-call]", "notify: [on-call], via: [phone, slack]", ["contacts.yml:9:46: warning: “on-call” has no phone, and will be reached in Slack instead; set phone of the contact “on-call” in contacts.yml"]),
    ("contacts.yml", "notify: [on-call]", "notify: [on-call, lead], via: [pagerduty, phone]", ["contacts.yml:9:52: warning: “lead” has no pagerduty, and will be reached by phone instead; set pagerduty of the contact “lead” in contacts.yml", "contacts.yml:9:52: warning: “on-call” has no pagerduty or phone, and will be reached in Slack instead; set pagerduty or phone of the contact “on-call” in contacts.yml"]),
    ("contacts.yml", "notify: [on-call]", "notify: [on-call], via: [slack, phone]", []),
    ("down.yml", "links:", "escalation: {conditions: [{id: a, when: [security], notify: [on-call], via: [email]}]}\nlinks:", ["shop/down.yml:26:78: warning: “on-call” has no email, and will be reached in Slack instead; set email of the contact “on-call” in contacts.yml"]),
    ("severities.yml", "resolve_within: 3h", "resolve_within: 3h, via: [slack], notify: [lead]", ["severities.yml:3:96: warning: “lead” has no slack, and will be reached by phone instead; set slack of the contact “lead” in contacts.yml"]),
    ("contacts.yml", "policies:\n", "policies:\n  - {id: quiet, levels: []}\n", []),
    ("down.yml", "links:", "escalation: {levels: [{after: 5m, notify: [lead]}]}\nlinks:", []),
    # severities
    ("severities.yml", "SEV2: {title: T2, criteria: [c], response: [r], respond_within: 15m", "SEV2: {title: T2, criteria: [c], response: [r], respond_within: 10m", ["severities.yml:1:65: warning: SEV1 promises more time than SEV2, which is milder; swap the two, or correct one"]),
    ("severities.yml", "resolve_within: 1h", "resolve_within: 5m", ["severities.yml:1:65: warning: SEV1 promises the response later than the resolution; make respond_within the shorter one"]),
    # evidence that never comes
    ("down.yml", "theirs\n        title: Theirs\n        suggested_when: {diagnostic: status", "theirs\n        title: Theirs\n        suggested_when: {diagnostic: health", []),
    # sizes
    ("down.yml", "title: Shop down", f"title: {'x' * 121}", ["shop/down.yml:2:8: warning: the title has 121 characters; an incident's title is cut at 120; say it shorter"]),
    ("down.yml", "title: Theirs", f"title: {'x' * 64}", ["shop/down.yml:18:16: warning: the button of this branch needs 76 characters, and Slack shows 75: the end is cut; say it shorter"]),
    ("down.yml", "title: Mend", f"title: Mend, guide: {'x' * 1500}, caution: 'x{'&' * 250}'", []),
    ("down.yml", "title: Mend", f"title: Mend, guide: {'x' * 1400}, caution: 'x{'&' * 400}'", ["shop/down.yml:24:17: warning: the step “mend” may need up to 3,460 characters, and Slack shows 3,000: the end is cut; make two steps of it, or move text to a page and link it"]),
    ("down.yml", "symptoms: [Nobody can buy]", f"symptoms: [{', '.join(['x' * 1490] * 2)}, short]", ["shop/down.yml:5:11: warning: the symptoms have 3,004 characters, and Slack shows 3,000: the end is cut; keep those that people really say"]),
    ("down.yml", "checklist:\n", "".join(f"  - {{id: extra-{n}, title: Extra, run: shop.status}}\n" for n in range(4)) + "checklist:\n", ["shop/down.yml:9:3: warning: the results of 6 diagnostics may need up to 3,217 characters, and Slack shows 3,000: the end is cut; keep those that decide what to do next"]),
    ("down.yml", "  - {id: review, title: Review}\n", "".join(f"  - {{id: review-{n}, title: Review}}\n" for n in range(16)), ["shop/down.yml:12:3: warning: its card may need 2 messages: up to 52 blocks and 4,931 characters, and Slack takes 50 and 12,000 in one; shorten the guides, or put steps into branches: what is below the first message is easily overlooked"]),
]  # fmt: skip


@pytest.mark.parametrize(("name", "old", "new", "remarks"), REMARKS)
def test_what_is_allowed_but_probably_not_meant(folder: Path, name: str, old: str, new: str, remarks: list[str]) -> None:
    """The folder stays usable; each remark has its place and what to do."""
    change(folder / ("shop/down.yml" if name == "down.yml" else name), old, new)
    assert remarks_of(folder) == remarks


def test_what_is_not_configured_is_told_once_and_where_it_matters(folder: Path) -> None:
    """Each variable once in a runbook; a branch that waits for an answer that cannot come says so."""
    unknown = "it will answer “unknown”; set SHOP_KEY where Muster runs"
    assert remarks_of(folder, "SHOP_KEY") == [
        f"shop/down.yml:9:38: warning: shop.status needs SHOP_KEY, which is not set: {unknown}",
        "shop/down.yml:19:25: warning: the branch “theirs” is never suggested: “status” answers “unknown” as long as SHOP_KEY is not set; set it where Muster runs",
    ]
    change(folder / "shop" / "down.yml", "is: failing", "is: unknown")
    assert "the branch “theirs” is always suggested" in remarks_of(folder, "SHOP_KEY", "SHOP_URL")[2]
    assert remarks_of(folder) == []


TWILIO = ("TWILIO_ACCOUNT_SID", "TWILIO_AUTH_TOKEN", "TWILIO_FROM")


def test_a_way_that_is_wanted_and_not_configured_is_told_once(folder: Path) -> None:
    """The first place that wants it, with the variables; whoever has no other way is told as well."""
    change(folder / "contacts.yml", "notify: [on-call]", "notify: [on-call], via: [phone, sms, pagerduty]")
    change(folder / "contacts.yml", '"@oncall"', '"@oncall", phone: +15551234568')
    change(folder / "contacts.yml", "notify: [lead]", "notify: [lead], via: [phone]")
    assert remarks_of(folder) == []
    twilio = "TWILIO_ACCOUNT_SID, TWILIO_AUTH_TOKEN and TWILIO_FROM are not all set"
    assert remarks_of(folder, "TWILIO_FROM", "PAGERDUTY_ROUTING_KEY", "SMTP_URL") == [
        f"contacts.yml:3:5: warning: nobody can reach the contact “lead” here: {twilio}; set that where Muster runs, or add slack",
        f"contacts.yml:9:46: warning: nobody can be reached by phone here: {twilio}; set them where Muster runs",
        "contacts.yml:9:58: warning: nobody can be reached by PagerDuty here: PAGERDUTY_ROUTING_KEY is not set; set it where Muster runs",
    ]
    result = load_catalog(folder, actions=ACTIONS)
    assert said(result.faults, folder) == []  # where Muster runs is not known


def test_a_rotation_of_pagerduty_wants_the_token_to_ask(folder: Path) -> None:
    """It is another one than the key that pages."""
    insert("rotations: [{id: duty, name: Duty, pagerduty: {schedule: P1A2B3C}}]")(folder)
    change(folder / "contacts.yml", "notify: [on-call]", "notify: [duty]")
    assert remarks_of(folder) == []
    assert remarks_of(folder, "PAGERDUTY_API_TOKEN") == [
        "contacts.yml:4:47: warning: who is on call cannot be asked of PagerDuty: PAGERDUTY_API_TOKEN is not set; set it where Muster runs"
    ]


def test_the_contact_matrix_becomes_part_of_the_catalog(folder: Path) -> None:
    """Teams, rotations, working hours, conditions, and the ways that are configured."""
    insert(
        f'business_hours: {{from: "08:00", timezone: Europe/Berlin}}\nteams: [{{id: leads, name: Leads, members: [lead]}}]\n{rotation("members: [lead, on-call]")}'
    )(folder)
    condition = "{id: a, when: [security, sev1], notify: [leads, duty], via: [phone]}"
    change(folder / "contacts.yml", "  - id: default\n", f"  - id: default\n    conditions: [{condition}]\n")
    change(
        folder / "severities.yml",
        "resolve_within: 1h",
        "resolve_within: 1h, invite: [leads], standby: [duty], page: business_hours, check_in_after: 30m",
    )
    result = load_catalog(folder, actions=ACTIONS, is_set=lambda name: name in (*TWILIO, "SHOP_KEY"))
    catalog = result.catalog
    assert catalog is not None, result.faults
    assert catalog.teams["leads"].members == ("lead",)
    assert catalog.rotations["duty"].members == ("lead", "on-call")
    assert (catalog.business_hours.from_, catalog.business_hours.to, catalog.business_hours.timezone) == (
        "08:00",
        "17:00",
        "Europe/Berlin",
    )
    assert catalog.ways == {Way.SLACK, Way.PHONE, Way.SMS}
    assert catalog.policies["default"].conditions[0].notify == ("leads", "duty")
    severity = catalog.severities[Severity.SEV1]
    assert (severity.page, severity.invite, severity.check_in_after_s, severity.check_in_wait_s) == (
        "business_hours",
        ("leads",),
        1800,
        600,
    )


def test_without_the_new_keys_there_are_no_teams_and_the_usual_hours(folder: Path) -> None:
    """A folder from before needs no change; which ways are configured is not known unless somebody says it."""
    catalog = load(folder)
    assert (catalog.teams, catalog.rotations, catalog.ways) == ({}, {}, None)
    assert (catalog.business_hours.from_, catalog.business_hours.timezone) == ("09:00", "UTC")


def test_a_branch_that_waits_for_an_unset_variable(folder: Path) -> None:
    """The diagnostic contacts nobody and answers “unknown”, so its branch is never suggested."""
    change(folder / "shop" / "down.yml", "${url}/health", "${unset}/health")
    change(folder / "shop" / "down.yml", "{diagnostic: status, is", "{diagnostic: health, is")
    assert remarks_of(folder) == [
        "shop/down.yml:19:25: warning: the branch “theirs” is never suggested: “health” answers “unknown” as long as MUSTER_VAR_SHOP_UNSET is not set; set it where Muster runs"
    ]


def test_a_policy_without_levels_pages_nobody(folder: Path) -> None:
    """A policy may be empty for runbooks that bring their own levels; the others are told."""
    change(folder / "contacts.yml", "policies:\n", "policies:\n  - {id: quiet, levels: []}\n")
    runbook = folder / "shop" / "down.yml"
    change(runbook, "links:", "escalation: {inherit: quiet}\nlinks:")
    assert remarks_of(folder) == [
        "shop/down.yml:26:23: warning: the escalation policy “quiet” has no level, so nobody would be paged; give the runbook levels of its own, or inherit another policy"
    ]
    change(runbook, "{inherit: quiet}", "{inherit: quiet, levels: [{after: 0m, notify: [lead]}]}")
    assert remarks_of(folder) == []


def test_phrases_of_several_runbooks(folder: Path) -> None:
    """Sharing one is allowed and told, more runbooks than are offered is a warning, a longer phrase wins; the silenced are left out."""

    def add(name: str, phrases: str, service: str = "shop") -> None:
        text = f"id: {name}\ntitle: T\nservice: {service}\nseverity: SEV3\ntriggers: {{phrases: [{phrases}]}}\nchecklist: [{{id: a, title: A}}]\n"
        write(f"shop/{name}.yml", text)(folder)

    add("e1", "Shop is down")
    add("e2", "the whole shop down")
    add("zz", "shop down", service="asleep")
    first = "shop/e1.yml:5:22: info: the phrase “Shop is down” is one of shop/down.yml too: the incident will ask which it is"
    assert remarks_of(folder) == [
        first,
        "shop/e2.yml:5:22: info: “the whole shop down” wins over “shop down” of shop/down.yml where both are said",
        "shop/zz.yml:3:10: info: the service “asleep” is silenced (enabled: false), so nobody is offered this runbook",
    ]
    for number in range(3, 7):
        add(f"e{number}", "shop down")
    assert OFFERED_MOST == MOST_CANDIDATES
    remarks = remarks_of(folder)
    assert remarks[0] == first
    assert [line for line in remarks if "warning" in line] == [
        "shop/e6.yml:5:22: warning: the phrase “shop down” is shared by 6 runbooks, and only 5 are offered; use a phrase of its own"
    ]


def test_more_runbooks_than_the_form_offers(folder: Path) -> None:
    """A menu of Slack has 100 entries."""
    for number in range(100):
        write(
            f"shop/r{number}.yml", f"id: r{number}\ntitle: T\nservice: shop\nseverity: SEV3\nchecklist: [{{id: a, title: A}}]\n"
        )(folder)
    infos = [str(fault) for fault in load_catalog(folder, actions=ACTIONS).faults if fault.level == "info"]
    assert infos == [
        f"{folder}:1:1: info: holds 101 runbooks, and the form of /incident offers the first 100; the others are found by words and phrases"
    ]


def test_a_file_is_found_from_inside_its_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`cd runbooks/shop; muster check down.yml` judges it as a part of the whole, and calls it as it was called."""
    change(folder / "shop" / "down.yml", "service: shop", "service: shopp")
    monkeypatch.chdir(folder / "shop")
    assert [str(fault) for fault in check_paths([Path("down.yml")], actions=ACTIONS)] == [
        "down.yml:3:10: there is no service “shopp”; did you mean “shop”?"
    ]


def test_what_is_not_there_or_empty(tmp_path: Path) -> None:
    """A missing folder, a file instead of one, a folder with nothing in it."""
    missing = load_catalog(tmp_path / "nothing", actions=ACTIONS)
    assert [str(fault) for fault in missing.faults] == [
        f"{tmp_path / 'nothing'}:1:1: is not a folder; set MUSTER_RUNBOOKS to the runbooks"
    ]
    faults = load_catalog(tmp_path, actions=ACTIONS).faults
    assert [fault.message for fault in faults if fault.level == "error"] == ["is missing"] * 3
    assert [fault.message for fault in faults if fault.level == "warning"] == ["holds no runbook"]


def test_templates_and_hidden_names_are_no_runbooks(folder: Path) -> None:
    """Only the top-level templates/ is left out."""
    for name in ("templates/review.yml", "templates/deep/x.yml", ".git/x.yml", "shop/.hidden.yml"):
        write(name, "not: a runbook\n")(folder)
    write("shop/README.md", "# text\n")(folder)
    load(folder)
    write("shop/templates/x.yml", "not: a runbook\n")(folder)
    assert any(line.startswith("shop/templates/x.yml") for line in faults_of(folder))


def test_a_config_map_of_kubernetes_is_read_once(folder: Path) -> None:
    """Files and folders are links to a hidden folder beside them; a loop of links ends."""
    (folder / "shop").rename(folder / "..2026")
    (folder / "..data").symlink_to("..2026")
    (folder / "shop").symlink_to("..data")
    (folder / "..2026" / "again").symlink_to("..")
    assert list(load(folder).runbooks) == ["shop-down"]


def test_a_folder_that_leads_out_is_not_followed(folder: Path, tmp_path: Path) -> None:
    """A symbolic link to another folder brings no runbooks, and that is said: they would be missed at the wrong moment."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "other.yml").write_text(RUNBOOK)
    (folder / "outside").symlink_to(outside)
    assert faults_of(folder) == [
        "outside:1:1: is a symbolic link that leads out of the folder, and is not read; put the files themselves there"
    ]


def test_check_of_folders_and_files(folder: Path, tmp_path: Path) -> None:
    """A file is judged in its folder and only its own faults are shown; alone, what it refers to is not judged."""
    runbook = folder / "shop" / "down.yml"
    change(runbook, "shows: [status, health]", "shows: [helth]")
    change(folder / "contacts.yml", "notify: [lead]", "notify: [leed]")
    alone = tmp_path / "alone.yml"
    alone.write_text(RUNBOOK.replace("service: shop", "service: other").replace("run: shop.status", "run: shop.state"))

    def check(*paths: Path) -> list[str]:
        found = check_paths(paths, actions=ACTIONS)
        return [str(fault).removeprefix(f"{tmp_path}{os.sep}").split("; ")[0] for fault in found]

    shown = "runbooks/shop/down.yml:12:43: there is no diagnostic “helth” in this runbook"
    assert check(runbook) == [shown]
    assert check(folder / "services.yml")[0].startswith("runbooks/services.yml:7:14: warning")
    assert check(alone) == ["alone.yml:9:38: there is no action “shop.state”"]
    assert check(tmp_path / "nothing.yml") == ["nothing.yml:1:1: does not exist"]
    assert shown in check(folder, runbook)
    assert len(check(folder, runbook)) == 3
    write("templates/x.yml", "a: b\n")(folder)
    assert check(folder / "templates" / "x.yml") == ["runbooks/templates/x.yml:1:1: is not read by Muster"]


def test_the_schema_describes_what_the_loader_takes() -> None:
    """A JSON Schema that editors understand, with the keys of the file and a description of each."""
    schema = runbook_json_schema()
    Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["title"] == "Muster runbook"
    assert schema["additionalProperties"] is False
    step = schema["$defs"]["Step"]["properties"]
    assert set(step) == {
        "id", "title", "run", "with", "shows", "choose", "steps", "caution", "undo", "guide", "link", "watch",
    }  # fmt: skip
    assert schema["$defs"]["Level"]["properties"]["after"] == {
        "description": "How long after the opening, for example 15m.",
        "pattern": "^(0|([0-9]+[wdhms])+)$",
        "title": "After",
        "type": "string",
    }
    json.dumps(schema)


def test_the_schema_accepts_the_example_and_refuses_mistakes() -> None:
    """What an editor underlines is what `muster check` would say."""
    validator = Draft202012Validator(runbook_json_schema())
    good: dict[str, Any] = {
        "id": "a-b",
        "title": "A",
        "service": "shop",
        "severity": "SEV1",
        "private": True,
        "checklist": [{"id": "a", "title": "A", "run": "a.b", "with": {"x": ["y"]}}],
        "escalation": {"levels": [{"after": "15m", "notify": ["lead"]}]},
    }
    assert validator.is_valid(good)
    for mistake in ({"severity": "P1"}, {"private": "no"}, {"colour": "red"}, {"checklist": []}, {"id": "A B"}):
        assert not validator.is_valid(good | mistake)
