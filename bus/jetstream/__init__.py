"""The log on NATS JetStream: the only package that imports nats."""

from bus.jetstream.carrier import JetStreamCarrier
from bus.jetstream.connecting import connect

__all__ = ["JetStreamCarrier", "connect"]
