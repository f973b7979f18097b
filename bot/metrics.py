"""The numbers that an operator asks for, in Prometheus' terms. Built by ``bot.app``; no title, name or id is ever a label."""

from __future__ import annotations

import math
from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from bot.domain.facts import PageFailed, PageSent
from bot.domain.timeline import Entry

_ACK_BUCKETS_S = (0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 3.0)
_LATE_BUCKETS_S = (1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0)
_CALL_BUCKETS_S = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)


class Metrics:
    """One registry for one process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._answers = Histogram(
            "muster_slack_answer_seconds",
            "From the last byte of a request of Slack to the answer",
            ["kind"],
            buckets=_ACK_BUCKETS_S,
            registry=self.registry,
        )
        self._calls = Histogram(
            "muster_slack_call_seconds",
            "Calls of Slack's Web API",
            ["method"],
            buckets=_CALL_BUCKETS_S,
            registry=self.registry,
        )
        self._outcomes = Counter(
            "muster_slack_calls", "Calls of Slack's Web API by outcome", ["method", "outcome"], registry=self.registry
        )
        self._tasks = Counter("muster_tasks", "Tasks by kind and outcome", ["kind", "outcome"], registry=self.registry)
        self._pages = Counter("muster_pages", "Pages by way and outcome", ["via", "outcome"], registry=self.registry)
        self._sockets = Gauge("muster_socket_connections", "Socket Mode connections that are up", registry=self.registry)
        self._envelopes = Counter(
            "muster_socket_envelopes", "Socket Mode envelopes by type and outcome", ["type", "outcome"], registry=self.registry
        )
        self._reconnects = Counter(
            "muster_socket_reconnects", "Socket Mode connections replaced, or not opened", ["reason"], registry=self.registry
        )
        self._due_age = Gauge("muster_due_age_seconds", "How long the oldest due task has been due", registry=self.registry)
        self._late = Histogram(
            "muster_page_late_seconds",
            "From the moment when somebody was to be told to the moment when a way took the page",
            buckets=_LATE_BUCKETS_S,
            registry=self.registry,
        )
        self._audit_failures = Counter(
            "muster_audit_failures", "Audits that found something, by what it was", ["kind"], registry=self.registry
        )
        for kind in ("overdue", "missing", "orphans", "unreadable", "heartbeat"):
            self._audit_failures.labels(kind)
        self._rebooked = Counter("muster_audit_booked_again", "Tasks that the audit had to book again", registry=self.registry)
        self._audit_age = Gauge(
            "muster_audit_age_seconds",
            "How long ago an audit of any replica found everything well; NaN before the first",
            registry=self.registry,
        )
        self._audit_age.set(math.nan)

    def answered(self, kind: str, seconds: float) -> None:
        """An answer to Slack took ``seconds``."""
        self._answers.labels(kind).observe(seconds)

    def called(self, method: str, outcome: str, seconds: float) -> None:
        """A call of Slack took ``seconds``."""
        self._calls.labels(method).observe(seconds)
        self._outcomes.labels(method, outcome).inc()

    def performed(self, kind: str, outcome: str) -> None:
        """A task ended, or is tried again."""
        self._tasks.labels(kind, outcome).inc()

    def happened(self, entry: Entry) -> None:
        """A fact was written."""
        if isinstance(entry.fact, PageSent):
            self._pages.labels(entry.fact.via, "sent").inc()
            self._late.observe(entry.fact.late_s)
        elif isinstance(entry.fact, PageFailed):
            self._pages.labels(entry.fact.via or "none", "failed").inc()

    def socket_connections(self, up: int) -> None:
        """So many Socket Mode connections are up."""
        self._sockets.set(up)

    def socket_envelope(self, kind: str, outcome: str) -> None:
        """An envelope was acknowledged, ignored or refused."""
        self._envelopes.labels(kind, outcome).inc()

    def socket_reconnect(self, reason: str) -> None:
        """A connection needed a successor, or could not be opened."""
        self._reconnects.labels(reason).inc()

    def due_age(self, seconds: float) -> None:
        """The oldest due task has been due for ``seconds``."""
        self._due_age.set(seconds)

    def audit_found(self, kinds: Iterable[str], *, booked_again: int = 0) -> None:
        """An audit of this replica found something; ``kinds`` are those of its troubles."""
        for kind in kinds:
            self._audit_failures.labels(kind).inc()
        self._rebooked.inc(booked_again)

    def audit_age(self, seconds: float) -> None:
        """The last audit that found everything well was ``seconds`` ago."""
        self._audit_age.set(seconds)

    def text(self) -> bytes:
        """Prometheus' text format."""
        return generate_latest(self.registry)
