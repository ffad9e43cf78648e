"""The steps of a run are tasks of Prefect, made from closures.

So Prefect has nothing to hash, store or copy.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from prefect.cache_policies import NO_CACHE
from prefect.tasks import Task

from prefect_onepass.states import may_pass

R = TypeVar("R")

RETRIES: dict[str, Any] = {"retries": 2, "retry_delay_seconds": 5, "retry_condition_fn": may_pass}
"""Options of tasks that go on from the last commit after an error of a disk or a network."""


def run_task(name: str, call: Callable[[], R], *, run_name: str | None = None, **options: Any) -> R:
    """Run a call as a task, in this thread."""
    # Prefect would take braces in a text for parameters.
    named = None if run_name is None else lambda: run_name
    run = Task(call, name=name, task_run_name=named, cache_policy=NO_CACHE, **options)
    return run()
