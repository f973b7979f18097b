"""`muster manifest`: one's own address and command name, in a manifest that Slack takes and the bot answers to."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft7Validator, FormatChecker

from bot.cli import main
from bot.domain.errors import ConfigError
from bot.settings import load_settings
from bot.terminal.manifest import DEFAULT_COMMAND, PLACEHOLDER, manifest_text, personal_manifest, read_manifest, url_problem
from tests.scenarios.conftest import said
from tests.terminal.conftest import installed

URL = "https://incident.example.org"


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what a test sets."""
    for name in ("MUSTER_URL", "MUSTER_COMMAND"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MUSTER_ENV_FILE", "")


def test_nothing_given_prints_the_manifest_that_is_shipped(capsys: pytest.CaptureFixture[str]) -> None:
    """With the placeholder, and a line that says how to replace it."""
    assert main(["manifest"]) == 0
    printed = capsys.readouterr().out
    assert yaml.safe_load(printed) == read_manifest()
    assert "muster manifest --url" in printed


def test_the_address_and_the_name_are_replaced_everywhere(capsys: pytest.CaptureFixture[str]) -> None:
    """Five addresses, one command; everything else is as it was, the reasons beside the scopes too."""
    assert main(["manifest", "--url", URL, "--command", "/outage"]) == 0
    printed = capsys.readouterr().out
    assert printed.count(f"{URL}/slack/events") == 5
    assert "muster.example.com" not in printed
    assert "MUSTER_COMMAND=/outage" in printed
    assert "# pages" in printed
    restored = json.dumps(yaml.safe_load(printed)).replace(f"{URL}/slack/events", PLACEHOLDER).replace("/outage", DEFAULT_COMMAND)
    assert json.loads(restored) == read_manifest()


@pytest.mark.contracts
def test_slack_takes_what_is_printed(contracts: Path) -> None:
    """By the schema that Slack publishes."""
    schema = json.loads((contracts / "slack-manifest.schema.2.json").read_text("utf-8"))
    made = yaml.safe_load(personal_manifest(manifest_text(), url=URL, command="/" + "x" * 31))
    assert list(Draft7Validator(schema, format_checker=FormatChecker()).iter_errors(made)) == []


@pytest.mark.parametrize("url", [URL, f"{URL}/", f"{URL}/slack/events", f"{URL}/slack/events/"])
def test_an_address_with_and_without_the_path(url: str) -> None:
    """All of these mean the same."""
    made = yaml.safe_load(personal_manifest(manifest_text(), url=url, command=DEFAULT_COMMAND))
    assert made["settings"]["interactivity"]["request_url"] == f"{URL}/slack/events"


@pytest.mark.parametrize(
    ("url", "part"),
    [
        ("http://muster.example.org", "https://"),
        ("muster.example.org", "https://"),
        ("https://", "is not a URL"),
        ("https://h:port", "is not a URL"),
        ("https://a b", "is not a URL"),
        ('https://h"', "is not a URL"),
        ("https://h\n#", "is not a URL"),
        ("https://h/bot", "no path"),
        ("https://h/?a=b", "without a user, a query"),
        ("https://u:p@h", "without a user, a query"),
    ],
)
def test_an_address_that_slack_could_not_reach(url: str, part: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Wrong usage: 2, one line on stderr, nothing on stdout."""
    assert main(["manifest", "--url", url]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("muster: --url: ")
    assert part in printed.err
    assert len(printed.err.splitlines()) == 1


@pytest.mark.parametrize(
    "name", ["outage", "/", "/Outage", "/out age", "/" + "x" * 32, "/runbook", "/oncall", "/out\n", "", "/ümlaut"]
)
def test_a_name_that_no_command_has(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Refused on the command line, and as a setting."""
    assert main(["manifest", "--command", name]) == 2
    assert capsys.readouterr().err.startswith("muster: --command: ")
    if name.strip() and name == name.strip():  # blanks around a setting are cut, an empty one is unset
        with pytest.raises(ConfigError, match="MUSTER_COMMAND"):
            load_settings({"MUSTER_ENV_FILE": "", "MUSTER_COMMAND": name})


def test_the_settings_are_the_defaults(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Who has set address and name need not say them twice; a fault elsewhere in the settings is not in the way."""
    monkeypatch.setenv("MUSTER_URL", URL)
    monkeypatch.setenv("MUSTER_COMMAND", "/outage")
    monkeypatch.setenv("PORT", "x")
    assert main(["manifest"]) == 0
    printed = capsys.readouterr().out
    assert f"{URL}/slack/events" in printed
    assert "command: /outage" in printed


def test_a_local_address_in_the_settings_is_not_for_slack(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The variable is named, and the exit code is that of a fault."""
    monkeypatch.setenv("MUSTER_URL", "http://127.0.0.1:3000")
    assert main(["manifest"]) == 1
    assert "MUSTER_URL" in capsys.readouterr().err
    assert url_problem("https://127.0.0.1:3000") == ""  # a tunnel ends where it wants to


def test_the_default_name_is_the_one_of_the_settings() -> None:
    """Manifest and bot agree when nobody says anything."""
    assert load_settings({"MUSTER_ENV_FILE": ""}).muster_command == DEFAULT_COMMAND
    assert f"command: {DEFAULT_COMMAND}" in manifest_text()
    assert manifest_text().count(PLACEHOLDER) == 5


async def test_the_bot_answers_to_the_other_name(redis_url: str) -> None:
    """Installed from the printed manifest and told by MUSTER_COMMAND: the words open a room, the help says the name."""
    manifest = yaml.safe_load(personal_manifest(manifest_text(), url=None, command="/outage"))
    async with installed(manifest, f"{redis_url}?db=1") as stage:
        stage.environment["MUSTER_COMMAND"] = "/outage"
        await stage.start()
        helped = await stage.workspace.command("developer", "general", "/outage help")
        assert "/outage resolve" in said(helped.response)
        assert "/incident" not in said(helped.response)
        result = await stage.workspace.command("developer", "general", "/outage clerk down")
        assert result.status == 200
        room = await stage.room()
        await stage.sees(room.name, "Clerk status page: *ok*")
