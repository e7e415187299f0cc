"""Rules for what carries events: Broker, Triggers, sources, policies, the relay's scaling."""

import json
import re

from . import world

DURATION = re.compile(r"P(?=.)(\d+D)?(T(?=.)(\d+H)?(\d+M)?(\d+(\.\d+)?S)?)?")
ATTRIBUTE = re.compile(r"[a-z][a-z0-9]*")
DIALECTS = {"exact", "prefix", "suffix", "all", "any", "not", "cesql"}


def delivery(spec):
    """What fails is tried again, with growing waits, and then kept."""
    spec = spec.get("delivery") or {}
    if not spec.get("retry"):
        yield "delivery.retry: what fails once would be given up"
    if spec.get("backoffPolicy") != "exponential":
        yield "delivery.backoffPolicy is not exponential"
    if not DURATION.fullmatch(str(spec.get("backoffDelay", ""))):
        yield f"delivery.backoffDelay {spec.get('backoffDelay')} is no ISO 8601 duration"
    if not ((spec.get("deadLetterSink") or {}).get("ref")):
        yield "no dead-letter sink: what fails would be dropped"
    for key in set(spec) - {"retry", "backoffPolicy", "backoffDelay", "deadLetterSink"}:
        yield f"delivery.{key} is not taken by every cluster"


def attributes(filters):
    """Attributes that filters name: (dialect, attribute, value)."""
    for one in filters or []:
        for dialect, body in one.items():
            if dialect in ("all", "any"):
                yield from attributes(body)
            elif dialect == "not":
                yield from attributes([body])
            elif isinstance(body, dict):
                yield from ((dialect, k, v) for k, v in body.items())


def filters(found, known):
    for one in found or []:
        if len(one) != 1 or set(one) - DIALECTS:
            yield "one dialect for each element of filters"
    for dialect, attribute, value in attributes(found):
        if not ATTRIBUTE.fullmatch(attribute):
            yield f"filter attribute {attribute}: only a-z and 0-9"
        if attribute == "type" and dialect == "exact" and value not in known["types"]:
            yield f"there is no event type {value}"
        if attribute == "type" and dialect == "prefix" and not any(t.startswith(value) for t in known["types"]):
            yield f"no event type begins with {value}"


def trigger_type(doc):
    """The one type that a Trigger of ours is for."""
    exact = [v for d, k, v in attributes(doc["spec"].get("filters")) if (d, k) == ("exact", "type")]
    return exact[0] if len(exact) == 1 else None


def ping(doc):
    spec = doc["spec"]
    schedule = str(spec.get("schedule", ""))
    fields = schedule.split()
    named = schedule in ("@hourly", "@daily", "@midnight", "@weekly")
    if not named and (len(fields) not in (5, 6) or not all(re.fullmatch(r"[0-9*,/?LW#A-Z-]+", f) for f in fields)):
        yield f"schedule {schedule} is none"
    if "timezone" not in spec:
        yield "no timezone"
    try:
        good = spec.get("contentType") == "application/json" and isinstance(json.loads(spec.get("data", "")), dict)
    except ValueError:
        good = False
    if not good:
        yield "data is no JSON object of the content type application/json"


def lanes(separator, prefix):
    listening = sorted(set().union(*world.subscribers().values()))
    return {f"{prefix}{separator}{f}{separator}{p}" for f in listening for p in world.PRIORITIES}


def scaled(doc):
    """The relay is woken by every queue there is, and by nothing else."""
    spec, triggers = doc["spec"], doc["spec"].get("triggers") or []
    if spec.get("minReplicaCount") != 0:
        yield "minReplicaCount is not 0"
    if not 1 <= spec.get("maxReplicaCount", 0) <= 16:
        yield "maxReplicaCount is not within 1 and 16"
    if spec.get("cooldownPeriod", 300) < 60 or not 1 <= spec.get("pollingInterval", 30) <= 30:
        yield "cooldownPeriod below a minute, or pollingInterval above half of one"
    if not spec.get("fallback"):
        yield "no fallback: without its metrics there would be no relay"
    streams = {t["metadata"].get("stream") for t in triggers if t["type"] == "redis-streams"}
    queues = {t["metadata"].get("queueURL") for t in triggers if t["type"] == "aws-sqs-queue"}
    if streams and streams != lanes(":", "ohx"):
        yield f"streams do not match those of the code: {sorted(streams ^ lanes(':', 'ohx'))}"
    if queues and queues != lanes("-", "ohx"):
        yield f"queues do not match those of the code: {sorted(queues ^ lanes('-', 'ohx'))}"
    if not streams and not queues:
        yield "it looks at no queue"
    if streams and "ohx:delayed" not in {t["metadata"].get("listName") for t in triggers if t["type"] == "redis"}:
        yield "what waits for its time would wake nobody"
    for t in triggers:
        meta = t["metadata"]
        if not all(isinstance(v, str) for v in meta.values()):
            yield f"{t['type']}: metadata is text only"
        if "consumerGroup" in meta:
            yield "with a consumerGroup the scaler looks at something else than the length"
        if t["type"] == "aws-sqs-queue" and meta.get("scaleOnInFlight") != "true":
            yield "scaleOnInFlight: the relay would be taken away while it works"
        if not t.get("authenticationRef"):
            yield f"{t['type']}: no authenticationRef"


def check(doc, known):
    """Findings of one document that carries events."""
    kind, spec = doc["kind"], doc.get("spec") or {}
    if kind == "Broker":
        yield from delivery(spec)
    elif kind == "Trigger":
        yield from delivery(spec)
        yield from filters(spec.get("filters"), known)
        function = ((spec.get("subscriber") or {}).get("ref") or {}).get("name")
        event = trigger_type(doc)
        if event is None:
            yield "not exactly one type"
        elif function not in known["subscribers"].get(event, ()):
            yield f"{function} does not listen to {event}"
    elif kind == "PingSource":
        yield from ping(doc)
    elif kind == "EventPolicy":
        yield from filters(spec.get("filters"), known)
        if not spec.get("from") or not spec.get("to"):
            yield "an EventPolicy without from or to is for everybody, or for everything"
    elif kind == "ScaledObject":
        yield from scaled(doc)
    elif kind in ("RedisStreamSource", "RedisStreamSink"):
        yield "it loses events: the relay takes its place"
    elif kind == "IntegrationSource":
        sqs = (spec.get("aws") or {}).get("sqs") or {}
        if "visibilityTimeout" not in sqs or "waitTimeSeconds" not in sqs:
            yield "visibilityTimeout and waitTimeSeconds unset are passed on as 0"
