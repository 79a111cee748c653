"""The log on NATS JetStream: the only package that imports nats."""

from bus.jetstream.carrier import JetStreamCarrier, connect

__all__ = ["JetStreamCarrier", "connect"]
