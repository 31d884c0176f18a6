"""Prints template.yaml as CloudFormation will run it: expanded by the SAM
translator with the parameters' defaults, as JSON. Asks no AWS account.

usage: expand.py TEMPLATE [NAME=VALUE...]
"""

import json
import os
import sys

os.environ.setdefault("AWS_DEFAULT_REGION", "us-east-1")

from samtranslator.parser import parser
from samtranslator.translator.translator import Translator
from samtranslator.yaml_helper import yaml_parse


def main(path, *given):
    with open(path, encoding="utf-8") as file:
        template = yaml_parse(file)
    for name, resource in template["Resources"].items():
        properties = resource.get("Properties", {})
        if resource["Type"] == "AWS::Serverless::Function":
            # The translator wants what `sam package` would put here.
            properties["CodeUri"] = "s3://bucket/" + name
    values = dict(pair.split("=", 1) for pair in given)
    print(json.dumps(Translator({}, parser.Parser()).translate(template, values), indent=1))


main(*sys.argv[1:])
