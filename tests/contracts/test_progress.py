"""What a build says: whole lines to a file, a bar with the time left to a terminal, nothing if it is to be quiet."""

import io

from rich.console import Console
from rich.table import Table

from mmzoo.contracts.progress import Screen

LONG = "x" * 300


def terminal() -> tuple[Screen, io.StringIO]:
    screen, written = Screen(), io.StringIO()
    screen.console = Console(file=written, force_terminal=True, width=100, highlight=False, markup=False)
    return screen, written


def test_lines_stand_as_they_are(capsys):
    screen = Screen()
    for line in (LONG, "[bold]no markup[/bold] :smile: 3.14", "é 漢字", "  two\n  lines"):
        screen.say(line)
    assert capsys.readouterr().out == f"{LONG}\n[bold]no markup[/bold] :smile: 3.14\né 漢字\n  two\n  lines\n"


def test_a_file_gets_no_bar(capsys):
    assert list(Screen().track(range(3), "read", 3)) == [0, 1, 2]
    with Screen().bar() as bar:
        task = bar.add_task("train", total=2, note="")
        bar.update(task, completed=1, note="loss 0.1")
    assert capsys.readouterr() == ("", "")


def test_quiet_says_nothing(capsys):
    screen = Screen(quiet=True)
    screen.say("text")
    screen.show(Table("a"))
    assert list(screen.track("ab", "read", None)) == ["a", "b"]
    assert capsys.readouterr() == ("", "")


def test_a_terminal_gets_a_bar_with_how_many_are_done_and_the_time():
    screen, written = terminal()
    assert list(screen.track(range(3), "read train", 3)) == [0, 1, 2]
    assert "read train" in written.getvalue()
    assert "3/3" in written.getvalue()
    assert "left" in written.getvalue()


def test_an_unknown_total_is_no_obstacle():
    screen, written = terminal()
    assert list(screen.track(iter("ab"), "read", None)) == ["a", "b"]
    assert "2/?" in written.getvalue()


def test_items_are_drawn_one_by_one():
    drawn = []
    items = Screen(quiet=True).track((drawn.append(i) or i for i in range(5)), "read", 5)
    assert next(items) == 0
    assert drawn == [0]
    items.close()


def test_a_failing_loop_leaves_the_bar(capsys):
    screen, _ = terminal()
    for item in screen.track(range(3), "read", 3):
        if item == 1:
            break
    with screen.bar():  # rich refuses a second bar while the first is live
        pass


def test_a_table_keeps_its_shape(capsys):
    table = Table("name", "text", width=40)
    table.add_row("a", "b " * 40)
    Screen().show(table)
    lines = capsys.readouterr().out.rstrip("\n").split("\n")
    assert {len(line) for line in lines} == {40}
