"""Rules for what runs: Knative Services, Deployments, Jobs."""

import re

from . import world

ANNOTATIONS = {
    "class", "metric", "min-scale", "max-scale", "initial-scale", "activation-scale", "target", "target-utilization-percentage", "window",
    "scale-down-delay", "scale-to-zero-pod-retention-period", "target-burst-capacity", "panic-window-percentage", "panic-threshold-percentage",
}
# What a Knative Service's pod may say without a cluster's special leave.
POD_FIELDS = {
    "serviceAccountName", "containers", "volumes", "timeoutSeconds", "responseStartTimeoutSeconds", "idleTimeoutSeconds",
    "containerConcurrency", "enableServiceLinks", "imagePullSecrets",
}
RESERVED_PORTS = {8008, 8012, 8013, 8022, 9090, 9091}
RESERVED_ENV = {"PORT", "K_SERVICE", "K_CONFIGURATION", "K_REVISION"}
# Not settings of ours, but what others are put together from.
HELPERS = {"POD_NAMESPACE"}
PREFIX = "autoscaling.knative.dev/"
LABEL = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")


def is_knative(doc):
    return doc["kind"] == "Service" and doc["apiVersion"] == "serving.knative.dev/v1"


def template(doc):
    """The pod's template of anything that has one."""
    if is_knative(doc) or doc["kind"] in ("Deployment", "Job"):
        return (doc.get("spec") or {}).get("template")
    return None


def seconds(text):
    found = re.fullmatch(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?", str(text))
    if not found or not any(found.groups()):
        return None
    return sum(int(n or 0) * unit for n, unit in zip(found.groups(), (3600, 60, 1)))


def scaling(annotations):
    for key, value in annotations.items():
        if not key.startswith(PREFIX):
            continue
        if key[len(PREFIX):] not in ANNOTATIONS:
            yield f"annotation {key} does not exist: Knative would ignore it"
        if not isinstance(value, str):
            yield f"annotation {key} is no string"
    number = lambda key, default: int(annotations.get(PREFIX + key, default))
    if number("min-scale", 0) > number("max-scale", 10**6):
        yield "min-scale is above max-scale"
    if PREFIX + "max-scale" not in annotations:
        yield "no max-scale: a storm of events would take the whole cluster"
    window = annotations.get(PREFIX + "window")
    if window is not None and not 6 <= (seconds(window) or 0) <= 3600:
        yield f"window {window} is not within 6s and 1h"


def service(doc, routed):
    """Rules of Knative Serving. `routed` have a route of their own as the way in: a public name beside it would lead to all their paths."""
    name, meta, spec = doc["metadata"]["name"], doc["metadata"], doc.get("spec") or {}
    if not LABEL.fullmatch(name):
        yield "its name is no DNS label"
    for key in meta.get("annotations") or {}:
        if key.startswith(PREFIX):
            yield f"annotation {key} belongs to the template"
    own = spec["template"].get("metadata") or {}
    notes, pod = own.get("annotations") or {}, spec["template"].get("spec") or {}
    yield from scaling(notes)
    visibility = (meta.get("labels") or {}).get("networking.knative.dev/visibility")
    if (visibility is None) != (name in world.PUBLIC - routed) or visibility not in (None, "cluster-local"):
        yield f"visibility is {visibility}: public are {', '.join(sorted(world.PUBLIC))} where no HTTPRoute leads to them, all else is cluster-local"
    if (name in world.AWAKE) != (notes.get(PREFIX + "min-scale", "0") == "1"):
        yield f"min-scale: {', '.join(sorted(world.AWAKE))} keep one instance, all else sleeps"
    for key in set(pod) - POD_FIELDS:
        yield f"spec.template.spec.{key} is denied, or dropped"
    timeout = pod.get("timeoutSeconds", 300)
    if timeout > 600:
        yield "timeoutSeconds is above 600"
    if pod.get("responseStartTimeoutSeconds", 0) > timeout:
        yield "responseStartTimeoutSeconds is above timeoutSeconds"
    if pod.get("containerConcurrency", 0) > 1000:
        yield "containerConcurrency is above 1000"
    if pod.get("enableServiceLinks") is not False:
        yield "enableServiceLinks: the cluster's Services would become settings"
    shares = [t.get("percent", 0) for t in spec.get("traffic") or []]
    if shares and sum(shares) != 100:
        yield "traffic does not add up to 100"
    containers = pod.get("containers") or []
    ports = [p for c in containers for p in c.get("ports") or []]
    if len(ports) > 1:
        yield "more than one port"
    for port in ports:
        if port.get("name") not in (None, "http1", "h2c"):
            yield f"port name {port['name']}: only http1 or h2c"
        if port.get("containerPort") in RESERVED_PORTS:
            yield f"port {port['containerPort']} is Knative's own"
    for c in containers:
        if "lifecycle" in c:
            yield "lifecycle is not in the schema"
        if "startupProbe" in c and not any("port" in (c["startupProbe"].get(k) or {}) for k in ("httpGet", "tcpSocket")):
            yield "startupProbe without a port"
        for env in c.get("env") or []:
            if env["name"] in RESERVED_ENV:
                yield f"{env['name']} is Knative's to set"
            if "fieldRef" in (env.get("valueFrom") or {}):
                yield f"{env['name']}: fieldRef is denied"


def probes(doc, container):
    for probe, path in (("readinessProbe", "/readyz"), ("livenessProbe", "/livez")):
        if ((container.get(probe) or {}).get("httpGet") or {}).get("path") != path:
            yield f"{probe} does not ask {path}"


def container(doc, c, known):
    """Rules for every container."""
    context = c.get("securityContext") or {}
    wanted = {
        "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "runAsNonRoot": True, "runAsUser": 65532,
        "capabilities": {"drop": ["ALL"]}, "seccompProfile": {"type": "RuntimeDefault"},
    }
    for key, value in wanted.items():
        if context.get(key) != value:
            yield f"securityContext.{key} is not {value}"
    resources = c.get("resources") or {}
    for kind, what in (("requests", "cpu"), ("requests", "memory"), ("limits", "memory")):
        if what not in (resources.get(kind) or {}):
            yield f"resources.{kind}.{what} is missing"
    path, _, _ = c["image"].partition("@")
    image = path.rpartition("/")[2].partition(":")[0]
    if image not in known["functions"]:
        yield f"image {c['image']}: there is no function {image}"
    elif c["name"] != image and image != "ohx":
        yield f"container {c['name']} runs the image of {image}"
    if not re.match(r"registry\.(invalid|example\.org)/ohx/", c["image"]):
        yield f"image {c['image']}: which registry is the operator's to say"
    if doc["kind"] != "Job":
        yield from probes(doc, c)
    names = [e["name"] for e in c.get("env") or []]
    for env in names:
        if env not in known["settings"] | HELPERS:
            yield f"{env} is not in .env.example"
        if names.count(env) > 1:
            yield f"{env} is set twice"
    for env in c.get("env") or []:
        for used in re.findall(r"\$\(([A-Z_]+)\)", env.get("value") or ""):
            if used not in names[: names.index(env["name"])]:
                yield f"{env['name']} uses {used}, which does not stand before it"
        if re.search(r"(KEYS?|SECRET|PASSWORD|TOKEN|_URL)$", env["name"]) and re.search(r"://[^/]*:[^/]*@", env.get("value") or ""):
            yield f"{env['name']} holds a password"
    values = {e["name"]: e.get("value") for e in c.get("env") or []}
    bus = values.get("OHX_BUS")
    if bus == "redis" and "REDIS_URL" not in values:
        yield "OHX_BUS is redis, and there is no REDIS_URL"
    if bus is None and c["name"] not in ("console", "migrate"):
        yield "OHX_BUS is not said"


def check(doc, known, routed=frozenset()):
    """Findings of one document that runs something."""
    found = template(doc)
    if found is None:
        return
    pod = found.get("spec") or {}
    if is_knative(doc):
        yield from service(doc, routed)
    elif pod.get("automountServiceAccountToken") is not False:
        yield "the pod gets a token of the cluster"
    labels = ((found.get("metadata") or {}).get("labels")) or {}
    for label in ("name", "component", "part-of"):
        if f"app.kubernetes.io/{label}" not in labels:
            yield f"its pods have no label app.kubernetes.io/{label}"
    if doc["kind"] == "Job" and not (doc["spec"].get("ttlSecondsAfterFinished") and doc["spec"].get("activeDeadlineSeconds")):
        yield "a Job that stays could not be replaced by the next version's"
    for c in pod.get("containers") or []:
        yield from container(doc, c, known)
