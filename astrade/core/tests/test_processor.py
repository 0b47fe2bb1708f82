"""Keeping to one CPU; each test in a thread of its own, whose affinity ends with it."""

import os
import threading

import pytest
from django.core.exceptions import ImproperlyConfigured

from astrade.core.processor import keep_to

pytestmark = pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system knows no affinity")


def after(cpu: int | None) -> tuple[set[int], Exception | None]:
    """The CPUs that a thread begun after `keep_to(cpu)` may use, and what that raised."""
    found: list[tuple[set[int], Exception | None]] = []

    def look(raised: Exception | None) -> None:
        found.append((os.sched_getaffinity(0), raised))

    def run() -> None:
        raised = None
        try:
            keep_to(cpu)
        except ImproperlyConfigured as exc:
            raised = exc
        begun_later = threading.Thread(target=look, args=[raised])
        begun_later.start()
        begun_later.join()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return found[0]


def test_a_process_keeps_to_its_cpu_with_the_threads_it_begins() -> None:
    cpu = min(os.sched_getaffinity(0))
    assert after(cpu) == ({cpu}, None)


def test_without_one_all_stays_as_it_is() -> None:
    assert after(None) == (os.sched_getaffinity(0), None)


def test_a_cpu_that_is_not_there_is_refused_by_name() -> None:
    allowed, raised = after(4096)
    assert allowed == os.sched_getaffinity(0)
    assert "WEB_CPU is 4096" in str(raised)
