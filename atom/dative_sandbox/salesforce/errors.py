"""The errors that the simulated org answers: REST's list of errors, OAuth's object. They are data of the simulation."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(eq=False)
class ApiError(Exception):
    """One REST error. fields: present in the answer only when given, as the vendor does."""

    status: int
    code: str
    message: str
    fields: list[str] | None = None

    def __post_init__(self) -> None:
        super().__init__(f"{self.code}: {self.message}")

    def body(self) -> list[dict[str, Any]]:
        error: dict[str, Any] = {"message": self.message, "errorCode": self.code}
        if self.fields is not None:
            error["fields"] = self.fields
        return [error]

    def row(self) -> dict[str, Any]:
        """The error as one row of a collection shows it."""
        return {"statusCode": self.code, "message": self.message, "fields": self.fields or []}


@dataclass(eq=False)
class OAuthError(Exception):
    """One error of the token endpoint: object {error, error_description}."""

    error: str
    description: str
    status: int = 400
    headers: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__init__(f"{self.error}: {self.description}")


def not_found(message: str = "The requested resource does not exist") -> ApiError:
    return ApiError(404, "NOT_FOUND", message)


def invalid_session() -> ApiError:
    return ApiError(401, "INVALID_SESSION_ID", "Session expired or invalid")
