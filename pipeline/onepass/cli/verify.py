"""`onepass verify`."""

from __future__ import annotations

import sys

import click

from onepass.actions.verify import verify
from onepass.actions.verify_report import Finding, VerifyReport
from onepass.terminal.options import as_lake, dask_option, json_option
from onepass.terminal.printing import print_json, say
from onepass.terminal.progress import Display
from onepass.text import counted, printable

_SHOWN = 20
"""Maximum number of findings of one level that are printed; `--json` prints all."""


@click.command("verify")
@click.argument("model", metavar="DIR")
@click.argument("lake", nargs=-1, metavar="[LAKE]...")
@click.option("--no-lake", is_flag=True, help="Do not compare the lake with what was learnt.")
@click.option("--retrain", is_flag=True, help="Learn the newest version again and compare it.")
@click.option(
    "--head", metavar="SHA256", help="Head of an earlier verify, which must be in the chain."
)
@dask_option
@json_option
def command(
    model: str,
    lake: tuple[str, ...],
    no_lake: bool,
    retrain: bool,
    head: str | None,
    dask: str | None,
    as_json: bool,
) -> None:
    """Check the model in DIR: the chain of its log, its states, and the files that it has learnt.

    Give LAKE if the lake has moved. The command changes nothing. Exit codes: 0 sound; 3 the lake
    differs from what was learnt; 4 the directory is damaged.
    """
    with Display("compared") as display:
        report = verify(
            model,
            lake=as_lake(lake) if lake else None,
            check_lake=not no_lake,
            retrain=retrain,
            head=head,
            dask=dask,
            progress=display,
        )
    if as_json:
        print_json(report)
    else:
        say(describe(report))
    # `exit_with` runs commands as functions, and click then ignores its own `ctx.exit`.
    sys.exit(report.exit_code)


def describe(report: VerifyReport) -> str:
    """Describe a verification, with a line for each part and each finding."""
    state = f"{counted(report.states, 'state')} sound, {report.let_go:,} not kept"
    lines = [
        _line(report, ("model.json",), "model.json", "read"),
        _line(report, ("log",), "log", f"{counted(report.version, 'version')}, chain whole"),
        _line(report, ("state",), "states", state),
    ]
    if report.tags or any(finding.part == "tags" for finding in report.findings):
        lines.append(
            _line(report, ("tags",), "tags", f"{counted(report.tags, 'tag')}, chain whole")
        )
    if report.lake_files is not None:
        lines.append(_line(report, ("lake",), "lake", f"{counted(report.lake_files, 'file')}"))
    if report.retrained is not None:
        lines.append(
            f"{'retrained':<12}ok       version {report.retrained} gave the same result again"
        )
    for level, title in (("damage", "damage"), ("lake", "lake"), ("note", "note")):
        found = [finding for finding in report.findings if finding.level == level]
        lines += [
            f"{title}: {printable(finding.where)}: {finding.text}" for finding in found[:_SHOWN]
        ]
        if len(found) > _SHOWN:
            lines.append(f"{title}: {len(found) - _SHOWN:,} more (--json has all)")
    lines.append(f"head {report.head_sha256}" if report.head_sha256 else "no head")
    lines.append(f"{'sound' if report.sound else 'NOT SOUND'}: {report.advice}")
    return "\n".join(lines)


def _line(report: VerifyReport, parts: tuple[str, ...], title: str, text: str) -> str:
    faults = [f for f in report.findings if f.part in parts and f.level != "note"]
    if not faults:
        return f"{title:<12}ok       {text}"
    return f"{title:<12}{_word(faults):<9}{counted(len(faults), 'fault')}"


def _word(faults: list[Finding]) -> str:
    return "DAMAGED" if any(fault.level == "damage" for fault in faults) else "CHANGED"
