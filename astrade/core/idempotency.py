"""`Idempotency-Key`: a POST that moves money or XP happens once, however often it is sent (API.md, "idempotency").

    return idempotent(request, caller, lambda: ok(body(XSerializer, grant_xp(…)), status=201))

`request` is REST framework's, `caller` a `Caller` or None (then the address stands for it), the effect returns a
Answer. The record is inserted first, in the effect's own transaction: a concurrent twin waits at the unique key and
then gets the stored answer. Whatever raises rolls everything back, so errors aren't stored. An answer that shows a
secret is stored sealed.

    delete_expired()    for a scheduled task; returns how many records went
"""

import hashlib
import os
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings
from django.db import connection, transaction
from django.db.models.functions import Now
from rest_framework.request import Request

from astrade.core.addresses import rate_identity
from astrade.core.api.renderers import encode
from astrade.core.api.views import http_request
from astrade.core.errors import IdempotencyConflict, ValidationFailed
from astrade.core.http import Answer
from astrade.core.models import IdempotencyRecord
from astrade.core.permissions import Caller

KEPT = timedelta(hours=24)
KEPT_S = KEPT.total_seconds()
KEY_LENGTH_MAX = 128
NONCE_BYTES = 12
BATCH = 5_000
Effect = Callable[[], Answer]

CLAIM = """
INSERT INTO core_idempotencyrecord AS held (caller, key, request_hash, status, answer, sealed)
VALUES (%s, %s, %s, 0, '', false)
ON CONFLICT (caller, key) DO UPDATE
    SET request_hash = excluded.request_hash, status = 0, answer = '', sealed = false,
        created_at = statement_timestamp()
    WHERE held.created_at < statement_timestamp() - make_interval(secs => %s)
RETURNING id
"""


def key_of(request: Request) -> str | None:
    """The caller's key; raises ValidationFailed for one that is empty, too long or not plain ASCII."""
    key: str | None = request.META.get("HTTP_IDEMPOTENCY_KEY")
    if key is None:
        return None
    if not key or len(key) > KEY_LENGTH_MAX or not key.isascii() or not key.isprintable():
        message = f"1 to {KEY_LENGTH_MAX} printable ASCII characters are required."
        raise ValidationFailed(details={"fields": {"Idempotency-Key": [message]}})
    return key


def idempotent(request: Request, caller: Caller | None, effect: Effect) -> Answer:
    """Run `effect` in a transaction, once per caller and key; a replay answers what was stored.

    The same key with another request raises IdempotencyConflict. Without a key the effect simply runs.
    """
    key = key_of(request)
    with transaction.atomic():
        if key is None:
            return effect()
        owner = f"u:{caller.user_id}" if caller else f"ip:{rate_identity(http_request(request).client_address)}"
        digest = request_hash(request)
        record_id = _claim(owner, key, digest)
        if record_id is None:
            return _replay(owner, key, digest)
        response = effect()
        _store(record_id, key, response)
        return response


def is_known(request: Request, caller: Caller) -> bool:
    """Whether the request's key was used in the last 24 hours: what an effect needs beforehand, outside its
    transaction, is not done again then.
    """
    key, alive = key_of(request), Now() - KEPT
    return IdempotencyRecord.objects.filter(caller=f"u:{caller.user_id}", key=key, created_at__gte=alive).exists()


def request_hash(request: Request) -> bytes:
    """SHA-256 of what was asked: method, route without its prefix, query, chosen account, body."""
    below = http_request(request)
    path = below.path_info
    for prefix in ("/api/v1/", "/api/"):
        path = path.removeprefix(prefix)
    account = below.META.get("HTTP_X_ACCOUNT_ID", "")
    parts = (below.method or "", path.strip("/"), below.META.get("QUERY_STRING", ""), account)
    return hashlib.sha256("\0".join(parts).encode() + b"\0" + encode(request.data)).digest()


def _claim(owner: str, key: str, digest: bytes) -> int | None:
    with connection.cursor() as cursor:
        cursor.execute(CLAIM, [owner, key, digest, KEPT_S])
        row = cursor.fetchone()
    return row[0] if row else None


def _replay(owner: str, key: str, digest: bytes) -> Answer:
    record = IdempotencyRecord.objects.get(caller=owner, key=key)
    if bytes(record.request_hash) != digest:
        raise IdempotencyConflict
    answer = bytes(record.answer)
    stored = orjson.Fragment(unseal(answer, key=key) if record.sealed else answer)
    response = Answer(stored, status=record.status, secret=record.sealed)
    response["Idempotent-Replayed"] = "true"
    return response


def _store(record_id: int, key: str, response: Answer) -> None:
    answer: bytes = encode(response.data)
    sealed = response.reflects_secret
    IdempotencyRecord.objects.filter(pk=record_id).update(
        status=response.status_code, answer=seal(answer, key=key) if sealed else answer, sealed=sealed
    )


def _cipher(key: str) -> AESGCM:
    material: Any = hashlib.sha256(b"idempotency\0" + settings.SECRET_KEY.encode() + b"\0" + key.encode()).digest()
    return AESGCM(material)


def seal(answer: bytes, *, key: str) -> bytes:
    """Encrypted so that the database alone can't show it."""
    nonce = os.urandom(NONCE_BYTES)
    return nonce + _cipher(key).encrypt(nonce, answer, None)


def unseal(sealed: bytes, *, key: str) -> bytes:
    """The answer again; raises IdempotencyConflict when the server's secret has changed since."""
    try:
        return _cipher(key).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], None)
    except InvalidTag as exc:
        raise IdempotencyConflict("The stored answer can't be opened any more") from exc


def delete_expired() -> int:
    """Remove records older than 24 hours, in batches; safe to interrupt and to run twice."""
    total = 0
    while True:
        expired = IdempotencyRecord.objects.filter(created_at__lt=Now() - KEPT).order_by("created_at")
        deleted, _ = IdempotencyRecord.objects.filter(
            pk__in=list(expired.values_list("pk", flat=True)[:BATCH])
        ).delete()
        total += deleted
        if deleted < BATCH:
            return total
