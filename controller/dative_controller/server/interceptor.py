"""What happens around every call: is it known, who calls, may they, what failed, and the span of what changes things.

Errors become statuses here, once, for both listeners; services and links only raise.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
import grpc.aio
from dative.errors import DativeError
from dative.errors.rpc import DENIED, UNAUTHENTICATED
from dative.rpc import AUTHORIZATION_METADATA, TRACEPARENT_METADATA, TraceContext, abort, metadata_value
from sqlalchemy import Connection

from dative_controller.server.caller import CALLER, SYSTEM, Caller
from dative_controller.server.core import Core
from dative_controller.server.permissions import PERMISSIONS, Permission
from dative_controller.store import audit, changes
from dative_controller.store.traces import SpanRow
from dative_controller.telemetry.log import log

Context = grpc.aio.ServicerContext[Any, Any]
Behaviour = Callable[[Any, Context], Any]


class Interceptor(grpc.aio.ServerInterceptor):
    """Wraps every handler of both listeners."""

    def __init__(self, core: Core) -> None:
        self._core = core

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler[Any, Any] | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[Any, Any] | None:
        method = handler_call_details.method
        handler: Any = await continuation(handler_call_details)
        if handler is None:
            return None  # unknown to gRPC itself: UNIMPLEMENTED
        permission = PERMISSIONS.get(method)
        behaviour = handler.unary_unary or handler.unary_stream or handler.stream_unary or handler.stream_stream
        make = getattr(
            grpc,
            f"{'stream' if handler.request_streaming else 'unary'}_{'stream' if handler.response_streaming else 'unary'}"
            "_rpc_method_handler",
        )
        # Connect writes by itself from its one writer; every other streaming answer is an async generator.
        generator = handler.response_streaming and not method.endswith("/Connect")
        wrap = self._streaming if generator else self._plain
        return make(  # type: ignore[no-any-return]
            wrap(method, permission, behaviour),
            request_deserializer=handler.request_deserializer,
            response_serializer=handler.response_serializer,
        )

    def _plain(self, method: str, permission: Permission | None, behaviour: Behaviour) -> Behaviour:
        async def serve(request: Any, context: Context) -> Any:
            began = self._core.clock.now()
            try:
                await self._admit(method, permission, context)
                answer = await behaviour(request, context)
            except DativeError as error:
                await self._fail(method, permission, context, error, began)
            except Exception as error:  # noqa: BLE001  the one place where an unforeseen error is logged and answered
                await self._fail(method, permission, context, _unforeseen(method, error), began)
            else:
                self._span(method, permission, began, None)
                return answer

        return serve

    def _streaming(self, method: str, permission: Permission | None, behaviour: Behaviour) -> Behaviour:
        async def serve(request: Any, context: Context) -> AsyncIterator[Any]:
            began = self._core.clock.now()
            try:
                await self._admit(method, permission, context)
                async for message in behaviour(request, context):
                    yield message
            except DativeError as error:
                await self._fail(method, permission, context, error, began)
            except Exception as error:  # noqa: BLE001  likewise
                await self._fail(method, permission, context, _unforeseen(method, error), began)

        return serve

    # ---- who calls ----------------------------------------------------------------------------------------------

    async def _admit(self, method: str, permission: Permission | None, context: Context) -> None:
        """Set the caller of this call. Errors: rpc.unauthenticated, rpc.permission_denied, rpc.rate_limited."""
        metadata = context.invocation_metadata()
        parent = TraceContext.parse(metadata_value(metadata, TRACEPARENT_METADATA) or "")
        trace = parent.child() if parent else TraceContext.new()
        if permission is None:
            raise DativeError(f"{method} has no entry in the permission table", code=DENIED)
        subject, bindings = SYSTEM, frozenset[tuple[str, str]]()
        if permission.roles:
            bearer = metadata_value(metadata, AUTHORIZATION_METADATA) or ""
            subject = self._subject(bearer)
            self._core.api_limit.take(subject)
            bindings = await self._core.bindings_of(subject)
        above = parent.span_id if parent else ""
        caller = Caller(subject, bindings, permission.roles, method, context.peer(), trace, above)
        CALLER.set(caller)
        if permission.roles and not any(role in permission.roles for role, _ in bindings):
            await self._note_denial(caller)
            wanted = ", ".join(sorted(permission.roles))
            raise DativeError(f"{subject} has none of the roles {wanted}", code=DENIED)

    def _subject(self, bearer: str) -> str:
        kind, _, token = bearer.partition(" ")
        if kind.lower() != "bearer" or not token:
            raise DativeError("the call carries no access token", code=UNAUTHENTICATED)
        return self._core.verify_access(token)

    async def _note_denial(self, caller: Caller) -> None:
        entry = audit.Entry(caller.subject, caller.method.rpartition("/")[2], "", decision="denied")

        def note(sql: Connection) -> None:
            changes.lock(sql)
            audit.append(sql, entry, self._core.now_ms())

        await self._core.database.write(note)

    # ---- how it ended -------------------------------------------------------------------------------------------

    async def _fail(
        self, method: str, permission: Permission | None, context: Context, error: DativeError, began: Any
    ) -> None:
        self._core.metrics.rpc_failures_total += 1
        self._span(method, permission, began, error)
        log.info("rpc.failed", method=method, code=error.code.name, message=error.message, peer=context.peer())
        await abort(context, error)

    def _span(self, method: str, permission: Permission | None, began: Any, error: DativeError | None) -> None:
        """A span for what changes something; polling and long streams leave none, or one trace would live for months."""
        caller = CALLER.get(None)
        if permission is None or not permission.changes or caller is None or caller.method != method:
            return
        attributes = {"rpc.system": "grpc", "rpc.method": method.strip("/"), "enduser.id": caller.subject}
        if error is not None:
            attributes["error.type"] = error.code.name
        self._core.spans.add(
            SpanRow(
                trace_id=caller.trace.trace_id,
                span_id=caller.trace.span_id,
                parent_span_id=caller.parent_span_id,
                name=method.strip("/"),
                kind="SERVER",
                start_ns=int(began.timestamp() * 1e9),
                end_ns=int(self._core.clock.now().timestamp() * 1e9),
                service="controller",
                instance=self._core.controller_id,
                error=error is not None,
                status_message=error.message if error else "",
                attributes=attributes,
            )
        )


def _unforeseen(method: str, error: Exception) -> DativeError:
    """The caller learns that it failed, not how: the log has the rest."""
    log.error("rpc.crashed", method=method, exc_info=error)
    return DativeError(f"{method.rpartition('/')[2]} failed unexpectedly ({type(error).__name__})")
