"""Read artifacts from the Prefect API."""

from __future__ import annotations

import asyncio
from typing import Any


def artifacts(key: str) -> list[Any]:
    """Return all artifacts of a key, the oldest first."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey

    async def read() -> list[Any]:
        async with get_client() as client:
            wanted = ArtifactFilter(key=ArtifactFilterKey(any_=[key]))
            return await client.read_artifacts(artifact_filter=wanted)

    return sorted(asyncio.run(read()), key=lambda one: one.created)
