"""What market data enters into the registries of core: health checks and metrics of the prices."""

from astrade.core import health, metrics
from marketdata.status import check_feed_age, check_prices, observe_feed_age

health.register("prices", check_prices, critical=True)
health.register("feed_age", check_feed_age)
metrics.on_scrape(observe_feed_age)
