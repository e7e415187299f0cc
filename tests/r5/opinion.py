"""A second opinion on resources: fhir.resources, a validator that others wrote (PyPI, models of FHIR R5).

Standard input: one resource a line, as JSON. Standard output: for each line an empty one, or what is wrong with it.
Numbers are read as decimals. It knows elements, cardinalities and types; it knows no code, no profile and no invariant.
"""

import json
import sys
from decimal import Decimal

from fhir.resources import get_fhir_model_class
from pydantic import ValidationError


def problems(text):
    resource = json.loads(text, parse_float=Decimal)
    try:
        model = get_fhir_model_class(resource["resourceType"])
    except (KeyError, ValueError):
        return "no resourceType of FHIR"
    try:
        model.model_validate(resource)
    except ValidationError as error:
        # Neither the message nor the input: only where, and of what kind.
        return "; ".join(
            ".".join(str(part) for part in one["loc"]) + ": " + one["type"] for one in error.errors()
        )
    return ""


for line in sys.stdin:
    print(problems(line).replace("\n", " "), flush=True)
