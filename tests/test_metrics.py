"""What an operator is alerted of: each number means what its name says, and nothing that a person can fill is a label."""

from __future__ import annotations

import math

from bot.domain.facts import PageFailed, PageSent
from bot.domain.timeline import GENESIS, chain
from bot.metrics import Metrics
from tests.conftest import at


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    """One number."""
    return metrics.registry.get_sample_value(name, labels)


def test_pages_by_way_and_outcome_and_how_late_they_were() -> None:
    """A page for which no way was left counts, too."""
    metrics = Metrics()
    facts = [
        PageSent(key="level-1", contact_id="cto", via="phone", late_s=3),
        PageSent(key="level-1", contact_id="cto", via="slack", late_s=400),
        PageFailed(key="level-1", contact_id="cto", via="phone", reason="busy"),
        PageFailed(key="level-1", contact_id="cto", via="", reason="no way"),
    ]
    for entry in chain(facts, after_seq=0, after_digest=GENESIS, at=at(), by="muster", salts=["00" * 16] * 4):
        metrics.happened(entry)
    assert value(metrics, "muster_pages_total", via="phone", outcome="sent") == 1
    assert value(metrics, "muster_pages_total", via="phone", outcome="failed") == 1
    assert value(metrics, "muster_pages_total", via="none", outcome="failed") == 1
    assert value(metrics, "muster_page_late_seconds_count") == 2
    assert value(metrics, "muster_page_late_seconds_bucket", le="5.0") == 1
    assert value(metrics, "muster_page_late_seconds_sum") == 403


def test_audits() -> None:
    """Every kind of trouble is there from the beginning, so that a first one is a change; no audit yet is no age."""
    metrics = Metrics()
    for kind in ("overdue", "missing", "orphans", "heartbeat"):
        assert value(metrics, "muster_audit_failures_total", kind=kind) == 0
    assert math.isnan(value(metrics, "muster_audit_age_seconds") or 0)
    metrics.audit_found(["missing"], booked_again=3)
    metrics.audit_found([])
    metrics.audit_age(12.5)
    assert value(metrics, "muster_audit_failures_total", kind="missing") == 1
    assert value(metrics, "muster_audit_booked_again_total") == 3
    assert value(metrics, "muster_audit_age_seconds") == 12.5
