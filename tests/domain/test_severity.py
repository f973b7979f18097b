"""The four severities."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from bot.domain.severity import Severity, SeverityPolicy


def test_sev1_is_the_worst() -> None:
    """The order is by urgency, not by the number in the name."""
    assert Severity.SEV1.is_worse_than(Severity.SEV2)
    assert not Severity.SEV4.is_worse_than(Severity.SEV3)
    assert not Severity.SEV2.is_worse_than(Severity.SEV2)


def test_a_policy_reads_durations_and_round_trips() -> None:
    """`respond_within: 15m` in the file is 900 seconds, and the stored form gives the same policy."""
    policy = SeverityPolicy.model_validate(
        {"title": "Critical", "criteria": ["all"], "response": ["page"], "respond_within": "15m", "resolve_within": "1h"}
    )
    assert (policy.respond_within_s, policy.resolve_within_s) == (900, 3600)
    assert SeverityPolicy.model_validate(policy.model_dump(mode="json", by_alias=True)) == policy


@pytest.mark.parametrize("missing", ["title", "criteria", "response", "respond_within", "resolve_within"])
def test_a_policy_says_everything(missing: str) -> None:
    """No part of a promise may be left out."""
    whole = {"title": "x", "criteria": ["x"], "response": ["x"], "respond_within": "1m", "resolve_within": "1h"}
    with pytest.raises(ValidationError, match=missing):
        SeverityPolicy.model_validate({key: value for key, value in whole.items() if key != missing})


WHOLE = {"title": "x", "criteria": ["x"], "response": ["x"], "respond_within": "1m", "resolve_within": "1h"}


def test_what_may_be_left_out_pages_at_once_and_asks_nobody() -> None:
    """A file from before pages as it did."""
    policy = SeverityPolicy.model_validate(WHOLE)
    assert (policy.page, policy.via, policy.invite, policy.standby, policy.notify) == ("at_once", (), (), (), ())
    assert (policy.check_in_after_s, policy.check_in_wait_s) == (None, 600)


@pytest.mark.parametrize(
    "wrong", [{"page": "sometimes"}, {"via": ["pigeon"]}, {"invite": ["Not An Id"]}, {"check_in_after": "soon"}, {"tell": ["x"]}]
)
def test_what_is_no_word_of_the_file_is_refused(wrong: dict[str, object]) -> None:
    """A slip of the pen pages nobody, so it does not load."""
    with pytest.raises(ValidationError):
        SeverityPolicy.model_validate(WHOLE | wrong)
