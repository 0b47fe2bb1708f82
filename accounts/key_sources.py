"""Where the key ring comes from: settings, a file, or a Vault (KV version 2). One small interface, see `sealing`."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import httpx
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

ASKED_WITHIN_S = 5.0
FIELD = "keys"  # of the secret in the Vault: entries as a file has them


class KeySource(Protocol):
    """Equal sources give one ring, which is read once in a process."""

    def __hash__(self) -> int: ...

    def entries(self) -> tuple[str, ...]:
        """`id:secret` of each key, the sealing one first; raises ImproperlyConfigured where they can't be read."""


@dataclass(frozen=True, slots=True)
class ListedKeys:
    """Those of the environment."""

    listed: tuple[str, ...] = field(repr=False)

    def entries(self) -> tuple[str, ...]:
        return self.listed


@dataclass(frozen=True, slots=True)
class FileKeys:
    """A file's lines."""

    file: Path

    def entries(self) -> tuple[str, ...]:
        return _lines_of(_read(self.file, "ENCRYPTION_KEYS_FILE"))


@dataclass(frozen=True, slots=True)
class VaultKeys:
    """A secret of HashiCorp Vault or OpenBao: `url` is its own one, as https://vault:8200/v1/secret/data/astrade. The
    token is given, or read from a file that an agent keeps fresh.
    """

    url: str
    token: str = field(repr=False)
    token_file: str

    def entries(self) -> tuple[str, ...]:
        token = self.token or _read(Path(self.token_file), "VAULT_TOKEN_FILE").strip()
        try:
            answer = httpx.get(self.url, headers={"X-Vault-Token": token}, timeout=ASKED_WITHIN_S, trust_env=False)
            answer.raise_for_status()
            keys = answer.json()["data"]["data"][FIELD]
        except httpx.HTTPStatusError as exc:
            raise ImproperlyConfigured(f"The Vault answered {exc.response.status_code} to {self.url}") from None
        except (httpx.HTTPError, httpx.InvalidURL) as exc:
            raise ImproperlyConfigured(f"The Vault can't be asked for {self.url}: {type(exc).__name__}") from None
        except (ValueError, KeyError, TypeError):
            raise ImproperlyConfigured(f"{self.url} has no secret with the field {FIELD!r}") from None
        return _lines_of(str(keys))


def key_source() -> KeySource | None:
    """The one that the settings name; None where there is none. Raises ImproperlyConfigured for several."""
    named: list[KeySource] = []
    if settings.ENCRYPTION_KEYS:
        named.append(ListedKeys(tuple(settings.ENCRYPTION_KEYS)))
    if settings.ENCRYPTION_KEYS_FILE:
        named.append(FileKeys(Path(settings.ENCRYPTION_KEYS_FILE)))
    if settings.ENCRYPTION_KEYS_VAULT_URL:
        named.append(
            VaultKeys(settings.ENCRYPTION_KEYS_VAULT_URL, settings.VAULT_TOKEN, token_file=settings.VAULT_TOKEN_FILE)
        )
    if len(named) > 1:
        raise ImproperlyConfigured("ENCRYPTION_KEYS, ENCRYPTION_KEYS_FILE and ENCRYPTION_KEYS_VAULT_URL: name one")
    return next(iter(named), None)


def _lines_of(text: str) -> tuple[str, ...]:
    return tuple(line.strip() for line in text.splitlines() if line.strip())


def _read(file: Path, name: str) -> str:
    try:
        return file.read_text()
    except OSError as exc:
        raise ImproperlyConfigured(f"{name} can't be read: {exc.strerror}") from exc
