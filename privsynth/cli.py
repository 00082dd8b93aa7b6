"""The command line: the one place that prints, draws progress and exits.

Results go to stdout; messages, warnings and progress to stderr. Exit codes: 0 done, 1 a policy
is not met, 2 wrong usage or bad input, 3 the machine failed us or privsynth has a bug. A run
that is interrupted gives 130, one that is terminated 143, one whose terminal has gone 129 and
one whose reader has gone away 141, as the shell does.

Only click and the standard library are imported here, so that `--help` answers at once.
"""

from __future__ import annotations

import contextlib
import errno
import json
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
from typing import TYPE_CHECKING, Any

import click

from privsynth.errors import (
    MachineError,
    PrivsynthError,
    PrivsynthWarning,
    UsageError,
)
from privsynth.redaction import printable
from privsynth.storage import check_writable, replacing

if TYPE_CHECKING:
    from privsynth.config import RunConfig
    from privsynth.pipeline import FittedModel, Report
    from privsynth.privacy import Budget

__all__ = ["main"]

_STOPPED = {
    signal.SIGINT: "interrupted",
    signal.SIGTERM: "terminated",
    **({signal.SIGHUP: "the terminal has gone"} if hasattr(signal, "SIGHUP") else {}),
}
"""The signals that end a run, and what is said then; the exit code is 128 and the number."""
_PIPE_CLOSED = 141
_MACHINE = {errno.ENOSPC, errno.EDQUOT, errno.ENOMEM, errno.EIO}


# ---------------------------------------------------------------------------- voice


class _Voice:
    """What a command says on stderr, and how loudly."""

    def __init__(self, quiet: bool, verbose: bool) -> None:
        self.quiet = quiet
        self.verbose = verbose

    def say_seed(self, seed: int) -> None:
        self.say(f"seed {seed} (drawn; give --seed {seed} to repeat)")

    def say(self, message: str) -> None:
        if not self.quiet:
            click.echo(_line(message), err=True)

    @contextlib.contextmanager
    def progress(self) -> Iterator[Callable[[str, int, int], None]]:
        """Draw bars on a terminal; elsewhere name each phase, where --verbose asks for it."""
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            Progress,
            TaskProgressColumn,
            TextColumn,
            TimeElapsedColumn,
        )

        console = Console(stderr=True)
        drawn = console.is_terminal and not self.quiet
        bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            redirect_stdout=False,  # rows may be on their way there
            disable=not drawn,
        )
        task = bars.add_task("", total=None, visible=False)
        start = time.monotonic()
        current = ""

        def report(phase: str, done: int, total: int) -> None:
            nonlocal current
            if phase != current:
                current = phase
                bars.reset(task, description=phase, visible=True)
                if self.verbose and not drawn:
                    self.say(f"{time.monotonic() - start:.1f} s: {phase}")
            bars.update(task, completed=done, total=total or None)

        with bars:
            yield report


def _line(text: str) -> str:
    """Give a message as one line that no control character can upset, without passwords."""
    text = printable(text)
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


@contextlib.contextmanager
def _own_warnings(quiet: bool) -> Iterator[None]:
    """Show each of our own warnings once; other libraries' may quote cells, so none is shown."""
    shown = set()

    def show(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
        text = f"privsynth: warning: {_line(str(message))}"
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
    with contextlib.suppress(OSError):  # where the terminal has gone no one reads it
        click.echo(f"privsynth: error: {_line(message)}", err=True)
    return code


def _diagnose(error: BaseException, verbose: bool = False) -> int:
    """Say in one line what went wrong, and give the exit code for it."""
    # Some libraries turn an interrupt into an error of theirs; what counts is what was sent.
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
        return _fail(str(error), 3 if isinstance(error, MachineError) or code in _MACHINE else 2)
    if isinstance(error, OSError) and error.strerror:
        place = f"{error.filename}: " if error.filename else ""
        mend = "free some space" if code in (errno.ENOSPC, errno.EDQUOT) else "check the path"
        return _fail(f"{place}{error.strerror}; {mend}", 3 if code in _MACHINE else 2)
    return _bug(error, verbose)


def _bug(error: BaseException, verbose: bool) -> int:
    """Ask for a report. The error's own text is left out: it could quote a cell."""
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
    """A signal that ends the run, raised where the program stands, so that it cleans up."""

    sent: signal.Signals | None = None
    """The one that was sent first."""

    @classmethod
    def heed(cls) -> None:
        """Let each signal end the run, unless whoever started it has them ignored."""
        cls.sent = None
        for number in _STOPPED:
            if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
                with contextlib.suppress(ValueError):  # only the main thread may set it
                    signal.signal(number, cls.stop)

    @classmethod
    def stop(cls, number: int, frame: FrameType | None) -> None:
        """Raise the interrupt, or ask again a little later where it would be lost."""
        if _called_back(frame):
            later = threading.Timer(0.05, os.kill, (os.getpid(), number))
            later.daemon = True
            later.start()
            return
        cls.sent = cls.sent or signal.Signals(number)
        raise cls


def _called_back(frame: FrameType | None) -> bool:
    """Say whether OpenDP is waiting for an answer of ours: what is raised there gets lost."""
    while frame is not None:
        if str(frame.f_globals.get("__name__")).startswith("opendp."):
            return True
        frame = frame.f_back
    return False


class _Command(click.Command):
    """A command with --quiet and --verbose, whose errors become one line and an exit code."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params += [
            click.Option(
                ["--quiet"],
                is_flag=True,
                expose_value=False,
                callback=_remember,
                help="Say nothing on stderr but errors.",
            ),
            click.Option(
                ["--verbose"],
                is_flag=True,
                expose_value=False,
                callback=_remember,
                help="Say more on stderr: each phase, and where a bug was met.",
            ),
        ]

    def invoke(self, ctx: click.Context) -> Any:
        quiet, verbose = ctx.meta["quiet"], ctx.meta["verbose"]
        if quiet and verbose:
            raise click.UsageError("--quiet and --verbose contradict; give one of them", ctx)
        ctx.obj = _Voice(quiet, verbose)
        try:
            with _own_warnings(quiet):
                super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit):
            raise
        except (Exception, KeyboardInterrupt) as error:
            ctx.exit(_diagnose(error, verbose))


class _Group(click.Group):
    command_class = _Command

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run the command line and exit; every error ends here or in `_Command.invoke`."""
        kwargs |= {"standalone_mode": False, "prog_name": "privsynth"}
        _Stop.heed()
        for stream in (sys.stdout, sys.stderr):
            if hasattr(stream, "reconfigure"):  # a column's name may not fit the terminal's code
                stream.reconfigure(errors="backslashreplace")
        try:
            code = super().main(*args, **kwargs)
        except (click.ClickException, click.Abort, OSError) as error:
            code = _diagnose(error)
        try:
            sys.stdout.flush()
        except OSError as error:
            # Python flushes once more on its way out, and would complain there.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            code = code or _diagnose(error)
        sys.exit(code or 0)


def _remember(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    ctx.meta[str(param.name)] = value


# ---------------------------------------------------------------------------- options


_FILE = click.Path(path_type=Path)
_data = click.argument("data")
_target = click.option("--target", metavar="COL", help="Column to be predicted.")
_k = click.option(
    "--k",
    type=click.IntRange(min=1),
    metavar="ROWS",
    help="Fewest training rows that a level, bin, bound or parameter may rest on; not with a "
    "budget.  [default: 10]",
)
_engine = click.option(
    "--engine",
    metavar="NAME",
    help="Engine to fit: cart, copula, sdv-gaussian-copula, sdv-ctgan, sdv-tvae or sdv-copula-gan; "
    "under a budget marginals, copula, aim, mst or independent; for the minority also smote, "
    "smotenc, borderline-smote, adasyn or random.  [default: cart]",
)
_epsilon = click.option(
    "--epsilon",
    type=float,
    metavar="E",
    help="Keep what is learnt to differential privacy with this epsilon, such as 1; needs a "
    "declared --schema.",
)
_delta = click.option("--delta", type=float, metavar="D", help="Its delta.  [default: 1e-6]")
_unit = click.option(
    "--unit",
    metavar="COL",
    help="Hide all rows that share a value of this column, not a row alone; 'row' is always a "
    "row, never a column of that name.  [default: row]",
)
_rows_per_unit = click.option(
    "--rows-per-unit",
    type=click.IntRange(min=1),
    metavar="N",
    help="Most rows of one unit to learn from; chance leaves the others out.  [default: 1]",
)
_ledger = click.option(
    "--ledger",
    type=_FILE,
    metavar="FILE",
    help="File in which the owner of the data counts what every fit spends; it may refuse.",
)
_new_ledger = click.option(
    "--new-ledger",
    is_flag=True,
    default=None,
    help="Open the file of --ledger with this budget as its total; it must not be there yet.",
)
_encoding = click.option(
    "--encoding",
    metavar="NAME",
    help="Text encoding of CSV, TSV and JSON-lines input; other files have none.  [default: utf-8]",
)
_encodings = click.option(
    "--encoding",
    metavar="NAME",
    help="Text encoding of those input files that are not UTF-8.  [default: utf-8]",
)
_escape = click.option(
    "--no-escape",
    "escape",
    flag_value=False,
    default=None,
    help="Write and read CSV and TSV as they are. By default a ' is put before text that a "
    "spreadsheet would run as a formula, and removed when it is read.",
)
_schema = click.option(
    "--schema",
    type=_FILE,
    metavar="FILE",
    help="Reviewed schema; what it declares wins over what is inferred.",
)
_set = click.option(
    "--set",
    "assignments",
    multiple=True,
    metavar="KEY=VALUE",
    help="Hyper-parameter of the engine, as YAML: epochs=30, generator_dim=[128,128]. Repeatable.",
)
_SEED = click.IntRange(min=0)


def _strategy(text: str) -> Any:
    """Read a sampling strategy: JSON, or one plain word."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        if text.strip().startswith("{"):
            raise UsageError(
                '--sampling-strategy is no JSON; give rows in all by class, such as {"bad": 500}'
            ) from None
        return text.strip()


def _conditions(texts: tuple[str, ...]) -> dict[str, str | None] | None:
    """Read each ``COL=VALUE``; an empty value is a missing one."""
    conditions: dict[str, str | None] = {}
    for text in texts:
        column, equals, value = text.partition("=")
        if not (equals and column):
            raise UsageError("--where is not of the form COL=VALUE; give one such as Class=bad")
        if column in conditions:
            raise UsageError(f"--where names column {column!r} twice; give each column once")
        conditions[column] = value or None
    return conditions or None


# ---------------------------------------------------------------------------- commands


@click.group(
    cls=_Group,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(package_name="privsynth", message="%(prog)s %(version)s")
def main() -> None:
    """Turn a private table into a synthetic one, and tell the truth about it.

    DATA, OUT and SYNTHETIC are tables: CSV, TSV (also .gz), Parquet, Arrow/Feather, JSON lines,
    a glob or folder of Parquet, or a database table such as duckdb:///f.db::t. A dash is standard
    input or output, as CSV. In CSV and TSV a ' keeps a spreadsheet from running text as a formula.

    Results go to standard output; messages and progress to standard error. Exit codes: 0 done,
    1 a policy is missed or a release does not verify, 2 wrong usage or bad input, 3 the machine
    failed (disk full, out of memory), 130 interrupted, 143 terminated, 129 the terminal has gone.
    """


@main.command()
@_data
@click.option(
    "-o", "--output", type=_FILE, metavar="FILE", help="YAML file to write.  [default: stdout]"
)
@_target
@_k
@_encoding
@_escape
@click.pass_obj
def schema(
    voice: _Voice,
    /,
    data: str,
    output: Path | None,
    target: str | None,
    k: int | None,
    encoding: str | None,
    escape: bool | None,
) -> None:
    """Propose a schema for DATA.

    It is a YAML file that a person reviews and gives to fit. For each column it states the kind,
    the domain and where that came from, the role, and why the column was given that kind. Nothing
    held by fewer than k rows is named in it.
    """
    from privsynth.config import RunConfig

    run = RunConfig().override({}, target=target, k=k, encoding=encoding, escape=escape)
    from privsynth import pipeline, table

    table.check_distinct({"DATA": data}, {"--output": output or "-"})
    if output is not None:
        check_writable(output)

    with voice.progress() as progress:
        progress("reading the table", 0, 0)
        proposed = pipeline.propose_schema(
            data, target=run.target, k=run.k, encoding=run.encoding, escape=run.escape
        )
    if output is None:
        click.echo(proposed.to_yaml(), nl=False)
        return
    with replacing(output) as temporary:
        temporary.write_text(proposed.to_yaml(), encoding="utf-8")
    voice.say(f"{output}: {len(proposed)} columns proposed; review them, then fit with --schema")


@main.command()
@_data
@click.option(
    "-o", "--output", type=_FILE, metavar="MODEL", required=True, help="Model file to write."
)
@_engine
@_target
@_schema
@click.option(
    "--config",
    type=_FILE,
    metavar="FILE",
    help="YAML file with the same settings; the command line wins over it.",
)
@_set
@_k
@click.option(
    "--holdout",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    metavar="SHARE",
    help="Share of rows to set aside before anything is learnt; needs --holdout-output.",
)
@click.option(
    "--holdout-output",
    metavar="FILE",
    help="Table to write the rows set aside to. It holds real rows.",
)
@click.option(
    "--seed", type=_SEED, metavar="N", help="Same seed, same model.  [default: drawn and printed]"
)
@_encoding
@_escape
@_epsilon
@_delta
@_unit
@_rows_per_unit
@_ledger
@_new_ledger
@click.option(
    "--minority",
    is_flag=True,
    default=None,
    help="Learn the rows of the classes below the most frequent one alone; needs a target.",
)
@click.option(
    "--allow-rows", is_flag=True, help="Save a model even if its engine keeps training rows."
)
@click.pass_obj
def fit(
    voice: _Voice,
    /,
    data: str,
    output: Path,
    config: Path | None,
    assignments: tuple[str, ...],
    allow_rows: bool,
    **given: Any,
) -> None:
    """Learn a model of DATA and save it.

    The model file holds parameters alone, under disclosure control: nothing in it rests on fewer
    than k rows. It carries no formal guarantee, and says so. With --epsilon it carries one: what
    is learnt are noisy counts, and the schema declares the domain of every column.
    """
    from privsynth.config import RunConfig, parse_setting

    run = RunConfig() if config is None else RunConfig.from_yaml(config)
    run = run.override(dict(parse_setting(text) for text in assignments), **given)
    if (run.holdout is None) != (run.holdout_output is None):
        raise UsageError("--holdout and --holdout-output belong together; give both or neither")
    budget = _budget(run)
    from privsynth import pipeline, table

    table.check_distinct(
        {"DATA": data, "--schema": run.schema, "--config": config},
        {"--output": output, "--holdout-output": run.holdout_output, "--ledger": run.ledger},
    )
    check_writable(output)

    with voice.progress() as progress:
        progress("reading the table", 0, 0)
        model = pipeline.fit(
            data,
            engine=run.engine,
            target=run.target,
            schema=run.schema,
            k=run.k,
            seed=run.seed,
            settings=run.settings,
            encoding=run.encoding,
            escape=run.escape,
            holdout=run.holdout,
            holdout_output=run.holdout_output,
            minority=run.minority,
            budget=budget,
            ledger=run.ledger,
            new_ledger=run.new_ledger,
            progress=progress,
        )
        model.save(output, allow_rows=allow_rows)
    for line in _summary(model):
        voice.say(line)
    if run.seed is None and model.ledger.budget is None:
        voice.say_seed(model.card["seed"])
    voice.say(f"{output}: saved")


def _budget(run: RunConfig) -> Budget | None:
    """Give the budget that a run asks for."""
    from privsynth.privacy import Budget

    if run.epsilon is not None:
        rows = run.rows_per_unit
        return Budget(run.epsilon, run.delta, run.unit, rows)
    for option, value, default in (
        ("--delta", run.delta, 1e-6),
        ("--unit", run.unit, "row"),
        ("--rows-per-unit", run.rows_per_unit, 1),
        ("--ledger", run.ledger, None),
        ("--new-ledger", run.new_ledger, False),
    ):
        if value != default:
            raise UsageError(f"{option} is part of a privacy budget; give --epsilon too")
    return None


@main.command()
@click.argument("model", type=_FILE)
@click.option(
    "-n",
    "--rows",
    type=click.IntRange(min=1),
    metavar="ROWS",
    required=True,
    help="How many, in all.",
)
@click.option("-o", "--output", metavar="OUT", required=True, help="Table to write; - is stdout.")
@click.option(
    "--where",
    multiple=True,
    metavar="COL=VALUE",
    help="Give only rows in which the column has the value; no value is a missing one. Repeatable.",
)
@click.option(
    "--balance",
    type=click.FloatRange(0, 1, min_open=True),
    metavar="RATIO",
    help="Least rows of each class for each row of the most frequent one: 1 for equally many.",
)
@click.option(
    "--seed", type=_SEED, metavar="N", help="Same seed, same rows.  [default: drawn and printed]"
)
@_escape
@click.pass_obj
def sample(
    voice: _Voice,
    /,
    model: Path,
    rows: int,
    output: str,
    where: tuple[str, ...],
    balance: float | None,
    seed: int | None,
    escape: bool | None,
) -> None:
    """Draw synthetic rows from MODEL.

    Conditions on the target are exact and cost only the rows asked for; others are met by
    drawing and rejecting, within a bound. Classes have their shares in the training rows, or
    those that --balance asks for.
    """
    from privsynth import pipeline
    from privsynth.sampler import chosen_seed
    from privsynth.table import check_distinct, check_output

    conditions = _conditions(where)
    check_distinct({"MODEL": model}, {"--output": output})
    check_output(output)
    fitted = pipeline.load(model)
    chosen = chosen_seed(seed)
    with voice.progress() as progress:
        pipeline.sample(
            fitted,
            rows,
            seed=chosen,
            where=conditions,
            balance=balance,
            output=output,
            escape=escape is None,
            progress=progress,
        )
    if seed is None:
        voice.say_seed(chosen)
    if output != "-":
        voice.say(f"{output}: {rows:,} synthetic rows")


@main.command()
@_data
@click.option(
    "-o", "--output", metavar="OUT", required=True, help="Table to write: real and synthetic rows."
)
@_target
@_engine
@click.option(
    "--ratio",
    type=float,
    metavar="R",
    help="Rows of the minority for each row of the majority, above 0 and at most 1; two classes.",
)
@click.option(
    "--sampling-strategy",
    "strategy",
    metavar="JSON",
    help="As in imbalanced-learn: auto, minority, a ratio, or rows in all by class such as "
    '{"bad": 500}.  [default: auto, which fills every class up]',
)
@click.option(
    "--fit-on",
    type=click.Choice(["auto", "minority", "all"]),
    help="Rows that the engine learns.  [default: auto]",
)
@click.option(
    "--selection",
    type=click.Choice(["auto", "classifiers", "none"]),
    help="Whether classifiers choose among the rows drawn.  [default: auto, for cart and copula]",
)
@_schema
@click.option(
    "--config",
    type=_FILE,
    metavar="FILE",
    help="YAML file with the same settings; the command line wins over it.",
)
@_set
@_k
@click.option("--no-flag", is_flag=True, help="Leave out the column 'synthetic'.")
@click.option(
    "--plot",
    type=_FILE,
    metavar="FILE",
    help="Picture before and after: .png, .svg, .pdf or .html. It holds real records.",
)
@click.option(
    "--judge",
    is_flag=True,
    help="Judge by repeated cross-validation on DATA whether it helps, and say so; takes minutes.",
)
@click.option("--report", type=_FILE, metavar="FILE", help="HTML report of --judge to write.")
@click.option(
    "--json", "json_output", type=_FILE, metavar="FILE", help="JSON report of --judge to write."
)
@click.option(
    "--seed", type=_SEED, metavar="N", help="Same seed, same rows.  [default: drawn and printed]"
)
@_encoding
@_escape
@_epsilon
@_delta
@_unit
@_rows_per_unit
@_ledger
@_new_ledger
@click.pass_obj
def augment(
    voice: _Voice,
    /,
    data: str,
    output: str,
    config: Path | None,
    assignments: tuple[str, ...],
    ratio: float | None,
    strategy: str | None,
    no_flag: bool,
    plot: Path | None,
    judge: bool,
    report: Path | None,
    json_output: Path | None,
    **given: Any,
) -> None:
    """Add synthetic rows of the minority to DATA.

    Writes the real rows as they are, then the synthetic ones, with a column 'synthetic' that
    tells them apart. The output holds the real rows: it is for training models, not for sharing.
    Says what the attacks on SMOTE find in the synthetic rows.

    With --epsilon the synthetic rows, and how many of each class there are, rest on noisy counts
    alone. Real and synthetic rows together are no private release: only the model behind the
    synthetic rows is.
    """
    from privsynth.config import RunConfig, parse_setting

    if ratio is not None and strategy is not None:
        raise UsageError("--ratio and --sampling-strategy say the same; give one of them")
    run = RunConfig() if config is None else RunConfig.from_yaml(config)
    wanted = ratio if strategy is None else _strategy(strategy)
    run = run.override(
        dict(parse_setting(text) for text in assignments), sampling_strategy=wanted, **given
    )
    if run.target is None:
        raise UsageError("the classes are a column of the table; name it with --target")
    judge = judge or report is not None or json_output is not None
    budget = _budget(run)
    if judge and budget is not None:
        raise UsageError(
            "--judge fits many models to the same rows, each of which would spend the budget "
            "again; leave it out, or drop --epsilon"
        )
    from privsynth import pipeline, table

    table.check_distinct(
        {"DATA": data, "--schema": run.schema, "--config": config},
        {
            "--output": output,
            "--plot": plot,
            "--report": report,
            "--json": json_output,
            "--ledger": run.ledger,
        },
    )
    table.check_output(output)
    for path in (report, json_output):
        if path is not None:
            check_writable(path)
    if plot is not None:
        from privsynth.report.plots import check_plot

        check_plot(plot)
    options: dict[str, Any] = {
        "target": run.target,
        "engine": run.engine,
        "sampling_strategy": run.sampling_strategy,
        "fit_on": run.fit_on,
        "selection": run.selection,
        "schema": run.schema,
        "k": run.k,
        "settings": run.settings,
        "encoding": run.encoding,
        "escape": run.escape,
    }
    with voice.progress() as progress:
        progress("reading the table", 0, 0)
        made = pipeline.augmented(
            data,
            seed=run.seed,
            flag=not no_flag,
            budget=budget,
            ledger=run.ledger,
            new_ledger=run.new_ledger,
            progress=progress,
            **options,
        )
        judged = None
        if judge:
            judged = pipeline.minority_gain(made.real, seed=made.seed, progress=progress, **options)
        table.write(made.table(), output, made.real.formats, escape=run.escape)
        if plot is not None:
            made.plot(plot)
    for line in made.summary():
        voice.say(line)
    if run.seed is None and made.model is not None and budget is None:
        voice.say_seed(made.seed)
    if plot is not None:
        voice.say(f"{plot}: picture written; it holds real records")
    if judged is None:
        return
    if report is not None:
        judged.to_html(report)
        voice.say(f"{report}: report written")
    if json_output is not None:
        judged.to_json(json_output)
        voice.say(f"{json_output}: figures written")
    for words in judged.verdicts:
        if output == "-":  # rows are on standard output
            voice.say(words)
        else:
            click.echo(_line(words))
    if output != "-":
        _print_summary(judged)


@main.command()
@click.argument("synthetic")
@click.option(
    "--train", metavar="DATA", required=True, help="Real rows that the model learnt from."
)
@click.option(
    "--holdout",
    metavar="DATA",
    help="Real rows that it never saw; without them some verdicts cannot be given.",
)
@_target
@_schema
@click.option(
    "--model", type=_FILE, metavar="MODEL", help="Model whose schema and target are used."
)
@click.option(
    "--policy",
    metavar="NAME",
    help="Exit 1 where attacks have shown more than it allows: strict, standard, internal, or a "
    "YAML file.",
)
@click.option(
    "--audit",
    type=click.Choice(["deep"]),
    help="Plant rows and fit MODEL's engine anew, for an empirical epsilon; takes minutes.",
)
@click.option(
    "--records-at-risk",
    metavar="FILE",
    help="Table to write those training rows to that SYNTHETIC repeats. It holds real rows.",
)
@click.option("--no-attacks", is_flag=True, help="Leave the attacks out.")
@click.option("-o", "--output", type=_FILE, metavar="FILE", help="HTML report to write.")
@click.option("--json", "json_output", type=_FILE, metavar="FILE", help="JSON report to write.")
@click.option(
    "--seed", type=_SEED, metavar="N", default=0, show_default=True, help="Same seed, same scores."
)
@_encodings
@_escape
@click.pass_context
def evaluate(
    ctx: click.Context,
    /,
    synthetic: str,
    train: str,
    holdout: str | None,
    output: Path | None,
    json_output: Path | None,
    schema: Path | None,
    model: Path | None,
    encoding: str | None,
    escape: bool | None,
    records_at_risk: str | None,
    no_attacks: bool,
    **given: Any,
) -> None:
    """Score SYNTHETIC against real rows.

    Prints a summary of how faithful and how useful it is, and of what attacks find. What is
    read of the real rows lies outside any guarantee; the reports hold scores and no row. The
    verdict is that of --policy, where the exit code is 1 if a threshold is missed, or else that
    of 'standard', which stops nothing.
    """
    voice: _Voice = ctx.obj
    from privsynth import pipeline, table
    from privsynth.policy import policy_file

    table.check_distinct(
        {
            "SYNTHETIC": synthetic,
            "--train": train,
            "--holdout": holdout,
            "--schema": schema,
            "--model": model,
            "--policy": policy_file(given["policy"]),
        },
        {"--output": output, "--json": json_output, "--records-at-risk": records_at_risk},
    )
    for path in (output, json_output):
        if path is not None:
            check_writable(path)
    with voice.progress() as progress:
        progress("reading the tables", 0, 0)
        report = pipeline.evaluate(
            synthetic,
            train=train,
            holdout=holdout,
            schema=schema,
            model=model,
            encoding=encoding or "utf-8",
            escape=escape is None,
            attacks=not no_attacks,
            records_at_risk=records_at_risk,
            progress=progress,
            **given,
        )
    if output is not None:
        report.to_html(output)
        voice.say(f"{output}: report written")
    if json_output is not None:
        report.to_json(json_output)
        voice.say(f"{json_output}: scores written")
    if records_at_risk is not None:
        voice.say(f"{records_at_risk}: records at risk written; they are real rows")
    _print_summary(report)
    if report.passed is False:
        ctx.exit(1)


@main.command()
@click.argument("model", type=_FILE)
@click.option("-n", "--rows", type=click.IntRange(min=1), metavar="ROWS", required=True)
@click.option(
    "-o",
    "--output",
    type=_FILE,
    metavar="DIR",
    required=True,
    help="Folder to write the release to.",
)
@click.option(
    "--train", metavar="DATA", required=True, help="Real rows that the model learnt from."
)
@click.option("--holdout", metavar="DATA", help="Real rows that it never saw.")
@click.option(
    "--policy",
    metavar="NAME",
    help="Write nothing and exit 1 where attacks have shown more than it allows: strict, standard, "
    "internal, or a YAML file.  [default: standard]",
)
@click.option(
    "--accept-risk",
    metavar="REASON",
    help="Write the release even if its policy is missed; card, report and verify show the reason.",
)
@click.option(
    "--sign", type=_FILE, metavar="KEY", help="ed25519 private key (PEM) to sign the release with."
)
@click.option(
    "--seed", type=_SEED, metavar="N", help="Same seed, same rows.  [default: drawn, in the card]"
)
@_encodings
@_escape
@click.pass_context
def release(
    ctx: click.Context,
    /,
    model: Path,
    rows: int,
    output: Path,
    train: str,
    holdout: str | None,
    encoding: str | None,
    escape: bool | None,
    **given: Any,
) -> None:
    """Draw rows of MODEL, attack and judge them, and write a release.

    The folder holds the table, the report, a card with every claim, Croissant metadata and the
    sha256 of each. 'privsynth verify DIR' holds the claims against the files. A model under a
    budget gives two folders: DIR/public, which keeps the guarantee and is for others, and
    DIR/restricted, whose figures and verdicts were read off the real rows.
    """
    voice: _Voice = ctx.obj
    from privsynth import pipeline, table
    from privsynth.policy import policy_file

    table.check_distinct(
        {
            "MODEL": model,
            "--train": train,
            "--holdout": holdout,
            "--policy": policy_file(given["policy"]),
            "--sign": given["sign"],
        },
        {"--output": output},
    )
    if holdout is None:
        voice.say("privsynth: warning: without a holdout most attacks cannot be judged; give one")
    with voice.progress() as progress:
        report, salt = pipeline.release(
            model,
            rows,
            output,
            train=train,
            holdout=holdout,
            encoding=encoding or "utf-8",
            escape=escape is None,
            progress=progress,
            **given,
        )
    for finding in report.findings or ():
        click.echo(_line(str(finding)))
    if report.passed is False and given["accept_risk"] is None:
        name = "standard" if report.policy is None else report.policy.name
        voice.say(
            f"{output}: not written: policy {name!r} is missed; to release it all the same, say "
            "why with --accept-risk"
        )
        ctx.exit(1)
    voice.say(f"salt of the inputs' hashes, which is not in the release: {salt}")
    voice.say(f"{output}: release of {rows:,} rows written")
    if (output / "restricted").is_dir():
        voice.say(f"{output}/public is for others; {output}/restricted was read off the real rows")


@main.command()
@click.argument("folder", type=_FILE, metavar="DIR")
@click.option("--key", type=_FILE, metavar="FILE", help="Publisher's public key (PEM).")
@click.option(
    "--model", type=_FILE, metavar="MODEL", help="Model file to hold the card and ledger against."
)
@click.pass_context
def verify(ctx: click.Context, /, folder: Path, key: Path | None, model: Path | None) -> None:
    """Hold the hashes, claims and signature of a release against its files.

    Exit 1 where one does not hold, or where a policy is missed and no one accepted the risk.
    Without --key nobody vouches for the signer: whoever makes every file anew is not found out.
    """
    from privsynth import release as bundle

    problems = bundle.verify(folder, key=key, model=model)
    for problem in problems:
        click.echo(_line(problem))
    if problems:
        ctx.exit(1)
    for remark in bundle.remarks(folder, key=key):
        click.echo(_line(remark))
    ctx.obj.say(f"{folder}: hashes and claims hold")


@main.command()
@click.argument("model", type=_FILE)
@click.option("--json", "as_json", is_flag=True, help="Give the card as JSON.")
@click.pass_obj
def inspect(voice: _Voice, /, model: Path, as_json: bool) -> None:  # noqa: ARG001
    """Show the card of MODEL.

    Engine, settings, columns, disclosure control, ledger, guarantee, and what is not covered.
    """
    from privsynth import pipeline

    card = _card(pipeline.load(model))
    if as_json:
        click.echo(json.dumps(card, indent=2, ensure_ascii=False))
    else:
        import yaml

        click.echo(yaml.safe_dump(card, sort_keys=False, allow_unicode=True, width=100), nl=False)


@main.command()
@click.argument(
    "name", type=click.Choice(["fraud", "health", "intrusion", "adult"]), default="fraud"
)
@click.option(
    "-o",
    "--output",
    type=_FILE,
    metavar="DIR",
    default="demo-output",
    show_default=True,
    help="Folder to write to; made if it is not there.",
)
@_engine
@click.option(
    "--seed", type=_SEED, metavar="N", default=0, show_default=True, help="Same seed, same files."
)
@_escape
@click.pass_obj
def demo(
    voice: _Voice,
    /,
    name: str,
    output: Path,
    engine: str | None,
    seed: int,
    escape: bool | None,
) -> None:
    """Fit, sample and evaluate a real table that comes with privsynth.

    A quarter of its rows is set aside as a holdout first. Writes train.csv, holdout.csv,
    model.psyn, synthetic.csv, report.html and evaluation.json to a folder, and prints a summary.
    """
    from importlib.resources import as_file, files

    import numpy as np
    from sklearn.model_selection import train_test_split

    from privsynth import pipeline, table
    from privsynth.documents import read_yaml

    escaped = escape is None
    output.mkdir(exist_ok=True)
    paths = {part: output / f"{part}.csv" for part in ("train", "holdout", "synthetic")}
    others = ("model.psyn", "report.html", "evaluation.json")
    shipped = files("privsynth") / "data"
    demos = (shipped / "demos.yaml").read_text(encoding="utf-8")
    about = read_yaml(demos, "demos.yaml", UsageError)[name]
    target = about["target"]
    with as_file(shipped / about["table"]) as path:
        written = {place.name: place for place in (*paths.values(), *map(output.joinpath, others))}
        table.check_distinct({"the table of the demo": path}, written)
        voice.say(about["about"])
        data = table.read(path)
        kept = [column for column in data.names if column not in about["leave_out"]]
        classes = data.to_arrow([target]).column(0).to_numpy()
        parts = train_test_split(
            np.arange(data.n_rows), test_size=0.25, stratify=classes, random_state=seed
        )
        for part, chosen in zip(("train", "holdout"), parts, strict=True):
            rows = data.take(np.sort(chosen))
            table.write(rows.to_arrow(kept), paths[part], data.formats, escape=escaped)
    with voice.progress() as progress:
        model = pipeline.fit(
            paths["train"],
            engine=engine,
            target=target,
            seed=seed,
            escape=escaped,
            progress=progress,
        )
        model.save(output / "model.psyn")
        pipeline.sample(
            model,
            len(parts[0]),
            seed=seed,
            output=paths["synthetic"],
            escape=escaped,
            progress=progress,
        )
        report = pipeline.evaluate(
            paths["synthetic"],
            train=paths["train"],
            holdout=paths["holdout"],
            model=model,
            escape=escaped,
            seed=seed,
            progress=progress,
        )
    report.to_html(output / "report.html")
    report.to_json(output / "evaluation.json")
    for line in _summary(model):
        voice.say(line)
    voice.say(
        f"{output}: train.csv, holdout.csv, synthetic.csv, model.psyn, report.html, evaluation.json"
    )
    _print_summary(report)


# ---------------------------------------------------------------------------- results


def _summary(model: FittedModel) -> Iterator[str]:
    """Say in a few lines what was learnt and what may be claimed of it."""
    card = model.card
    target = f"; target {card['target']!r}" if card["target"] else ""
    columns = "1 column" if len(model.schema) == 1 else f"{len(model.schema)} columns"
    about = "" if model.ledger.budget is None else "about "
    yield f"{card['engine']} learnt {columns} of {about}{card['rows']:,} rows{target}"
    invented = [column.name for column in model.schema if column.kind.surrogate]
    if invented:
        yield f"invented, not learnt: {', '.join(map(repr, invented))}"
    if model.ledger.budget is None:
        yield f"disclosure control: nothing rests on fewer than {card['disclosure']['k']} rows"
    yield f"guarantee: {model.ledger.guarantee()}"


def _card(model: FittedModel) -> dict[str, Any]:
    """Put together what a person must know of a model before using it, the claim first."""
    ledger = model.ledger.to_dict()
    return {
        "engine": model.card["engine"],
        "guarantee": ledger["guarantee"],
        "not_covered": ledger["not_covered"],
        **model.card,
        "columns": {column.name: str(column.kind) for column in model.schema},
        "domains": {
            column["name"]: {key: column[key] for key in ("levels", "bounds") if key in column}
            for column in model.schema.to_dict()["columns"]
            if "levels" in column or "bounds" in column
        },
        "ledger": ledger["events"],
    }


def _print_summary(report: Report) -> None:
    from rich.console import Console

    from privsynth.report.terminal import summary

    Console(file=sys.stdout).print(summary(report.evaluation))
