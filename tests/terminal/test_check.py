"""``muster check``: what it prints, how it ends, what it does not load."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bot.cli import main
from bot.domain.errors import ConfigError
from bot.terminal.check import printable, read_environment
from tests.conftest import ROOT

SECRETS = {
    "CLERK_SECRET_KEY": "sk_test_made_up",
    "VERCEL_TOKEN": "made-up",
    "VERCEL_PROJECT": "shop",
    "DATABASE_URL": "postgresql://somebody:made-up@127.0.0.1:9/app",
    "APPLICATION_SWITCH_URL": "http://127.0.0.1:9/switch",
    "APPLICATION_SWITCH_TOKEN": "made-up",
    "SMTP_URL": "smtp://127.0.0.1:9",
    "STATUSPAGE_API_KEY": "made-up",
    "STATUSPAGE_PAGE_ID": "page1",
}


@pytest.fixture
def runbooks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the shipped runbooks as `runbooks` in the working directory; nothing of Muster is in the environment."""
    for name in os.environ:
        if name.startswith(("MUSTER_", "CLERK_", "VERCEL_", "PAGERDUTY_", "TWILIO_", "SMTP_", "STATUSPAGE_")):
            monkeypatch.delenv(name)
    shutil.copytree(ROOT / "runbooks", tmp_path / "runbooks")
    monkeypatch.chdir(tmp_path)
    return Path("runbooks")


def configure(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything that the shipped runbooks need."""
    for name, value in {**SECRETS, "MUSTER_VAR_CLERK_APP_URL": "http://127.0.0.1:9"}.items():
        monkeypatch.setenv(name, value)


def test_a_good_folder(runbooks: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit code 0; what is only good to know is shown and counted apart."""
    configure(monkeypatch)
    assert main(["check"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(": ")[1] for line in lines[:-1] if "contacts.yml" not in line] == ["info"] * 6
    assert re.fullmatch(r"runbooks: 0 errors, \d+ warnings, 6 info", lines[-1])


def test_what_is_not_set_is_a_warning(runbooks: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 0: the runbooks are not at fault."""
    assert main(["check"]) == 0
    said = capsys.readouterr().out
    for name in (*SECRETS, "MUSTER_VAR_CLERK_APP_URL"):
        assert f"set {name} where Muster runs" in said or f"set {name}\n" in said


@pytest.mark.parametrize("where", ["environment", "file"])
def test_settings_come_from_the_environment_and_the_file(
    runbooks: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """A secret in `.env` counts as one in the environment does."""
    if where == "environment":
        monkeypatch.setenv("CLERK_SECRET_KEY", SECRETS["CLERK_SECRET_KEY"])
    else:
        Path(".env").write_text(f"CLERK_SECRET_KEY={SECRETS['CLERK_SECRET_KEY']}\n")
    assert main(["check", "runbooks"]) == 0
    said = capsys.readouterr().out
    assert "CLERK_SECRET_KEY" not in said
    assert "VERCEL_TOKEN" in said


def test_all_faults_in_one_run(runbooks: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Of every file, sorted, each as file:line:column: message; remedy. Exit code 1."""
    configure(monkeypatch)
    outage = runbooks / "clerk" / "auth-outage.yml"
    outage.write_text(outage.read_text().replace("run: clerk.status", "run: clerk.statsu"))
    (runbooks / "contacts.yml").write_text("contacts: [\n")
    (runbooks / "severities.yml").write_bytes(b"")
    assert main(["check"]) == 1
    lines = [line for line in capsys.readouterr().out.splitlines() if ": info: " not in line]
    assert lines == [
        "runbooks/clerk/auth-outage.yml:17:49: there is no action “clerk.statsu”; did you mean “clerk.status”?",
        "runbooks/contacts.yml:2:1: ends in the middle of something; close the bracket; the file may be half-written",
        "runbooks/severities.yml:1:1: is empty; write the content, or delete the file",
        "runbooks: 3 errors, 0 warnings, 6 info",
    ]


def test_json(runbooks: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same for machines, one object for each fault, and the same exit code."""
    (runbooks / "policy.yml").write_text("on_phrase: always\n")
    assert main(["check", "runbooks/policy.yml", "--format", "json"]) == 1
    assert json.loads(capsys.readouterr().out) == [
        {
            "path": "runbooks/policy.yml",
            "line": 1,
            "column": 12,
            "level": "error",
            "message": "`on_phrase` is “always”, which is no such word",
            "remedy": "there is only ask, auto, off",
        }
    ]


def test_a_path_that_does_not_exist_is_a_fault(runbooks: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 1; 2 is for wrong usage alone."""
    assert main(["check", "nowhere"]) == 1
    assert capsys.readouterr().out.startswith("nowhere:1:1: does not exist; check the path\n")


@pytest.mark.parametrize("arguments", [["check", "--format", "xml"], ["check", "--formt", "json"], ["chekc"]])
def test_wrong_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2, and the usage on stderr."""
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert "usage: muster" in capsys.readouterr().err


def test_a_setting_that_means_nothing_is_told(
    runbooks: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A misspelt MUSTER_RUNBOOKS must not check another folder than was meant."""
    monkeypatch.setenv("MUSTER_RUNBOOK", "elsewhere")
    assert main(["check"]) == 1
    assert capsys.readouterr().err == "muster: MUSTER_RUNBOOK: unknown setting; did you mean MUSTER_RUNBOOKS?\n"
    with pytest.raises(ConfigError):
        read_environment(os.environ, [runbooks])


def test_the_folder_of_the_settings_is_checked(
    runbooks: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a path, MUSTER_RUNBOOKS says where."""
    runbooks.rename("elsewhere")
    monkeypatch.setenv("MUSTER_RUNBOOKS", "elsewhere")
    assert main(["check"]) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith("elsewhere: 0 errors")


def test_the_name_of_a_file_cannot_drive_the_terminal(runbooks: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Escape sequences, line breaks and bytes that are no UTF-8 are written out."""
    (runbooks / "clerk" / "\x1b[2J\n.yml").write_text("")
    with open(os.fsencode(runbooks / "clerk") + b"/\xff.yml", "w", encoding="utf-8") as file:
        file.write("")
    assert main(["check"]) == 1
    said = capsys.readouterr().out
    assert r"runbooks/clerk/\x1b[2J\n.yml:1:1: is empty" in said
    assert r"runbooks/clerk/\udcff.yml:1:1: is empty" in said
    assert printable("a “b” …\t") == r"a “b” …\t"


LOADED = """
import sys
from bot.cli import main
code = main(sys.argv[1:])
left_out = ("slack_sdk", "slack_bolt", "aiohttp", "kubernetes", "redis", "apscheduler", "uvloop", "prometheus_client", "rich")
print("loaded:", [name for name in (*left_out, "bot.settings") if name in sys.modules], file=sys.stderr)
sys.exit(code)
"""


@pytest.mark.parametrize("command", ["check", "schema"])
def test_it_loads_neither_slack_nor_a_server(runbooks: Path, command: str) -> None:
    """An editor and a commit hook wait for it. Where nothing of Muster's is set, the settings model stays unread, too."""
    run = subprocess.run(
        [sys.executable, "-c", LOADED, command],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stderr == "loaded: []\n"
    assert run.stdout
