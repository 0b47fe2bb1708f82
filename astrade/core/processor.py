"""Which processor a process runs on."""

import os

from django.core.exceptions import ImproperlyConfigured


def keep_to(cpu: int | None) -> None:
    """Keep this process and the threads it begins from now on to one CPU; None leaves them to the system.

    Only one thread of a Python process runs Python at a time. On several CPUs each release of the interpreter's lock,
    as around every call to PostgreSQL or Redis, wakes a thread on another CPU, with cold caches, which keeps the first
    one waiting; on one CPU the lock changes hands only when its holder really has to wait. Raises
    ImproperlyConfigured for a CPU that this process may not use. Does nothing on systems that have no such call.
    """
    if cpu is None or not hasattr(os, "sched_setaffinity"):
        return
    allowed = os.sched_getaffinity(0)
    if cpu not in allowed:
        raise ImproperlyConfigured(f"WEB_CPU is {cpu}, but this process may use only {sorted(allowed)}")
    os.sched_setaffinity(0, {cpu})
