"""Telling published files by their digests, in archives too, without ever unpacking one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.inception_tensors import archive_bytes
from vaeval_core.errors import InvalidInput
from vaeval_core.features.published_file import Algorithm, PublishedFile, open_content

MEMBER = "graph.pb"


@pytest.mark.parametrize(
    ("algorithm", "content", "digest"),
    [
        # RFC 1321, FIPS 180-2, and the object that `git hash-object` makes of a line with hello.
        ("md5", b"abc", "900150983cd24fb0d6963f7d28e17f72"),
        ("sha256", b"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        ("git blob sha1", b"hello\n", "ce013625030ba8dba906f756967f9e9ca394464a"),
    ],
)
def test_digests_are_the_standard_ones(algorithm: Algorithm, content: bytes, digest: str, tmp_path: Path) -> None:
    path = tmp_path / "renamed"
    path.write_bytes(content)
    published = PublishedFile("file", "https://example.org/file", algorithm, digest)
    assert published.digest_in(path) == digest
    assert published.is_in(path)
    path.write_bytes(content[:-1])
    assert not published.is_in(path)
    assert not published.is_in(tmp_path / "absent")


@pytest.mark.parametrize("name", [MEMBER, f"./{MEMBER}"])
def test_of_an_archive_the_one_member_counts(name: str, tmp_path: Path) -> None:
    path = tmp_path / "file.tgz"
    path.write_bytes(archive_bytes({"LICENSE": b"free", name: b"hello\n", "labels.txt": b"cat"}))
    digest = "ce013625030ba8dba906f756967f9e9ca394464a"
    assert PublishedFile("file.tgz", "https://example.org/", "git blob sha1", digest, MEMBER).is_in(path)


def refusal(path: Path) -> InvalidInput:
    with pytest.raises(InvalidInput) as caught, open_content(path, MEMBER) as (content, _):
        content.read()
    assert str(path) in str(caught.value.received)
    assert MEMBER in str(caught.value.expected)
    assert not PublishedFile("file.tgz", "https://example.org/", "md5", "0" * 32, MEMBER).is_in(path)
    return caught.value


@pytest.mark.parametrize("name", [f"../{MEMBER}", f"/{MEMBER}", f"folder/../{MEMBER}", f"models/{MEMBER}"])
def test_a_member_whose_name_leads_elsewhere_is_not_taken_and_nothing_is_unpacked(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    path = folder / "file.tgz"
    path.write_bytes(archive_bytes({name: b"hello\n"}))
    error = refusal(path)
    assert f"holds no weights under the name {MEMBER}" in error.what
    assert MEMBER in str(error.received)
    assert [found.name for found in tmp_path.rglob("*") if found.is_file()] == ["file.tgz"]


def test_a_member_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"hello\n")
    path = tmp_path / "file.tgz"
    path.write_bytes(archive_bytes({}, links={MEMBER: str(secret)}))
    assert f"{MEMBER} (no plain file)" in str(refusal(path).received)


def test_an_archive_that_is_cut_off_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "file.tgz"
    whole = archive_bytes({MEMBER: bytes(range(256)) * 4000})
    path.write_bytes(whole[: len(whole) // 2])
    assert "cannot be read" in refusal(path).what


def test_a_file_that_is_no_archive_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "file.tgz"
    path.write_bytes(b"<html>404 Not Found</html>")
    assert "cannot be read" in refusal(path).what
