"""Which remote a URL names, and what is said of one that names none."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from nbbuild.errors import ConfigError
from nbbuild.store.remote.opening import open_objects

ROOT = Path("/home/me/book")
HINT = (
    "write s3://, gs:// or az:// with a bucket, https:// or http:// with a server, "
    "file:/// with a folder, or sftp:// with a server and a folder"
)


def opened(url, **environ):
    return open_objects(url, environ=environ, root=ROOT)


def says(url, what, *, hint=HINT, **environ):
    with pytest.raises(ConfigError) as error:
        opened(url, **environ)
    assert str(error.value) == (
        f"the remote cache {what}\n  declared in: jcache.toml, [cache] remote\n\nhint: {hint}"
    )


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("s3://bucket", "s3://bucket"),
        ("s3://bucket/a/b/", "s3://bucket/a/b"),
        ("gs://bucket/a", "gs://bucket/a"),
        ("az://container/a", "az://container/a"),
        ("https://me:secret@cache.example/docs/", "https://cache.example/docs"),
        ("HTTP://Cache.example:8080", "http://cache.example:8080"),
        ("http://[::1]:80/x", "http://[::1]:80/x"),
        ("file:///srv/cache/", "file:///srv/cache"),
        ("file://localhost/srv/cache", "file://localhost/srv/cache"),
        ("sftp://me:secret@host/srv/cache", "sftp://host/srv/cache"),
        ("ftp://me:secret@host:2121/cache", "ftp://host:2121/cache"),
    ],
)
def test_nothing_is_asked_and_no_secret_is_shown(url, name):
    remote = opened(url, AZURE_STORAGE_ACCOUNT_NAME="me")
    assert remote.name == name
    remote.close()


def test_only_buckets_and_folders_know_who_was_faster():
    urls = ("s3://b", "gs://b", "file:///srv/cache", "http://host", "sftp://host/cache")
    assert [opened(url).conditional for url in urls] == [True, True, True, False, False]


def test_urls_that_are_none():
    says("", "'' cannot be used: it is no URL")
    says("bucket/a", "'bucket/a' cannot be used: it is no URL")
    says("s3:/bucket", "'s3:/bucket' cannot be used: it is no URL")
    says("1://x", "'1://x' cannot be used: it is no URL")
    says("https://a b", "'https://a b' cannot be used: it has a space or a control character in it")
    says("http://host:99999", "'http://host:99999' cannot be used: port out of range 0-65535")
    says("http://[x", "'http://[x' cannot be used: invalid IPv6 URL")


def test_urls_that_lead_nowhere():
    for url in ("s3://", "https:///cache", "sftp:///srv/cache"):
        name = url.rstrip("/")
        says(
            url,
            f"'{name if url != 's3://' else url}' cannot be used: it names no host and no bucket",
        )
    says("gopher://host", "'gopher://host' cannot be used: nbbuild knows no 'gopher://'")


def test_a_folder_is_named_by_its_whole_path():
    hint = "write the whole path, such as file:///home/me/book/cache"
    says(
        "file://cache/docs",
        "'file://cache/docs' cannot be used: its path does not begin with a slash",
        hint=hint,
    )
    says("file:///", "'file://' cannot be used: it names no folder", hint=hint)
    assert opened(hint.rpartition(" ")[2]).name == "file:///home/me/book/cache"


def test_credentials_belong_into_the_environment():
    hint = "leave them out, and put credentials into the environment"
    for url, name in (
        ("s3://key:secret@bucket", "s3://bucket"),
        ("file://me@localhost/x", "file://localhost/x"),
    ):
        says(url, f"'{name}' cannot be used: it has a user or a password in it", hint=hint)


def test_a_query_is_refused_and_not_shown():
    for url in ("https://host/cache?sig=secret", "s3://bucket/cache?sig=secret"):
        name = url.partition("?")[0]
        says(url, f"'{name}' cannot be used: a '?' has no meaning in it", hint="leave it out")


def test_an_account_is_needed_for_azure():
    says(
        "az://container",
        "'az://container' cannot be used: nothing says which account the container belongs to",
        hint="set AZURE_STORAGE_ACCOUNT_NAME",
    )


def test_half_of_the_credentials():
    says(
        "s3://bucket",
        "'s3://bucket' cannot be used: Missing SecretAccessKey",
        hint="correct the URL, or the variables in the environment that begin with AWS_",
        AWS_ACCESS_KEY_ID="a",
    )


@pytest.mark.parametrize(
    ("url", "library", "module"),
    [
        ("s3://bucket", "obstore", "buckets"),
        ("http://host", "urllib3", "web"),
        ("ftp://host", "fsspec", "filesystems"),
        ("sftp://host", "paramiko", "ssh"),
    ],
)
def test_a_library_that_is_not_installed(url, library, module, monkeypatch):
    monkeypatch.setitem(sys.modules, library, None)
    for loaded in (f"nbbuild.store.remote.{module}", "fsspec.implementations.sftp"):
        monkeypatch.delitem(sys.modules, loaded, raising=False)
    says(
        url,
        f"'{url}' needs {library}, which is not installed",
        hint=f"pip install {library}",
    )


def test_what_fsspec_itself_lacks():
    says(
        "smb://host/share",
        "'smb://host/share' cannot be used: a library is missing",
        hint='SMB requires "smbprotocol" or "smbprotocol[kerberos]" installed',
    )


def test_no_library_is_loaded_before_it_is_needed():
    program = (
        "import sys; import nbbuild.store.remote.opening\n"
        "print({'obstore', 'urllib3', 'fsspec', 'paramiko'} & set(sys.modules))"
    )
    said = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert said.stdout == "set()\n"
