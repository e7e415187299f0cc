"""translate.py TEMPLATE: what AWS makes of a SAM template before it deploys it, as CloudFormation (JSON), for cfn-lint.

What is wrong between resources that only the translation makes, such as a circle of dependencies, cannot be seen in the template.
Parameters without a default get an address, and code a place in S3, where `sam deploy` puts it.
"""

import json
import sys
from types import SimpleNamespace

from cfnlint.decode.cfn_yaml import load
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator

template = json.loads(json.dumps(load(sys.argv[1])))
for resource in template["Resources"].values():
    if "CodeUri" in resource["Properties"]:
        resource["Properties"]["CodeUri"] = "s3://bucket/" + resource["Properties"]["CodeUri"].rstrip("/").rsplit("/", 1)[1]
values = {name: parameter.get("Default", "https://ohx.example.org") for name, parameter in template["Parameters"].items()}
region = SimpleNamespace(region_name="eu-central-1")
print(json.dumps(Translator({}, Parser(), boto_session=region).translate(template, values), indent=1))
