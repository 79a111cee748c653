"""Making the topology on a JetStream server: idempotent, and clear about what cannot be changed."""

from __future__ import annotations

from typing import Any, Protocol

from bus.errors import TopologyConflict
from bus.server.topology import SECOND_NS, DurableConsumer, Stream, Topology

_NO_ROOM = 10047  # insufficient storage resources: a bound is room kept, and there is not so much
_LEAST_BYTES = 1024 * 1024


class Admin(Protocol):
    """A connection that may use the JetStream API."""

    async def api(self, subject: str, request: dict[str, Any]) -> dict[str, Any]: ...


async def apply(admin: Admin, topology: Topology) -> list[str]:
    """Create or update every stream and consumer, and return what was done, a line each.

    Raises:
        TopologyConflict: one exists with settings that the server does not change in place.
        NotPermitted: the principal is not the admin.
        Unreachable: JetStream does not answer.
    """
    done = [await _apply_stream(admin, stream) for stream in topology.streams]
    done += [await _apply_consumer(admin, consumer) for consumer in topology.consumers]
    return done


async def check(admin: Admin, topology: Topology) -> list[str]:
    """Say of every stream and consumer whether it is as it should be, a line each, and change nothing.

    Raises:
        NotPermitted: the principal is not the admin.
        Unreachable: JetStream does not answer.
    """
    lines = []
    for stream in topology.streams:
        info = await admin.api(f"$JS.API.STREAM.INFO.{stream.name}", {})
        lines.append(f"stream {stream.name}: {_state(stream_config(stream), info)}")
    for consumer in topology.consumers:
        info = await admin.api(f"$JS.API.CONSUMER.INFO.{consumer.stream}.{consumer.name}", {})
        lines.append(f"consumer {consumer.name}: {_state(consumer_config(consumer), info)}")
    return lines


def _state(wanted: dict[str, Any], info: dict[str, Any]) -> str:
    if "error" in info:
        return "missing"
    differing = _differing(wanted, info["config"])
    return f"differs ({', '.join(differing)})" if differing else "as expected"


async def _apply_stream(admin: Admin, stream: Stream) -> str:
    wanted = stream_config(stream)
    info = await admin.api(f"$JS.API.STREAM.INFO.{stream.name}", {})
    if "error" in info:
        bound = await _do(admin, f"$JS.API.STREAM.CREATE.{stream.name}", wanted)
        return f"stream {stream.name}: created{bound}"
    differing = _differing(wanted, info["config"])
    if not differing:
        return f"stream {stream.name}: as expected"
    bound = await _do(admin, f"$JS.API.STREAM.UPDATE.{stream.name}", wanted)
    return f"stream {stream.name}: updated ({', '.join(differing)}){bound}"


async def _apply_consumer(admin: Admin, consumer: DurableConsumer) -> str:
    wanted = consumer_config(consumer)
    info = await admin.api(f"$JS.API.CONSUMER.INFO.{consumer.stream}.{consumer.name}", {})
    name = f"consumer {consumer.name}"
    if "error" not in info and not (differing := _differing(wanted, info["config"])):
        return f"{name}: as expected"
    request = {"stream_name": consumer.stream, "config": wanted}
    await _do(admin, f"$JS.API.CONSUMER.DURABLE.CREATE.{consumer.stream}.{consumer.name}", request)
    return f"{name}: created" if "error" in info else f"{name}: updated ({', '.join(differing)})"


async def _do(admin: Admin, subject: str, request: dict[str, Any]) -> str:
    """Ask for it, and return what became of a stream's bound where the server has less room than that.

    Room for an eighth more is asked for first: what the bounds leave is the mail's.
    """
    wanted = bound = request.get("max_bytes", -1)
    if wanted < 0:
        _checked(subject, await admin.api(subject, request))
        return ""
    answer = await admin.api(subject, {**request, "max_bytes": bound * 9 // 8})
    while answer.get("error", {}).get("err_code") == _NO_ROOM and bound >= 2 * _LEAST_BYTES:
        bound //= 2
        answer = await admin.api(subject, {**request, "max_bytes": bound * 9 // 8})
    _checked(subject, answer)
    subject = subject.replace("CREATE", "UPDATE")
    _checked(subject, await admin.api(subject, {**request, "max_bytes": bound}))
    return "" if bound == wanted else f", with {bound} bytes at most: the server's store is smaller than ours"


def _checked(subject: str, answer: dict[str, Any]) -> None:
    if "error" in answer:
        raise TopologyConflict(f"{subject.removeprefix('$JS.API.')}: {answer['error'].get('description')}")


def _differing(wanted: dict[str, Any], found: dict[str, Any]) -> list[str]:
    """Name the settings that differ; the server leaves out what is false or empty.

    A smaller bound of a stream is what its server had room for.
    """
    differing = [name for name, value in wanted.items() if found.get(name, type(value)()) != value]
    smaller = 0 < found.get("max_bytes", 0) < wanted.get("max_bytes", 0)
    return [name for name in differing if not (smaller and name == "max_bytes")]


def stream_config(stream: Stream) -> dict[str, Any]:
    """Return a stream as the JetStream API wants it."""
    config: dict[str, Any] = {
        "name": stream.name,
        "description": stream.description,
        "subjects": list(stream.subjects),
        "retention": "limits",
        "storage": "file",
        "discard": "old" if stream.store_bytes < 0 else "new",
        "max_bytes": stream.store_bytes,
        "max_msg_size": stream.message_bytes,
        "max_msgs_per_subject": -1,
        "discard_new_per_subject": False,
        "num_replicas": 1,
        "duplicate_window": int(stream.duplicate_window_s * SECOND_NS),
        "allow_direct": True,
        "deny_delete": True,
        "deny_purge": True,
        "allow_rollup_hdrs": False,
    }
    if stream.hints:
        source, hint = stream.hints
        config["republish"] = {"src": source, "dest": hint}
    if stream.write_once:
        config |= {"discard": "new", "max_msgs_per_subject": 1, "discard_new_per_subject": True}
    return config


def consumer_config(consumer: DurableConsumer) -> dict[str, Any]:
    """Return a consumer as the JetStream API wants it."""
    config: dict[str, Any] = {
        "durable_name": consumer.name,
        "deliver_policy": "all",
        "ack_policy": "explicit",
        "ack_wait": int(consumer.ack_wait_s * SECOND_NS),
        "max_deliver": -1,
        "max_ack_pending": consumer.max_ack_pending,
        "replay_policy": "instant",
    }
    if len(consumer.filters) == 1:
        config["filter_subject"] = consumer.filters[0]
    else:
        config["filter_subjects"] = list(consumer.filters)
    return config
