"""Text files through their one door, and every command that reads one: refused by name."""

import io
import shutil

import pytest
from django.core.management import CommandError, call_command

from brokers.calendars import session_plan
from execution_site.floor import text_files
from execution_site.floor.text_files import UnreadableFile

ROWS = "a,b\n1,2\n3,é\n"
#: What is no text: each as it begins, with `{}` for a first line that would do.
BAD = [
    ("nothing", "", "utf-8", "is empty"),
    ("a byte order mark alone", "", "utf-8-sig", "is empty"),
    ("blank lines alone", "\n  \n", "utf-8", "is empty"),
    ("UTF-16", "{}\n", "utf-16", "is UTF-16"),
    ("UTF-16 without its mark", "{}\n", "utf-16-le", "line 1: a NUL byte"),
    ("UTF-32", "{}\n", "utf-32", "is UTF-32"),
    ("Latin-1", "{}\né\n", "latin-1", "line 2: byte 0xE9 is not UTF-8"),
    ("a NUL byte", "{}\n\0\n", "utf-8", "line 2: a NUL byte"),
]


@pytest.mark.parametrize(("_case", "text", "encoding", "said"), BAD)
def test_what_is_no_text_is_refused_with_its_name_and_line(tmp_path, _case, text, encoding, said):
    path = tmp_path / "some.csv"
    path.write_bytes(text.replace("{}", "a,b").encode(encoding))

    with pytest.raises(UnreadableFile, match=r"some\.csv") as raised:
        list(text_files.lines(path))

    assert said in str(raised.value)


@pytest.mark.parametrize(
    ("_case", "content"),
    [
        ("as it is", ROWS.encode()),
        ("with a byte order mark", ROWS.encode("utf-8-sig")),
        ("with Windows line ends", ROWS.replace("\n", "\r\n").encode()),
        ("with old line ends", ROWS.replace("\n", "\r").encode()),
        ("with blank lines", ROWS.replace("\n", "\n\n").encode()),
    ],
)
def test_a_table_is_its_columns_and_rows(tmp_path, _case, content):
    path = tmp_path / "some.csv"
    path.write_bytes(content)

    columns, rows = text_files.table(path)

    assert (columns, [values for _, values in rows]) == (["a", "b"], [["1", "2"], ["3", "é"]])


@pytest.mark.parametrize(
    ("_case", "content", "said"),
    [
        ("a quote that is not closed", 'a,b\n1,"2\n3,4\n', "line 2: "),
        ("a column twice", "a,a\n1,2\n", "line 1: the column a is there twice"),
        ("a field without end", "a,b\n1," + "2" * 200_000 + "\n", "line 2: "),
    ],
)
def test_what_is_no_table_is_refused_with_its_line(tmp_path, _case, content, said):
    path = tmp_path / "some.csv"
    path.write_text(content)

    with pytest.raises(UnreadableFile) as raised:
        list(text_files.table(path)[1])

    assert f"some.csv, {said}" in str(raised.value)


def send(path):
    call_command("send_signals", path, url="http://127.0.0.1:9", key="a.b")


def load_sessions(path):
    call_command("load_sessions", folder=path.parent, stdout=io.StringIO())


#: Each command that reads a file: the file's name, a first line that would do, and the command.
COMMANDS = [
    (
        "x_2026-11-20.csv",
        "ms_since_midnight_utc,bid,ask",
        lambda p: call_command("replay_market", p),
    ),
    ("signals.csv", "signal_id,symbol", send),
    ("signals.jsonl", '{"signal_id": "1"}', send),
    ("master.csv", "symbol,lot_size", lambda path: call_command("load_instruments", path)),
    ("trading_days.csv", "days,date,early_close", load_sessions),
    ("hours.csv", "exchange,days,from,until,opens,closes,note", load_sessions),
    ("special_sessions.csv", "exchange,date,opens,closes,note", load_sessions),
    ("audit-anchor.jsonl", '{"seq": 1, "hash": "x"}', lambda _: call_command("verify_audit")),
]


@pytest.fixture
def folder(db, tmp_path, settings):
    """Where the files of the commands are; the calendar's are as they should be."""
    settings.DATA_DIR = tmp_path
    shutil.copytree(session_plan.FOLDER, tmp_path, dirs_exist_ok=True)
    return tmp_path


@pytest.mark.parametrize(("_case", "text", "encoding", "said"), BAD)
@pytest.mark.parametrize(("name", "first", "command"), COMMANDS)
def test_every_command_refuses_what_is_no_text(
    folder, name, first, command, _case, text, encoding, said
):
    (folder / name).write_bytes(text.replace("{}", first).encode(encoding))

    with pytest.raises(CommandError, match=name) as raised:
        command(folder / name)

    assert said in str(raised.value)


@pytest.mark.parametrize(("name", "_first", "command"), COMMANDS)
def test_every_command_refuses_a_folder(folder, name, _first, command):
    (folder / name).unlink(missing_ok=True)
    (folder / name).mkdir()

    with pytest.raises(CommandError, match=f"{name}: Is a directory"):
        command(folder / name)


def test_a_line_that_is_no_anchor_is_named(folder):
    (folder / "audit-anchor.jsonl").write_text('{"seq": 1, "hash": "x"}\n{"seq": 2}\n')

    with pytest.raises(CommandError, match="line 2: no anchor"):
        call_command("verify_audit")


@pytest.mark.parametrize(
    ("_case", "line", "said"),
    [
        ("no JSON", "{", "line 2: "),
        ("no object", "[1]", "line 2: not an object"),
        ("no number", '{"quantity": NaN}', "line 2: NaN"),
        ("half a character", '{"symbol": "\\ud800"}', "line 2: "),
        ("a depth nobody means", "[" * 100_000, "line 2: "),
    ],
)
def test_a_line_that_is_no_signal_is_named_and_nothing_is_sent(tmp_path, _case, line, said):
    (tmp_path / "signals.jsonl").write_text(f'{{"signal_id": "1"}}\n{line}\n')

    with pytest.raises(CommandError) as raised:
        send(tmp_path / "signals.jsonl")

    assert said in str(raised.value)


@pytest.mark.parametrize(
    ("command", "option"), [("export_journal", "--output"), ("replay_market", "--report")]
)
def test_a_file_that_cannot_be_written_is_refused_before_anything_is_done(folder, command, option):
    (folder / "x_2026-11-20.csv").write_text("ms_since_midnight_utc,bid,ask\n1,1,2\n")
    read = [folder / "x_2026-11-20.csv"] if command == "replay_market" else []

    with pytest.raises(CommandError, match="none/out: No such file or directory"):
        call_command(command, *read, option, folder / "none" / "out")


@pytest.mark.parametrize("row", ["1", "1,2,3"])
def test_a_row_of_signals_with_other_values_than_columns_is_named(tmp_path, row):
    (tmp_path / "signals.csv").write_text(f"signal_id,quantity\n1,2\n{row}\n")

    with pytest.raises(CommandError, match="line 3: not as many values as columns"):
        send(tmp_path / "signals.csv")


@pytest.mark.parametrize(
    ("_case", "name", "content", "said"),
    [
        (
            "a date that does not exist",
            "hours.csv",
            "NSE,XBOM,2026-02-30,,09:15,15:30,",
            "2026-02-30 is no date",
        ),
        ("closed before it opens", "hours.csv", "NSE,XBOM,,,15:30,09:15,", "15:30 is not before"),
        ("a special one too", "special_sessions.csv", "NSE,2026-11-08,19:00,18:00,", "is not bef"),
        ("only one of its times", "special_sessions.csv", "NSE,2026-11-08,18:00,,", "line 2"),
        ("too few values", "special_sessions.csv", "NSE,2026-11-08", "not as many values as col"),
        ("a note too long", "special_sessions.csv", f"NSE,2026-11-08,,,{'x' * 101}", "note"),
    ],
)
def test_a_line_of_a_calendar_that_cannot_be_is_named(folder, _case, name, content, said):
    header = (session_plan.FOLDER / name).read_text().splitlines()[0]

    (folder / name).write_text(f"{header}\n{content}\n")

    with pytest.raises(CommandError, match=f"{name}, line 2") as raised:
        load_sessions(folder / name)

    assert said in str(raised.value)
