"""Sources in buckets of their own: another folder, and a public S3 bucket that is read without credentials.

What a declaration may say of them is not tested here.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from scx_pipeline.errors import BucketError
from scx_pipeline_tests.support.lake.visits_star import JANUARY, VisitsEnv, as_csv, visit, visits_star
from scx_pipeline_tests.support.load_env import LoadEnv, create_load_env
from scx_pipeline_tests.support.servers.odd_s3 import OddS3, odd_s3

KEY = "visits/2023/01/a.csv"
DAY = "2023-01-05"


@pytest.fixture
def public() -> Iterator[OddS3]:
    """A public bucket: it refuses what is signed, as with the keys of another store."""
    with odd_s3() as store:
        yield store


def with_csv_in(folder: Path, **source: object) -> LoadEnv:
    """Return an environment of the star whose CSV source has these keys."""
    return create_load_env(folder, compiled=visits_star(folder, visits_csv=source))


def test_a_source_in_another_folder_is_listed_and_read_there(tmp_path: Path) -> None:
    other = create_load_env(tmp_path / "other")
    env = with_csv_in(tmp_path, url=other.bucket_url)
    VisitsEnv(env.bucket_url, "").put_visits("2023/01/a.json", [visit(1, DAY)])
    env.put_key(KEY, as_csv([visit(2, DAY)]))
    other.put_key(KEY, as_csv([visit(3, DAY), visit(4, DAY)]))
    env.load(JANUARY)
    assert sorted(env.table("visits", "id")) == [(1,), (3,), (4,)]
    assert env.state("objects", "source, object_key") == [
        ("visits_csv", KEY),
        ("visits_json", "visits/2023/01/a.json"),
    ]
    assert env.plan().selection.ignored == (("visits_json", KEY),), "it is in the bucket of the other source"
    assert env.changed() == []
    other.put_key("visits/2023/01/b.csv", as_csv([visit(5, DAY)]))
    assert env.changed() == [JANUARY]
    env.load(JANUARY)
    assert len(env.table("visits")) == 4
    other.delete_key(KEY)
    assert env.changed() == [JANUARY]


def test_a_public_bucket_is_listed_and_read_without_a_signature(
    tmp_path: Path, public: OddS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "of another store")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    where = {
        "url": f"{public.url}/data",
        "endpoint": public.endpoint,
        "region": "eu-west-1",
        "anonymous": True,
    }
    env = with_csv_in(tmp_path, **where)
    public.put(f"data/{KEY}", as_csv([visit(3, DAY), visit(4, DAY, "x", "many")]))
    env.load(JANUARY)
    assert env.table("visits", "id") == [(3,)]
    public.put("data/visits/2023/01/odd\tname.txt", b"")  # listed by botocore instead
    assert env.changed() == []
    assert public.requests
    assert "aws4_request" not in str(public.requests)


def test_a_source_with_keys_of_its_own_region_signs_for_it(
    tmp_path: Path, public: OddS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in public.environment().items():
        monkeypatch.setenv(name, value)
    env = with_csv_in(tmp_path, url=public.url, region="eu-west-1")
    public.put(KEY, as_csv([visit(3, DAY)]))
    env.load(JANUARY)
    signed = [str(headers) for *_, headers in public.requests]
    assert signed
    assert all("/eu-west-1/s3/aws4_request" in text for text in signed)


def test_an_error_names_the_address_of_the_source(tmp_path: Path, public: OddS3) -> None:
    public.refuse = lambda method, key: (403, "AccessDenied")
    env = with_csv_in(tmp_path, url=public.url, endpoint=public.endpoint, anonymous=True)
    with pytest.raises(BucketError, match="cannot list s3://odd/visits/"):
        env.load(JANUARY)
