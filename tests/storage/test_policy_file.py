"""policy.yml: what may be written, what each word comes to, and what the lint says."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml

from bot.actions.registry import load_actions
from bot.domain.policy import ADMINS, DEFAULT_PERMISSIONS, EVERYONE, RESPONDERS, ActionPolicy, Permission
from bot.storage.runbook_files import PolicyFile, load_catalog
from bot.storage.yaml_strict import Fault
from tests.conftest import ROOT


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the files that Muster ships, without the runbooks."""
    target = tmp_path / "runbooks"
    target.mkdir()
    for name in ("services.yml", "contacts.yml", "severities.yml", "policy.yml"):
        shutil.copy(ROOT / "runbooks" / name, target / name)
    return target


def faults(folder: Path, text: str) -> list[Fault]:
    """Everything about this policy.yml."""
    path = folder / "policy.yml"
    path.write_text(text, "utf-8")
    return [fault for fault in load_catalog(folder, actions=load_actions()).faults if fault.path == str(path)]


def said(folder: Path, text: str) -> list[str]:
    """The same as lines, without the path."""
    return [str(fault).removeprefix(f"{folder / 'policy.yml'}:") for fault in faults(folder, text)]


def policy(folder: Path, text: str) -> ActionPolicy:
    """What this policy.yml comes to."""
    assert said(folder, text) == []
    catalog = load_catalog(folder, actions=load_actions()).catalog
    assert catalog
    return catalog.policy


def test_the_shipped_file_says_the_defaults(folder: Path) -> None:
    """Every permission is written out, so that nobody has to guess; without the file it is the same."""
    text = (ROOT / "runbooks" / "policy.yml").read_text("utf-8")
    assert set(yaml.safe_load(text)["permissions"]) == {permission.value for permission in Permission}
    assert set(yaml.safe_load(text)) == set(PolicyFile.model_fields)
    assert policy(folder, text) == PolicyFile().actions() == ActionPolicy()
    (folder / "policy.yml").unlink()
    catalog = load_catalog(folder, actions=load_actions()).catalog
    assert catalog
    assert catalog.policy == ActionPolicy()


def test_the_document_shows_what_can_be_written(folder: Path) -> None:
    """The example of docs/policy.md has no fault."""
    document = (ROOT / "docs" / "policy.md").read_text("utf-8")
    example = document.split("```yaml\n")[1].split("```")[0]
    assert policy(folder, example).most_accounts == 500


def test_one_word_or_a_list(folder: Path) -> None:
    """What is left out keeps its default."""
    read = policy(
        folder, 'permissions:\n  change: "@sre"\n  approve: [responders, S0123ABCD, U0123ABCD, sre@example.com]\nadmins: "@ops"\n'
    )
    assert read.allowed(Permission.CHANGE) == ("@sre",)
    assert read.allowed(Permission.APPROVE) == (RESPONDERS, "S0123ABCD", "U0123ABCD", "sre@example.com")
    assert read.admins == ("@ops",)
    for permission in (Permission.DECLARE, Permission.READ, Permission.DESTRUCTIVE, Permission.CONFIGURE):
        assert read.allowed(permission) == DEFAULT_PERMISSIONS[permission]


def test_times_caps_and_what_must_not_be_touched(folder: Path) -> None:
    """Durations with their unit, numbers as digits."""
    text = "approval_expires: 1h\nbreak_glass_after: 90s\nmost_accounts: 50\nprotected_accounts: [user_root, svc@example.com]\n"
    read = policy(folder, text)
    assert (read.approval_s, read.break_glass_s, read.most_accounts) == (3600, 90, 50)
    assert read.protected_accounts == ("user_root", "svc@example.com")


NO_WHO = "is neither a circle nor a group nor a person"
WRONG = [
    ("permissions: {change: sre}", f"1:23: entry 1 of `change` {NO_WHO}: sre; write everyone, responders, admins"),
    ("permissions: {change: [everybody]}", f"1:24: entry 1 of `change` {NO_WHO}: everybody"),
    ('permissions: {change: "<!subteam^S0123ABCD>"}', f"1:23: entry 1 of `change` {NO_WHO}"),
    ('permissions: {change: "@"}', f"1:23: entry 1 of `change` {NO_WHO}"),
    ("permissions: {change: u0123abcd}", f"1:23: entry 1 of `change` {NO_WHO}"),
    ("permissions: {change: []}", "1:23: `change` is empty"),
    ('permissions: {change: ""}', f"1:23: entry 1 of `change` {NO_WHO}"),
    ('permissions: {aprove: "@sre"}', "1:15: `aprove` is not known here; did you mean “approve”?"),
    ('permissons: {approve: "@sre"}', "1:1: `permissons` is not known here; did you mean “permissions”?"),
    ("permissions: everyone", "1:14: `permissions` is not a mapping"),
    ("admins: [everyone]", "1:10: “everyone” says nothing about who the admins are; name user groups"),
    ('admins: ["@ops", admins]', "1:18: “admins” says nothing about who the admins are"),
    ("permissions: {declare: responders}", "1:24: nobody could declare: it is asked when there is no incident"),
    ("permissions: {configure: [responders]}", "1:26: nobody could configure"),
    ("approval_expires: 30s", "1:19: nobody can read a preview and approve it within 30 s; write at least 60s"),
    ("approval_expires: 15", "1:19: `approval_expires` is not a duration"),
    ("most_accounts: 0", "1:16: `most_accounts`"),
    ("most_accounts: all", "1:16: `most_accounts` is not a whole number"),
    ("most_accounts: -5", "1:16: `most_accounts`"),
    ('protected_accounts: ["*"]', "1:22: entry 1 of `protected_accounts` is not the id of an account: *"),
    ("protected_accounts: [../../v1/users]", "1:22: entry 1 of `protected_accounts` is not the id of an account"),
]


@pytest.mark.parametrize(("text", "fault"), WRONG, ids=[text for text, _ in WRONG])
def test_what_cannot_be_meant_is_an_error(folder: Path, text: str, fault: str) -> None:
    """With its place; a reload keeps the old files then, and a start does not begin."""
    (found,) = faults(folder, text + "\n")
    assert str(found).removeprefix(f"{folder / 'policy.yml'}:").startswith(fault)
    assert found.level == "error"
    assert load_catalog(folder, actions=load_actions()).catalog is None


@pytest.mark.parametrize(
    ("text", "warning"),
    [
        (
            "permissions: {approve: everyone}",
            "1:24: warning: every member of the workspace has the permission “approve”, whoever they are; name ",
        ),
        (
            'permissions: {destructive: ["@sre", everyone]}',
            "1:28: warning: every member of the workspace has the permission “destructive”, whoever",
        ),
        ("permissions: {configure: everyone}", "1:26: warning: every member of the workspace has the permission “configure”"),
        (
            "permissions: {approve: U0123ABCD}",
            "1:24: warning: only U0123ABCD may approve, so what they ask for themselves goes on ",
        ),
        ("permissions: {approve: cto@example.com}", "1:24: warning: only cto@example.com may approve"),
        ("break_glass_after: 15m", "1:20: warning: nobody could ever go on alone: the preview expires before the second person"),
    ],
)
def test_what_is_probably_a_mistake_is_a_warning(folder: Path, text: str, warning: str) -> None:
    """It is said, and does not keep Muster from starting."""
    (found,) = said(folder, text + "\n")
    assert found.startswith(warning)
    assert load_catalog(folder, actions=load_actions()).catalog is not None


@pytest.mark.parametrize("names", [[EVERYONE], [RESPONDERS], [ADMINS], ["@sre"], ["S0123ABCD"], ["U0123ABCD", "a@b.cd"]])
def test_whom_only_slack_knows_is_not_judged_here(folder: Path, names: list[str]) -> None:
    """Whether a group exists, the doctor asks."""
    assert policy(folder, yaml.safe_dump({"permissions": {"change": names}})).allowed(Permission.CHANGE) == tuple(names)
