"""The providers: how each is asked for a page, checked, and given new tokens.

Every answer goes through a pydantic model of its shape; no vendor's SDK stands in between.
"""

from collections.abc import Mapping
from types import MappingProxyType

from jobs.pos_sync.connectors.amazon import Amazon
from jobs.pos_sync.connectors.amazon_orders import AmazonOrders
from jobs.pos_sync.connectors.base import Connector
from jobs.pos_sync.connectors.rest import Rest
from jobs.pos_sync.connectors.shopify import Shopify
from jobs.pos_sync.connectors.shopify_orders import ShopifyOrders
from jobs.pos_sync.connectors.square import Square
from jobs.pos_sync.sales import Orders

CONNECTORS: Mapping[str, Connector] = MappingProxyType(
    {one.name: one for one in (Rest(), Square(), Shopify(), Amazon())}
)
ORDERS: Mapping[str, Orders] = MappingProxyType(
    {"shopify": ShopifyOrders(), "amazon": AmazonOrders()}
)
"""Those whose orders become sales."""
