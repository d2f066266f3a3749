"""A group of verbs whose modules are imported when a verb is called: ``streamreid --help`` imports none of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import Any, ClassVar

import typer
import typer.main
from typer.core import TyperCommand, TyperGroup

__all__ = ["LazyGroup", "Verb"]


@dataclass(frozen=True, slots=True)
class Verb:
    """A verb of the command line.

    Args:
        name: What is typed.
        home: ``module:attribute`` of a function (one command) or of a ``typer.Typer`` (a group of commands).
        panel: Heading under which ``--help`` lists it.
        summary: One line for that list; ``streamreid NAME --help`` shows the function's docstring.
        hidden: Whether it works without being listed: an old name.
        further: Verbs that the first word after this one may name; all else are arguments of this verb, a command.
    """

    name: str
    home: str
    panel: str
    summary: str
    hidden: bool = False
    further: tuple[Verb, ...] = ()

    def placeholder(self) -> TyperCommand:
        """What stands in the list of verbs."""
        return TyperCommand(self.name, help=self.summary, rich_help_panel=self.panel, hidden=self.hidden)

    def load(self) -> Any:
        """The command itself; its module is imported now."""
        module, _, attribute = self.home.partition(":")
        target = getattr(import_module(module), attribute)
        if isinstance(target, typer.Typer):
            command: Any = typer.main.get_group(target)
        else:
            single = typer.Typer(add_completion=False)
            kind = type("_Further", (_Further,), {"further": self.further}) if self.further else TyperCommand
            single.command(self.name, cls=kind, epilog=self._epilog())(target)
            command = typer.main.get_command(single)
        command.name = self.name
        return command

    def _epilog(self) -> str | None:
        """What the help says of further verbs."""
        lines = [f"streamreid {self.name} {v.name} --help: {v.summary}" for v in self.further]
        return "\n\n".join(lines) or None


class _Further(TyperCommand):
    """A command whose first word may name another one."""

    further: ClassVar[tuple[Verb, ...]] = ()

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        """The context of the verb that the first word names, else of this command."""
        for verb in self.further:
            if args[:1] == [verb.name]:
                return verb.load().make_context(f"{info_name} {verb.name}", args[1:], parent, **extra)
        return super().make_context(info_name, args, parent, **extra)


class LazyGroup(TyperGroup):
    """Lists its verbs without importing them. A subclass names them in ``verbs``, in the order of the list."""

    verbs: ClassVar[Sequence[Verb]] = ()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.commands.update({verb.name: verb.placeholder() for verb in self.verbs})
        self._homes = {verb.name: verb for verb in self.verbs}
        self._listing = False

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command; while verbs are only listed, its placeholder."""
        if self._listing or cmd_name not in self._homes:
            return super().get_command(ctx, cmd_name)
        return self._homes[cmd_name].load()

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Print the list of verbs."""
        from streamreid.cli.help_page import print_help

        options = [record for option in self.get_params(ctx) if (record := option.get_help_record(ctx)) is not None]
        verbs = [(verb.panel, verb.name, verb.summary) for verb in self.verbs if not verb.hidden]
        print_help(self.get_usage(ctx), self.help or "", options, verbs)

    def shell_complete(self, ctx: Any, incomplete: str) -> Any:
        """The verbs that begin so."""
        with self._only_listed():
            return super().shell_complete(ctx, incomplete)

    @contextmanager
    def _only_listed(self) -> Iterator[None]:
        self._listing = True
        try:
            yield
        finally:
            self._listing = False
