"""What a command prints on stderr: messages, progress, warnings, and errors with exit codes."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import signal
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import click

from privsynth.errors import MachineError, PrivsynthError, PrivsynthWarning
from privsynth.redaction import printable

_STOPPED = {
    signal.SIGINT: "interrupted",
    signal.SIGTERM: "terminated",
    **({signal.SIGHUP: "the terminal has gone"} if hasattr(signal, "SIGHUP") else {}),
}
"""The signals that end a run, and the message for each; the exit code is 128 + the number."""
_PIPE_CLOSED = 141
_MACHINE_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.ENOMEM, errno.EIO}


# ---------------------------------------------------------------------------- voice


class Voice:
    """Prints a command's messages on stderr, as --quiet and --verbose ask for."""

    def __init__(self, quiet: bool, verbose: bool) -> None:
        self.quiet = quiet
        self.verbose = verbose

    def say_seed(self, seed: int) -> None:
        """Print a seed that was drawn, unless --quiet is given."""
        self.say(f"seed {seed} (drawn; give --seed {seed} to repeat)")

    def say(self, message: str) -> None:
        """Print one line on stderr, unless --quiet is given."""
        if not self.quiet:
            click.echo(one_line(message), err=True)

    @contextlib.contextmanager
    def progress(self) -> Iterator[Callable[[str, int, int], None]]:
        """Draw bars on a terminal; elsewhere print each phase if --verbose is given."""
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            Progress,
            TaskProgressColumn,
            TextColumn,
            TimeElapsedColumn,
        )

        console = Console(stderr=True)
        shows_bars = console.is_terminal and not self.quiet
        bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            redirect_stdout=False,  # rows may be written there
            disable=not shows_bars,
        )
        task = bars.add_task("", total=None, visible=False)
        start = time.monotonic()
        current = ""

        def report(phase: str, done: int, total: int) -> None:
            nonlocal current
            if phase != current:
                current = phase
                bars.reset(task, description=phase, visible=True)
                if self.verbose and not shows_bars:
                    self.say(f"{time.monotonic() - start:.1f} s: {phase}")
            bars.update(task, completed=done, total=total or None)

        with bars:
            yield report


def one_line(text: str) -> str:
    """Return a message as one line, without control characters or passwords."""
    text = printable(text)
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


@contextlib.contextmanager
def _privsynth_warnings(quiet: bool) -> Iterator[None]:
    """Show each warning of privsynth once, and none of other libraries': they may quote cells."""
    shown = set()

    def show(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
        text = f"privsynth: warning: {one_line(str(message))}"
        if issubclass(category, PrivsynthWarning) and not quiet and text not in shown:
            shown.add(text)
            click.echo(text, err=True)

    logging.getLogger().addHandler(logging.NullHandler())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", PrivsynthWarning)
        warnings.showwarning = show
        yield


# ---------------------------------------------------------------------------- errors


def _fail(message: str, code: int) -> int:
    with contextlib.suppress(OSError):  # if the terminal is gone, nobody reads it
        click.echo(f"privsynth: error: {one_line(message)}", err=True)
    return code


def _diagnose(error: BaseException, verbose: bool = False) -> int:
    """Print in one line what went wrong, and return the exit code for it."""
    # Some libraries turn an interrupt into an error of their own, so the signal sent counts.
    number = _Stop.sent or (
        signal.SIGINT if isinstance(error, KeyboardInterrupt | click.Abort) else None
    )
    if number is not None:
        return _fail(f"{_STOPPED[number]}; no file is left half-written", 128 + number)
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        click.echo(error.format_message(), err=True)
        return 2
    if isinstance(error, click.UsageError):
        path = error.ctx.command_path if error.ctx else "privsynth"
        return _fail(f"{error.format_message().rstrip('.?')}; see '{path} --help'", 2)
    if isinstance(error, click.ClickException):
        return _fail(error.format_message(), 2)
    code = error.errno if isinstance(error, OSError) else None
    if code == errno.EPIPE:
        return _PIPE_CLOSED
    if isinstance(error, MemoryError):
        return _fail("out of memory; use fewer rows or columns, or a larger machine", 3)
    if isinstance(error, PrivsynthError):
        return _fail(
            str(error), 3 if isinstance(error, MachineError) or code in _MACHINE_ERRORS else 2
        )
    if isinstance(error, OSError) and error.strerror:
        place = f"{error.filename}: " if error.filename else ""
        remedy = "free some space" if code in (errno.ENOSPC, errno.EDQUOT) else "check the path"
        return _fail(f"{place}{error.strerror}; {remedy}", 3 if code in _MACHINE_ERRORS else 2)
    return _bug(error, verbose)


def _bug(error: BaseException, verbose: bool) -> int:
    """Ask for a bug report, without the error's own text: it could quote a cell."""
    frames = traceback.extract_tb(error.__traceback__)
    home = Path(__file__).parent
    ours = [frame for frame in frames if home in Path(frame.filename).parents] or frames
    place = f"{Path(ours[-1].filename).name}:{ours[-1].lineno}"
    if verbose:
        click.echo("".join(frames.format()), err=True, nl=False)
    return _fail(
        f"a bug in privsynth ({type(error).__name__} at {place}); please report this line, "
        "the command and 'privsynth --version'",
        3,
    )


class _Stop(KeyboardInterrupt):
    """A signal that ends the run, raised wherever the program is, so that it cleans up."""

    sent: signal.Signals | None = None
    """The signal that was sent first."""

    @classmethod
    def install(cls) -> None:
        """Let each signal end the run, unless the parent process has it ignored."""
        cls.sent = None
        for number in _STOPPED:
            if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
                with contextlib.suppress(ValueError):  # only the main thread may set a handler
                    signal.signal(number, cls.handle)

    @classmethod
    def handle(cls, number: int, frame: FrameType | None) -> None:
        """Raise the interrupt, or send it again a little later where it would be lost."""
        if _inside_callback(frame):
            later = threading.Timer(0.05, os.kill, (os.getpid(), number))
            later.daemon = True
            later.start()
            return
        cls.sent = cls.sent or signal.Signals(number)
        raise cls


def _inside_callback(frame: FrameType | None) -> bool:
    """Return whether OpenDP is calling back into Python: it would swallow what is raised there."""
    while frame is not None:
        if str(frame.f_globals.get("__name__")).startswith("opendp."):
            return True
        frame = frame.f_back
    return False


class Command(click.Command):
    """A command with --quiet and --verbose, whose errors become one line and an exit code."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params += [
            click.Option(
                ["--quiet"],
                is_flag=True,
                expose_value=False,
                callback=_store,
                help="Print nothing on stderr but errors.",
            ),
            click.Option(
                ["--verbose"],
                is_flag=True,
                expose_value=False,
                callback=_store,
                help="Print more on stderr: each phase, and the stack of a bug.",
            ),
        ]

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; an error becomes one line and an exit code."""
        quiet, verbose = ctx.meta["quiet"], ctx.meta["verbose"]
        if quiet and verbose:
            raise click.UsageError("--quiet and --verbose contradict; give one of them", ctx)
        ctx.obj = Voice(quiet, verbose)
        try:
            with _privsynth_warnings(quiet):
                super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit):
            raise
        except (Exception, KeyboardInterrupt) as error:
            ctx.exit(_diagnose(error, verbose))


class Group(click.Group):
    """The program: its errors end as an exit code, wherever they are raised."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run the command line and exit; every error ends here or in `Command.invoke`."""
        kwargs |= {"standalone_mode": False, "prog_name": "privsynth"}
        _Stop.install()
        for stream in (sys.stdout, sys.stderr):
            if hasattr(stream, "reconfigure"):  # a column name may not fit the terminal's encoding
                stream.reconfigure(errors="backslashreplace")
        try:
            code = super().main(*args, **kwargs)
        except (click.ClickException, click.Abort, OSError) as error:
            code = _diagnose(error)
        try:
            sys.stdout.flush()
        except OSError as error:
            # Python flushes once more on exit and would report the error again.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            code = code or _diagnose(error)
        sys.exit(code or 0)


def _store(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    ctx.meta[str(param.name)] = value
