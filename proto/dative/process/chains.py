"""Functions that a process defines itself: an expression over its parameters, put in place of every call.

`spec.functions: {full_name: {parameters: {first: text, last: text}, expression: "concat_ws(' ', first, last)"}}`. A call
is replaced before types, fields and lookups are found, so that a chain costs nothing at run time and everything that
is known of its parts is known of it. Chains may call chains; none may call itself, on whatever way.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from sqlglot import exp

from dative.errors import expression as codes
from dative.process.datatypes import DataType, fits, parse_type
from dative.process.findings import nearest
from dative.process.problems import Problem, offset_of

NODES_MAX = 6000
"""Nodes of an expression after its chains were put in. At the bound it is refused: chains double as they nest."""
CHAINS_MAX = 100


class Definition(Protocol):
    """A function as the process writes it: `model.ChainSettings`."""

    @property
    def parameters(self) -> Mapping[str, str]: ...
    @property
    def expression(self) -> str: ...


@dataclass(frozen=True)
class Chain:
    """One function, read. body: in the language, as far as it could be parsed."""

    name: str
    parameters: Mapping[str, DataType]
    body: exp.Expr

    @property
    def signature(self) -> str:
        return f"{self.name}({', '.join(f'{name}: {kind}' for name, kind in self.parameters.items())})"


Chains = Mapping[str, Chain]
NONE: Chains = {}


def read_chains(definitions: Mapping[str, Definition]) -> Chains:
    """The functions that can be read; those that can not are findings of `flow`, not of every call."""
    from dative.process.expression import parsed

    chains = {}
    for name, definition in definitions.items():
        tree = parsed(definition.expression)
        if not isinstance(tree, Problem):
            chains[name] = Chain(name, {key: parse_type(kind) for key, kind in definition.parameters.items()}, tree)
    return chains


def expanded(tree: exp.Expr, chains: Chains) -> tuple[exp.Expr, list[Problem]]:
    """The tree with every call of a chain replaced by its body. The tree itself may be changed."""
    if not chains:
        return tree, []
    work = _Expansion(chains)
    return work.expand(tree, ()), work.problems


class _Expansion:
    def __init__(self, chains: Chains) -> None:
        self._chains = chains
        self._nodes = 0
        self.problems: list[Problem] = []

    def expand(self, tree: exp.Expr, inside: tuple[str, ...]) -> exp.Expr:
        """inside: the chains whose bodies stand around this tree."""
        # The outermost call first: its arguments are expanded where they come to stand.
        for call in [node for node in tree.find_all(exp.Anonymous) if node.name.lower() in self._chains]:
            if self.problems:
                break
            if _gone(call, tree):
                continue
            put = self._body(call, inside)
            if call is tree:
                return put
            call.replace(put)
        return tree

    def _body(self, call: exp.Anonymous, inside: tuple[str, ...]) -> exp.Expr:
        chain = self._chains[call.name.lower()]
        problem = self._problem(chain, call, inside)
        if problem is not None:
            self.problems.append(problem)
            return exp.Null()
        arguments = dict(zip(chain.parameters, (self.expand(item, inside) for item in _arguments(call)), strict=True))
        if self._too_many(chain.body, chain):
            return exp.Null()
        body = self.expand(self._copied(chain.body), (*inside, chain.name))
        for column in list(body.find_all(exp.Column)):
            name = ".".join(part.name for part in column.parts)
            if name not in arguments:
                continue
            put = _argument(arguments[name])
            if self._too_many(put, chain):
                return exp.Null()
            if column is body:
                return put
            column.replace(put)
        return exp.Paren(this=body)

    def _copied(self, body: exp.Expr) -> exp.Expr:
        copied = body.copy()
        for node in copied.walk():
            node._meta = None  # its places are those of another text
        return copied

    def _too_many(self, put: exp.Expr, chain: Chain) -> bool:
        self._nodes += sum(1 for _ in put.walk())
        if self._nodes > NODES_MAX and not self.problems:
            message = f"{chain.name}() grows beyond {NODES_MAX:,} parts when it is put in"
            self.problems.append(Problem(codes.TOO_DEEP, message, None))
        return self._nodes > NODES_MAX

    def _problem(self, chain: Chain, call: exp.Anonymous, inside: tuple[str, ...]) -> Problem | None:
        if chain.name in inside:
            way = " → ".join((*inside[inside.index(chain.name) :], chain.name))
            return Problem(codes.RECURSIVE, f"{chain.name}() calls itself: {way}", offset_of(call))
        given = call.expressions
        if any(isinstance(item, exp.Kwarg) for item in given) or len(given) != len(chain.parameters):
            return Problem(
                codes.WRONG_ARGUMENTS,
                f"{chain.name}() has {len(given)} arguments; it is {chain.signature}",
                offset_of(call),
            )
        return None


def argument_problems(tree: exp.Expr, chains: Chains, fields: Mapping[str, DataType]) -> list[Problem]:
    """Arguments of chains whose type does not fit the parameter they are given for. tree: not expanded yet."""
    from dative.process.infer import infer

    problems: list[Problem] = []
    for call in tree.find_all(exp.Anonymous):
        chain = chains.get(call.name.lower())
        if chain is None or len(call.expressions) != len(chain.parameters):
            continue
        for (name, wanted), argument in zip(chain.parameters.items(), call.expressions, strict=True):
            if any(inner.name.lower() in chains for inner in argument.find_all(exp.Anonymous)):
                continue  # its type is known only after expansion; there its use is checked
            given, _ = infer(argument, fields)
            is_text = isinstance(argument, exp.Literal) and argument.is_string
            if not fits(wanted.kind, given) and not (is_text and wanted.kind in ("date", "timestamp", "json")):
                message = f"{name} of {chain.name}() needs {wanted}, here it is {given}"
                problems.append(Problem(codes.WRONG_TYPE, message, offset_of(argument)))
    return problems


def unknown_parameters(chain: Chain) -> list[Problem]:
    """Names in the body that are none of its parameters: a chain sees nothing of the document around it."""
    problems = []
    for column in chain.body.find_all(exp.Column):
        name = ".".join(part.name for part in column.parts)
        if name not in chain.parameters:
            message = f'"{name}" is no parameter of {chain.name}(){nearest(name, chain.parameters)}'
            problems.append(Problem(codes.WRONG_ARGUMENTS, message, offset_of(column)))
    return problems


def _arguments(call: exp.Anonymous) -> list[exp.Expr]:
    return list(call.expressions)


def _argument(node: exp.Expr) -> exp.Expr:
    # A literal stays one, so that formats and names can be handed through; the rest keeps its own precedence.
    copied = node.copy()
    return copied if isinstance(copied, exp.Literal | exp.Column | exp.Null | exp.Boolean) else exp.Paren(this=copied)


def _gone(node: exp.Expr, tree: exp.Expr) -> bool:
    """The node no longer stands in the tree: a call around it was replaced."""
    current: exp.Expr | None = node
    while current is not None and current is not tree:
        current = current.parent
    return current is None
