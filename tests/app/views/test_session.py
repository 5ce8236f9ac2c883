"""When a login that rests is over."""

from app.views.session import Activity, LoggedIn

LOGIN = LoggedIn("rita", begun=1000.0, until=9000.0)
LONGEST_S = 60.0


def test_who_does_something_stays() -> None:
    activity = Activity()
    assert not any(activity.rested(LOGIN, 1000.0 + 59.0 * step, LONGEST_S) for step in range(20))


def test_who_rests_is_out_and_stays_out() -> None:
    activity = Activity()
    assert not activity.rested(LOGIN, 1001.0, LONGEST_S)
    assert not activity.rested(LOGIN, 1061.0, LONGEST_S)
    assert activity.rested(LOGIN, 1121.5, LONGEST_S)
    # Coming back a moment later does not begin it anew.
    assert activity.rested(LOGIN, 1122.0, LONGEST_S)
    assert not activity.rested(LoggedIn("rita", 1123.0, 9000.0), 1123.0, LONGEST_S)


def test_a_clock_of_the_page_is_nobody() -> None:
    activity = Activity()
    assert not activity.rested(LOGIN, 1010.0, LONGEST_S)
    assert not activity.rested(LOGIN, 1060.0, LONGEST_S, somebody=False)
    assert activity.rested(LOGIN, 1071.0, LONGEST_S, somebody=False)


def test_a_process_that_begins_anew_lets_nobody_in_who_may_have_rested() -> None:
    assert Activity().rested(LOGIN, 1061.0, LONGEST_S)
    assert not Activity().rested(LOGIN, 1059.0, LONGEST_S)


def test_logging_out_ends_one_login_in_all_windows() -> None:
    activity = Activity()
    other = LoggedIn("otto", 1000.0, 9000.0)
    activity.end(LOGIN)
    assert activity.rested(LOGIN, 1001.0, LONGEST_S)
    assert not activity.rested(other, 1001.0, LONGEST_S)
