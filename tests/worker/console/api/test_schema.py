"""Schemathesis: what fits the description of the API, or almost does, is answered as it says."""

from functools import partial
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import Case
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.examples import examples
from tests.worker.console.api.conftest import Api
from tests.worker.console.api.operations import Operation, operations
from tests.worker.console.conftest import ask

EXAMPLES = examples(6)
CHECKS = [status_code_conformance, content_type_conformance, response_schema_conformance]
KNOWN = {
    "run": "r-1",
    "policy": "sales-retention",
    "case": "LEGAL-1",
    "entry": 1,
    "probe": "mongodb",
}
FAULTS = {
    GenerationMode.POSITIVE: (401, 403, 500),
    GenerationMode.NEGATIVE: (500,),  # it also leaves the token out
}
ROOMS: dict[str, list[Operation]] = {}
for _each in operations():
    ROOMS.setdefault(_each.path.split("/")[1], []).append(_each)


@pytest.mark.parametrize("room", ROOMS)
def test_every_operation_answers_as_it_is_described(api: Api, room: str) -> None:
    api.tend.old_sales(3)
    api.work(api.does("/policies/sales-retention/plan")["id"])
    described = ask(api.port, "/api/v1/openapi.json").json
    schema = schemathesis.openapi.from_dict(described)
    for operation in ROOMS[room]:
        for mode in FAULTS:
            _walk(api, schema[f"/api/v1{operation.path}"][operation.method], mode)


def _walk(api: Api, operation: Any, mode: GenerationMode) -> None:
    sent = {"Authorization": f"Bearer {api.tokens['admin']}"}
    case_of = partial(operation.as_strategy, generation_mode=mode)
    known = {each.name: KNOWN[each.name] for each in operation.path_parameters}

    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=st.one_of(case_of(path_parameters=known), case_of()) if known else case_of())
    def walk(case: Case[Any]) -> None:
        response = case.call(base_url=f"http://127.0.0.1:{api.port}", headers=sent)
        case.validate_response(response, checks=CHECKS)
        assert response.status_code not in FAULTS[mode], response.text

    walk()
