"""The stack of OpenFaaS."""

import re

from . import pods, whole, world

# What is published to the outside by functions that events wake: nothing. They are reached through the gateway by the relay.
NEEDED = {"oauth", "webhook", "api", "nightly", "fetch", "transform", "publish", "devices", "metrics", "console"}
# The console holds what seals its sign-ins and nothing else; it calls the API.
CONSOLE = {"ohx-console-secret"}
# faas-cli puts the environment's REGISTRY here.
REGISTRY = "${REGISTRY:-registry.invalid/ohx}/"
# These look at a caller's address, which behind the gateway is in X-Forwarded-For only.
FORWARDED = {"webhook", "api"}


def function(name, f, known):
    image = f.get("image", "").rpartition("/")[2].partition(":")[0]
    if image != name or image not in known["functions"]:
        yield f"image {f.get('image')} is not that of {name}"
    if not f.get("image", "").startswith(REGISTRY):
        yield "its image is not of the registry that is named when it is deployed"
    notes = f.get("annotations") or {}
    if notes.get("com.openfaas.health.http.path") != "/livez" or notes.get("com.openfaas.ready.http.path") != "/readyz":
        yield "its probes are not asked for at /livez and /readyz"
    labels = f.get("labels") or {}
    sleeps = labels.get("com.openfaas.scale.zero")
    if sleeps != ("false" if name in world.AWAKE else "true"):
        yield f"com.openfaas.scale.zero is {sleeps}"
    if not all(isinstance(v, str) for v in [*notes.values(), *labels.values()]):
        yield "labels and annotations are text only"
    if not 0 < int(labels.get("com.openfaas.scale.max", 0)) <= 20:
        yield "com.openfaas.scale.max is missing"
    if f.get("readonly_root_filesystem") is not True:
        yield "readonly_root_filesystem is not true"
    if not (f.get("limits") or {}).get("memory") or not (f.get("requests") or {}).get("memory"):
        yield "no memory in limits and requests"
    for setting in f.get("environment") or {}:
        if setting not in known["settings"] or setting in pods.RESERVED_ENV:
            yield f"{setting} is not in .env.example"
    # Secrets are files; each is the setting of its name (OHX_SETTINGS_DIR).
    for secret in f.get("secrets") or []:
        if secret.upper().replace("-", "_") not in known["settings"]:
            yield f"secret {secret}: there is no such setting"
    if name == "console" and (set(f.get("secrets") or []) != CONSOLE or not {"OHX_API_URL", "OHX_PUBLIC_URL"} <= set(f.get("environment") or {})):
        yield f"it needs {', '.join(CONSOLE)}, OHX_API_URL and OHX_PUBLIC_URL, and no other secret"
    if (name in FORWARDED) != ("OHX_FORWARDED_HOPS" in (f.get("environment") or {})):
        yield f"OHX_FORWARDED_HOPS is for {', '.join(sorted(FORWARDED))}"
    if name != "console" and "database-url" not in (f.get("secrets") or []):
        yield "no database-url"
    if (f.get("environment") or {}).get("OHX_SETTINGS_DIR") != "/var/openfaas/secrets":
        yield "it does not see its secrets"
    if (notes.get("topic") == "cron-function") != (name == "nightly") or ("schedule" in notes) != (name == "nightly"):
        yield "nightly, and nothing else, is called by the clock"
    if name == "nightly" and (f.get("environment") or {}).get("OHX_NIGHTLY_PLAIN_CLOCK") != "true":
        yield "it would refuse what the clock sends"


def guided(stack, docs, guide):
    """The README makes every Secret, of OpenFaaS and of Kubernetes, before it deploys what needs it."""
    for command, names, before in (
        ("faas-cli secret create", {s for f in (stack.get("functions") or {}).values() for s in f.get("secrets") or []}, "faas-cli deploy"),
        ("kubectl -n openfaas-fn create secret generic", {name for d in docs for name, _ in whole.secrets(d)}, "kubectl apply -k"),
    ):
        made = set(re.findall(rf"^ +{command} (\S+)", guide.partition(before)[0], re.M))
        for name in sorted(names - made):
            yield f"README.md does not make the secret {name} before `{before}`"
    entries = {entry for d in docs for name, entry in whole.secrets(d) if entry}
    for entry in sorted(e for e in entries if f"--from-literal={e}=" not in guide):
        yield f"README.md makes no {entry}"


def check(stack, known, docs, guide):
    """Findings of the stack; `docs` are what Kubernetes is given beside it, `guide` the README."""
    if stack.get("version") != "1.0" or (stack.get("provider") or {}).get("name") != "openfaas":
        yield "version and provider are not OpenFaaS'"
    there = stack.get("functions") or {}
    for name in sorted(NEEDED - set(there)):
        yield f"{name} is missing"
    for name, f in there.items():
        for finding in function(name, f, known):
            yield f"{name}: {finding}"
    yield from guided(stack, docs, guide)
