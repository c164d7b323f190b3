"""Where Django looks for the console: its tables are in `orders/console/`."""

from orders.console import connections, control, limits, orders, people, risk  # noqa: F401
