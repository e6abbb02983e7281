"""Is an answer of the daemon what its OpenAPI document says? Every request that the system tests make is looked at here:
the status, the media type and the headers must be documented, and a body of JSON must fit its schema.
"""
import json
import urllib.parse

try:
    import jsonschema
except ImportError:  # python3-jsonschema of Debian is in scripts/packages
    jsonschema = None

OFTEN = 20              # answers of one kind that are looked at in full
LARGEST = 64 * 1024     # beyond which a body is not read again
EVERYWHERE = {"content-type", "content-length", "cache-control", "x-content-type-options", "connection", "date",
              "transfer-encoding", "vary", "content-encoding", "content-security-policy", "referrer-policy"}


class Conformance:
    """A document, and what has been seen of it."""

    def __init__(self, document):
        self.document = document
        self.validators = {}
        self.seen = {}

    def operation(self, method, target):
        """(pattern, operation) of a request; (None, None) where no route has the path, False for another method."""
        path = urllib.parse.urlsplit(target).path
        given = path.split("/")
        for pattern, methods in self.document["paths"].items():
            wanted = pattern.split("/")
            if len(wanted) == len(given) and all(w == g or (w[:1] == "{" and g) for w, g in zip(wanted, given)):
                return pattern, methods.get("get" if method == "HEAD" else method.lower(), False)
        return None, None

    def resolve(self, node):
        while node and "$ref" in node:
            where, node = node["$ref"].split("/")[1:], self.document
            for step in where:
                node = node[step]
        return node

    def validator(self, schema):
        key = json.dumps(schema)
        if key not in self.validators:
            whole = {**schema, "components": self.document["components"]}
            self.validators[key] = jsonschema.Draft202012Validator(whole)
        return self.validators[key]

    def check(self, method, target, answer):
        """Raises AssertionError with what is not documented."""
        pattern, operation = self.operation(method, target)
        if not operation:  # 404 and 405 of no route are not in a document of routes
            return
        what = f"{method} {pattern}: {answer.status}"
        documented = self.resolve(operation["responses"].get(str(answer.status)))
        assert documented, f"{what} is not documented: {answer.body[:300]!r}"
        unknown = {name.lower() for name in answer.headers} - {name.lower() for name in documented.get("headers", {})}
        assert unknown <= EVERYWHERE, f"{what}: headers {unknown - EVERYWHERE} are not documented"
        media = (answer.headers["Content-Type"] or "").split(";")[0]
        content = documented.get("content", {})
        assert media in content if content else not answer.body, f"{what}: {media} is not documented"
        key = (method, pattern, answer.status, media)
        self.seen[key] = self.seen.get(key, 0) + 1
        if (jsonschema and media.endswith("json") and 0 < len(answer.body) <= LARGEST and self.seen[key] <= OFTEN
                and not answer.headers["Content-Encoding"]):
            error = jsonschema.exceptions.best_match(self.validator(content[media]["schema"]).iter_errors(answer.json()))
            if error:
                raise AssertionError(f"{what}: {error.json_path}: {error.message[:500]}")
