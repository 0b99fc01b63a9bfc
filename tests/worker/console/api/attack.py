"""An attack that `login-lockout` answers."""

from datetime import UTC, datetime, timedelta

from bson import ObjectId

from tests.worker.console.api.conftest import Api

ANN = ObjectId()
ADDRESS = "203.0.113.7"


def attacked(api: Api) -> Api:
    """Ann's account and an address, locked and blocked for five failures of hers from there."""
    api.tend.shop.users.insert_one({"_id": ANN, "email": "ann@example.org"})
    api.tend.shop.loginevents.create_index("timestamp")
    at = datetime.now(UTC) - timedelta(seconds=60)
    failure = {"userId": ANN, "ipAddress": ADDRESS, "outcome": "failure"}
    api.tend.shop.loginevents.insert_many(
        [{**failure, "timestamp": at - timedelta(seconds=number)} for number in range(5)]
    )
    assert api.work(api.does("/policies/login-lockout/run")["id"])["changed"] == 2
    return api
