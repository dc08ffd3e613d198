"""A backup's file: a tar, packed with zstd or not, whose last member lists all others with their SHA-256.

A tar that was cut off is told from a whole one by that list, and a byte that was changed by the sums in it. Only plain
files with plain relative names go in, and nothing else is taken out.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import IO, Any, cast

import zstandard

from plexus.domain.errors import StoreError

LIST = "backup.json"
FORMAT = 1
CHUNK = 256 * 1024
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"

_LIST_BYTES = 64 * 1024 * 1024


def pack(folder: Path, about: Mapping[str, Any], *, zstd: bool) -> Iterator[bytes]:
    """The files of a folder as a backup, in parts; `about` is kept in its list."""
    parts = _tar(folder, about)
    return _squeezed(parts) if zstd else parts


def _tar(folder: Path, about: Mapping[str, Any]) -> Iterator[bytes]:
    sums: dict[str, str] = {}
    for path in sorted(folder.rglob("*")):
        if not path.is_file():
            continue
        name = path.relative_to(folder).as_posix()
        with path.open("rb") as file:
            size = path.stat().st_size
            yield _head(name, size)
            digest = hashlib.sha256()
            while chunk := file.read(CHUNK):
                digest.update(chunk)
                yield chunk
        sums[name] = digest.hexdigest()
        yield _padding(size)
    listed = json.dumps({"format": FORMAT, **about, "files": sums}).encode()
    yield _head(LIST, len(listed)) + listed + _padding(len(listed)) + bytes(2 * tarfile.BLOCKSIZE)


def _head(name: str, size: int) -> bytes:
    member = tarfile.TarInfo(name)
    member.size, member.mode = size, 0o600
    return member.tobuf(tarfile.PAX_FORMAT)


def _padding(size: int) -> bytes:
    return bytes(-size % tarfile.BLOCKSIZE)


def _squeezed(parts: Iterable[bytes]) -> Iterator[bytes]:
    press = zstandard.ZstdCompressor(level=3).compressobj()
    for part in parts:
        if squeezed := press.compress(part):
            yield squeezed
    yield press.flush()


def unpack(file: Path, folder: Path | None) -> Mapping[str, Any]:
    """Check a backup whole, and write its files into a folder when one is named; returns its list.

    Raises StoreError for a file that is no backup, is cut off or damaged, or holds what no backup of ours does.
    """
    sums: dict[str, str] = {}
    try:
        with file.open("rb") as raw, _opened(raw) as stream, tarfile.open(fileobj=stream, mode="r|") as tar:
            for member in tar:
                content = tar.extractfile(member) if member.isfile() else None
                if content is None or not _is_plain(member.name):
                    raise StoreError(f"{file} holds {member.name[:200]!r}, which no backup does; nothing is restored")
                if member.name == LIST:
                    return _checked(file, content, sums)
                if member.name in sums:
                    raise StoreError(f"{file} holds {member.name!r} twice; nothing is restored")
                sums[member.name] = _take(content, None if folder is None else folder / member.name)
    except OSError as exc:
        raise StoreError(f"{file} cannot be restored: {exc.strerror or exc}") from exc
    except (tarfile.TarError, zstandard.ZstdError, EOFError) as exc:
        raise StoreError(f"{file} is no whole backup: {exc}") from exc
    raise StoreError(f"{file} is no whole backup: it ends before its list of files")


@contextlib.contextmanager
def _opened(raw: IO[bytes]) -> Iterator[IO[bytes]]:
    packed = raw.read(len(ZSTD_MAGIC)) == ZSTD_MAGIC
    raw.seek(0)
    if not packed:
        yield raw
        return
    with zstandard.ZstdDecompressor().stream_reader(raw) as reader:
        yield cast("IO[bytes]", io.BufferedReader(cast("io.RawIOBase", reader), CHUNK))


def _is_plain(name: str) -> bool:
    path = PurePosixPath(name)
    unsafe = any(part in ("", ".", "..") for part in name.split("/")) or any(char in name for char in "\\:\0")
    return bool(name) and not path.is_absolute() and not unsafe


def _take(content: IO[bytes], target: Path | None) -> str:
    digest = hashlib.sha256()
    with contextlib.ExitStack() as stack:
        out: IO[bytes] | None = None
        if target is not None:
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            # "x" follows no link and overwrites nothing.
            out = stack.enter_context(target.open("xb"))
            target.chmod(0o600)
        while chunk := content.read(CHUNK):
            digest.update(chunk)
            if out is not None:
                out.write(chunk)
    return digest.hexdigest()


def _checked(file: Path, content: IO[bytes], sums: Mapping[str, str]) -> Mapping[str, Any]:
    try:
        listed = json.loads(content.read(_LIST_BYTES))
        wanted, made = listed["files"], listed["format"]
    except (ValueError, KeyError, TypeError) as exc:
        raise StoreError(f"{file} is no whole backup: its list of files cannot be read") from exc
    if made != FORMAT:
        raise StoreError(f"{file} has format {made!r}, and this version of Plexus reads {FORMAT}; use a newer one")
    if wanted != sums:
        wrong = sorted(name for name in {*wanted, *sums} if wanted.get(name) != sums.get(name))
        raise StoreError(f"{file} is damaged: {', '.join(wrong[:5])} is not what was backed up; nothing is restored")
    return cast("Mapping[str, Any]", listed)
