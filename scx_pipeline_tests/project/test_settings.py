"""Defaults of the settings, errors about malformed settings, and the redaction of passwords.

What the settings are used for does not belong here.
"""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scx_pipeline.errors import SettingsError
from scx_pipeline.settings import Settings, read_settings, redact
from scx_pipeline.storage.bucket import open_bucket
from scx_pipeline.warehouse.capabilities import Limits
from scx_pipeline.warehouse.open_warehouse import open_warehouse


def test_without_an_environment_everything_is_stored_in_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = read_settings()
    assert settings.bucket == (tmp_path / ".scx" / "bucket").as_uri()
    assert settings.lake == (tmp_path / ".scx" / "lake").as_uri()
    assert settings.warehouse == f"duckdb://{tmp_path}/.scx/dev.duckdb"
    assert settings.dagster_home == tmp_path / ".scx" / "dagster"
    assert (settings.lock_timeout, settings.memory_limit, settings.threads) == (300, "400MB", 0)
    assert list(tmp_path.iterdir()) == [], "reading the settings creates no folder"


@pytest.mark.parametrize(
    "name", ["plain", "with space", "100% größe", "a#b?c=d&e", "%41", "'quote\"", "[x]@y:z"]
)
def test_the_defaults_work_in_any_folder(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / name
    monkeypatch.setenv("SCX_HOME", str(home))
    settings = read_settings()
    (home / "bucket").mkdir(parents=True)
    assert open_bucket(settings.bucket).folder == home / "bucket"
    assert open_warehouse(settings.warehouse, Limits()).url == f"duckdb://{home}/dev.duckdb"


def test_settings_are_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "SCX_HOME": "/home/scx",
        "SCX_BUCKET_URL": "s3://bucket/prefix",
        "SCX_WAREHOUSE_URL": "postgresql://u:p@h/dev",
        "SCX_LOCK_TIMEOUT": "1.5",
        "SCX_STATEMENT_TIMEOUT": "90",
        "SCX_MEMORY_LIMIT": "2 GiB",
        "SCX_THREADS": "3",
        "SCX_BATCH_FILES": "720",
    }.items():
        monkeypatch.setenv(name, value)
    settings = read_settings()
    assert (settings.home, settings.bucket, settings.warehouse) == (
        Path("/home/scx"),
        "s3://bucket/prefix",
        "postgresql://u:p@h/dev",
    )
    assert (settings.lock_timeout, settings.memory_limit) == (1.5, "2 GiB")
    assert settings.statement_timeout == 90
    assert (settings.threads, settings.batch_files) == (3, 720)


@pytest.mark.parametrize(
    "name",
    [
        "SCX_HOME",
        "SCX_BUCKET_URL",
        "SCX_WAREHOUSE_URL",
        "SCX_LOCK_TIMEOUT",
        "SCX_STATEMENT_TIMEOUT",
        "SCX_MEMORY_LIMIT",
        "SCX_THREADS",
        "SCX_BATCH_FILES",
    ],
)
def test_an_empty_variable_counts_as_unset(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    default = read_settings()
    monkeypatch.setenv(name, "")
    assert read_settings() == default


def test_dagster_home_can_be_set_separately(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAGSTER_HOME", "/somewhere/else")
    assert read_settings().dagster_home == Path("/somewhere/else")


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        (
            "SCX_LOCK_TIMEOUT",
            "soon",
            "SCX_LOCK_TIMEOUT: Input should be a valid number, unable to parse string as a number (seconds to wait",
        ),
        ("SCX_LOCK_TIMEOUT", "-1", "SCX_LOCK_TIMEOUT: Input should be greater than or equal to 0 (seconds"),
        ("SCX_LOCK_TIMEOUT", "nan", "SCX_LOCK_TIMEOUT: Input should be"),
        ("SCX_LOCK_TIMEOUT", "inf", "SCX_LOCK_TIMEOUT: Input should be less than or equal to 86400"),
        ("SCX_MEMORY_LIMIT", "400", "SCX_MEMORY_LIMIT: String should match pattern"),
        ("SCX_MEMORY_LIMIT", "400MB'; --", "SCX_MEMORY_LIMIT: String should match pattern"),
        ("SCX_THREADS", "two", "SCX_THREADS: Input should be a valid integer"),
        (
            "SCX_BATCH_FILES",
            "-1",
            "SCX_BATCH_FILES: Input should be greater than or equal to 0 (source files",
        ),
        ("SCX_THREADS", "-2", "SCX_THREADS: Input should be greater than or equal to 0 (threads for parsing"),
    ],
)
def test_an_error_about_a_malformed_setting_names_and_describes_it(
    name: str, value: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as caught:
        read_settings()
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("limit", ["400MB", "1.5GB", "512 MiB", "100000KB", "1TiB"])
def test_every_valid_memory_limit_is_accepted_by_duckdb(
    limit: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCX_MEMORY_LIMIT", limit)
    limits = Limits(memory=read_settings().memory_limit)
    with open_warehouse(f"duckdb://{tmp_path}/dev.duckdb", limits).transaction("scx") as session:
        assert session.rows("SELECT 1") == [(1,)]


def test_settings_do_not_show_the_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCX_WAREHOUSE_URL", "postgresql://u:hunter2@h/dev")
    settings = read_settings()
    assert "hunter2" not in f"{settings} {settings!r} {settings.model_dump()} {settings.model_dump_json()}"


def test_a_follower_without_a_lake_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCX_FOLLOWER", "lake")
    with pytest.raises(
        SettingsError,
        match="SCX_FOLLOWER: lake needs SCX_LAKE_URL, which is not set: set it, or unset SCX_FOLLOWER",
    ):
        read_settings()
    monkeypatch.setenv("SCX_LAKE_URL", "s3://lake/scx")
    assert read_settings().follower == "lake"


def test_settings_are_immutable() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Settings().threads = 2  # type: ignore[misc]


# Redaction


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://scx:secret@host:5432/dev", "postgresql://scx:***@host:5432/dev"),
        (
            "postgresql://scx:p%40ss%2F@host/dev?sslmode=require",
            "postgresql://scx:***@host/dev?sslmode=require",
        ),
        ("postgresql://:secret@host/dev", "postgresql://:***@host/dev"),
        ("scx:secret@host:5432/dev?staging=s3://b/p", "scx:***@host:5432/dev?staging=s3://b/p"),
        ("postgresql://me@tenant:secret@host/dev", "postgresql://me@tenant:***@host/dev"),
        (
            "postgresql://host/dev?user=scx&password=secret&sslmode=require",
            "postgresql://host/dev?user=scx&password=***&sslmode=require",
        ),
        ("postgresql://host/dev?PASSWORD=se=cr=et", "postgresql://host/dev?PASSWORD=***"),
        (
            "redshift://host/dev?access_token=x&aws_secret=y",
            "redshift://host/dev?access_token=***&aws_secret=***",
        ),
    ],
)
def test_redact_replaces_the_password_and_nothing_else(url: str, shown: str) -> None:
    assert redact(url) == shown


@pytest.mark.parametrize(
    "url",
    [
        "duckdb:///tmp/it's 100%/dev.duckdb",
        "file:///folder/a@b:c",
        "s3://bucket/prefix:x@y",
        "postgresql://scx@host:5432/dev",
        "postgresql://host/dev",
        "redshift://host:5439/dev?iam_role=arn:aws:iam::1:role/loader",
        "nonsense",
        "",
    ],
)
def test_redact_leaves_urls_without_a_password_unchanged(url: str) -> None:
    assert redact(url) == url


passwords = st.text(st.sampled_from("aZ0:/?#[]@!$&'()*+,;=%~ \\\"<>^`{|}ü日\n"), min_size=1, max_size=12).map(
    lambda text: f"<{text}>"
)


@given(passwords)
def test_redact_hides_quoted_and_unquoted_passwords(password: str) -> None:
    for written in (password, quote(password, safe="")):
        shown = redact(f"postgresql://scx:{written}@host:5432/dev?sslmode=require")
        assert shown == "postgresql://scx:***@host:5432/dev?sslmode=require"


@given(passwords)
def test_redact_hides_passwords_in_the_query(password: str) -> None:
    shown = redact(f"postgresql://host/dev?password={quote(password, safe='')}&sslmode=require")
    assert shown == "postgresql://host/dev?password=***&sslmode=require"
    assert unquote(urlsplit(shown).path) == "/dev"
