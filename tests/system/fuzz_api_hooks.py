"""For schemathesis (fuzz_api.py): three of four paths name something that is there, so that not every answer is 404. Which
is a function of what was generated, as a run has to be repeatable. Nothing waits for long."""
import zlib

import schemathesis


@schemathesis.hook
def map_path_parameters(context, path_parameters):
    if not path_parameters:
        return path_parameters
    choice = zlib.crc32(repr(sorted(path_parameters.items())).encode()) % 4
    if choice > 0:
        there = {"twin": "raw" if choice == 1 else "toy", "n": 1, "id": choice}
        path_parameters = {name: there.get(name, value) for name, value in path_parameters.items()}
    return path_parameters


@schemathesis.hook
def map_query(context, query):
    return {**query, "wait": 0} if query and isinstance(query.get("wait"), int) and 0 < query["wait"] <= 60 else query
