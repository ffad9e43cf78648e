"""Assets: keys that Prefect takes for every path, and a model that is made from its lakes."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytestmark = pytest.mark.filterwarnings("default")


@pytest.mark.parametrize(
    ("path", "key"),
    [
        ("/srv/lakes/clicks", "file:///srv/lakes/clicks"),
        ("/srv/lakes/clicks/", "file:///srv/lakes/clicks"),
        ("/srv/lakes/day=*/x.parquet", "file:///srv/lakes/day=*/x.parquet"),
        ("S3://bucket/lake/", "s3://bucket/lake"),
        ("/my lake/50%~", "file:///my~20lake/50~25~7e"),
        ("az://container/größe", "az://container/größe"),
    ],
)
def test_key_of_a_path_is_a_uri_that_people_can_write(path, key):
    from prefect_onepass.assets import asset_key

    assert asset_key(path) == key


def test_key_of_a_relative_path_is_that_of_the_absolute_one():
    from prefect_onepass.assets import asset_key

    assert asset_key("lake") == asset_key(os.path.abspath("lake"))


@given(st.text(st.characters(exclude_characters="/"), max_size=700), st.booleans())
def test_prefect_takes_the_key_of_every_path(name, is_remote):
    from prefect.assets import Asset

    from prefect_onepass.assets import asset_key

    key = asset_key(f"s3://bucket/{name}" if is_remote else f"/srv/{name}")
    # Prefect refuses a key that breaks its rules.
    assert Asset(key=key).key == key


def test_different_paths_have_different_keys_of_a_length_that_prefect_takes():
    from prefect.assets import Asset

    from prefect_onepass.assets import asset_key

    long = "/srv/" + "x" * 600
    paths = ["/a b", "/a~20b", "/a~b", "/a%20b", "/a?b", f"{long}1", f"{long}2", f"{long} 1"]
    assets = {Asset(key=asset_key(path)) for path in paths}
    assert len(assets) == len(paths)


def test_a_list_of_files_stands_for_its_folders():
    from prefect_onepass.assets import MOST_LAKES, lake_keys

    files = [f"/lake/{i // 500}/{i}.parquet" for i in range(1000)] + ["s3://b/k/x.parquet"]
    assert lake_keys(files) == ["file:///lake/0", "file:///lake/1", "s3://b/k"]
    assert len(lake_keys([f"/lake/{i}/x.parquet" for i in range(1000)])) == MOST_LAKES


def test_metadata_that_fails_does_not_fail_the_task(prefect_server):
    from prefect import flow

    from prefect_onepass.assets import materializing

    def broken(outcome):
        raise ZeroDivisionError

    @flow
    def makes():
        return materializing(
            lambda: 42, model="/m", lake=["/m/x.parquet", "/l/y.parquet"], describe=broken, name="t"
        )()

    assert makes() == 42
