"""Where the peer finds its servers."""

import os
from decimal import Decimal

DATABASE_URL = os.environ.get("PEER_DATABASE_URL", "postgresql+asyncpg://postgres@127.0.0.1:5432/astrade_peer")
REDIS_URL = os.environ.get("REDIS_URL", "redis://127.0.0.1:6379/0")
JWT_SECRET = os.environ.get("PEER_JWT_SECRET", "benchmark-only-secret-0123456789abcdef")
JWT_ALGORITHM = "HS256"
TOKEN_LIFETIME_S = 3600
BOOK_KEY = "peer:book:{symbol}"
BOOK_STALE_AFTER_S = 10
INITIAL_BALANCE = Decimal(10000)
