"""What production demands of its environment; all that is wrong is told at once, before anything starts."""

import ipaddress
from collections.abc import Callable, Iterator, Mapping
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured

Environment = Mapping[str, str]

SECRET_LENGTH_MIN = 50
SECRET_CHARACTERS_MIN = 10  # different ones
ENCRYPTION_KEY_LENGTH_MIN = 32
WEAK_WORDS = ("change", "default", "development", "django-insecure", "example", "insecure", "secret", "your-", "your_")
VENUE_ENDS = ("API", "ORDERS", "STREAM", "ONBOARDING")
VENUE_URLS = (
    "EXTENDED_API_URL",
    "EXTENDED_EXCHANGE_BASE_URL",
    *(f"EXTENDED_{network}_{end}_URL" for network in ("TESTNET", "MAINNET") for end in VENUE_ENDS),
    "BINANCE_API_URL",
    "BINANCE_STREAM_URL",
    "BINANCE_WS_API_URL",
)
TESTNET_HOST_PARTS = ("sepolia", "testnet")
MAINNET_HOSTS = (
    "api.starknet.extended.exchange",
    "api.binance.com",
    "stream.binance.com",
    "ws-api.binance.com",
)
NETWORKS = ("mainnet", "testnet")


def refuse(environment: Environment) -> None:
    """Raise ImproperlyConfigured with every fault, if there is one."""
    faults = [fault for check in CHECKS for fault in check(environment)]
    if faults:
        listed = "\n".join(f"  - {fault}" for fault in faults)
        raise ImproperlyConfigured(f"AsTrade doesn't start in production like this:\n{listed}")


def _secrets(environment: Environment) -> Iterator[str]:
    keys = {"SECRET_KEY": environment.get("SECRET_KEY", "")}
    for number, fallback in enumerate(filter(None, environment.get("SECRET_KEY_FALLBACKS", "").split(",")), 1):
        keys[f"SECRET_KEY_FALLBACKS[{number}]"] = fallback
    for name, value in keys.items():
        if not value:
            yield f"{name} is missing"
        elif is_weak(value, length=SECRET_LENGTH_MIN):
            yield f"{name} is weak: {SECRET_LENGTH_MIN} random characters or more, nothing from an example"


def _encryption(environment: Environment) -> Iterator[str]:
    listed = [entry for entry in environment.get("ENCRYPTION_KEYS", "").split(",") if entry]
    keys = {f"ENCRYPTION_KEYS[{number}]": entry.partition(":")[2] for number, entry in enumerate(listed, 1)}
    if single := environment.get("ENCRYPTION_KEY", ""):
        keys["ENCRYPTION_KEY"] = single
    vault = environment.get("ENCRYPTION_KEYS_VAULT_URL", "")
    if not keys and not environment.get("ENCRYPTION_KEYS_FILE") and not vault:
        yield "ENCRYPTION_KEY is missing (or ENCRYPTION_KEYS, its _FILE or its _VAULT_URL): it seals Stark keys"
    if vault and urlsplit(vault).scheme != "https":
        yield "ENCRYPTION_KEYS_VAULT_URL must begin with https://"
    if vault and not environment.get("VAULT_TOKEN") and not environment.get("VAULT_TOKEN_FILE"):
        yield "VAULT_TOKEN or VAULT_TOKEN_FILE is missing: the Vault wants one"
    for name, value in keys.items():
        if is_weak(value, length=ENCRYPTION_KEY_LENGTH_MIN):
            yield f"{name} is weak: {ENCRYPTION_KEY_LENGTH_MIN} random characters or more, nothing from an example"


def is_weak(secret: str, *, length: int) -> bool:
    """Whether a secret is too short, too uniform, or taken from an example."""
    looks_copied = any(word in secret.lower() for word in WEAK_WORDS)
    return len(secret) < length or len(set(secret)) < SECRET_CHARACTERS_MIN or looks_copied


def _debug(environment: Environment) -> Iterator[str]:
    if environment.get("DEBUG", "").strip().lower() not in ("", "0", "false", "no", "off"):
        yield "DEBUG is on"


def _servers(environment: Environment) -> Iterator[str]:
    for name, schemes in {"DATABASE_URL": ("postgres", "postgresql"), "REDIS_URL": ("redis", "rediss")}.items():
        url = environment.get(name, "")
        if not url:
            yield f"{name} is missing: embedded servers are for demonstration, development and tests"
        elif urlsplit(url).scheme not in schemes:
            yield f"{name} must begin with {schemes[-1]}://"


def _hosts(environment: Environment) -> Iterator[str]:
    hosts = [host.strip() for host in environment.get("ALLOWED_HOSTS", "").split(",") if host.strip()]
    if not hosts:
        yield "ALLOWED_HOSTS is missing: the names under which clients reach AsTrade"
    if "*" in hosts:
        yield "ALLOWED_HOSTS has '*': it must name hosts"


def _origins(environment: Environment) -> Iterator[str]:
    if "*" in environment.get("CORS_ALLOWED_ORIGINS", ""):
        yield "CORS_ALLOWED_ORIGINS has '*': it must name origins"


def _networks(environment: Environment) -> Iterator[str]:
    for network in filter(None, environment.get("EXTENDED_NETWORKS", "").split(",")):
        if network not in NETWORKS:
            yield f"EXTENDED_NETWORKS has {network}: each is one of {', '.join(NETWORKS)}"


def _tokens(environment: Environment) -> Iterator[str]:
    if (algorithm := environment.get("ALGORITHM", "HS256")) != "HS256":
        yield f"ALGORITHM is {algorithm}: access tokens are signed with HS256"


def _venues(environment: Environment) -> Iterator[str]:
    for name in VENUE_URLS:
        url = environment.get(name, "")
        if url and is_emulator(url):
            yield f"{name} points to this machine or a private network: an emulator is no venue"
        elif url and urlsplit(url).scheme not in ("https", "wss"):
            yield f"{name} must begin with https:// or wss://"
        if url and is_of_the_other_network(url, network=_network_of(name, environment)):
            yield f"{name} is an address of the other network: testnet and mainnet never mix"
    for name in ("STARKNET_NETWORK", "BINANCE_NETWORK"):
        if (network := environment.get(name, "testnet")) not in NETWORKS:
            yield f"{name} is {network}: one of {', '.join(NETWORKS)}"


def _network_of(name: str, environment: Environment) -> str:
    """The network whose address a setting holds."""
    if name.startswith(("EXTENDED_TESTNET_", "EXTENDED_MAINNET_")):
        return name.split("_")[1].lower()
    return environment.get("BINANCE_NETWORK" if name.startswith("BINANCE_") else "STARKNET_NETWORK", "testnet")


def is_of_the_other_network(url: str, *, network: str) -> bool:
    """Whether a venue's address is known to be another network's than `network`."""
    host = (urlsplit(url).hostname or "").rstrip(".")
    return any(part in host for part in TESTNET_HOST_PARTS) if network == "mainnet" else host in MAINNET_HOSTS


def is_emulator(url: str) -> bool:
    """Whether a venue's address is local: emulators run beside AsTrade, venues never do."""
    host = (urlsplit(url).hostname or "").rstrip(".")
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return "." not in host or host.endswith((".localhost", ".local", ".internal", ".test"))
    return not address.is_global


CHECKS: tuple[Callable[[Environment], Iterator[str]], ...] = (
    _secrets,
    _encryption,
    _debug,
    _servers,
    _hosts,
    _origins,
    _networks,
    _tokens,
    _venues,
)
