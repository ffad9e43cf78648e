"""Keep the tag `current` right while one writer holds a model.

Called before a run trains:

- A run with a guard needs a version to fall back to, so the newest version becomes `current` if no
  version is. The tag spares its state, however many versions the run commits.
- A rewind takes `current` with it. If the run that rewound was killed in between, the next one
  moves the tag.
"""

from __future__ import annotations

from onepass.job import Job
from onepass.ledger.ledger import Ledger
from onepass.ledger.tag_entry import CURRENT


def prepare(ledger: Ledger, job: Job) -> None:
    """Read the tags, apply what a run says of states, and name the version to fall back to.

    Raises
    ------
    ForeignModel
        If the tags are damaged.
    """
    ledger.tags.catch_up()
    for name in ledger.tags.named():
        ledger.tags.target(name)
    ledger.retention.keep_newest = job.keep_states
    follow_rewind(ledger)
    newest = ledger.history.newest_states(1)
    if job.max_loss_increase is not None and newest and ledger.tags.get(CURRENT) is None:
        ledger.tags.move(
            CURRENT, newest[0].version, by="run", reason="the newest before the first guarded run"
        )


def follow_rewind(ledger: Ledger) -> None:
    """Let `current`, if it has been set, name the newest version as of the last rewind.

    Nothing is done if the tag has been moved since the rewind.
    """
    tag, rewinds = ledger.tags.get(CURRENT), ledger.history.rewinds
    if tag is None or not rewinds or tag.head >= rewinds[-1].version:
        return
    last = rewinds[-1]
    to = ledger.history.newest_learnt(last.version) or None
    reason = f"followed the rewind to version {last.to}"
    ledger.tags.move(CURRENT, to, by="run", reason=reason, expect=tag)
