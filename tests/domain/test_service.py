"""Services, their variables, and the one pass that replaces them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from bot.domain.service import Service, environment_name, find_unset, substitute


@pytest.mark.parametrize(("written", "enabled"), [("true", True), ("false", False), (True, True), (False, False)])
def test_enabled_is_true_or_false(written: object, enabled: bool) -> None:
    """The two words, and nothing else."""
    assert Service.model_validate({"id": "clerk", "title": "Clerk", "enabled": written}).enabled is enabled


@pytest.mark.parametrize("written", ["yes", "no", "on", "0", "1", "True", "", 1])
def test_other_words_for_enabled_are_refused(written: object) -> None:
    """YAML's `no` does not silence a service by accident."""
    with pytest.raises(ValidationError):
        Service.model_validate({"id": "clerk", "title": "Clerk", "enabled": written})


@pytest.mark.parametrize("name", ["APP_URL", "app-url", "1app", "", "app.url", "app url"])
def test_names_of_variables_are_plain(name: str) -> None:
    """Lower-case letters, digits and underscores."""
    with pytest.raises(ValidationError):
        Service.model_validate({"id": "clerk", "title": "Clerk", "vars": {name: "x"}})


def test_the_environment_name_of_a_variable() -> None:
    """Service and variable in capitals, hyphens as underscores."""
    assert environment_name("clerk", "app_url") == "MUSTER_VAR_CLERK_APP_URL"
    assert environment_name("oauth2-server", "host") == "MUSTER_VAR_OAUTH2_SERVER_HOST"


def test_substitution_is_one_pass() -> None:
    """A value that looks like a variable is not replaced in turn; what is unknown or not set stays as it is written."""
    variables = {"a": "${b}", "b": "secret", "empty": ""}
    assert substitute("${a}/${a}", variables) == "${b}/${b}"
    assert substitute("${missing} ${empty} $a {a} ${A}", variables) == "${missing} ${empty} $a {a} ${A}"


@pytest.mark.parametrize("text", ["{a.__class__}", "{{7*7}}", "%(a)s", "{:>10000000}", "${a!r}", "${a.b}", "$(a)"])
def test_no_template_language_is_understood(text: str) -> None:
    """Only `${name}` means anything."""
    assert substitute(text, {"a": "x"}) == text


@given(st.text(max_size=60), st.dictionaries(st.from_regex(r"[a-z][a-z0-9_]{0,5}", fullmatch=True), st.text()))
def test_substitution_never_raises(text: str, variables: dict[str, str]) -> None:
    """Any text, any values."""
    substitute(text, variables)


def test_what_is_not_set_is_found_anywhere_in_the_parameters() -> None:
    """The names to set, each once, in the order in which they come."""
    params = {"url": "${app_url}/x", "more": [{"deep": "${token} ${app_url}"}, 3, None], "ok": "https://x"}
    assert find_unset(params, "clerk") == ("MUSTER_VAR_CLERK_APP_URL", "MUSTER_VAR_CLERK_TOKEN")
    assert find_unset({"url": "https://x"}, "clerk") == ()
