"""Scripts and styles, out of this package and out of nowhere else."""

from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from worker.console.pages.rendering import STATIC


class Static(StaticFiles):
    """Their addresses change with what is in them, so a browser may keep them."""

    def __init__(self) -> None:
        super().__init__(directory=STATIC)

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
        return response
