"""``python -m prefect_onepass.automations [FILE...]`` creates automations, or updates them.

The files are those of ``prefect automation create --from-file``, which would create a second
automation of the same name each time. `dead_runs.yaml` is always among them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import yaml
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.events.schemas.automations import AutomationCore
from pydantic import ValidationError

from onepass.errors import JobError

DEAD_RUNS = Path(__file__).with_name("dead_runs.yaml")
"""Automations that call runs crashed whose processes are gone."""


def apply(files: Sequence[str] = ()) -> dict[str, list[str]]:
    """Create each automation of `DEAD_RUNS` and of more files, or replace the one of its name.

    It is also a step of `prefect.yaml`.

    Returns
    -------
    dict
        ``automations``, the names.

    Raises
    ------
    JobError
        If a file cannot be read, or is no automation.
    """
    paths = [DEAD_RUNS, *map(Path, files)]
    wanted = [automation for path in paths for automation in read_automations(path)]
    with get_client(sync_client=True) as client:
        for automation in wanted:
            _put(client, automation)
    return {"automations": [automation.name for automation in wanted]}


def read_automations(file: Path) -> list[AutomationCore]:
    """Read the automations of a YAML file: one, a list, or a list under ``automations``."""
    try:
        found: Any = yaml.safe_load(file.read_text())
        if isinstance(found, dict):
            found = found.get("automations", [found])
        return [AutomationCore.model_validate(one) for one in found]
    except (OSError, yaml.YAMLError, ValidationError, TypeError) as error:
        raise JobError(f"{file}: expected the automations of a YAML file; {error}") from None


def _put(client: SyncPrefectClient, wanted: AutomationCore) -> None:
    """Create or replace an automation. One that is as wanted is left alone: it goes on counting."""
    same_name = client.read_automations_by_name(wanted.name)
    if not same_name:
        client.create_automation(wanted)
    elif _content(same_name[0]) != _content(wanted):
        client.update_automation(same_name[0].id, wanted)
    # Two commands at once may have made two.
    for other in same_name[1:]:
        client.delete_automation(other.id)


def _content(automation: AutomationCore) -> dict[str, Any]:
    return automation.model_dump(mode="json", include=set(AutomationCore.model_fields))


@click.command("automations")
@click.argument("files", metavar="[FILE]...", nargs=-1)
def main(files: tuple[str, ...]) -> None:
    """Create the automations for dead runs and those in YAML files, or update them by name."""
    for name in apply(files)["automations"]:
        click.echo(f"automation {name} is in place")


if __name__ == "__main__":
    from onepass.terminal.exits import exit_with

    exit_with(main)
