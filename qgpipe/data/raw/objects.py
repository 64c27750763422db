"""Raw stores that are no folders: in an object store, on a web server, or in a zip file.

They are read through TensorStore, which is imported at the first read, because stores are opened
while the workflow is planned. Credentials come from the usual environment: ``AWS_ACCESS_KEY_ID``,
``AWS_SECRET_ACCESS_KEY``, ``AWS_PROFILE`` and roles of the machine; for ``gs://``
``GOOGLE_APPLICATION_CREDENTIALS``. ``AWS_ENDPOINT_URL`` names a self-hosted object store.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from pathlib import Path, PosixPath
from typing import TYPE_CHECKING, Any, Self

from qgpipe.errors import DataError, ReadingError

if TYPE_CHECKING:
    import tensorstore

SCHEMES = ("s3", "gs", "http", "https")
CACHE_BYTES = 256 << 20  # for directories of zip files and indices of shards
_RETRIES = {"max_retries": 3, "initial_delay": "500ms", "max_delay": "4s"}
_PATIENCE = {  # seconds; a variable of the environment goes before
    "TENSORSTORE_CURL_CONNECT_TIMEOUT_SECONDS": "10",
    "TENSORSTORE_CURL_LOW_SPEED_TIME_SECONDS": "15",
    "TENSORSTORE_CURL_LOW_SPEED_LIMIT_BYTES": "1",
}
_URL = re.compile(rf"({'|'.join(SCHEMES)}):/+([^/]+)/?(.*)")
_LEADING = re.compile(rf"^({'|'.join(SCHEMES)}):/+")
_OF_SERVER = re.compile(
    r"\b(ABORTED|UNAVAILABLE|DEADLINE_EXCEEDED|PERMISSION_DENIED|UNAUTHENTICATED|INTERNAL|"
    r"RESOURCE_EXHAUSTED|CANCELLED)\b|retry attempts failed|http_response_code|curl_code"
)


class ObjectPath(PosixPath):
    """The place of an object: a URL, or a path in a zip file.

    Joining, ``name`` and ``parent`` are those of ``pathlib``. Nothing is looked up in the file
    system.
    """

    def __str__(self) -> str:
        return _LEADING.sub(r"\1://", super().__str__())

    def __fspath__(self) -> str:
        return str(self)

    @property
    def is_url(self) -> bool:
        """Whether this is on a server."""
        return _LEADING.match(super().__str__()) is not None

    def is_absolute(self) -> bool:
        """URLs are."""
        return self.is_url or super().is_absolute()

    def absolute(self) -> Self:
        """The same for a URL."""
        return self if self.is_url else type(self)(os.path.abspath(str(self)))  # noqa: PTH100

    def resolve(self, strict: bool = False) -> Self:
        """The same for a URL: there are no links."""
        return self.absolute()

    def as_uri(self) -> str:
        """The URL."""
        return str(self) if self.is_url else super().as_uri()

    def is_dir(self) -> bool:
        """Whether there are objects below. Raises ``ReadingError``."""
        try:
            return bool(list_objects(self))
        except ReadingError:
            raise
        except DataError:
            return False

    def exists(self) -> bool:
        """Whether there are objects here or below. Raises ``ReadingError``."""
        return read_object(self) is not None or self.is_dir()

    def read_bytes(self) -> bytes:
        """The bytes of the object; raises ``FileNotFoundError`` if there is none."""
        content = read_object(self)
        if content is None:
            raise FileNotFoundError(str(self))
        return content


def store_path(text: str | Path) -> Path:
    """The path of a store as a configuration names it: a URL is an ``ObjectPath``."""
    is_url = isinstance(text, ObjectPath) or re.match(rf"({'|'.join(SCHEMES)})://", str(text))
    return ObjectPath(str(text).rstrip("/")) if is_url else Path(text)


def read_object(
    path: Path, most: int | None = None, staleness_bound: float | None = None
) -> bytes | None:
    """The bytes of an object, at most ``most`` of them; None if there is none.

    ``staleness_bound``: seconds since 1970; the directory of a zip file that was read since then
    may be used. Raises ``ReadingError`` if the server fails, ``ValueError`` if a zip is damaged.
    """
    result = _wait(
        path, lambda: _opened(path.parent).read(path.name, staleness_bound=staleness_bound)
    )
    return None if result.state == "missing" else result.value[:most]


def object_reader() -> Callable[[str], bytes | None]:
    """A function that reads the object at a path, for many objects of a store at once."""
    since = time.time()
    return lambda path: read_object(ObjectPath(path), staleness_bound=since)


def look(path: Path, known: Mapping[str, Any]) -> dict[str, Any]:
    """Size, generation and digest of an object; nulls if there is none.

    ``known``: the same, of an earlier time. Where the server knows generations (ETag), an object
    that has not changed since then is not read again.
    """
    generation = bytes.fromhex(known.get("generation") or "")
    seen = generation if len(generation) > 1 else None  # of one byte: the server has none
    result = _wait(path, lambda: _opened(path.parent).read(path.name, if_not_equal=seen))
    if result.state == "unspecified":
        return {name: known[name] for name in ("bytes", "generation", "digest")}
    if result.state == "missing":
        return {"bytes": None, "generation": None, "digest": None}
    return {
        "bytes": len(result.value),
        "generation": result.stamp.generation.hex(),
        "digest": hashlib.sha256(result.value).hexdigest()[:16],
    }


def list_objects(path: Path) -> list[str]:
    """The keys of the objects below ``path``, sorted; of metadata only, if that is consolidated.

    Raises ``DataError`` if there is no consolidated metadata, and the server does not list what it
    has; ``ReadingError`` if it fails.
    """
    names = _consolidated(path)
    if names is None:
        try:
            names = [key.decode() for key in _wait(path, lambda: _opened(path).list())]
        except NotImplementedError:
            raise DataError(
                "this is no zarr store with consolidated metadata, which web servers need",
                store=str(path),
                remedy="check data.files; zarr.consolidate_metadata writes it, or pack a .zip",
            ) from None
    return sorted(names)


def archive_digest(path: Path) -> str | None:
    """A digest of all that the zip file around ``path`` holds; None if there is no zip file."""
    archive, _ = _split_archive(path)
    if archive is None:
        return None
    if not ObjectPath(archive).is_url:
        import zipfile

        try:
            with zipfile.ZipFile(archive) as file:
                listed = [(i.filename, i.CRC, i.file_size) for i in sorted(
                    file.infolist(), key=lambda i: i.filename)]  # fmt: skip
        except (OSError, zipfile.BadZipFile) as error:
            raise DataError(
                f"cannot be read: {error}", store=archive, remedy="pack the store again"
            ) from None
        return hashlib.sha256(json.dumps(listed).encode()).hexdigest()[:16]
    whole = ObjectPath(archive)
    result = _wait(whole, lambda: _opened(whole.parent).read(whole.name, byte_range=slice(0, 1)))
    return hashlib.sha256(result.stamp.generation).hexdigest()[:16]


def kvstore_spec(path: Path) -> dict[str, Any]:
    """The TensorStore spec of the folder ``path``. Raises ``DataError`` for an invalid URL."""
    archive, inside = _split_archive(path)
    if archive is None:
        return _plain_spec(str(path), "/")
    return {"driver": "zip", "base": _plain_spec(archive, ""), "path": f"{inside}/" * bool(inside)}


def remote_context(threads: int | None = None) -> dict[str, Any]:
    """The entries of a TensorStore context with which stores on servers, or in zip files, are read.

    ``threads``: that decode.
    """
    limits = {} if threads is None else {"data_copy_concurrency": {"limit": threads}}
    retries = {f"{driver}_request_retries": _RETRIES for driver in ("s3", "gcs", "http")}
    return {**limits, **retries, "cache_pool": {"total_bytes_limit": CACHE_BYTES}}


def patient() -> None:
    """Set how long TensorStore waits for a server that does not answer, before it is used."""
    for name, value in _PATIENCE.items():
        os.environ.setdefault(name, value)


def server_error(path: Path, said: str) -> ReadingError | None:
    """The error to raise for what TensorStore ``said``; None if the object is to blame."""
    archive, _ = _split_archive(path)
    store = archive or str(path)
    if not ObjectPath(store).is_url or _OF_SERVER.search(said) is None:
        return None
    said = re.sub(r"\s*\[(?!http_response_code)[^\]]*\]", "", said)
    said = re.sub(r"^.*(attempts failed: |CURL error )", "", said)
    denied = re.search(r"PERMISSION_DENIED|UNAUTHENTICATED|http_response_code='40[13]'", said)
    if denied:
        return ReadingError("the server refuses access", store=store, remedy=_credentials(store))
    if "response_code='404'" in said or "NoSuchBucket" in said:
        return ReadingError(
            "there is no such bucket", store=store, remedy="check its name in data.files"
        )
    return ReadingError(
        f"the server does not answer: {said}",
        store=store,
        remedy=f"see to {_host(store)}, then give the same command again",
    )


def _wait(path: Path, begin: Callable[[], Any]) -> Any:
    """The result of a future of TensorStore; ``begin`` makes it."""
    try:
        return begin().result()
    except ValueError as error:
        raise server_error(path, str(error)) or _invalid(path, str(error)) or error from None


def _invalid(path: Path, said: str) -> DataError | None:
    if "ZIP" in said:
        archive, _ = _split_archive(path)
        return DataError(f"is no zip file: {said}", store=archive, remedy="pack the store again")
    if "Invalid" in said and "bucket" in said:
        return DataError(said.split("[")[0].strip(), store=str(path), remedy="check data.files")
    return None


def _credentials(store: str) -> str:
    if store.startswith("s3"):
        return "check the bucket, and AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or AWS_PROFILE"
    if store.startswith("gs"):
        return "check the bucket, and GOOGLE_APPLICATION_CREDENTIALS"
    return "check the address: credentials of web servers are not supported"


def _host(store: str) -> str:
    if store.startswith("gs"):
        return "Google Cloud Storage"
    endpoint = _endpoint() if store.startswith("s3") else None
    return endpoint or store.split("/")[2] if "://" in store else store


def _endpoint() -> str | None:
    return os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")


@lru_cache(maxsize=4)
def _context(process: int) -> tensorstore.Context:
    import tensorstore

    patient()
    return tensorstore.Context(remote_context())


def _opened(folder: Path) -> tensorstore.KvStore:
    """The objects below ``folder``. A process that was forked has a context of its own."""
    return _kvstore(json.dumps(kvstore_spec(folder)), os.getpid())


@lru_cache(maxsize=4096)
def _kvstore(spec: str, process: int) -> tensorstore.KvStore:
    import tensorstore

    return tensorstore.KvStore.open(json.loads(spec), context=_context(process)).result()


def _split_archive(path: Path) -> tuple[str | None, str]:
    """The zip file in ``path``, None if there is none, and the path within it."""
    for number, part in enumerate(path.parts, 1):
        if part.lower().endswith(".zip"):
            return str(ObjectPath(*path.parts[:number])), "/".join(path.parts[number:])
    return None, ""


def _plain_spec(text: str, end: str) -> dict[str, Any]:
    """The spec of an object or, with ``end`` "/", of a folder."""
    match = _URL.fullmatch(text)
    if match is None:
        return {"driver": "file", "path": os.path.abspath(text) + end}  # noqa: PTH100
    scheme, host, key = match.groups()
    key = f"{key}{end}" if key else ""
    if scheme in ("http", "https"):
        return {"driver": "http", "base_url": f"{scheme}://{host}", "path": f"/{key}"}
    spec = {"driver": "s3" if scheme == "s3" else "gcs", "bucket": host, "path": key}
    if scheme == "s3":
        endpoint = _endpoint()
        region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
        if endpoint:
            spec["endpoint"] = endpoint
            region = region or "us-east-1"
        if region:
            spec["aws_region"] = region
        if os.environ.get("AWS_ACCESS_KEY_ID"):
            spec["aws_credentials"] = {"type": "environment"}
    return spec


def _consolidated(path: Path) -> Iterable[str] | None:
    """The metadata files and groups below ``path`` according to its consolidated metadata."""
    for name, parts in ((".zmetadata", ("metadata",)), ("zarr.json", _V3)):
        content = read_object(path / name)
        if content is None:
            continue
        try:
            node = json.loads(content)
            for part in parts:
                node = (node or {}).get(part)
            if node:
                return [name, *(key if name == ".zmetadata" else f"{key}/{name}" for key in node)]
        except (ValueError, AttributeError, RecursionError):
            continue
    return None


_V3 = ("consolidated_metadata", "metadata")
