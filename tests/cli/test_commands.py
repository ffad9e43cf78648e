"""The commands: exit codes, one JSON object for machines, one or two lines for people."""

from __future__ import annotations

import importlib
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

import onepass
import small
from lakes import number_table
from onepass import Model, train
from onepass.model.directory import open_model

COMMAND = [sys.executable, "-c", "from onepass.cli import main; main()"]


@pytest.fixture
def model(make_lake, tmp_path) -> Path:
    train({"lake": str(make_lake()), "label": "y", "model": str(tmp_path / "model")})
    return tmp_path / "model"


def last_json(out: str) -> dict[str, Any]:
    return json.loads(out.splitlines()[-1])


# -- what goes well --------------------------------------------------------------------------------


def test_train_says_what_it_did_and_then_that_nothing_is_left(make_lake, tmp_path, onepass):
    model = tmp_path / "model"
    code, out, err = onepass("train", make_lake(), "--label", "y", "--model", model)
    assert code == 0
    assert out.startswith("trained 6 partitions, 2,955 rows in ")
    assert "version 7" in out
    assert "6/6 partitions" in err
    code, out, err = onepass("train", "--model", model)
    assert (code, err) == (0, "")
    assert "nothing to train: the model has seen every partition of its lake\n" in out


def test_train_says_how_many_are_left_out_where_nothing_is_to_be_trained(
    make_lake, tmp_path, onepass
):
    lake, model = make_lake(3), tmp_path / "model"
    onepass("train", lake, "--label", "y", "--model", model)
    onepass("rewind", model, "--to", 0, "--exclude", "*")
    [first, *_] = onepass("train", "--model", model)[1].splitlines()
    assert first == (
        "nothing to train: the lake has no partitions but 3 left out (onepass log says why)"
    )
    pq.write_table(number_table(50, seed=9), lake / "part-1.parquet")
    onepass("train", "--model", model)
    [first, *_] = onepass("train", "--model", model)[1].splitlines()
    assert first == (
        "nothing to train: the model has seen every partition of its lake but 2 left out "
        "(onepass log says why)"
    )
    assert last_json(onepass("train", "--model", model, "--json")[1])["left_out"] == 2


JSON_FIELDS = {
    "train": "model version partitions rows skipped left_out loss metrics seconds rows_per_second "
    "peak_rss_bytes state_sha256",
    "evaluate": "rows loss metrics",
    "score": "rows partitions out",
    "log": "entries",
    "verify": "sound exit_code version head_sha256 usable_version findings advice",
    "rewind": "version to partitions rows pending excluded retrained state_sha256",
    "summary": "intercepts coefficients",
    "path": "model version alpha features steps best chosen",
    "inspect": "files rows columns label warnings",
}


def test_last_line_with_json_is_one_object_with_the_promised_fields(make_lake, tmp_path, onepass):
    lake, model, out = make_lake(), tmp_path / "model", tmp_path / "out"
    commands = {
        "train": ("train", lake, "--label", "y", "--model", model),
        "evaluate": ("evaluate", lake, "--model", model),
        "score": ("score", lake, "--model", model, "--out", out),
        "log": ("log", model),
        "summary": ("summary", model),
        "path": ("path", model, "--penalties", "3"),
        "verify": ("verify", model),
        "rewind": ("rewind", model, "--to", 6),
        "inspect": ("inspect", lake, "--label", "y"),
    }
    for name, arguments in commands.items():
        code, printed, _ = onepass(*arguments, "--json")
        found = last_json(printed)
        assert code == 0
        assert set(JSON_FIELDS[name].split()) <= set(found), name
    trained = last_json(onepass("train", "--model", model, "--json")[1])
    # The one that was rewound.
    assert trained["partitions"] == 1
    trained = last_json(onepass("train", "--model", model, "--json")[1])
    assert (trained["partitions"], trained["rows"], trained["loss"]) == (0, 0, None)


def test_json_report_is_that_of_the_library(model, make_lake, tmp_path, onepass):
    job = {"lake": str(tmp_path / "lake"), "label": "y", "model": str(tmp_path / "other")}
    expected = train(job)
    given = ("train", job["lake"], "--label", "y", "--model", tmp_path / "third", "--json")
    found = last_json(onepass(*given)[1])
    same = ("version", "partitions", "rows", "skipped", "loss", "metrics", "state_sha256")
    assert {name: found[name] for name in same} == expected.model_dump(include=set(same))


def test_job_file_and_flags_say_the_same_and_flags_go_first(make_lake, tmp_path, onepass):
    job = {"lake": str(make_lake()), "label": "y", "model": str(tmp_path / "a"), "l2": 0.5}
    (tmp_path / "job.yaml").write_text(yaml.safe_dump(job))
    config = ("--config", tmp_path / "job.yaml")
    first = last_json(onepass("train", *config, "--json")[1])
    second = last_json(onepass("train", *config, "--model", tmp_path / "b", "--json")[1])
    other = last_json(
        onepass("train", *config, "--model", tmp_path / "c", "--l2", "0", "--json")[1]
    )
    assert first["state_sha256"] == second["state_sha256"] != other["state_sha256"]


def test_log_names_every_partition_and_every_skip(make_lake, tmp_path, onepass):
    lake, model = make_lake(), tmp_path / "model"
    (lake / "part-3.parquet").write_text("no Parquet at all")
    given = ("train", lake, "--label", "y", "--model", model, "--on-bad", "skip", "--json")
    code, out, err = onepass(*given)
    assert (code, last_json(out)["skipped"]) == (0, 1)
    assert "warning: left out: part-3.parquet: expected a Parquet file" in err
    code, out, _ = onepass("log", model)
    lines = out.splitlines()
    assert len(lines) == 1 + 7
    assert all(sum(f"part-{i}.parquet" in line for line in lines) == 1 for i in range(6) if i != 3)
    assert sum("skip" in line and "expected a Parquet file" in line for line in lines) == 1


def test_summary_and_inspect_show_every_column(model, tmp_path, onepass):
    code, out, _ = onepass("summary", model)
    assert code == 0
    schema = Model.load(model).file.encoder
    # A value that no row has shows in no line.
    names = [name for name in schema.feature_names() if not name.endswith(" is unknown")]
    assert all(name in out for name in names)
    assert " is unknown" not in out
    for column in schema.columns:
        if column.kind == "one_hot":
            assert f"{column.name} = {column.levels[0]}" in out.partition("reference levels:")[2]
    code, out, _ = onepass("inspect", tmp_path / "lake", "--label", "y")
    assert code == 0
    assert all(f"\n{name} " in out for name in ("a", "b", "c", "level"))


def test_inspect_takes_the_loss_that_a_job_file_implies(make_lake, tmp_path, onepass):
    config = tmp_path / "job.yaml"
    config.write_text("label: y\nquantile: [0.1, 0.9]\n")
    code, out, err = onepass("inspect", make_lake(n_files=2), "--config", config, "--json")
    assert (code, last_json(out)["label"]["loss"]) == (0, "quantile"), err


def test_inspect_shows_the_classes_of_a_label_and_takes_the_loss(make_lake, tmp_path, onepass):
    lake = make_lake()
    code, out, _ = onepass("inspect", lake, "--label", "level", "--exclude", "y")
    assert code == 0
    assert "label level: softmax loss, 4 distinct, 0.0% null" in out
    assert "classes: east 2" in out
    given = ("--loss", "logistic", "--classes", "east,west")
    code, _, err = onepass("inspect", lake, "--label", "level", *given)
    assert (code, "'level' also has north (" in err) == (2, True)
    found = last_json(onepass("inspect", lake, "--label", "level", "--json")[1])
    assert list(found["label"]["class_shares"]) == ["east", "north", "south", "west"]
    assert found["label"]["mean"] is None


def test_evaluate_prints_metrics_and_tables(make_lake, tmp_path, onepass):
    lake, model = make_lake(classes=True), tmp_path / "model"
    code, out, err = onepass("train", lake, "--label", "y", "--model", model)
    assert code == 0
    assert "auc 0." in out
    assert "accuracy 0." in out
    code, out, err = onepass("evaluate", lake, "--model", model)
    assert (code, err) == (0, "")
    assert re.search(r"^  constant_loss +0\.\d+$", out, re.MULTILINE)
    assert re.search(r"^calibration\n *from +to +prediction +positive +weight", out, re.MULTILINE)
    assert len(out.split("calibration\n")[1].splitlines()) == 1 + 10
    found = last_json(onepass("evaluate", lake, "--model", model, "--json")[1])
    assert len(found["tables"]["calibration"]) == 10
    assert found["metrics"]["constant_loss"] > found["loss"]


def test_model_that_is_worse_than_a_constant_is_warned_about(make_lake, tmp_path, onepass):
    lake, model, other = make_lake(), tmp_path / "model", make_lake(name="other")
    for path in other.iterdir():
        table = pq.read_table(path)
        y = pa.array(-table["y"].to_numpy())
        pq.write_table(table.set_column(4, "y", y), path)
    _, _, err = onepass("train", lake, "--label", "y", "--model", model)
    assert "warning" not in err
    for more in ((), ("--json",)):
        code, _, err = onepass("evaluate", other, "--model", model, *more)
        assert code == 0
        assert re.search(r"^warning: the loss \S+ is worse than \S+, that of the best", err)
    _, _, err = onepass("train", "--model", model, "--holdout", other)
    assert "warning: the loss" in err


def test_model_that_is_good_in_the_end_is_not_called_useless_for_its_first_rows(tmp_path, onepass):
    lake = tmp_path / "lake"
    lake.mkdir()
    for i in range(4):
        rng = np.random.default_rng(i)
        x = rng.normal(size=(1000, 3))
        # The first file says the opposite of all others.
        y = (-30 if i == 0 else 1) * x[:, 0] + 0.1 * rng.normal(size=1000)
        columns = {f"x{j}": x[:, j] for j in range(3)} | {
            "y": y,
            "w": np.full(1000, 1e-4 ** (i == 0)),
        }
        pq.write_table(pa.table(columns), lake / f"part-{i}.parquet")
    given = ("--label", "y", "--weight", "w", "--order", "stored", "--model", tmp_path / "model")
    code, out, err = onepass("train", lake, *given, "--json")
    report = last_json(out)
    assert code == 0
    assert "of no use" not in err
    assert report["last_tenth"]["rows"] >= 400
    assert report["last_tenth"]["metrics"]["r2"] > 0.9
    out = onepass("log", tmp_path / "model")[1]
    assert "last tenth" in out.splitlines()[0]


def test_score_keeps_columns_and_says_what_was_there(model, tmp_path, onepass):
    given = ("score", tmp_path / "lake", "--model", model, "--out", tmp_path / "out")
    assert "6 files written, 0 were there already" in onepass(*given, "--keep", "a,level")[1]
    assert "0 files written, 6 were there already" in onepass(*given, "--keep", "a,level")[1]


def test_score_says_which_versions_and_which_files_without_input_there_are(
    model, tmp_path, onepass, make_lake
):
    out = tmp_path / "out"
    given = ("score", "--model", model, "--out", out, "--new-only", "--version-column", "made_by")
    assert "6 files written" in onepass(*given)[1]
    first = last_json(onepass(*given, "--json")[1])["version"]
    (tmp_path / "lake" / "part-0.parquet").unlink()
    make_lake(8)
    (tmp_path / "lake" / "part-1.parquet").unlink()
    onepass("train", "--model", model, "--on-changed", "skip")
    text = onepass(*given)[1]
    assert "2 files written, 5 were there already" in text
    assert f"files: 5 of version {first}, 2 of version " in text
    assert "left: part-1.parquet, whose input is not in the lake (--prune removes those" in text
    assert "removed 1 file whose input is not in the lake" in onepass(*given, "--prune")[1]
    assert not (out / "part-1.parquet").exists()
    assert {*pq.read_table(out / "part-0.parquet")["made_by"].to_pylist()} == {first}


# -- what goes wrong -------------------------------------------------------------------------------


WRONG = {
    "no such command": (["learn"], 2),
    "no such option": (["train", "--magic"], 2),
    "no job at all": (["train"], 2),
    "model without lake": (["train", "--model", "nothing"], 2),
    "no such model": (["evaluate", "lake", "--model", "nothing"], 2),
    "no such model to log": (["log", "nothing"], 2),
    "no such model to summarise": (["summary", "nothing"], 2),
    "no such lake": (["inspect", "nowhere"], 2),
    "no job file": (["train", "--config", "none.yaml"], 2),
    "other job": (["train", "--model", "model", "--l2", "3"], 2),
    "unknown label": (["train", "lake", "--label", "Y", "--model", "new"], 2),
    "output into the lake": (["score", "lake", "--model", "model", "--out", "lake/out"], 2),
    "no row": (["evaluate", "empty", "--model", "model"], 3),
    "changed file": (["train", "--model", "changed"], 3),
    "altered log": (["train", "--model", "altered"], 4),
    "altered log shown": (["log", "altered"], 4),
}


@pytest.fixture
def places(make_lake, tmp_path, monkeypatch) -> None:
    """A folder with models and lakes in every state that `WRONG` asks for."""
    monkeypatch.chdir(tmp_path)
    for name in ("model", "altered"):
        train({"lake": str(make_lake(2)), "label": "y", "model": name})
    train({"lake": str(make_lake(2, name="other")), "label": "y", "model": "changed"})
    make_lake(1, n_rows=99, name="other")
    Path("empty").mkdir()
    entry = Path("altered/log") / f"{2:020d}.json"
    entry.write_text(entry.read_text().replace('"rows"', '"rows" '))


def test_exit_code_tells_what_is_wrong_and_stderr_tells_it_in_short(places, onepass):
    for name, (arguments, expected) in WRONG.items():
        code, out, err = onepass(*arguments)
        assert (code, out) == (expected, ""), (name, err)
        assert err.startswith("onepass: "), name
        assert "Traceback" not in err, name
        assert len(err.splitlines()) <= (4 if name == "other job" else 2), (name, err)


def test_debug_shows_the_traceback_in_any_position(places, onepass):
    for arguments in (("--debug", "log", "nothing"), ("log", "nothing", "--debug")):
        code, _, err = onepass(*arguments)
        assert code == 2
        assert "Traceback" in err
        assert "ModelNotFound" in err


def test_the_flag_that_a_refusal_of_workers_names_exists():
    for name in ("train", "refine"):
        command = importlib.import_module(f"onepass.cli.{name}").command
        assert "--mixed-workers" in {flag for option in command.params for flag in option.opts}


def test_lazy_import_names_commands_that_exist(onepass):
    for name in ("train", "evaluate", "score", "log", "summary", "inspect"):
        code, out, _ = onepass(name, "--help")
        assert code == 0
        assert f"Usage: onepass {name}" in out
    assert onepass("--help")[1].count("\n  ") >= 7


# -- processes -------------------------------------------------------------------------------------

SLOW = """
import signal, sys, time
from onepass.cli import main
from onepass.terminal import progress as display
# A shell that starts the tests in the background lets them ignore it.
signal.signal(signal.SIGINT, signal.default_int_handler)
advanced = display.Display.advanced
display.Display.advanced = lambda self, n: (time.sleep(0.2), advanced(self, n))[1]
display.LINE_SECONDS = 0
main(sys.argv[1:])
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_run_says_how_to_go_on_and_does(make_lake, tmp_path, onepass, number):
    lake, model = make_lake(), tmp_path / "model"
    given = {"lake": str(lake), "label": "y"}
    expected = small.train(given | {"model": str(tmp_path / "whole")})
    small.plan(given | {"model": str(model)})
    command = [sys.executable, "-c", SLOW, "train", "--model", str(model)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        first = process.stderr.readline()
        process.send_signal(number)
        out, err = process.communicate(timeout=30)
    assert first.startswith("trained 1/6 partitions")
    assert (process.returncode, out) == (130, "")
    # The run finishes the commit under way, so one more may be kept than was reported before.
    kept = open_model(model).ledger.version
    assert 2 <= kept <= 3
    said = f"interrupted: version {kept} is kept; go on with: onepass train --model {model}"
    assert err.strip().splitlines()[-1] == said
    report = train({"model": str(model)})
    assert (report.partitions, report.state_sha256) == (7 - kept, expected.state_sha256)


def test_run_interrupted_before_there_is_a_model_does_not_point_at_one(
    make_lake, tmp_path, onepass, monkeypatch
):
    def interrupt(*job: object, **limits: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("onepass.training.new_models.create_model", interrupt)
    code, _, err = onepass("train", make_lake(1), "--label", "y", "--model", tmp_path / "model")
    assert (code, err.strip()) == (130, "interrupted before the model was created: nothing is kept")
    assert not (tmp_path / "model").exists()


def test_help_loads_neither_numba_nor_pyarrow_nor_prefect():
    code = (
        "import sys\nfrom onepass.cli import main\ntry: main(['--help'])\n"
        "finally: print({'numba', 'pyarrow', 'prefect', 'dask', 'numpy'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("Usage: onepass [OPTIONS] COMMAND")
    assert done.stdout.endswith("set()\n")


def test_no_module_of_the_library_imports_prefect():
    code = (
        "import pkgutil, sys, onepass\nfrom importlib import import_module\n"
        "names = [m.name for m in pkgutil.walk_packages(onepass.__path__, 'onepass.')]\n"
        "for name in names: import_module(name)\n"
        "print(len(names), [m for m in sys.modules if 'prefect' in m.split('.')[0]])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split(maxsplit=1)[1] == "[]\n"
    assert int(done.stdout.split()[0]) > 40


STEERING = "\x1b]0;owned\x07\x1b[31mred\nsound: all is well"


def test_names_from_elsewhere_cannot_steer_the_terminal(tmp_path, onepass):
    lake, model = tmp_path / "lake", tmp_path / "model"
    lake.mkdir()
    for name, n_rows in {f"a{STEERING}": 40, f"b{STEERING}": 60}.items():
        table = pa.table(
            {f"x{STEERING}": [i % 9 for i in range(n_rows)], "y": [0.5 * i for i in range(n_rows)]}
        )
        table = table.append_column(f"z{STEERING}", pa.array([1] * n_rows))
        pq.write_table(table, lake / f"{name}.parquet")
    (lake / f"c{STEERING}.parquet").write_bytes(b"PAR1 no more")
    said = [onepass("inspect", lake, "--label", "y")]
    common = ("train", lake, "--label", "y", "--model", model)
    said.append(onepass(*common))
    said.append(onepass(*common, "--on-bad", "skip"))
    pq.write_table(table.slice(1), lake / f"b{STEERING}.parquet")
    (lake / f"a{STEERING}.parquet").unlink()
    said += [onepass("log", model), onepass("verify", model), onepass("train", "--model", model)]
    said += [onepass("summary", model), onepass("evaluate", lake, "--model", model)]
    said.append(onepass("rewind", model, "--to", 2))
    assert [code for code, _, _ in said] == [0, 3, 0, 0, 3, 3, 0, 3, 0]
    for _, out, err in said:
        text = out + err
        assert text.replace("\n", "").isprintable(), text
        assert not any(line.startswith("sound: all is well") for line in text.splitlines())
    for text in (said[0][1], said[1][2], said[2][2], said[3][1], said[4][1], said[5][2]):
        assert r"\x1b[31mred" in text
        assert r"\nsound: all is well" in text


def test_closed_pipe_is_no_error(model):
    with subprocess.Popen(
        [*COMMAND, "log", str(model)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        process.stdout.close()
        err = process.stderr.read()
    assert (process.returncode, err) == (0, b"")


def test_warnings_of_the_library_reach_stderr(model, tmp_path):
    os.truncate(max((model / "state").iterdir()), 10)
    command = [*COMMAND, "evaluate", str(tmp_path / "lake"), "--model", str(model)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0
    assert "rows, version 6, loss" in done.stdout
    assert done.stderr.startswith("warning: version 7 cannot be used: state/00000007-")


def test_disk_that_takes_no_more_is_told_with_the_file(model, make_lake, tmp_path):
    lake, out = make_lake(7), tmp_path / "out"
    limited = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (600, 600)); "
    command = [*COMMAND[:2], limited + COMMAND[2]]
    for arguments, place in (
        (["train", "--model", str(model)], f"{model}/(log|state)/[0-9a-f-]+[.](json|npz)"),
        (["score", str(lake), "--model", str(model), "--out", str(out)], f"{out}/part-0.parquet"),
    ):
        done = subprocess.run([*command, *arguments], capture_output=True, text=True)
        assert done.returncode == 2, done
        last = done.stderr.splitlines()[-1]
        assert re.fullmatch(f"onepass: .*File too large: {place}", last), last


def test_public_names_are_those_that_the_package_exports():
    assert onepass.__all__ == sorted(onepass._HOME)
    for name in onepass.__all__:
        found = getattr(onepass, name)
        assert found.__name__ == name
        assert found.__module__.startswith("onepass.")
        assert found.__doc__
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        onepass.nothing  # noqa: B018


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full here")
def test_error_that_cannot_be_told_still_ends_in_its_code(tmp_path):
    """The disk that is full may be the one that holds the file which stderr is written to."""
    with open("/dev/full", "w") as full:
        done = subprocess.run([*COMMAND, "log", str(tmp_path / "nothing")], stderr=full)
    assert done.returncode == 2
