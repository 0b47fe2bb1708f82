"""What trading enters into the registries of the apps below it."""

from accounts.ports import account_resolver
from trading.selectors import resolve_account

account_resolver.register(resolve_account)
