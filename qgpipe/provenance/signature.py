"""Signatures of records, with a key that only this user has.

The checksums in a record show that files are unchanged since it was written, but someone who sends
a folder could also send a matching record. So each record has an HMAC-SHA256 (RFC 2104) of its
content and its folder. The key is 32 random bytes in ``$XDG_STATE_HOME/qgpipe/key`` (by default
below ``~/.local/state``), readable only by the user. If it can neither be read nor created, records
are not signed, and their artifacts count as made elsewhere.
"""

import hashlib
import hmac
import json
import logging
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

logger = logging.getLogger(__name__)

SIGNATURE = "signature"
_BYTES = 32


def signed(content: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """``content``, of a record in ``folder``, with its signature if there is a key."""
    key = _key()
    return dict(content) if key is None else {**content, SIGNATURE: _digest(content, folder, key)}


def is_signed_here(content: Mapping[str, Any], folder: Path) -> bool:
    """Whether this user wrote the record with this ``content`` in ``folder``."""
    given, key = content.get(SIGNATURE), _key(make=False)
    if not isinstance(given, str) or key is None:
        return False
    rest = {name: value for name, value in content.items() if name != SIGNATURE}
    return hmac.compare_digest(given.encode(), _digest(rest, folder, key).encode())


def key_file() -> Path:
    """Where the key is kept. Raises ``RuntimeError`` if the user has no home."""
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state) / "qgpipe" / "key"


def _digest(content: Mapping[str, Any], folder: Path, key: bytes) -> str:
    plain = json.loads(json.dumps(content))  # as read back: keys are text
    text = json.dumps([str(folder.resolve()), plain], sort_keys=True)
    return hmac.digest(key, text.encode(), hashlib.sha256).hex()


def _key(make: bool = True) -> bytes | None:
    """The key of this user, which is created on first use; None if that fails."""
    try:
        file = key_file()
        if make and not file.exists():
            _make(file)
        key = file.read_bytes()
    except (OSError, RuntimeError) as error:
        logger.debug("records cannot be signed: %s", error)
        return None
    return key if len(key) == _BYTES else None


def _make(file: Path) -> None:
    """Write a new key atomically, unless another process has written one."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = file.with_name(f"key.{secrets.token_hex(8)}.tmp")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as opened:
        opened.write(secrets.token_bytes(_BYTES))
    try:
        os.link(temporary, file)  # fails if there is one already
    except FileExistsError:
        pass
    finally:
        temporary.unlink()
