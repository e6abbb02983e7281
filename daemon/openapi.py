#!/usr/bin/env python3
"""Writes the OpenAPI document as JSON, and as a C file and a header: openapi.py openapi.json openapi_json.c openapi_json.h

What a route takes and answers is said here once, in ROUTES at the end; whatever follows from a rule (the errors that any
request can meet, those of the token, pages of lists) is filled in. tests/daemon/test_openapi.c holds the document against
the table in route.c, and the system tests hold every answer that they get against the document.
"""
import json
import sys

KIB, MIB = 1 << 10, 1 << 20
ROWS = 256 * MIB

# --- schemas ---


def ref(name):
    return {"$ref": f"#/components/schemas/{name}"}


def one_of(*words):
    return {"type": "string", "enum": list(words)}


def array(items, **more):
    return {"type": "array", "items": items, **more}


def integer(low=None, high=None, **more):
    return {"type": "integer", **({} if low is None else {"minimum": low}), **({} if high is None else {"maximum": high}), **more}


def nullable(schema):
    if "$ref" in schema or "enum" in schema:
        return {"anyOf": [schema, {"type": "null"}]}
    return {**schema, "type": [schema["type"], "null"]}


def thing(required="", /, open=True, **members):
    """An object. `required` names, separated by blanks, those of the members that are always there; "*": all of them."""
    names = list(members) if required == "*" else required.split()
    return {"type": "object", "properties": members, **({"required": names} if names else {}),
            **({} if open else {"additionalProperties": False})}


TEXT, NUMBER, COUNT, BOOLEAN, ANY = {"type": "string"}, {"type": "number"}, integer(0), {"type": "boolean"}, {}
REASON = nullable(one_of("untrained", "champion_moved", "lag", "silence", "invalid_rows"))  # of the verdict unknown
TIME = {"type": "string", "format": "date-time"}
OBJECT = {"type": "object"}
NAME = {"type": "string", "pattern": "^[a-z0-9][a-z0-9_-]{0,63}$"}
COLUMN = {"type": "string", "pattern": "^[A-Za-z_][A-Za-z0-9_]{0,62}$"}
SEED = integer(0, 2**53 - 1)
NUMBERS = array(NUMBER)
BYTES = {"type": "string", "format": "binary", "contentMediaType": "application/octet-stream"}
ORDINALS = thing("*", first=COUNT, last=COUNT)
CONDITIONS = {"type": "object", "additionalProperties": NUMBER}
ALIAS = one_of("champion", "challenger", "reference")

HISTOGRAM = thing("values errors under over absent", values=NUMBERS, errors=NUMBERS, under=NUMBER, over=NUMBER,
                  absent=NUMBER)

SCHEMAS = {
    "Problem": {"description": "RFC 9457; `error` is a word to program against, `detail` a sentence.",
                **thing("*", type=TEXT, title=TEXT, status=integer(400, 599), detail=TEXT, error=TEXT)},
    "InferenceError": thing("*", error=TEXT),
    "Definition": {"description": "docs/definition.md says what each member means.", **thing(
        "name features", open=False, name=NAME, description={"type": "string", "maxLength": 1000},
        model={"type": "object", "properties": {
            "kind": one_of("flow"), "members": integer(1, 32), "blocks": integer(1), "bins": integer(2, 64),
            "hidden": array(integer(1), minItems=1), "bound": {"type": "number", "minimum": 0.5, "maximum": 100},
            "activation": one_of("silu", "relu", "tanh"), "harmonics": integer(1, 8)}},
        features=array(ref("Feature"), minItems=1, maxItems=1024),
        conditions=array(thing("name min max", name=COLUMN, unit=TEXT, min=NUMBER, max=NUMBER, value=NUMBER)),
        observables=nullable(array(thing("name expression", name=COLUMN, unit=TEXT,
                                         expression={"type": "string", "maxLength": 2000}, min=nullable(NUMBER),
                                         max=nullable(NUMBER)), maxItems=64)),
        loop=OBJECT)},
    "Feature": thing("name", open=False, name=COLUMN, unit={"type": "string", "maxLength": 31},
                     kind=one_of("real", "periodic", "discrete"), transform=one_of("standardise", "log"),
                     min=nullable(NUMBER), max=nullable(NUMBER), optional=BOOLEAN),
    "Twin": thing("name created verdict since activity champion hold ingest last_iteration", name=NAME, description=TEXT,
                  created=TIME, verdict=one_of("true", "drifted", "unknown"),
                  verdict_reason=REASON, since=nullable(TIME),
                  activity=one_of("untrained", "idle", "comparing", "retuning", "held"),
                  champion=nullable(thing("*", version=integer(1), since=TIME)),
                  aliases=thing("*", champion=nullable(integer(1)), challenger=nullable(integer(1)),
                                reference=nullable(integer(1))), mode=one_of("auto", "advise", "manual"),
                  hold=BOOLEAN, ingest=ref("Ingest"), last_iteration=nullable(ref("Iteration")), fault=nullable(TEXT),
                  definition=ref("Definition")),
    "Ingest": thing("*", batches=COUNT, events=COUNT, duplicates=COUNT, gaps=COUNT, invalid_rows=COUNT, lag_batches=COUNT,
                    lag_windows=COUNT, lag_s=NUMBER, windows_skipped=COUNT, lost=COUNT, last_received=nullable(TIME),
                    all_invalid=array(ref("AllInvalid"))),
    "AllInvalid": thing("feed run batches rows column rule words", feed=TEXT, run=COUNT, batches=integer(1),
                        rows=integer(1), column=nullable(TEXT), rule=nullable(TEXT), words=TEXT),
    "Iteration": thing("*", iteration=integer(1), time=TIME, version=COUNT, ordinals=ORDINALS, events=COUNT,
                       drift=BOOLEAN,
                       decision=one_of("none", "drift", "retuning", "promoted", "rejected", "advised", "limited",
                                       "recalled", "rolled_back", "cancelled", "trained", "skipped"),
                       policy=nullable(OBJECT), statistics=array(ref("Statistic"))),
    "Statistic": thing("name verdict feature value", name=TEXT, verdict=one_of("drift", "fidelity"),
                       feature=nullable(TEXT), value=nullable(NUMBER), error=nullable(NUMBER), floor=nullable(NUMBER),
                       p_value=nullable(NUMBER), threshold=nullable(NUMBER)),
    "Batch": thing("*", ordinal=COUNT, feed=TEXT, run=COUNT, seq=COUNT, events=COUNT, invalid_rows=COUNT, received=TIME,
                   iteration=nullable(integer(1))),
    "Accepted": thing("*", twin=NAME, feed=TEXT, run=COUNT, seq=COUNT, ordinal=nullable(COUNT), duplicate=BOOLEAN),
    "Feed": thing("feed run batches events", feed=TEXT, run=COUNT, batches=COUNT, events=COUNT, invalid_rows=COUNT,
                  duplicates=COUNT, last_durable_seq=integer(-1), highest_seq=integer(-1), gaps=COUNT,
                  last_received=nullable(TIME), all_invalid=nullable(ref("AllInvalid"))),
    "Version": thing("version parent created cause status reason sha256 seed metrics", version=integer(1),
                     parent=nullable(integer(1)), created=TIME,
                     cause=one_of("train", "weights", "theta", "reweight", "import"),
                     status=one_of("challenger", "champion", "retired", "rejected"), reason=nullable(TEXT),
                     sha256={"type": "string", "pattern": "^[0-9a-f]{64}$"}, seed=SEED, metrics=nullable(OBJECT),
                     theta=nullable(OBJECT), ordinals=nullable(ORDINALS), kernels=nullable(TEXT)),
    "Operation": thing("id kind twin state progress created finished", id=integer(1), kind=one_of("train", "retune"),
                       twin=NAME, state=one_of("queued", "running", "succeeded", "failed", "cancelled"),
                       progress={"type": "number", "minimum": 0, "maximum": 1}, created=TIME, finished=nullable(TIME),
                       request=nullable(OBJECT), result=nullable(OBJECT), error=nullable(thing("detail", detail=TEXT))),
    "Alias": thing("alias version move since hold", alias=ALIAS, version=integer(1), move=integer(1), since=TIME,
                   since_ms=integer(), hold=BOOLEAN),
    "Move": thing("*", move=integer(1), alias=ALIAS, version=integer(1), **{"from": TIME}, to=nullable(TIME),
                  actor=nullable(TEXT), reason=nullable(TEXT)),
    "Metric": thing("*", time=TIME, name=TEXT, verdict=one_of("drift", "fidelity"), feature=nullable(TEXT), value=nullable(NUMBER),
                    min=nullable(NUMBER), max=nullable(NUMBER), count=integer(1)),
    "Histogram": thing("*", feature=TEXT, unit=TEXT, edges=NUMBERS, data=HISTOGRAM, samples=HISTOGRAM),
    "Drift": thing("twin verdict since activity champion mode hold drift decision statistics summary", twin=NAME,
                   verdict=one_of("true", "drifted", "unknown"), verdict_reason=REASON, since=nullable(TIME),
                   activity=TEXT, champion=nullable(OBJECT), mode=TEXT, hold=BOOLEAN, iteration=nullable(integer(1)),
                   time=nullable(TIME), version=nullable(COUNT), ordinals=nullable(ORDINALS), events=nullable(COUNT),
                   drift=nullable(BOOLEAN), decision=nullable(TEXT), policy=nullable(OBJECT),
                   statistics=array(ref("Statistic")), summary=TEXT, alarm=nullable(OBJECT),
                   expected_run_time=OBJECT),
    "Weights": thing("twin version parent created status", twin=NAME, version=integer(1), parent=nullable(integer(1)),
                     created=TIME, status=TEXT, reason=nullable(TEXT), ordinals=nullable(ORDINALS), gate=nullable(OBJECT)),
    "Check": thing("name ok", name=TEXT, ok=BOOLEAN, detail=nullable(TEXT), subject=nullable(TEXT), level=TEXT,
                   since=nullable(TIME)),
    "Rows": {"anyOf": [array(array(nullable(NUMBER))),
                       thing("rows", columns=array(COLUMN), rows=array(array(nullable(NUMBER)))),
                       thing("items", columns=array(COLUMN), items=array(array(nullable(NUMBER))))]},
    "Samples": thing("*", columns=array(TEXT), items=array(array(nullable(NUMBER)))),
    "LogProb": thing("items", columns=array(TEXT),
                     items=array({"anyOf": [nullable(NUMBER), array(nullable(NUMBER), minItems=2, maxItems=2)]})),
    "Tensor": thing("*", name=TEXT, datatype=one_of("FP32", "FP64", "INT64"), shape=array(integer(-1))),
    "Model": thing("*", name=NAME, versions=array(TEXT), platform=TEXT, inputs=array(ref("Tensor")),
                   outputs=array(ref("Tensor"))),
    "InferenceRequest": thing(
        "inputs", open=False, id=TEXT, parameters=OBJECT,
        inputs=array(thing("name shape datatype", open=False, name=one_of("x", "n", "seed", "conditions"),
                           shape=array(COUNT, minItems=1, maxItems=2), datatype=one_of("FP32", "FP64", "INT32", "INT64"),
                           parameters=OBJECT, data=array(ANY)), minItems=1, maxItems=8),
        outputs=array(thing("name", open=False, name=one_of("x", "log_prob"), parameters=OBJECT), maxItems=8)),
    "InferenceResponse": thing(
        "model_name model_version outputs", model_name=NAME, model_version=TEXT, id=TEXT, parameters=OBJECT,
        outputs=array(thing("name datatype shape", name=one_of("x", "log_prob"), datatype=one_of("FP32", "FP64"),
                            shape=array(COUNT), parameters=OBJECT, data=array(ANY)))),
}

# --- parameters ---

HEADERS = {
    "Twin-Version": integer(1), "Twin-Columns": TEXT, "Twin-Seed": integer(0), "Twin-Reweight": TEXT,
    "Twin-Weight-Max": NUMBER, "Twin-Weight-ESS": NUMBER, "Twin-Weight-Overflow": NUMBER, "ETag": TEXT, "Location": TEXT,
    "Retry-After": integer(0), "WWW-Authenticate": TEXT, "Allow": TEXT, "Content-Disposition": TEXT,
    "Inference-Header-Content-Length": integer(1), "Accept-Encoding": TEXT,
}

PATHS = {
    "twin": ("the twin's name", NAME), "id": ("the operation's number", integer(1)),
    "n": ("the version's number", integer(1, 2**31 - 1)), "alias": ("the alias", ALIAS),
}

LIMIT = {"limit": ("items of a page", integer(1, 1000, default=100)), "cursor": ("next_cursor of the page before", TEXT)}
A_VERSION = {"anyOf": [integer(1, 2**31 - 1), ALIAS]}
VERSION = {"version": ("a version or an alias, else the champion", A_VERSION)}
MEMBER = {"member": ("one member of an ensemble, else all of them", integer(0, 31))}
JSON_CONDITIONS = {"conditions": ("conditions of all rows, a JSON object", TEXT)}
COLUMNS = {"columns": ("names of the columns of .npy, a,b,c", TEXT)}


def body_json(schema, example, required=True, more=()):
    return {"required": required, "content": {media: {"schema": schema, "example": example}
                                              for media in ("application/json", *more)}}


DEFINITION = {"name": "zmumu", "description": "Z to mu mu", "features": [
    {"name": "mu_pt", "unit": "GeV", "transform": "log", "min": 0}, {"name": "mu_eta"},
    {"name": "mu_phi", "unit": "rad", "kind": "periodic", "min": -3.141592653589793, "max": 3.141592653589793}],
    "observables": [{"name": "pz", "unit": "GeV", "expression": "mu_pt * sinh(mu_eta)"}], "loop": {"window": 5000}}
ROWS_BODY = {"required": True, "content": {
    "application/json": {"schema": ref("Rows"), "example": {"columns": ["pt", "eta", "phi", "x"], "rows": [[31.5, -0.2, 1.1, 0.4]]}},
    "application/x-npy": {"schema": BYTES},
    "text/csv": {"schema": TEXT, "example": "pt,eta,phi,x\n31.5,-0.2,1.1,0.4\n"}}}
TRAIN_BODY = {"required": True, "content": {**ROWS_BODY["content"], "application/json": {"schema": {"anyOf": [
    thing("source", open=False, source=one_of("spool"), seed=SEED, epochs=integer(1, 10000)), ref("Rows")]},
    "example": {"source": "spool", "seed": 1}}}}
INFER = {"id": "1", "inputs": [{"name": "n", "shape": [1], "datatype": "INT64", "data": [3]},
                               {"name": "seed", "shape": [1], "datatype": "INT64", "data": [7]}]}
RETUNE = thing("kind", open=False, kind=one_of("weights", "reweight"), ordinals=ORDINALS, events=integer(1, 2**53 - 1),
               seed=SEED, promote=BOOLEAN)
SAMPLE = thing(open=False, n=integer(1, 10**6), seed=integer(0, 2**63 - 1), version=A_VERSION,
               member=integer(0, 31), conditions=CONDITIONS, reweight=one_of("weighted", "unweighted"))
PUT_ALIAS = {"anyOf": [
    thing("version", open=False, version=integer(1, 2**31 - 1), reason={"type": "string", "maxLength": 500}, hold=BOOLEAN),
    thing("hold", open=False, hold=BOOLEAN, reason={"type": "string", "maxLength": 500})]}
PATCH = thing(open=False, description=nullable(TEXT), observables=nullable(array(OBJECT)), loop=nullable(OBJECT),
              hold=BOOLEAN, name=NAME, model=OBJECT, features=array(OBJECT), conditions=array(OBJECT))


def header(name, text):
    return {"name": name, "in": "header", "description": text, "schema": TEXT}


KEY = {**header("Idempotency-Key", "the same key and request again is answered with the same operation"),
       "schema": {"type": "string", "minLength": 1, "maxLength": 255}}

# --- answers ---


def answer(text, media=None, headers=""):
    return {"description": text,
            **({"content": {name: {"schema": schema} for name, schema in media.items()}} if media else {}),
            **({"headers": {name: {"$ref": f"#/components/headers/{name}"} for name in headers.split()}} if headers else {})}


def as_json(text, schema, headers=""):
    return answer(text, {"application/json": schema}, headers)


def page(name, **more):
    return as_json("a page", thing("items next_cursor", items=array(ref(name)), next_cursor=nullable(TEXT), **more))


def plain(text):
    return answer(text, {"text/plain": TEXT})


def rows(schema, headers=""):
    return answer("rows", {"application/json": schema, "application/x-npy": BYTES, "text/csv": TEXT},
                  "Twin-Version Twin-Columns " + headers)


TWIN = as_json("the twin", ref("Twin"))
ACCEPTED = as_json("accepted: an operation", ref("Operation"), "Location")
OPERATION = as_json("the operation", ref("Operation"))
ALIAS_ANSWER = as_json("the alias", ref("Alias"), "ETag")
ARTIFACT = answer("the safetensors file", {"application/octet-stream": BYTES},
                  "ETag Content-Disposition Twin-Version Twin-Columns")
INFERENCE = answer("the output", {"application/json": ref("InferenceResponse"), "application/octet-stream": BYTES},
                   "Twin-Version Twin-Columns Twin-Seed Inference-Header-Content-Length")

ERRORS = {
    400: "malformed, or not what this takes", 401: "the token is missing or wrong", 403: "a foreign Origin",
    404: "there is no such thing", 405: "not by this method", 406: "none of the media types that Accept names",
    409: "not in this state", 412: "what was expected is stale", 413: "the body is too large",
    415: "a media type that is not read here", 421: "Host is not one of ours", 428: "If-Match is required",
    429: "no credit: the loop is behind", 431: "the heads of request and answer are too large together",
    500: "damaged, or a fault of the daemon", 503: "not now; try again", 507: "the disk is full",
}
ANY_REQUEST = (400, 403, 413, 415, 421, 500, 503)
ERROR_HEADERS = {401: "WWW-Authenticate", 405: "Allow", 415: "Accept-Encoding", 429: "Retry-After", 503: "Retry-After"}


def error_name(status, inference):
    return f"{'Inference' if inference else 'Problem'}{status}"


def error_answer(status, inference):
    media = {"application/json": ref("InferenceError")} if inference else {"application/problem+json": ref("Problem")}
    return answer(ERRORS[status], media, ERROR_HEADERS.get(status, ""))


def error_answers(inference):
    return {error_name(status, inference): error_answer(status, inference) for status in ERRORS}


def either(own, refusal):
    """One status that a route has of its own and that any request can meet, too."""
    return {**own, **{part: {**own.get(part, {}), **refusal[part]} for part in ("content", "headers") if part in refusal}}


# --- routes ---


def route(method, path, name, text, ok, *, query=None, body=None, headers=(), errors=(), token=False, limit=KIB):
    """`ok` maps statuses to answers; `errors` are those beyond what any request can meet."""
    inference = path.startswith("/v2")
    if method == "GET" and "application/json" in ok.get(200, {}).get("content", {}):  # daemon/http_tag.h
        tagged = {**ok[200].get("headers", {}), "ETag": {"$ref": "#/components/headers/ETag"}}
        ok = {**ok, 200: {**ok[200], "headers": tagged}, 304: {"description": "as it was", "headers": tagged}}
        headers = [*headers, header("If-None-Match", "the ETag of what is known already")]
    parameters = [{"name": part, "in": "path", "required": True, "description": PATHS[part][0], "schema": PATHS[part][1]}
                  for part in (piece[1:-1] for piece in path.split("/")) if part in PATHS and "{" + part + "}" in path]
    for key, (description, schema, *required) in (query or {}).items():
        parameters.append({"name": key, "in": "query", "description": description, "schema": schema,
                           **({"required": True} if required else {})})
    columns = any("Twin-Columns" in own.get("headers", {}) for own in ok.values())
    statuses = {*ANY_REQUEST, *errors, *([401, 507] if token else []), *([431] if columns else [])}
    refused = {str(status): {"$ref": f"#/components/responses/{error_name(status, inference)}"}
               for status in sorted(statuses - set(ok))}
    ok = {status: either(own, error_answer(status, inference)) if status in statuses else own for status, own in ok.items()}
    operation = {"operationId": name, "summary": text, "tags": [path.split("/")[1] or "page"],
                 "parameters": parameters + list(headers), "responses": {**{str(k): v for k, v in ok.items()}, **refused},
                 "x-max-body-bytes": limit}
    if body:
        operation["requestBody"] = body
    if token:
        operation["security"] = [{"token": []}]
    return method.lower(), path, operation


ROUTES = [
    route("GET", "/", "page", "The page: troubles, verdicts, comparisons", {200: answer("HTML", {"text/html": TEXT})}),
    route("GET", "/livez", "livez", "Liveness", {200: plain("ok")}),
    route("GET", "/readyz", "readyz", "Readiness; `verbose` lists the checks", {
        status: answer(text, {"text/plain": TEXT, "application/json": thing("*", status=TEXT, checks=array(ref("Check")))})
        for status, text in ((200, "ready"), (503, "not ready"))}, query={"verbose": ("as JSON", TEXT)}),
    route("GET", "/metrics", "metrics", "Prometheus text", {200: plain("metrics")}),
    route("GET", "/openapi.json", "openapi", "This document", {200: as_json("OpenAPI 3.1", thing("openapi paths"))}),

    route("GET", "/v1/backup", "backup", "A tar archive of everything but the token",
          {200: answer("the archive", {"application/x-tar": BYTES}, "Content-Disposition")}, token=True),
    route("GET", "/v1/doctor", "doctor", "A look at the state folder, the machine and the settings",
          {200: as_json("findings", thing("items time version deep", items=array(thing(
              "name ok level detail", name=TEXT, ok=BOOLEAN, level=one_of("ok", "warning", "error"), detail=TEXT,
              advice=nullable(TEXT))), time=TIME, version=TEXT, deep=BOOLEAN))},
          query={"deep": ("read every record and artifact", TEXT)}, token=True),

    route("GET", "/v1/events", "events", "Server-sent events: iteration, drift, version, alias, operation, missed",
          {200: answer("events until the client leaves", {"text/event-stream": TEXT})},
          query={"twin": ("of this twin alone", NAME)},
          headers=[header("Last-Event-ID", "the id of the last event that was seen")], errors=(404,)),

    route("GET", "/v1/twins", "listTwins", "The twins", {200: page("Twin")}, query=LIMIT),
    route("POST", "/v1/twins", "createTwin", "A new twin", {201: {**TWIN, "headers": {
        "Location": {"$ref": "#/components/headers/Location"}}}}, body=body_json(ref("Definition"), DEFINITION), errors=(409,),
        token=True, limit=MIB),
    route("GET", "/v1/twins/{twin}", "getTwin", "A twin", {200: TWIN}, errors=(404,)),
    route("GET", "/v1/twins/{twin}/definition", "getDefinition", "The definition alone; its ETag is for If-Match of PATCH",
          {200: as_json("the definition", ref("Definition"), "ETag")}, errors=(404,)),
    route("PATCH", "/v1/twins/{twin}", "patchTwin", "Changes description, observables, loop and hold (RFC 7396)",
          {200: TWIN}, body=body_json(PATCH, {"loop": {"window": 10000}, "hold": False}, True, ["application/merge-patch+json"]),
          headers=[header("If-Match", "the ETag of the definition that is meant")], errors=(404, 409, 412), token=True,
          limit=MIB),
    route("DELETE", "/v1/twins/{twin}", "deleteTwin", "Removes a twin with its batches and versions",
          {204: answer("removed")}, errors=(404,), token=True),

    route("POST", "/v1/twins/{twin}/train", "train", "First training, on posted rows or on the spool", {202: ACCEPTED},
          query={"seed": ("of the training", SEED), "epochs": ("at most", integer(1, 10000)), **COLUMNS, **JSON_CONDITIONS},
          body=TRAIN_BODY, headers=[KEY], errors=(404, 409, 429), token=True, limit=ROWS),
    route("POST", "/v1/twins/{twin}/batches", "submitBatch", "A batch of data, as on the wire",
          {200: as_json("on disk and synced", ref("Accepted"))},
          query={"feed": ("who sends it", NAME, True), "run": ("of data-taking", integer(0, 2**63 - 1), True),
                 "seq": ("within the run", integer(0, 2**63 - 1), True), **COLUMNS, **JSON_CONDITIONS,
                 "time": ("when it was taken", TIME)},
          body=ROWS_BODY, errors=(404, 409, 429), token=True, limit=ROWS),
    route("GET", "/v1/twins/{twin}/batches", "listBatches", "Batches by ordinal", {200: page("Batch")}, query=LIMIT,
          errors=(404,)),
    route("GET", "/v1/twins/{twin}/feeds", "listFeeds", "What arrived from whom",
          {200: page("Feed", gaps=COUNT, lag_batches=COUNT)}, query={"feed": ("this one alone", NAME), **LIMIT},
          errors=(404,)),

    route("GET", "/v1/twins/{twin}/sample", "sample", "Events of the model", {200: rows(
        ref("Samples"), "Twin-Seed Twin-Reweight Twin-Weight-Max Twin-Weight-ESS Twin-Weight-Overflow")},
        query={"n": ("events", integer(1, 10**6, default=1000)), "seed": ("else a new one", integer(0, 2**63 - 1)),
               **VERSION, **MEMBER, **JSON_CONDITIONS,
               "reweight": ("how events of a version with weights come", one_of("weighted", "unweighted"))},
        errors=(404, 406, 409)),
    route("POST", "/v1/twins/{twin}/sample", "postSample", "Events of the model", {200: rows(
        ref("Samples"), "Twin-Seed Twin-Reweight Twin-Weight-Max Twin-Weight-ESS Twin-Weight-Overflow")},
        body=body_json(SAMPLE, {"n": 1000, "seed": 7}, False), errors=(404, 406, 409), limit=MIB),
    route("POST", "/v1/twins/{twin}/log_prob", "logProb", "Log-likelihood of each event", {200: rows(ref("LogProb"))},
          query={**VERSION, **MEMBER, "spread": ("over the members, beside it", one_of("true", "false")), **COLUMNS,
                 **JSON_CONDITIONS}, body=ROWS_BODY, errors=(404, 406, 409), limit=MIB),

    route("GET", "/v1/twins/{twin}/iterations", "listIterations", "Comparisons, newest first", {200: page("Iteration")},
          query=LIMIT, errors=(404,)),
    route("GET", "/v1/twins/{twin}/drift", "drift", "Have the data changed, since when, what was done",
          {200: as_json("the answer", ref("Drift"))}, errors=(404,)),
    route("GET", "/v1/twins/{twin}/metrics", "listMetrics", "Statistics over time, oldest first",
          {200: page("Metric", step=COUNT)}, query={
              "name": ("of the statistic", TEXT), "verdict": ("drift or fidelity", TEXT),
              "feature": ("empty: of the whole window", TEXT), "from": ("default: a day ago", TIME),
              "to": ("not included", TIME), "step": ("seconds", integer(0, 2**31 - 1)), **LIMIT}, errors=(404,)),
    route("GET", "/v1/twins/{twin}/histograms", "histograms", "Data of the last window over samples",
          {200: {**page("Histogram", twin=NAME, iteration=nullable(COUNT), version=nullable(integer(1)),
                        ordinals=nullable(ORDINALS)), **answer("a page", None, "Twin-Version Twin-Columns")}},
          query={"feature": ("one, else all", TEXT), "bins": ("of each", integer(2, 200, default=40)), **VERSION},
          errors=(404, 409)),
    route("GET", "/v1/twins/{twin}/weights", "weights", "How good weights are, and where the twin is off",
          {200: as_json("the report", ref("Weights"))},
          query={"version": ("a version or an alias, else the newest made by weights", A_VERSION)}, errors=(404,)),
    route("POST", "/v1/twins/{twin}/retunes", "retune", "Adapts the champion", {202: ACCEPTED}, body=body_json(RETUNE, {"kind": "weights", "events": 30000}),
          headers=[KEY],
          errors=(404, 409), token=True, limit=MIB),

    route("GET", "/v1/operations", "listOperations", "Operations, newest first", {200: page("Operation")},
          query={**LIMIT, "twin": ("of this twin alone", NAME)}, errors=(404,)),
    route("GET", "/v1/operations/{id}", "getOperation", "An operation, once it is finished or the wait is over",
          {200: OPERATION}, query={"wait": ("seconds", integer(0, 60, default=0))}, errors=(404,)),
    route("DELETE", "/v1/operations/{id}", "cancelOperation", "Cancels an operation", {200: OPERATION}, errors=(404, 409),
          token=True),

    route("GET", "/v1/twins/{twin}/versions", "listVersions", "Versions, newest first", {200: page("Version")},
          query=LIMIT, errors=(404,)),
    route("GET", "/v1/twins/{twin}/versions/{n}", "getVersion", "A version", {200: as_json("the version", ref("Version"))},
          errors=(404,)),
    route("GET", "/v1/twins/{twin}/versions/{n}/artifact", "getArtifact", "The model itself (docs/model-format.md)",
          {200: ARTIFACT, 304: answer("known already", None, "ETag")},
          headers=[header("If-None-Match", "the SHA-256 of what is known already")], errors=(404,)),
    route("GET", "/v1/twins/{twin}/versions/{n}/onnx", "getOnnx", "The model for other frameworks (docs/onnx.md)",
          {200: answer("an ONNX graph", {"application/octet-stream": BYTES},
                       "ETag Content-Disposition Twin-Version Twin-Columns"), 304: answer("known already", None, "ETag")},
          query={"output": ("what it computes", one_of("log_prob", "sample"))},
          headers=[header("If-None-Match", "the ETag of what is known already")], errors=(404,)),
    route("GET", "/v1/twins/{twin}/aliases/{alias}", "getAlias", "Where an alias points", {200: ALIAS_ANSWER},
          errors=(404,)),
    route("PUT", "/v1/twins/{twin}/aliases/{alias}", "putAlias", "Promotes, rolls back, holds", {200: ALIAS_ANSWER},
          body=body_json(PUT_ALIAS, {"version": 1, "reason": "better on the tail"}), headers=[header("If-Match", "the ETag of the last move"),
                                              header("If-None-Match", "* where the alias was never set")],
          errors=(404, 409, 412, 428), token=True, limit=MIB),
    route("GET", "/v1/twins/{twin}/history", "history", "Moves of aliases, newest first", {200: page("Move")},
          query={"at": ("what held then", TIME), "alias": ("of this alone", ALIAS), **LIMIT}, errors=(404,)),

    route("GET", "/v2", "serverMetadata", "Open Inference Protocol: the server",
          {200: as_json("the server", thing("*", name=TEXT, version=TEXT, extensions=array(TEXT)))}),
    route("GET", "/v2/health/live", "serverLive", "Liveness", {200: as_json("alive", thing("*", live=BOOLEAN))}),
    route("GET", "/v2/health/ready", "serverReady", "Readiness", {200: as_json("ready", thing("*", ready=BOOLEAN))}),
    route("POST", "/v2/repository/index", "repositoryIndex", "The models", {200: as_json("the models", array(thing(
        "*", name=NAME, version=TEXT, state=one_of("READY", "UNAVAILABLE"), reason=TEXT)))},
        body=body_json(thing(open=False, ready=BOOLEAN), {"ready": True}, False)),
    *[entry for path, suffix in (("/v2/models/{twin}", ""), ("/v2/models/{twin}/versions/{n}", "Version")) for entry in (
        route("GET", path, "modelMetadata" + suffix, "A model's inputs and outputs",
              {200: as_json("the model", ref("Model"))}, errors=(404,)),
        route("GET", path + "/ready", "modelReady" + suffix, "Would an inference be answered?",
              {200: as_json("ready", thing("*", name=NAME, ready=BOOLEAN))}, errors=(404, 409)),
        route("POST", path + "/infer", "infer" + suffix, "x is answered with log_prob, n and seed with x",
              {200: INFERENCE}, body={"required": True, "content": {
                  "application/json": {"schema": ref("InferenceRequest"), "example": INFER}, "application/octet-stream": {"schema": BYTES}}},
              headers=[header("Inference-Header-Content-Length", "bytes of JSON before those of the tensors")],
              errors=(404, 409), limit=MIB))],
]


def document():
    paths = {}
    for method, path, operation in ROUTES:
        paths.setdefault(path, {})[method] = operation
    return {
        "openapi": "3.1.0",
        "info": {"title": "twin", "version": "1", "summary": "A generative surrogate kept equal to the experiment",
                 "description": "docs/http.md has the whole story.",
                 "license": {"name": "Apache License 2.0", "identifier": "Apache-2.0"}},
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": SCHEMAS, "responses": {**error_answers(False), **error_answers(True)},
            "headers": {name: {"schema": schema} for name, schema in HEADERS.items()},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer",
                                          "description": "admin.token of the state folder"}}},
    }


def main():
    json_file, c_file, h_file = sys.argv[1:]
    text = json.dumps(document(), separators=(",", ":"), ensure_ascii=False)
    with open(json_file, "w", encoding="utf-8") as out:
        out.write(text)
    data = text.encode()
    lines = ",\n".join(",".join(map(str, data[i:i + 24])) for i in range(0, len(data), 24))
    with open(h_file, "w") as out:
        out.write("#ifndef DAEMON_OPENAPI_JSON_H\n#define DAEMON_OPENAPI_JSON_H\n#include <stddef.h>\n"
                  "extern const unsigned char openapi_json[];\nextern const size_t openapi_json_size;\n#endif\n")
    with open(c_file, "w") as out:
        out.write(f'#include "daemon/openapi_json.h"\nconst unsigned char openapi_json[] = {{\n{lines}\n}};\n'
                  "const size_t openapi_json_size = sizeof openapi_json;\n")


if __name__ == "__main__":
    main()
