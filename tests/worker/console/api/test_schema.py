"""Schemathesis: what fits the description of the API, or almost does, is answered as it says."""

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

from tests.worker.console.api.conftest import Api
from tests.worker.console.api.operations import Operation, operations
from tests.worker.console.conftest import ask

EXAMPLES = 6
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

    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode), at_what_is_there=st.booleans())
    def walk(case: Case[Any], at_what_is_there: bool) -> None:
        if at_what_is_there and case.path_parameters:
            known = {name: KNOWN[name] for name in case.path_parameters}
            case.path_parameters.update(known)
        response = case.call(base_url=f"http://127.0.0.1:{api.port}", headers=sent)
        case.validate_response(response, checks=CHECKS)
        assert response.status_code not in FAULTS[mode], response.text

    walk()
