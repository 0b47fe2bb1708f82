from django.urls import path

from trading.api.views import accounts, orders, positions

urlpatterns = [
    path("accounts", accounts.AccountsView.as_view()),
    path("accounts/<uuid:account_id>", accounts.AccountDetailView.as_view()),
    path("accounts/<uuid:account_id>/ledger", accounts.LedgerView.as_view()),
    path("accounts/<uuid:account_id>/orders", orders.AccountOrdersView.as_view()),
    path("accounts/<uuid:account_id>/orders/<uuid:order_id>", orders.AccountOrderView.as_view()),
    path("accounts/<uuid:account_id>/positions", positions.AccountPositionsView.as_view()),
    path("accounts/<uuid:account_id>/positions/close", positions.ClosePositionView.as_view()),
    path("accounts/<uuid:account_id>/positions/<uuid:position_id>", positions.PositionView.as_view()),
    path("account", accounts.AssetsView.as_view()),
    path("account/balance", accounts.BalanceView.as_view()),
    path("account/fees", accounts.FeesView.as_view()),
    path("account/leverage", accounts.LeverageView.as_view()),
    path("account/positions", positions.PositionsView.as_view()),
    path("account/positions/history", positions.PositionHistoryView.as_view()),
    path("orders", orders.OrdersView.as_view()),
    path("orders/history", orders.OrderHistoryView.as_view()),
    path("orders/preview", orders.PreviewView.as_view()),
    path("orders/<uuid:order_id>", orders.OrderView.as_view()),
    path("positions", positions.AllPositionsView.as_view()),
    path("portfolio/balance", accounts.PortfolioBalanceView.as_view()),
    path("trades", orders.TradesView.as_view()),
    path("events", accounts.EventsView.as_view()),
]
