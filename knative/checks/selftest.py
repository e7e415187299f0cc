"""Breaks what is rendered, one thing at a time: each has to be found."""

import copy

from . import faas, images, watch, whole

BASE, REDIS, SQS, OIDC = "knative/base", "knative/overlays/redis", "knative/overlays/sqs", "knative/overlays/oidc"
MONITORING, EXAMPLE = "knative/monitoring", "knative/example"


def one(docs, kind, name, api=None):
    return next(d for d in docs if (d["kind"], d["metadata"]["name"]) == (kind, name) and (api is None or d["apiVersion"] == api))


def ksvc(docs, name="fetch"):
    return one(docs, "Service", name, "serving.knative.dev/v1")


def template(docs, name="fetch"):
    return ksvc(docs, name)["spec"]["template"]


def notes(docs, name="fetch"):
    return template(docs, name)["metadata"]["annotations"]


def pod(docs, name="fetch"):
    return template(docs, name)["spec"]


def box(docs, name="fetch"):
    return pod(docs, name)["containers"][0]


def trigger(docs, name="fetch-sync-requested"):
    return one(docs, "Trigger", name)["spec"]


def relay(docs):
    return one(docs, "Deployment", "relay")["spec"]


def scaler(docs):
    return one(docs, "ScaledObject", "relay")["spec"]


def remove(docs, kind, name):
    docs.remove(one(docs, kind, name))


def rule(docs, name):
    return next(r for d in docs if d["kind"] == "PrometheusRule" for r in watch.rules(d) if r.get("alert") == name)


def egress(docs, name="ohx-outbound"):
    return one(docs, "NetworkPolicy", name)["spec"]["egress"][0]


def secret(docs, name):
    return next(d for d in docs if d["kind"] == "Secret" and d["metadata"]["name"].startswith(name))


def put(holder, key, value):
    holder[key] = value


A = "autoscaling.knative.dev/"
# What is broken, where, how.
BREAKS = [
    ("an annotation that does not exist", BASE, lambda d: put(notes(d), A + "minScale", "1")),
    ("an annotation that is a number", BASE, lambda d: put(notes(d), A + "max-scale", 10)),
    ("an annotation in the wrong place", BASE, lambda d: put(ksvc(d)["metadata"], "annotations", {A + "min-scale": "1"})),
    ("min above max", BASE, lambda d: put(notes(d, "webhook"), A + "max-scale", "0")),
    ("no max-scale", BASE, lambda d: notes(d).pop(A + "max-scale")),
    ("a window of a day", BASE, lambda d: put(notes(d), A + "window", "24h")),
    ("webhook sleeps", BASE, lambda d: notes(d, "webhook").pop(A + "min-scale")),
    ("fetch never sleeps", BASE, lambda d: put(notes(d), A + "min-scale", "1")),
    ("publish is public", BASE, lambda d: ksvc(d, "publish")["metadata"]["labels"].pop("networking.knative.dev/visibility")),
    ("oauth is not public", BASE, lambda d: put(ksvc(d, "oauth")["metadata"]["labels"], "networking.knative.dev/visibility", "cluster-local")),
    ("a name with a dot", BASE, lambda d: put(ksvc(d)["metadata"], "name", "fetch.v1")),
    ("a pod's securityContext", BASE, lambda d: put(pod(d), "securityContext", {"runAsNonRoot": True})),
    ("a grace period", BASE, lambda d: put(pod(d), "terminationGracePeriodSeconds", 30)),
    ("an init container", BASE, lambda d: put(pod(d), "initContainers", [])),
    ("a timeout of twenty minutes", BASE, lambda d: put(pod(d), "timeoutSeconds", 1200)),
    ("a response that may start after the end", BASE, lambda d: put(pod(d), "responseStartTimeoutSeconds", 500)),
    ("two thousand at once", BASE, lambda d: put(pod(d), "containerConcurrency", 2000)),
    ("service links", BASE, lambda d: pod(d).pop("enableServiceLinks")),
    ("a port for metrics", BASE, lambda d: put(box(d), "ports", [{"name": "metrics", "containerPort": 8080}])),
    ("two ports", BASE, lambda d: put(box(d), "ports", [{"containerPort": 8080}, {"containerPort": 8081}])),
    ("a reserved port", BASE, lambda d: put(box(d), "ports", [{"containerPort": 9090}])),
    ("PORT", BASE, lambda d: box(d)["env"].append({"name": "PORT", "value": "80"})),
    ("a field of the pod as a setting", BASE, lambda d: box(d)["env"].append({"name": "RUST_LOG", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}})),
    ("a setting with a typing error", BASE, lambda d: box(d)["env"].append({"name": "OHX_PUBLIC_ULR", "value": "x"})),
    ("a setting twice", BASE, lambda d: box(d)["env"].append({"name": "OHX_BUS", "value": "redis"})),
    ("a password in a manifest", BASE, lambda d: put(box(d)["env"], 0, {"name": "DATABASE_URL", "value": "postgres://ohx:secret@db/ohx"})),
    ("a bus that is not said", BASE, lambda d: put(box(d), "env", [e for e in box(d)["env"] if e["name"] != "OHX_BUS"])),
    ("Redis without its address", REDIS, lambda d: put(box(d), "env", [e for e in box(d)["env"] if e["name"] != "REDIS_URL"])),
    ("root", BASE, lambda d: put(box(d)["securityContext"], "runAsNonRoot", False)),
    ("all capabilities", BASE, lambda d: box(d)["securityContext"].pop("capabilities")),
    ("escalation", BASE, lambda d: put(box(d)["securityContext"], "allowPrivilegeEscalation", True)),
    ("no seccomp profile, in the Job", BASE, lambda d: one(d, "Job", "ohx-migrate")["spec"]["template"]["spec"]["containers"][0]["securityContext"].pop("seccompProfile")),
    ("no limit of memory", BASE, lambda d: box(d)["resources"].pop("limits")),
    ("no probe", BASE, lambda d: box(d).pop("readinessProbe")),
    ("a probe that asks elsewhere", BASE, lambda d: put(box(d)["livenessProbe"]["httpGet"], "path", "/healthz")),
    ("a startup probe without a port", BASE, lambda d: put(box(d), "startupProbe", {"httpGet": {"path": "/livez"}})),
    ("a lifecycle hook", BASE, lambda d: put(box(d), "lifecycle", {})),
    ("an image that nobody makes", BASE, lambda d: put(box(d), "image", "registry.invalid/ohx/fetcher")),
    ("another function's image", BASE, lambda d: put(box(d), "image", "registry.invalid/ohx/publish")),
    ("an image of somebody else's registry", BASE, lambda d: put(box(d), "image", "ohx/fetch")),
    ("traffic of 90 in 100", BASE, lambda d: put(ksvc(d)["spec"], "traffic", [{"percent": 90, "latestRevision": True}])),
    ("no label", BASE, lambda d: template(d)["metadata"]["labels"].pop("app.kubernetes.io/part-of")),
    ("an account that is not there", BASE, lambda d: put(pod(d), "serviceAccountName", "ohx-fetcher")),
    ("an account with a token", BASE, lambda d: put(one(d, "ServiceAccount", "ohx-fetch"), "automountServiceAccountToken", True)),
    ("settings that are not there", BASE, lambda d: put(box(d)["envFrom"][0]["configMapRef"], "name", "ohx-setting")),
    ("a setting in the ConfigMap that does not exist", EXAMPLE, lambda d: next(x for x in d if x["metadata"]["name"].startswith("ohx-settings"))["data"].update(OHX_PUBLIC="x")),
    ("a secret that nobody has described", BASE, lambda d: put(box(d)["env"][0]["valueFrom"]["secretKeyRef"], "name", "ohx-db")),
    ("a Job that stays", BASE, lambda d: one(d, "Job", "ohx-migrate")["spec"].pop("ttlSecondsAfterFinished")),
    ("an account that is not applied with the Job", BASE, lambda d: one(d, "ServiceAccount", "ohx-migrate")["metadata"].pop("labels")),
    ("a Job without its label", BASE, lambda d: put(one(d, "Job", "ohx-migrate")["metadata"]["labels"], "app.kubernetes.io/component", "job")),
    ("settings that are not applied with the Job", BASE, lambda d: one(d, "Job", "ohx-migrate")["spec"]["template"]["spec"]["containers"][0].update(envFrom=copy.deepcopy(box(d)["envFrom"]))),
    ("a Trigger without a dead-letter sink", BASE, lambda d: trigger(d)["delivery"].pop("deadLetterSink")),
    ("a Trigger that tries once", BASE, lambda d: trigger(d)["delivery"].pop("retry")),
    ("a Trigger with linear waits", BASE, lambda d: put(trigger(d)["delivery"], "backoffPolicy", "linear")),
    ("a wait that is no duration", BASE, lambda d: put(trigger(d)["delivery"], "backoffDelay", "2s")),
    ("a wait that only some clusters take", BASE, lambda d: put(trigger(d)["delivery"], "retryAfterMax", "PT1H")),
    ("a sink that is not there", BASE, lambda d: put(trigger(d)["delivery"]["deadLetterSink"]["ref"], "name", "morgue")),
    ("a Broker without a dead-letter sink", BASE, lambda d: one(d, "Broker", "ohx")["spec"]["delivery"].pop("deadLetterSink")),
    ("a Trigger for another Broker", BASE, lambda d: put(trigger(d), "broker", "default")),
    ("a type that does not exist", BASE, lambda d: put(trigger(d)["filters"][0]["exact"], "type", "org.openhealthexchange.sync.request.v1")),
    ("a type that another function listens to", BASE, lambda d: put(trigger(d)["filters"][0]["exact"], "type", "org.openhealthexchange.records.fetched.v1")),
    ("a subscriber that does not listen", BASE, lambda d: put(trigger(d)["subscriber"]["ref"], "name", "transform")),
    ("two dialects in one filter", BASE, lambda d: put(trigger(d)["filters"][0], "prefix", {"source": "/"})),
    ("an attribute with a hyphen", BASE, lambda d: trigger(d)["filters"].append({"exact": {"sync-id": "x"}})),
    ("a missing Trigger", BASE, lambda d: remove(d, "Trigger", "devices-link-disconnected")),
    ("a Trigger twice", BASE, lambda d: d.append({**copy.deepcopy(one(d, "Trigger", "fetch-sync-requested")), "metadata": {"name": "again"}})),
    ("a missing SinkBinding", BASE, lambda d: remove(d, "SinkBinding", "ohx-publish")),
    ("a SinkBinding to nothing", BASE, lambda d: put(one(d, "SinkBinding", "ohx-fetch")["spec"]["sink"]["ref"], "name", "broker")),
    ("a clock without a schedule", BASE, lambda d: put(one(d, "PingSource", "ohx-nightly")["spec"], "schedule", "@every 24h")),
    ("a clock with data that is a text", BASE, lambda d: put(one(d, "PingSource", "ohx-nightly")["spec"], "data", '"now"')),
    ("a clock without a zone", REDIS, lambda d: one(d, "PingSource", "ohx-nightly")["spec"].pop("timezone")),
    ("Redis' own source", BASE, lambda d: d.append({"apiVersion": "sources.knative.dev/v1alpha1", "kind": "RedisStreamSource", "metadata": {"name": "r"}, "spec": {}})),
    ("a relay that never sleeps", REDIS, lambda d: put(scaler(d), "minReplicaCount", 1)),
    ("a stream with a typing error", REDIS, lambda d: put(scaler(d)["triggers"][0]["metadata"], "stream", "ohx:nightly:highest")),
    ("a stream that is forgotten", REDIS, lambda d: scaler(d)["triggers"].pop(3)),
    ("what waits wakes nobody", REDIS, lambda d: scaler(d)["triggers"].pop()),
    ("a consumer group", REDIS, lambda d: put(scaler(d)["triggers"][0]["metadata"], "consumerGroup", "relay")),
    ("a number in KEDA's metadata", REDIS, lambda d: put(scaler(d)["triggers"][0]["metadata"], "streamLength", 100)),
    ("KEDA without authentication", REDIS, lambda d: scaler(d)["triggers"][0].pop("authenticationRef")),
    ("authentication that is not there", REDIS, lambda d: remove(d, "TriggerAuthentication", "relay")),
    ("a target that is not there", REDIS, lambda d: put(scaler(d)["scaleTargetRef"], "name", "relays")),
    ("no fallback", REDIS, lambda d: scaler(d).pop("fallback")),
    ("a queue that is forgotten", SQS, lambda d: scaler(d)["triggers"].pop()),
    ("what is in flight does not count", SQS, lambda d: put(scaler(d)["triggers"][0]["metadata"], "scaleOnInFlight", "false")),
    ("replicas beside KEDA", REDIS, lambda d: put(relay(d), "replicas", 1)),
    ("a relay with a token", REDIS, lambda d: relay(d)["template"]["spec"].pop("automountServiceAccountToken")),
    ("an address before its namespace", REDIS, lambda d: relay(d)["template"]["spec"]["containers"][0]["env"].reverse()),
    ("a policy that chooses nothing", BASE, lambda d: put(one(d, "NetworkPolicy", "ohx-functions")["spec"], "podSelector", {"matchLabels": {"app": "x"}})),
    ("networks without pods", BASE, lambda d: egress(d)["to"].remove({"namespaceSelector": {}})),
    ("networks without pods, of a console", "knative/overlays/console", lambda d: egress(d, "ohx-console-outbound")["to"].remove({"namespaceSelector": {}})),
    ("the metadata service", BASE, lambda d: egress(d)["to"][1]["ipBlock"].pop("except")),
    ("everywhere", BASE, lambda d: egress(d).pop("to")),
    ("no policy for a console", "knative/overlays/console", lambda d: remove(d, "NetworkPolicy", "ohx-console")),
    ("an EventPolicy for everybody", OIDC, lambda d: one(d, "EventPolicy", "ohx-records")["spec"].pop("from")),
    ("an EventPolicy for a stranger", OIDC, lambda d: put(one(d, "EventPolicy", "ohx-clock")["spec"]["from"][0]["ref"], "name", "clock")),
    ("an EventPolicy for a type that does not exist", OIDC, lambda d: put(one(d, "EventPolicy", "ohx-records")["spec"]["filters"][0]["exact"], "type", "records")),
    ("a kind that is not used here", BASE, lambda d: d.append({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "data": {}})),
    ("one name twice", BASE, lambda d: d.append(copy.deepcopy(ksvc(d)))),
    ("a path that leads to the wrong function", EXAMPLE, lambda d: put(one(d, "HTTPRoute", "oauth")["spec"]["rules"][0]["filters"][0]["urlRewrite"], "hostname", "publish.ohx.svc.cluster.local")),
    ("a public name beside a route", EXAMPLE, lambda d: ksvc(d, "oauth")["metadata"]["labels"].pop("networking.knative.dev/visibility")),
    ("a public name beside the console's route", EXAMPLE, lambda d: ksvc(d, "console")["metadata"]["labels"].pop("networking.knative.dev/visibility")),
    ("a role that is not there", MONITORING, lambda d: remove(d, "Role", "ohx-prometheus")),
    ("an alert about the relay where there may be none", MONITORING, lambda d: one(d, "PrometheusRule", "ohx")["spec"]["groups"][1]["rules"].append(copy.deepcopy(rule(d, "OhxRelayAbsent")))),
    ("a monitor that sees nothing", MONITORING, lambda d: put(one(d, "PodMonitor", "ohx-relay")["spec"]["selector"]["matchLabels"], "app.kubernetes.io/component", "relays")),
    ("a monitor of another port", MONITORING, lambda d: put(one(d, "PodMonitor", "ohx-functions")["spec"]["podMetricsEndpoints"][0], "port", "metrics")),
    ("an alert on a metric that does not exist", MONITORING, lambda d: put(rule(d, "OhxEhrPaused"), "expr", "ohx_ehr_pause == 1")),
    ("an alert without a runbook", MONITORING, lambda d: rule(d, "OhxEhrPaused")["annotations"].pop("runbook_url")),
    ("an alert whose runbook is another's", MONITORING, lambda d: put(rule(d, "OhxEhrPaused")["annotations"], "runbook_url", rule(d, "OhxNightlyLate")["annotations"]["runbook_url"])),
    ("an alert without a severity", MONITORING, lambda d: rule(d, "OhxEhrPaused").pop("labels")),
    ("a panel that Prometheus does not take", MONITORING, lambda d: board(d, "sum(ohx_links", "sum by (ohx_links")),
    ("a panel on a metric that does not exist", MONITORING, lambda d: board(d, "ohx_dead_letters", "ohx_dead_letter")),
]
# In what kustomize makes of the example with its Secrets.
GENERATED = [
    ("a Secret that is not applied with the Job", lambda d: secret(d, "ohx-database")["metadata"].pop("labels")),
    ("a Secret that nobody generates", lambda d: d.remove(secret(d, "ohx-keys"))),
]
# Broken so that only promtool's tests can tell.
RULES = [
    ("an alert that comes too late", lambda d: put(rule(d, "OhxRelayAbsent"), "for", "2h")),
    ("an alert that fires on what is idle", lambda d: put(rule(d, "OhxRelayAbsent"), "expr", "sum by (namespace) (ohx_queue_lag_events) >= 0")),
    ("refreshes that only grow", lambda d: put(one(d, "PrometheusRule", "ohx")["spec"]["groups"][0]["rules"][1], "expr", "sum by (namespace, provider, outcome) (increase(ohx_token_refreshes_total[30m]))")),
    ("late notifications that only grow", lambda d: put(rule(d, "OhxWebhookDeadlineMissed"), "expr", 'sum by (namespace) (increase(ohx_notifications_total{outcome="late"}[30m])) > 3')),
    ("an expression that is none", lambda d: put(rule(d, "OhxRelayAbsent"), "expr", "sum by (")),
    ("an alert that nothing has fire", lambda d: put(rule(d, "OhxRelayAbsent"), "alert", "OhxOther")),
]
STACK = [
    ("an image of another function", lambda s: put(s["functions"]["fetch"], "image", "${REGISTRY:-registry.invalid/ohx}/publish:0.1.0")),
    ("an image of a registry that nobody named", lambda s: put(s["functions"]["fetch"], "image", "registry.invalid/ohx/fetch:0.1.0")),
    ("an API to which all callers are one", lambda s: s["functions"]["api"]["environment"].pop("OHX_FORWARDED_HOPS")),
    ("a function that is missing", lambda s: s["functions"].pop("transform")),
    ("webhook sleeps", lambda s: put(s["functions"]["webhook"]["labels"], "com.openfaas.scale.zero", "true")),
    ("a probe that asks elsewhere", lambda s: put(s["functions"]["fetch"]["annotations"], "com.openfaas.health.http.path", "/_/health")),
    ("a setting that does not exist", lambda s: put(s["functions"]["fetch"]["environment"], "OHX_NO", "x")),
    ("no clock", lambda s: s["functions"]["nightly"]["annotations"].pop("schedule")),
    ("a secret that is no setting", lambda s: s["functions"]["fetch"]["secrets"].append("password")),
    ("a secret that the README does not make", lambda s: s["functions"]["fetch"]["secrets"].append("ohx-public-url")),
    ("no console", lambda s: s["functions"].pop("console")),
    ("a console with the keys", lambda s: s["functions"]["console"]["secrets"].append("ohx-keys")),
    ("a console without the API's address", lambda s: s["functions"]["console"]["environment"].pop("OHX_API_URL")),
    ("a function without its database", lambda s: s["functions"]["fetch"]["secrets"].remove("database-url")),
    ("a root that can be written", lambda s: s["functions"]["fetch"].pop("readonly_root_filesystem")),
]
# In the README of OpenFaaS.
GUIDE = [
    ("a secret that is never made", "faas-cli secret create ohx-api-key", "faas-cli secret list"),
    ("a Secret of Kubernetes that is never made", "create secret generic ohx-redis", "get secret ohx-redis"),
    ("a Secret without an entry that KEDA reads", "--from-literal=address=", "--from-literal=host="),
    ("secrets after what needs them", "## Secrets", "    faas-cli deploy\n"),
]
# In the Dockerfile: what stands there, and what is put in its place.
DOCKER = [
    ("root", "USER 65532:65532", "USER root"),
    ("a target that is missing", "FROM base AS fetch", "FROM base AS fetcher"),
    ("another function's program", 'ENTRYPOINT ["/ohx-fetch"]', 'ENTRYPOINT ["/ohx-publish"]'),
]


def board(docs, old, new):
    data = next(d for d in docs if d["metadata"]["name"] == "ohx-dashboard")["data"]
    assert old in data["dashboard.json"]
    data["dashboard.json"] = data["dashboard.json"].replace(old, new)


def run(rendered, known, everything, openfaas, generated, examine):
    """Says what was not found."""
    missed = []
    for what, folder, break_it in BREAKS:
        docs = copy.deepcopy(rendered[folder])
        break_it(docs)
        if not any(examine(docs, known, everything)):
            missed.append(f"{folder}: {what}")
    for what, break_it in RULES:
        docs = copy.deepcopy(rendered[MONITORING])
        break_it(docs)
        if not any(watch.run_tests([d for d in docs if d["kind"] == "PrometheusRule"])):
            missed.append(f"{MONITORING}: {what}")
    for what, break_it in GENERATED:
        docs = copy.deepcopy(generated)
        break_it(docs)
        if not any(whole.generated(docs)):
            missed.append(f"{EXAMPLE} with Secrets: {what}")
    stack, docs, guide = openfaas
    for what, break_it in STACK:
        broken = copy.deepcopy(stack)
        break_it(broken)
        if not any(faas.check(broken, known, docs, guide)):
            missed.append(f"openfaas: {what}")
    for what, old, new in GUIDE:
        if old not in guide or not any(faas.check(stack, known, docs, guide.replace(old, new))):
            missed.append(f"openfaas/README.md: {what}")
    for what, old, new in DOCKER:
        if not any(images.check(images.text().replace(old, new), known["functions"])):
            missed.append(f"Dockerfile: {what}")
    print("\n".join(f"not found: {m}" for m in missed) or f"{sum(map(len, (BREAKS, RULES, GENERATED, STACK, GUIDE, DOCKER)))} things broken, each found")
    return 1 if missed else 0
