"""The wheel works where a user installs it, beside packages that are called like its source roots.

The wheel is built and installed without network. Building needs the setuptools that pyproject.toml
asks for, which the extra "dev" brings.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from lakes import ROOT, number_table

SETUPTOOLS = 77


def run(*words: object, cwd: Path) -> str:
    """Run a command in a folder, away from this tree; return its standard output."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [str(word) for word in words], cwd=cwd, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this tree."""
    try:
        found = version("setuptools")
    except PackageNotFoundError:
        found = "0"
    if int(found.split(".")[0]) < SETUPTOOLS:
        pytest.skip(f"building a wheel needs setuptools>={SETUPTOOLS}, found {found}")
    folder = tmp_path_factory.mktemp("wheel")
    # A build leaves files in its source tree, and packs those that an earlier build has left.
    source = folder / "source"
    for name in ("pipeline", "flows"):
        ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
        shutil.copytree(ROOT / name, source / name, ignore=ignored)
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, source / name)
    offline = ("--no-deps", "--no-index", "--disable-pip-version-check")
    run(
        *(sys.executable, "-m", "pip", "wheel", "--no-build-isolation", *offline),
        *("--wheel-dir", folder, source),
        cwd=folder,
    )
    return next(folder.glob("onepass-*.whl"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the wheel, and with the dependencies of the running one."""
    folder = tmp_path_factory.mktemp("environment")
    run(sys.executable, "-m", "venv", "--without-pip", folder, cwd=folder)
    run(
        *(sys.executable, "-m", "pip", "--python", folder, "install", "--quiet", "--no-compile"),
        *("--no-deps", "--no-index", "--disable-pip-version-check", wheel),
        cwd=folder,
    )
    # A folder that a .pth file names comes after the packages of the environment, and .pth files
    # in that folder are not read: an editable install of this tree stays out of sight.
    packages = site_packages(folder)
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    lend_compiled_loops(packages)
    return folder


def lend_compiled_loops(packages: Path) -> None:
    """Copy what numba has compiled of this tree, which takes half a minute, to the same sources.

    numba knows a source by its size and the time of its last change.
    """
    for source in (ROOT / "pipeline").rglob("*.py"):
        changed = source.stat().st_mtime_ns
        os.utime(packages / source.relative_to(ROOT / "pipeline"), ns=(changed, changed))
    for code in (ROOT / "pipeline").rglob("*.nb[ic]"):
        copy = packages / code.relative_to(ROOT / "pipeline")
        copy.parent.mkdir(exist_ok=True)
        shutil.copy(code, copy)


def site_packages(environment: Path) -> Path:
    """Folder of the packages of a virtual environment."""
    return Path(sysconfig.get_path("purelib", "venv", {"base": str(environment)}))


@pytest.fixture
def beside(tmp_path: Path) -> Path:
    """A folder of somebody else's, with a module ``pipeline``, a package ``flows`` and a lake."""
    (tmp_path / "pipeline.py").write_text("OWNER = 'somebody else'\n")
    (tmp_path / "flows").mkdir()
    (tmp_path / "flows" / "__init__.py").write_text("OWNER = 'somebody else'\n")
    (tmp_path / "lake").mkdir()
    pq.write_table(number_table(300, seed=1), tmp_path / "lake" / "part-1.parquet")
    return tmp_path


def test_wheel_holds_the_two_packages_and_nothing_else(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"onepass", "prefect_onepass"}
    assert "onepass/py.typed" in names
    parts = {"onepass/report/page.css", "onepass/report/page.html.jinja", "onepass/report/page.js"}
    assert parts <= set(names)
    sources = {
        str(file.relative_to(root))
        for root in (ROOT / "pipeline", ROOT / "flows")
        for file in root.rglob("*.py")
    }
    assert {name for name in names if name.endswith(".py")} == sources


def test_entry_points_can_be_loaded(installed, tmp_path):
    program = """
from importlib.metadata import distribution
for point in distribution("onepass").entry_points:
    point.load()
    print(point.group, point.name, point.value)
"""
    points = run(installed / "bin" / "python", "-c", program, cwd=tmp_path).splitlines()
    assert "console_scripts onepass onepass.cli:main" in points
    assert "prefect.collections onepass prefect_onepass" in points
    for name in ("serve", "watch"):
        assert f"onepass.commands {name} prefect_onepass.{name}:command" in points


def test_it_trains_beside_packages_that_are_called_pipeline_and_flows(installed, beside):
    train = ("train", "lake", "--label", "y", "--model", "model", "--solver", "sgd")
    assert "trained 1 partition, 300 rows" in run(installed / "bin" / "onepass", *train, cwd=beside)
    pq.write_table(number_table(200, seed=2), beside / "lake" / "part-2.parquet")
    program = """
import flows, onepass, pipeline, prefect_onepass
assert pipeline.OWNER == flows.OWNER == "somebody else"
print(onepass.__file__, prefect_onepass.__file__, sep="\\n")
print(onepass.train(onepass.Job(lake="lake", label="y", model="model", solver="sgd")).rows)
"""
    python = installed / "bin" / "python"
    *files, n_rows = run(python, "-c", program, cwd=beside).split()
    packages = site_packages(installed)
    assert files == [
        str(packages / name / "__init__.py") for name in ("onepass", "prefect_onepass")
    ]
    assert n_rows == "200"
