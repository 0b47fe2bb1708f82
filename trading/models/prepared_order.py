"""Orders that wait for their user's signature."""

from django.db import models

from astrade.core.fields import AmountField
from trading.models.order import Order
from trading.models.prepared import Prepared, prepared_rules


class PreparedOrder(Prepared):
    """An order that its user signs: `price` is the worst one, `fee_rate` the highest fee as a share of the notional;
    `order` once it was placed.
    """

    spent_by = "order"

    price = AmountField()
    fee_rate = AmountField()
    expires_at = models.DateTimeField()
    order = models.OneToOneField(Order, models.PROTECT, null=True, related_name="prepared")

    class Meta:
        constraints = prepared_rules("prepared_order")
