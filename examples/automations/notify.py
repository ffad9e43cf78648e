"""Save a webhook, and create or update the automation of `notify.yaml` that calls it.

Usage: ``python notify.py URL``, with ``PREFECT_API_URL`` set. The URL may be that of an incoming
webhook of Slack, Mattermost or Teams, or of a service of your own. A block of Prefect keeps it.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import yaml
from prefect.blocks.webhook import Webhook
from prefect.client.orchestration import get_client
from prefect.events.schemas.automations import AutomationCore
from pydantic import SecretStr

BLOCK = "onepass-notify"
"""Name of the block that holds the URL."""


def described(block_id: str) -> AutomationCore:
    """Return the automation of `notify.yaml` with the id of a saved block."""
    found: dict[str, Any] = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text())
    for action in found["actions"]:
        action["block_document_id"] = block_id
    return AutomationCore.model_validate(found)


def main(url: str) -> None:
    """Save the URL and the automation."""
    block_id = Webhook(url=SecretStr(url), method="POST").save(BLOCK, overwrite=True)
    automation = described(str(block_id))
    with get_client(sync_client=True) as client:
        same = client.read_automations_by_name(automation.name)
        for one in same:
            client.update_automation(one.id, automation)
        if not same:
            client.create_automation(automation)
    print(f"{automation.name}: {'updated' if same else 'created'}")


if __name__ == "__main__":
    main(sys.argv[1])
