"""Settings of every environment, read from the environment by one typed reader. Names carry their unit."""

from pathlib import Path
from typing import Any

import environ
from celery.schedules import crontab
from django.core.exceptions import ImproperlyConfigured

from astrade.core.logging import logging_config
from astrade.core.unfold import UNFOLD as LOOKS
from astrade.settings.databases import database

BASE_DIR = Path(__file__).resolve().parents[2]
env = environ.Env()
env.read_env(BASE_DIR / ".env")

# Identity of the installation
SECRET_KEY = env.str("SECRET_KEY", default="development-only-not-for-production-0123456789abcdef")
SECRET_KEY_FALLBACKS: list[str] = env.list("SECRET_KEY_FALLBACKS", default=[])
ENCRYPTION_KEY = env.str("ENCRYPTION_KEY", default="")
ENCRYPTION_KEYS: list[str] = env.list("ENCRYPTION_KEYS", default=[])
ENCRYPTION_KEYS_FILE = env.str("ENCRYPTION_KEYS_FILE", default="")
ENCRYPTION_KEYS_VAULT_URL = env.str("ENCRYPTION_KEYS_VAULT_URL", default="")
VAULT_TOKEN = env.str("VAULT_TOKEN", default="")
VAULT_TOKEN_FILE = env.str("VAULT_TOKEN_FILE", default="")
STAFF_TOTP_REQUIRED = env.bool("STAFF_TOTP_REQUIRED", default=False)
DEBUG = env.bool("DEBUG", default=False)
ALLOWED_HOSTS: list[str] = env.list("ALLOWED_HOSTS", default=["*"])
TRUSTED_PROXIES: list[str] = env.list("TRUSTED_PROXIES", default=[])

UNFOLD = {**LOOKS, "LOGIN": {"form": "accounts.admin_login.StaffSignInForm"}}
INSTALLED_APPS = [
    "unfold.apps.BasicAppConfig",
    "accounts.back_office.BackOfficeConfig",  # django.contrib.admin with our site
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "corsheaders",
    "csp",
    "channels",
    "astrade",
    "astrade.core",
    "accounts",
    "marketdata",
    "trading",
    "gamification",
]

MIDDLEWARE = [
    "astrade.core.middleware.RequestMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "astrade.core.middleware.StaticMiddleware",
    "astrade.core.middleware.OriginMiddleware",
    "trading.api.binance.errors.RawErrors",  # around all that refuses
    "astrade.core.middleware.GateMiddleware",
    "astrade.core.middleware.PageCSPMiddleware",
    "astrade.core.middleware.PageSessionMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "astrade.core.middleware.PageAuthenticationMiddleware",
    "astrade.core.middleware.PageMessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

TEMPLATES: list[dict[str, Any]] = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

ROOT_URLCONF = "astrade.urls"
ASGI_APPLICATION = "astrade.asgi.application"
AUTH_USER_MODEL = "accounts.User"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
APPEND_SLASH = False
USE_TZ = True
FORMAT_MODULE_PATH = ["astrade.core.formats"]  # dates in the admin: ISO, UTC
TIME_ZONE = "UTC"
USE_I18N = False
LOGIN_URL = "/admin/login/"
LOGIN_REDIRECT_URL = "/admin/"  # for staff who open the sign-in page itself

STATIC_URL = "/static/"
STATIC_ROOT: Path | None = None  # production collects; elsewhere files are served from where they are
WHITENOISE_USE_FINDERS = True

# Servers. Without a URL the commands start embedded ones and name them here (astrade/embedded.py).
DATABASE_URL = env.str("DATABASE_URL", default="postgresql://postgres@127.0.0.1:5432/astrade")
DATABASE_ROLE = env.str("DATABASE_ROLE", default="astrade_app")
DATABASE_STATEMENT_TIMEOUT_S = env.int("DATABASE_STATEMENT_TIMEOUT_S", default=0)
DATABASE_LOCK_TIMEOUT_S = env.int("DATABASE_LOCK_TIMEOUT_S", default=0)
DATABASES = {
    "default": database(
        DATABASE_URL,
        role=DATABASE_ROLE,
        statement_timeout_s=DATABASE_STATEMENT_TIMEOUT_S,
        lock_timeout_s=DATABASE_LOCK_TIMEOUT_S,
    )
}
REDIS_URL = env.str("REDIS_URL", default="redis://127.0.0.1:6379/0")
REDIS_CONNECT_TIMEOUT_S = env.float("REDIS_CONNECT_TIMEOUT_S", default=0.5)
REDIS_TIMEOUT_S = env.float("REDIS_TIMEOUT_S", default=1.0)
REDIS_MAX_CONNECTIONS = env.int("REDIS_MAX_CONNECTIONS", default=100)

# Web
WEB_THREADS = env.int("WEB_THREADS", default=8)
WEB_CPU = int(_web_cpu) if (_web_cpu := env.str("WEB_CPU", default="")) else None
DATA_UPLOAD_MAX_MEMORY_SIZE = 1024 * 1024
MAINTENANCE_MODE = env.bool("MAINTENANCE_MODE", default=False)
CLIENT_VERSION_MIN = env.str("CLIENT_VERSION_MIN", default="")
RATE_LIMIT_FACTOR = env.float("RATE_LIMIT_FACTOR", default=1.0)
INTERNAL_NETWORKS: list[str] = env.list(
    "INTERNAL_NETWORKS", default=["127.0.0.0/8", "::1/128", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"]
)
METRICS_TOKEN = env.str("METRICS_TOKEN", default="")
METRICS_PORT = env.int("METRICS_PORT", default=0)  # of `streams`, which has no web server of its own; 0: none
DEMO_ALLOWED = True

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["accounts.api.authentication.CallerAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["astrade.core.permissions.IsUser"],
    "DEFAULT_RENDERER_CLASSES": ["astrade.core.api.renderers.EnvelopeRenderer"],
    "DEFAULT_PARSER_CLASSES": ["astrade.core.api.parsers.JsonParser"],
    "DEFAULT_SCHEMA_CLASS": "astrade.core.api.schema.EnvelopeSchema",
    "EXCEPTION_HANDLER": "astrade.core.api.exceptions.handle",
    "UNAUTHENTICATED_USER": None,
}
SPECTACULAR_SETTINGS: dict[str, Any] = {
    "TITLE": "AsTrade",
    "DESCRIPTION": "Trading with practice and live accounts, and the game around it.",
    "VERSION": "1.0.0",
    "OAS_VERSION": "3.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "TAGS": [
        {"name": "Identity", "description": "Who you are: sign-up, sessions, API keys."},
        {"name": "Market data", "description": "What can be traded and at which price; public."},
        {"name": "Trading", "description": "Accounts, orders, positions, the ledger and events."},
        {"name": "Game", "description": "XP, missions, planets and the leaderboard."},
        {"name": "System", "description": "Health and metrics."},
    ],
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "PREPROCESSING_HOOKS": ["astrade.core.api.schema.only_documented"],
    "SERVE_AUTHENTICATION": [],
    "ENUM_NAME_OVERRIDES": {
        "AccountState": ["active", "frozen", "closed"],
        "ConnectionSigning": "accounts.models.Signing",
        "ConnectionState": "accounts.models.CredentialState",
        "ConnectionVenue": "accounts.models.Venue",
        "HealthState": ["ok", "degraded", "unavailable"],
        "LiveState": ["ok"],
        "OrderSide": ["buy", "sell"],
        "OrderSource": ["app", "api_key", "bot", "one_tap", "admin", "liquidation", "external", "twap"],
        "OrderStatus": [
            "new",
            "submitted",
            "unknown",
            "untriggered",
            "open",
            "partially_filled",
            "filled",
            "cancelled",
            "expired",
            "rejected",
        ],
        "OrderType": ["market", "limit", "stop", "stop_limit", "take_profit", "take_profit_limit", "twap"],
        "PositionSide": ["long", "short"],
        "UserState": "accounts.models.UserState",
    },
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "/favicon.svg",
    "REDOC_DIST": "/redoc",
}

# Browsers
CORS_ALLOWED_ORIGINS: list[str] = env.list("CORS_ALLOWED_ORIGINS", default=[])
CORS_URLS_REGEX = r"^/(?!admin)"
CORS_ALLOW_HEADERS = [
    "accept", "authorization", "content-type", "idempotency-key", "if-match", "if-none-match",
    "x-2fa-code", "x-account-id", "x-api-key", "x-client-version", "x-mbx-apikey", "x-request-id",
]  # fmt: skip
CORS_EXPOSE_HEADERS = [
    "etag", "idempotent-replayed", "ratelimit-limit", "ratelimit-remaining", "ratelimit-reset",
    "retry-after", "x-request-id",
]  # fmt: skip
CSRF_TRUSTED_ORIGINS: list[str] = env.list("CSRF_TRUSTED_ORIGINS", default=[])
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CONTENT_TYPE_NOSNIFF = True
X_FRAME_OPTIONS = "DENY"
SESSION_COOKIE_AGE = 8 * 60 * 60
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'self'"],
        "script-src": ["'self'", "'unsafe-eval'"],  # the admin's Alpine templates are evaluated in the browser
        "style-src": ["'self'", "'unsafe-inline'"],
        "img-src": ["'self'", "data:"],
        "font-src": ["'self'", "data:"],
        "worker-src": ["'self'", "blob:"],
        "connect-src": ["'self'"],
        "object-src": ["'none'"],
        "base-uri": ["'none'"],
        "form-action": ["'self'"],
        "frame-ancestors": ["'none'"],
    }
}

# Sign-in
PASSWORD_HASHERS = ["accounts.hashers.Argon2idHasher", "accounts.hashers.ForeignBcryptHasher"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "accounts.passwords.MixedCharactersValidator"},
    {"NAME": "accounts.passwords.MostCommonPasswordValidator"},
]
AUTHENTICATION_BACKENDS = ["accounts.backends.EmailBackend"]
JWT_KEYS: list[str] = env.list("JWT_KEYS", default=[])
ALGORITHM = env.str("ALGORITHM", default="HS256")  # the only one
if ALGORITHM != "HS256":
    raise ImproperlyConfigured(f"ALGORITHM is {ALGORITHM}: access tokens are signed with HS256")
ACCESS_TOKEN_EXPIRE_MINUTES = env.int("ACCESS_TOKEN_EXPIRE_MINUTES", default=30)
REFRESH_TOKEN_EXPIRE_DAYS = env.int("REFRESH_TOKEN_EXPIRE_DAYS", default=7)
TERMS_VERSIONS: dict[str, str] = env.dict("TERMS_VERSIONS", default={"terms": "1"})  # accepted before live trading

# Venues and prices
EXTENDED_API_URL = env.str("EXTENDED_API_URL", default=env.str("EXTENDED_EXCHANGE_BASE_URL", default=""))
STARKNET_NETWORK = env.str("STARKNET_NETWORK", default="testnet")
# Without addresses of their own, order management, streams and onboarding are at the host of the REST base.
EXTENDED_TESTNET_API_URL = env.str(
    "EXTENDED_TESTNET_API_URL", default="https://api.starknet.sepolia.extended.exchange/api/v1"
)
EXTENDED_TESTNET_ORDERS_URL = env.str("EXTENDED_TESTNET_ORDERS_URL", default="")
EXTENDED_TESTNET_STREAM_URL = env.str("EXTENDED_TESTNET_STREAM_URL", default="")
EXTENDED_TESTNET_ONBOARDING_URL = env.str("EXTENDED_TESTNET_ONBOARDING_URL", default="")
EXTENDED_MAINNET_API_URL = env.str("EXTENDED_MAINNET_API_URL", default="https://api.starknet.extended.exchange/api/v1")
EXTENDED_MAINNET_ORDERS_URL = env.str("EXTENDED_MAINNET_ORDERS_URL", default="")
EXTENDED_MAINNET_STREAM_URL = env.str("EXTENDED_MAINNET_STREAM_URL", default="")
EXTENDED_MAINNET_ONBOARDING_URL = env.str("EXTENDED_MAINNET_ONBOARDING_URL", default="")
EXTENDED_REQUESTS_PER_MIN = env.int("EXTENDED_REQUESTS_PER_MIN", default=1_000)  # the venue's limit for our address
BINANCE_NETWORK = env.str("BINANCE_NETWORK", default="testnet")
# In the network's stead; streams and WebSocket API are at the same host unless named too.
BINANCE_API_URL = env.str("BINANCE_API_URL", default="")
BINANCE_STREAM_URL = env.str("BINANCE_STREAM_URL", default="")
BINANCE_WS_API_URL = env.str("BINANCE_WS_API_URL", default="")
BINANCE_WEIGHT_PER_MIN = env.int("BINANCE_WEIGHT_PER_MIN", default=6_000)  # the venue's limit for our address
WITHDRAWAL_MIN = env.str("WITHDRAWAL_MIN", default="1")  # of a live account's currency
WITHDRAWAL_DAILY_MAX = env.str("WITHDRAWAL_DAILY_MAX", default="100000")  # of a user on one network, by UTC days
WITHDRAWAL_APPROVAL_ABOVE = env.str("WITHDRAWAL_APPROVAL_ABOVE", default="10000")  # a day's: beyond it staff approves
WITHDRAWAL_ADDRESS_COOL_DOWN_H = env.int("WITHDRAWAL_ADDRESS_COOL_DOWN_H", default=24)
VENUE_CONNECT_TIMEOUT_S = env.float("VENUE_CONNECT_TIMEOUT_S", default=3.0)
VENUE_READ_TIMEOUT_S = env.float("VENUE_READ_TIMEOUT_S", default=5.0)  # of a call that only reads, with all its tries
VENUE_WRITE_TIMEOUT_S = env.float("VENUE_WRITE_TIMEOUT_S", default=8.0)
VENUE_ANSWER_BYTES_MAX = env.int("VENUE_ANSWER_BYTES_MAX", default=16 * 1024 * 1024)
VENUE_CONNECTIONS_MAX = env.int("VENUE_CONNECTIONS_MAX", default=50)  # of one process to one venue
FEED = env.str("FEED", default="synthetic")
REPLAY = env.str("REPLAY", default="")
REPLAY_MAP = env.str("REPLAY_MAP", default="")  # recorded symbol=market,…
REPLAY_SPEED = env.int("REPLAY_SPEED", default=1)
FEED_SEED = env.int("FEED_SEED", default=1)
FEED_TICKS_PER_S = env.int("FEED_TICKS_PER_S", default=4)
FEED_STALE_AFTER_S = env.float("FEED_STALE_AFTER_S", default=10.0)
FEED_SILENT_AFTER_S = env.float("FEED_SILENT_AFTER_S", default=7.0)  # a venue's book that tells nothing is asked anew
CANDLES_KEPT_DAYS = env.int("CANDLES_KEPT_DAYS", default=400)  # those shorter than an hour
FUNDING_RATES_KEPT_DAYS = env.int("FUNDING_RATES_KEPT_DAYS", default=800)
MATCHER_SHARDS = env.int("MATCHER_SHARDS", default=1)  # parts of the markets that processes can share
MATCHER_THREADS = env.int("MATCHER_THREADS", default=4)
MARGIN_WATCH_SHARDS = env.int("MARGIN_WATCH_SHARDS", default=1)  # watchers that share the accounts
MARGIN_WATCH_THREADS = env.int("MARGIN_WATCH_THREADS", default=2)
ACCOUNT_STREAM_SHARDS = env.int("ACCOUNT_STREAM_SHARDS", default=1)  # parts of the live accounts
ACCOUNT_STREAM_THREADS = env.int("ACCOUNT_STREAM_THREADS", default=2)
LIQUIDATION_FEE_SHARE = env.str("LIQUIDATION_FEE_SHARE", default="0.25")  # of the maintenance margin it sets free
LIQUIDATION_BUFFER = env.str("LIQUIDATION_BUFFER", default="0.25")  # of maintenance, that equity is to be above it
MAX_OPEN_ORDERS = env.int("MAX_OPEN_ORDERS", default=200)  # of one account, as Extended's `maxNumOrders`
PRACTICE_INITIAL_BALANCE = env.str("PRACTICE_INITIAL_BALANCE", default="10000")
EXTENDED_NETWORKS: list[str] = env.list("EXTENDED_NETWORKS", default=[STARKNET_NETWORK])  # where accounts are connected

# Tasks: ids only, acknowledged when done, given to another worker when one dies
CELERY_BROKER_URL = env.str("CELERY_BROKER_URL", default=REDIS_URL)
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_TRANSPORT_OPTIONS = {"visibility_timeout": 600}
CELERY_TASK_TIME_LIMIT = 540  # s, below the visibility timeout: a task never runs twice because it is slow
CELERY_TASK_SOFT_TIME_LIMIT = 480
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_TASK_IGNORE_RESULT = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TIMEZONE = "UTC"
CELERY_BEAT_SCHEDULE = {
    "equity-snapshots": {"task": "trading.tasks.take_equity_snapshots", "schedule": crontab(minute="*/5")},
    "event-sweep": {"task": "trading.tasks.sweep_events", "schedule": 10.0},
    "funding": {"task": "trading.tasks.settle_funding", "schedule": crontab()},
    "frozen-users": {"task": "trading.tasks.cancel_orders_of_frozen_users", "schedule": 10.0},
    "game-sweep": {"task": "gamification.tasks.process_events", "schedule": 30.0},
    "live-accounts": {"task": "trading.tasks.sync_live_accounts", "schedule": 15.0},
    "unanswered-orders": {"task": "trading.tasks.resolve_unanswered_orders", "schedule": 5.0},
    "withdrawals": {"task": "trading.tasks.move_withdrawals", "schedule": 5.0},
    "transfers": {"task": "trading.tasks.move_transfers", "schedule": 5.0},
    "ledger-check": {"task": "trading.tasks.check_ledger", "schedule": crontab(minute="17")},
    "balance-roots": {"task": "trading.tasks.make_balance_roots", "schedule": crontab(minute="1,21,41")},
    "balance-roots-check": {"task": "trading.tasks.check_balance_roots", "schedule": crontab(hour="2", minute="30")},
    "idempotency-clean-up": {
        "task": "astrade.core.tasks.delete_idempotency_records",
        "schedule": crontab(minute="50"),
    },
    "session-clean-up": {"task": "accounts.tasks.clean_sessions", "schedule": crontab(hour="3", minute="40")},
}

LOG_LEVEL = env.str("LOG_LEVEL", default="INFO")
LOG_FORMAT = env.str("LOG_FORMAT", default="json")
LOGGING = logging_config(level=LOG_LEVEL, style=LOG_FORMAT)
SENTRY_DSN = env.str("SENTRY_DSN", default="")

# Sockets
WS_CONNECTIONS_PER_USER = env.int("WS_CONNECTIONS_PER_USER", default=10)
WS_CONNECTIONS_PER_IP = env.int("WS_CONNECTIONS_PER_IP", default=20)  # anonymous ones
WS_SUBSCRIPTIONS_MAX = env.int("WS_SUBSCRIPTIONS_MAX", default=200)  # of one connection
WS_TOKEN_WAIT_S = env.float("WS_TOKEN_WAIT_S", default=10.0)
WS_HEARTBEAT_S = env.float("WS_HEARTBEAT_S", default=15.0)
WS_IDLE_S = env.float("WS_IDLE_S", default=60.0)
WS_RESUME_WAIT_S = env.float("WS_RESUME_WAIT_S", default=0.5)  # account frames wait that long for a first message
WS_PNL_EVERY_S = env.float("WS_PNL_EVERY_S", default=1.0)  # how often account sockets hear of unrealised PnL
WS_THREADS = env.int("WS_THREADS", default=4)  # database connections of a process's sockets
SOCKET_IDENTITY = "accounts.sockets.SocketIdentity"
