"""The map of the site."""

from django.contrib import admin
from django.urls import include, path, register_converter
from django.views.generic import RedirectView
from drf_spectacular.views import SpectacularJSONAPIView, SpectacularSwaggerSplitView

from brokers import api as brokers
from execution_site.web import health
from orders.api import actions, groups, limits, orders, proposals, signals, system
from portfolio import api as portfolio


class SymbolConverter:
    """A symbol in a path: it may have slashes (`BTC/USDT`), plain or as %2F."""

    regex = r"[^\x00-\x1f\x7f]{1,64}"

    def to_python(self, value: str) -> str:
        """Return it as it is."""
        return value

    def to_url(self, value: str) -> str:
        """Return it as it is."""
        return value


register_converter(SymbolConverter, "symbol")

api = [
    path("signals", signals.SignalList.as_view()),
    path("signals/<int:pk>", signals.SignalDetail.as_view()),
    path("signals/<int:pk>/approve", signals.SignalApprove.as_view()),
    path("signals/<int:pk>/decline", signals.SignalDecline.as_view()),
    path("groups", groups.GroupList.as_view()),
    path("groups/<int:pk>", groups.GroupDetail.as_view()),
    path("groups/<int:pk>/exit", groups.GroupExit.as_view()),
    path("orders", orders.OrderList.as_view()),
    path("orders/cancel-all", orders.OrderCancelAll.as_view()),
    path("orders/<int:pk>", orders.OrderDetail.as_view()),
    path("orders/<int:pk>/cancel", orders.OrderCancel.as_view()),
    path("orders/<int:pk>/modify", orders.OrderModify.as_view()),
    path("fills", orders.FillList.as_view()),
    path("executions", orders.ExecutionList.as_view()),
    path("executions/<int:pk>", orders.ExecutionDetail.as_view()),
    path("positions", portfolio.PositionList.as_view()),
    path("positions/flatten", system.Flatten.as_view()),
    path("positions/<int:pk>", portfolio.PositionDetail.as_view()),
    path("pnl", portfolio.Pnl.as_view()),
    path("pnl/history", portfolio.PnlHistory.as_view()),
    path("greeks", portfolio.Greeks.as_view()),
    path("option-chain/<symbol:underlying>", portfolio.OptionChain.as_view()),
    path("limits", limits.LimitList.as_view()),
    path("proposals", proposals.ProposalList.as_view()),
    path("proposals/<int:pk>/approve", proposals.ProposalApprove.as_view()),
    path("proposals/<int:pk>/decline", proposals.ProposalDecline.as_view()),
    path("actions", actions.ActionList.as_view()),
    path("actions/<int:pk>", actions.ActionDetail.as_view()),
    path("actions/<int:pk>/withdraw", actions.ActionWithdraw.as_view()),
    path("instruments", brokers.InstrumentList.as_view()),
    path("instruments/<symbol:symbol>", brokers.InstrumentDetail.as_view()),
    path("bars/<symbol:symbol>", brokers.BarList.as_view()),
    path("quotes/<symbol:symbol>", brokers.QuoteDetail.as_view()),
    path("system", system.System.as_view()),
    path("system/kill-switch", system.KillSwitch.as_view()),
    path("system/mode", system.Mode.as_view()),
    path("system/breakers/<int:pk>/reset", system.BreakerReset.as_view()),
    path("health", health.Health.as_view()),
    path("health/trading", health.TradingHealth.as_view()),
    path("openapi.json", SpectacularJSONAPIView.as_view(), name="openapi"),
    path("docs", RedirectView.as_view(pattern_name="api-docs")),
    path("docs/", SpectacularSwaggerSplitView.as_view(url_name="openapi"), name="api-docs"),
]

urlpatterns = [
    path("healthz", health.alive),
    path("readyz", health.ready),
    path("api/v1/", include(api)),
    path("admin/", admin.site.urls),
    path("", include("execution_site.dashboard.urls")),
]

handler400 = "execution_site.rest.error_pages.bad_request"
handler403 = "execution_site.rest.error_pages.forbidden"
handler404 = "execution_site.rest.error_pages.page_not_found"
handler500 = "execution_site.rest.error_pages.server_error"
