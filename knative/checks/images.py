"""The Dockerfile: a target for each function, alone and as nobody."""

import re

from . import world


def check(text, functions):
    """Findings of the Dockerfile."""
    stages = dict(re.findall(r"^FROM base AS (\S+)\n((?:(?!FROM ).*\n?)*)", text, re.M))
    for name in sorted(set(functions) ^ set(stages)):
        yield f"{name}: a function without a target, or a target without its function"
    for name, body in stages.items():
        program = "ohx" if name == "ohx" else f"ohx-{name}"
        if f'ENTRYPOINT ["/{program}"]' not in body or f"/bin/{program} /{program}" not in body:
            yield f"{name}: it does not run {program}"
    if not re.search(r"^FROM scratch AS base$", text, re.M) or not re.search(r"^USER 65532:65532$", text, re.M):
        yield "not FROM scratch, or not as nobody"


def text():
    return world.read("knative/images/Dockerfile")
