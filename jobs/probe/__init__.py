"""Probes: what people would check by hand, looked at all the time and never changed."""

from jobs.probe.host import HostProbe
from jobs.probe.http import HttpProbe
from jobs.probe.mongo import MongoProbe
from jobs.probe.redis_server import RedisProbe
from jobs.probe.sql import SqlProbe
from jobs.probe.websocket import WebSocketProbe
from jobs.probing import ProbeKind

kinds: tuple[ProbeKind, ...] = (
    HttpProbe(),
    WebSocketProbe(),
    MongoProbe(),
    SqlProbe(),
    RedisProbe(),
    HostProbe(),
)
