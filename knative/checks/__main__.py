"""knative/check."""

import sys
import time
from concurrent.futures import ThreadPoolExecutor

import yaml

from . import events, faas, images, pods, render, selftest, watch, whole, world


def knowledge():
    types = set(world.event_types().values())
    return {
        "functions": world.functions(), "types": types, "subscribers": world.subscribers(), "settings": world.settings(),
        "metrics": world.metrics(), "described": world.described(), "silent": {"metrics"},
    }


def examine(docs, known, everything):
    """Every finding of the documents of one folder."""
    routed = whole.routed(docs)
    for doc in docs:
        for finding in [*pods.check(doc, known, routed), *events.check(doc, known)]:
            yield whole.say(doc, finding)
    yield from whole.check(docs, known, everything)
    yield from watch.check(docs, known, world.read("docs/operate/alerts.md"))


def main():
    began, known, rendered, findings = time.monotonic(), knowledge(), {}, []
    with ThreadPoolExecutor() as pool:
        for folder, (docs, error) in zip(render.targets(), pool.map(render.render, render.targets())):
            if error:
                findings.append(f"{render.name(folder)}: {error}")
            else:
                rendered[render.name(folder)] = docs
    # What monitoring looks at is in the overlays.
    everything = [pair for docs in rendered.values() for pair in whole.pod_labels(docs)]
    for folder, docs in rendered.items():
        findings += [f"{folder}: {text}" for text in examine(docs, known, everything)]
    rules = [d for d in rendered.get("knative/monitoring", []) if d["kind"] == "PrometheusRule"]
    findings += [f"knative/monitoring: {text}" for text in watch.run_tests(rules)]
    generated, error = render.with_secrets()
    findings += [f"knative/example with Secrets: {text}" for text in ([error] if error else whole.generated(generated))]
    guide = world.read("knative/openfaas/README.md")
    stack = yaml.safe_load(world.read("knative/openfaas/stack.yaml"))
    findings += [f"knative/openfaas/stack.yaml: {text}" for text in faas.check(stack, known, rendered.get("knative/openfaas", []), guide)]
    findings += [f"knative/images/Dockerfile: {text}" for text in images.check(images.text(), known["functions"])]
    if findings:
        print("\n".join(findings))
    count = sum(map(len, rendered.values()))
    print(f"{count} documents in {len(rendered)} folders: {len(findings)} findings, {time.monotonic() - began:.1f} s")
    if findings:
        return 1
    if "--self-test" in sys.argv[1:]:
        return selftest.run(rendered, known, everything, (stack, rendered["knative/openfaas"], guide), generated, examine)
    return 0


sys.exit(main())
