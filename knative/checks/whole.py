"""Rules for what belongs together: nothing may refer to what is not there."""

from . import events, pods, world

KINDS = {
    ("serving.knative.dev/v1", "Service"), ("eventing.knative.dev/v1", "Broker"), ("eventing.knative.dev/v1", "Trigger"),
    ("sources.knative.dev/v1", "PingSource"), ("sources.knative.dev/v1", "SinkBinding"), ("eventing.knative.dev/v1alpha1", "EventPolicy"),
    ("keda.sh/v1alpha1", "ScaledObject"), ("keda.sh/v1alpha1", "TriggerAuthentication"), ("apps/v1", "Deployment"), ("batch/v1", "Job"),
    ("networking.k8s.io/v1", "NetworkPolicy"), ("v1", "ConfigMap"), ("v1", "Service"), ("v1", "ServiceAccount"), ("v1", "Namespace"),
    ("monitoring.coreos.com/v1", "PodMonitor"), ("monitoring.coreos.com/v1", "ServiceMonitor"), ("monitoring.coreos.com/v1", "PrometheusRule"),
    ("gateway.networking.k8s.io/v1", "HTTPRoute"), ("rbac.authorization.k8s.io/v1", "Role"), ("rbac.authorization.k8s.io/v1", "RoleBinding"),
}
# A cloud's metadata service, by network: no pod of ours has business there.
METADATA = {"0.0.0.0/0": ["169.254.169.254/32"], "::/0": ["fd00:ec2::254/128"]}
MIGRATE = {"app.kubernetes.io/component": "migrate"}


def key(doc):
    return doc["kind"], doc["apiVersion"].partition("/")[0] if "/" in doc["apiVersion"] else "", doc["metadata"]["name"]


def references(doc):
    """Documents that a document names: (kind, group, name)."""
    spec = doc.get("spec") or {}
    refs = []
    delivery = spec.get("delivery") or {}
    for holder in (spec.get("sink"), spec.get("subscriber"), delivery.get("deadLetterSink")):
        refs.append((holder or {}).get("ref"))
    if doc["kind"] == "SinkBinding":
        refs.append(spec.get("subject"))
    if doc["kind"] == "EventPolicy":
        refs += [f.get("ref") for f in spec.get("from") or []] + [t.get("ref") for t in spec.get("to") or []]
    for ref in refs:
        if ref:
            yield ref["kind"], ref["apiVersion"].partition("/")[0], ref["name"]
    if doc["kind"] == "Trigger":
        yield "Broker", "eventing.knative.dev", spec.get("broker")
    if doc["kind"] == "ScaledObject":
        target = spec["scaleTargetRef"]
        yield target.get("kind", "Deployment"), "apps", target["name"]
        for trigger in spec.get("triggers") or []:
            if trigger.get("authenticationRef"):
                yield "TriggerAuthentication", "keda.sh", trigger["authenticationRef"]["name"]
    if doc["kind"] == "RoleBinding":
        yield doc["roleRef"]["kind"], doc["roleRef"]["apiGroup"], doc["roleRef"]["name"]
    found = pods.template(doc)
    if found:
        pod = found.get("spec") or {}
        yield "ServiceAccount", "", pod.get("serviceAccountName", "default")
        for c in pod.get("containers") or []:
            for source in c.get("envFrom") or []:
                if "configMapRef" in source:
                    yield "ConfigMap", "", source["configMapRef"]["name"]
            for env in c.get("env") or []:
                if "configMapKeyRef" in (env.get("valueFrom") or {}):
                    yield "ConfigMap", "", env["valueFrom"]["configMapKeyRef"]["name"]


def secrets(doc):
    """Secrets that a document names: (name, key or None)."""
    found = pods.template(doc)
    for c in ((found or {}).get("spec") or {}).get("containers") or []:
        for env in c.get("env") or []:
            ref = (env.get("valueFrom") or {}).get("secretKeyRef")
            if ref:
                yield ref["name"], ref["key"]
        for source in c.get("envFrom") or []:
            if "secretRef" in source:
                yield source["secretRef"]["name"], None
    if doc["kind"] == "TriggerAuthentication":
        for target in (doc.get("spec") or {}).get("secretTargetRef") or []:
            yield target["name"], target["key"]


def selected(selector, labels):
    """Whether a label selector matches."""
    if any(labels.get(k) != v for k, v in (selector.get("matchLabels") or {}).items()):
        return False
    for one in selector.get("matchExpressions") or []:
        value, wanted = labels.get(one["key"]), one.get("values") or []
        holds = {
            "In": value in wanted, "NotIn": value not in wanted, "Exists": value is not None, "DoesNotExist": value is None,
        }[one["operator"]]
        if not holds:
            return False
    return True


def pod_labels(docs):
    """Labels of every pod there will be; Knative adds its Service's name."""
    for doc in docs:
        found = pods.template(doc)
        if found:
            labels = dict((found.get("metadata") or {}).get("labels") or {})
            if pods.is_knative(doc):
                labels["serving.knative.dev/service"] = doc["metadata"]["name"]
            yield doc, labels


def say(doc, text):
    return f"{doc['kind']}/{doc['metadata']['name']}: {text}"


def outbound(spec):
    """Where pods may go: everywhere but to the metadata service. To Cilium an ipBlock never matches a pod, so that those are named apart."""
    for allowed in spec.get("egress") or [{}]:
        peers = allowed.get("to") or []
        blocks = {p["ipBlock"]["cidr"]: p["ipBlock"].get("except") for p in peers if "ipBlock" in p}
        if blocks and {"namespaceSelector": {}} not in peers:
            yield "names networks and no pods: with Cilium, DNS, the broker and a database in the cluster are out of reach"
        if not peers or any(cidr not in METADATA or without != METADATA[cidr] for cidr, without in blocks.items()):
            yield "leads to a cloud's metadata service"


def migration(docs):
    """What the Job needs is applied with it by its label (docs/operate/cluster.md): else it waits for what comes after it."""
    there = {key(d): d for d in docs}
    for doc in docs:
        if doc["kind"] != "Job":
            continue
        needed = [*references(doc), *(("Secret", "", name) for name, _ in secrets(doc))]
        for one in [doc, *(there[ref] for ref in needed if ref in there)]:
            if not selected({"matchLabels": MIGRATE}, one["metadata"].get("labels") or {}):
                yield say(one, "is not applied with the migration, which needs it")


def generated(docs):
    """Findings of a deployment whose Secrets are made by kustomize."""
    there = {d["metadata"]["name"] for d in docs if d["kind"] == "Secret"}
    for doc in docs:
        for name in sorted({name for name, _ in secrets(doc)} - there):
            yield say(doc, f"names the Secret {name}, which is not what kustomize calls it")
    yield from migration(docs)


def networks(docs, everything):
    """Policies and monitors choose something, and nothing is left open."""
    pods_here = list(pod_labels(docs))
    for doc in docs:
        spec = doc.get("spec") or {}
        if doc["kind"] == "NetworkPolicy":
            if not any(selected(spec.get("podSelector") or {}, labels) for _, labels in pods_here):
                yield say(doc, "chooses no pod")
            if not spec.get("policyTypes"):
                yield say(doc, "no policyTypes")
            if "Egress" in (spec.get("policyTypes") or []):
                yield from (say(doc, text) for text in outbound(spec))
        if doc["kind"] in ("PodMonitor", "ServiceMonitor"):
            among = [l for _, l in everything] if doc["kind"] == "PodMonitor" else [
                d["metadata"].get("labels") or {} for d in docs if (d["kind"], d["apiVersion"]) == ("Service", "v1")]
            if not any(selected(spec.get("selector") or {}, labels) for labels in among):
                yield say(doc, "chooses nothing")
            for endpoint in spec.get("podMetricsEndpoints") or spec.get("endpoints") or [{}]:
                if endpoint.get("path") != "/metrics" or endpoint.get("port") not in ("user-port", "http"):
                    yield say(doc, "reads something else than /metrics of user-port or http")
        if (doc["kind"], doc["apiVersion"]) == ("Service", "v1"):
            if not any(selected({"matchLabels": spec.get("selector") or {}}, labels) for _, labels in everything):
                yield say(doc, "chooses no pod")
    for kind in ("Ingress", "Egress"):
        policies = [d["spec"] for d in docs if d["kind"] == "NetworkPolicy" and kind in d["spec"].get("policyTypes", [])]
        for doc, labels in pods_here:
            if doc["kind"] == "Job" and kind == "Ingress":
                continue
            if not any(selected(p.get("podSelector") or {}, labels) for p in policies):
                yield say(doc, f"no NetworkPolicy says its {kind}")


def broker(docs, known):
    """Every type that a function listens to has its Trigger, and every function that publishes has its sink."""
    triggers = [d for d in docs if d["kind"] == "Trigger"]
    if not any(d["kind"] == "Broker" for d in docs):
        return
    have = [(d["spec"]["subscriber"]["ref"]["name"], events.trigger_type(d)) for d in triggers if (d["spec"].get("subscriber") or {}).get("ref")]
    for event, functions in sorted(known["subscribers"].items()):
        for function in sorted(functions):
            if have.count((function, event)) != 1:
                yield f"{function} listens to {event}, and {have.count((function, event))} Triggers bring it"
    bound = {d["spec"]["subject"].get("name") for d in docs if d["kind"] == "SinkBinding"}
    for doc in docs:
        if pods.is_knative(doc) and doc["metadata"]["name"] not in bound | {"relay", "console"} | known["silent"]:
            yield say(doc, "publishes to the Broker, and no SinkBinding tells it where that is")


def routed(docs):
    """Functions that a route leads to."""
    rules = [r for d in docs if d["kind"] == "HTTPRoute" for r in d["spec"]["rules"]]
    return {f["urlRewrite"]["hostname"].partition(".")[0] for r in rules for f in r.get("filters") or [] if "urlRewrite" in f}


def routes(docs):
    """The public paths lead to the functions that serve them, and no others."""
    there = {d["metadata"]["name"] for d in docs if pods.is_knative(d)}
    for doc in docs:
        if doc["kind"] != "HTTPRoute":
            continue
        name = doc["metadata"]["name"]
        for rule in doc["spec"]["rules"]:
            paths = {m["path"]["value"] for m in rule["matches"]}
            hosts = {f["urlRewrite"]["hostname"].partition(".")[0] for f in rule.get("filters") or [] if "urlRewrite" in f}
            if hosts != {name} or name not in there & world.PUBLIC or paths != world.PATHS[name]:
                yield say(doc, f"leads {sorted(paths)} to {sorted(hosts)}")


def check(docs, known, everything):
    """Findings of all documents of one overlay together."""
    there = {key(d) for d in docs}
    if len(there) != len(docs):
        yield "two documents of one name"
    for doc in docs:
        if (doc["apiVersion"], doc["kind"]) not in KINDS:
            yield say(doc, f"{doc['apiVersion']} {doc['kind']} is not among what is used here")
        for ref in references(doc):
            if ref not in there:
                yield say(doc, f"names {ref[0]} {ref[2]}, which is not there")
        for name, entry in secrets(doc):
            if f"`{name}`" not in known["described"] or (entry and f"`{entry}`" not in known["described"]):
                yield say(doc, f"names the Secret {name} ({entry}), which docs/operate/cluster.md does not describe")
        if doc["kind"] == "ConfigMap":
            for setting in (doc.get("data") or {}):
                if not setting.endswith(".json") and setting not in known["settings"]:
                    yield say(doc, f"{setting} is not in .env.example")
        if doc["kind"] == "ServiceAccount" and doc.get("automountServiceAccountToken") is not False:
            yield say(doc, "gives its pods a token of the cluster")
        if doc["kind"] == "Deployment" and any(d["kind"] == "ScaledObject" and d["spec"]["scaleTargetRef"]["name"] == doc["metadata"]["name"] for d in docs):
            if "replicas" in doc["spec"]:
                yield say(doc, "says its replicas, which are KEDA's to say")
    yield from migration(docs)
    yield from networks(docs, everything)
    yield from broker(docs, known)
    yield from routes(docs)
