"""States of the exchange in which it refuses what it takes otherwise (extended-api.md §4, 1002 and 1010 to 1014)."""

from enum import StrEnum


class Mode(StrEnum):
    MAINTENANCE = "maintenance"
    POST_ONLY = "post_only_mode"
    REDUCE_ONLY = "reduce_only_mode"
    MARKET_DISABLED = "market_disabled"
    MARKET_REDUCE_ONLY = "market_reduce_only"
