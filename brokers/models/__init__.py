"""The outside world as rows."""

from brokers.bars import Bar
from brokers.calendars.sessions import ExchangeSession
from brokers.instruments.rows import ContractTerms, Instrument
from brokers.models.connection import Broker, BrokerConnection, Environment, MarketClock
from brokers.models.paper import PaperHolding, PaperOrder, PaperReport
from brokers.models.quote import Quote

__all__ = [
    "Bar",
    "Broker",
    "BrokerConnection",
    "ContractTerms",
    "Environment",
    "ExchangeSession",
    "Instrument",
    "MarketClock",
    "PaperHolding",
    "PaperOrder",
    "PaperReport",
    "Quote",
]
