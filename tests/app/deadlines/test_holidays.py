"""The bank holidays of the three nations, and reading newer lists."""

import json
from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.deadlines.holidays import (
    KNOWN_FROM,
    KNOWN_UNTIL,
    SHIPPED,
    Holiday,
    Nation,
    changes,
    days_in,
    easter_sunday,
    holidays_in,
    read_govuk_json,
    read_ical,
)

EW, SCOTLAND, NI = Nation.ENGLAND_AND_WALES, Nation.SCOTLAND, Nation.NORTHERN_IRELAND


def days(nation: Nation, year: int) -> list[str]:
    return [holiday.on.strftime("%m-%d") for holiday in holidays_in(nation, year)]


# ── The list that ships ───────────────────────────────────────────────────────────────────────────────────────────


def test_each_nation_has_its_own_days_in_2026() -> None:
    assert days(EW, 2026) == ["01-01", "04-03", "04-06", "05-04", "05-25", "08-31", "12-25", "12-28"]
    assert days(SCOTLAND, 2026) == [
        *["01-01", "01-02", "04-03", "05-04", "05-25", "06-15", "08-03", "11-30", "12-25", "12-28"],
    ]
    assert days(NI, 2026) == [
        *["01-01", "03-17", "04-03", "04-06", "05-04", "05-25", "07-13", "08-31", "12-25", "12-28"],
    ]


@pytest.mark.parametrize(
    ("on", "nations"),
    [
        (date(2020, 5, 8), {EW, SCOTLAND, NI}),  # VE Day, in the place of the early May holiday
        (date(2020, 5, 4), set()),
        (date(2022, 6, 2), {EW, SCOTLAND, NI}),  # the spring holiday, moved to the Platinum Jubilee
        (date(2022, 6, 3), {EW, SCOTLAND, NI}),
        (date(2022, 5, 30), set()),
        (date(2022, 9, 19), {EW, SCOTLAND, NI}),  # the state funeral of Queen Elizabeth II
        (date(2023, 5, 8), {EW, SCOTLAND, NI}),  # the coronation of King Charles III
        (date(2026, 6, 15), {SCOTLAND}),  # the World Cup
        (date(2022, 1, 4), {SCOTLAND}),  # both days of the new year at a weekend
        (date(2024, 3, 18), {NI}),
        (date(2025, 7, 14), {NI}),
        (date(2024, 12, 2), {SCOTLAND}),
    ],
)
def test_days_by_proclamation_and_substitutes_are_there(on: date, nations: set[Nation]) -> None:
    assert {nation for nation in Nation if on in days_in(nation, on.year)} == nations


def test_the_list_reaches_from_2019_to_the_end_of_2028() -> None:
    assert set(KNOWN_FROM.values()) == {date(2019, 1, 1)}
    assert set(KNOWN_UNTIL.values()) == {date(2028, 12, 31)}
    assert {nation: len(SHIPPED[nation]) for nation in Nation} == {EW: 83, SCOTLAND: 94, NI: 103}


def test_no_day_of_the_list_is_at_a_weekend_or_named_twice() -> None:
    for nation in Nation:
        assert [holiday for holiday in SHIPPED[nation] if holiday.on.weekday() >= 5] == []
        assert len({holiday.on for holiday in SHIPPED[nation]}) == len(SHIPPED[nation])


# ── Beyond its end ────────────────────────────────────────────────────────────────────────────────────────────────


def test_days_beyond_the_list_are_computed() -> None:
    assert days(EW, 2029) == ["01-01", "03-30", "04-02", "05-07", "05-28", "08-27", "12-25", "12-26"]
    assert days(SCOTLAND, 2029) == ["01-01", "01-02", "03-30", "05-07", "05-28", "08-06", "11-30", "12-25", "12-26"]
    assert days(NI, 2029)[1:3] == ["03-19", "03-30"]  # 17 March 2029 is a Saturday


def test_christmas_on_a_saturday_moves_to_monday_and_boxing_day_to_tuesday() -> None:
    assert [(day.on, day.title) for day in holidays_in(EW, 2032)[-2:]] == [
        (date(2032, 12, 27), "Christmas Day (substitute day)"),
        (date(2032, 12, 28), "Boxing Day (substitute day)"),
    ]


def test_christmas_on_a_sunday_moves_past_boxing_day() -> None:
    assert [(day.on, day.title) for day in holidays_in(EW, 2033)[-2:]] == [
        (date(2033, 12, 26), "Boxing Day"),
        (date(2033, 12, 27), "Christmas Day (substitute day)"),
    ]


def test_a_scottish_new_year_at_a_weekend_gives_monday_and_tuesday() -> None:
    assert days(SCOTLAND, 2033)[:2] == ["01-03", "01-04"]


def test_a_scottish_new_year_on_a_sunday_comes_after_the_second() -> None:
    assert [(day.on, day.title) for day in holidays_in(SCOTLAND, 2034)[:2]] == [
        (date(2034, 1, 2), "2nd January"),
        (date(2034, 1, 3), "New Year\u2019s Day (substitute day)"),
    ]


@pytest.mark.parametrize(
    "easter", [date(2008, 3, 23), date(2011, 4, 24), date(2026, 4, 5), date(2038, 4, 25), date(2049, 4, 18)]
)
def test_easter_falls_where_the_almanac_says(easter: date) -> None:
    assert easter_sunday(easter.year) == easter


@settings(deadline=None, derandomize=True)
@given(nation=st.sampled_from(Nation), year=st.integers(1980, 2200))
def test_every_year_has_its_full_number_of_holidays_on_weekdays(nation: Nation, year: int) -> None:
    usual = {EW: 8, SCOTLAND: 9, NI: 10}[nation]
    found = days_in(nation, year)
    assert usual <= len(found) <= usual + 2
    assert all(day.year == year and day.weekday() < 5 for day in found)


# ── GOV.UK's JSON ─────────────────────────────────────────────────────────────────────────────────────────────────


def govuk(*events: tuple[str, str], division: str = "scotland") -> str:
    listed = [{"title": title, "date": on, "notes": "", "bunting": True} for on, title in events]
    return json.dumps({division: {"division": division, "events": listed}})


def test_the_govuk_file_is_read_for_all_nations() -> None:
    text = json.dumps(
        {
            "england-and-wales": {
                "division": "england-and-wales",
                "events": [{"title": "Good Friday", "date": "2026-04-03", "notes": "", "bunting": False}],
            },
            "scotland": {
                "division": "scotland",
                "events": [
                    {"title": "St Andrew\u2019s Day", "date": "2026-11-30", "notes": "", "bunting": True},
                    {"title": "2nd January", "date": "2026-01-02", "notes": "", "bunting": True},
                ],
            },
        }
    )
    assert read_govuk_json("\ufeff" + text) == {
        EW: (Holiday(date(2026, 4, 3), "Good Friday"),),
        SCOTLAND: (Holiday(date(2026, 1, 2), "2nd January"), Holiday(date(2026, 11, 30), "St Andrew\u2019s Day")),
    }


def test_the_govuk_file_of_one_nation_is_read() -> None:
    text = json.dumps(json.loads(govuk(("2026-06-15", "World Cup")))["scotland"])
    assert read_govuk_json(text) == {SCOTLAND: (Holiday(date(2026, 6, 15), "World Cup"),)}


def test_the_welsh_file_is_read_as_england_and_wales() -> None:
    text = govuk(("2026-04-03", "Gwener y Groglith"), division="cymru-a-lloegr")
    assert read_govuk_json(text) == {EW: (Holiday(date(2026, 4, 3), "Gwener y Groglith"),)}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("<html>", "This is not a JSON file"),
        ("[" * 100_000, "This is not a JSON file"),
        ("[]", "not the GOV.UK list"),
        ("{}", "not the GOV.UK list"),
        ('{"france": {"division": "france", "events": []}}', "not the GOV.UK list"),
        ('{"scotland": 4}', "not the GOV.UK list"),
        ('{"scotland": {"division": ["scotland"]}}', "not the GOV.UK list"),
        ('{"scotland": {"division": "scotland", "events": []}}', "for scotland is empty"),
        ('{"scotland": {"division": "scotland", "events": [{"title": "x"}]}}', "has no date or no title"),
        (govuk(("15/06/2026", "World Cup")), "“15/06/2026” is not a date"),
    ],
)
def test_a_wrong_json_file_is_refused_with_a_sentence(text: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        read_govuk_json(text)


# ── iCalendar ─────────────────────────────────────────────────────────────────────────────────────────────────────


def ical(*lines: str) -> str:
    return "\r\n".join(["BEGIN:VCALENDAR", "VERSION:2.0", *lines, "END:VCALENDAR", ""])


def event(*lines: str) -> list[str]:
    return ["BEGIN:VEVENT", *lines, "END:VEVENT"]


def test_an_ical_file_as_govuk_writes_it_is_read() -> None:
    text = ical(
        "METHOD:PUBLISH",
        "PRODID:-//uk.gov/GOVUK calendars//EN",
        *event(
            "DTEND;VALUE=DATE:20260616",
            "DTSTART;VALUE=DATE:20260615",
            "SUMMARY:World Cup bank",
            "  holiday\\, Scotland",
            "UID:ca6af7456b0088abad9a69f9f620f5ac-0@gov.uk",
            "DTSTAMP:20260205T114130Z",
        ),
        *event("DTEND;VALUE=DATE:20260403", "DTSTART;VALUE=DATE:20260403", "SUMMARY:Good Friday"),
    )
    assert read_ical(text) == (
        Holiday(date(2026, 4, 3), "Good Friday"),
        Holiday(date(2026, 6, 15), "World Cup bank holiday, Scotland"),
    )


def test_a_closure_over_several_days_gives_each_of_them() -> None:
    text = ical(*event("DTSTART;VALUE=DATE:20261229", "DTEND;VALUE=DATE:20270101", "SUMMARY:Office closed"))
    assert [holiday.on for holiday in read_ical(text)] == [
        date(2026, 12, 29),
        date(2026, 12, 30),
        date(2026, 12, 31),
    ]


def test_an_alarm_within_an_event_and_a_cancelled_event_are_passed_over() -> None:
    text = ical(
        *event("DTSTART:20261229", "SUMMARY:Closed", "BEGIN:VALARM", "SUMMARY:Wake up", "END:VALARM"),
        *event("DTSTART:20261230", "SUMMARY:Not closed", "STATUS:CANCELLED"),
    )
    assert read_ical(text) == (Holiday(date(2026, 12, 29), "Closed"),)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "not a whole calendar file"),
        ("BEGIN:VCALENDAR\nBEGIN:VEVENT", "not a whole calendar file"),
        (ical(), "no days in this calendar file"),
        (ical("BEGIN:VEVENT"), "damaged"),
        (ical("END:VEVENT"), "damaged"),
        (ical(*event("DTSTART:20260615T090000Z", "SUMMARY:Surgery")), "“Surgery” is not a whole-day event"),
        (ical(*event("SUMMARY:Surgery")), "“Surgery” is not a whole-day event"),
        (ical(*event("DTSTART:20260231", "SUMMARY:Odd")), "no possible date: 20260231"),
        (ical(*event("DTSTART:20260101", "RRULE:FREQ=YEARLY", "SUMMARY:New Year")), "“New Year” repeats"),
        (ical(*event("DTSTART:20260101", "DTEND:20990101", "SUMMARY:Age")), "“Age” is longer than a year"),
    ],
)
def test_a_wrong_calendar_file_is_refused_with_a_sentence(text: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        read_ical(text)


@settings(deadline=None, derandomize=True)
@given(
    st.text()
    | st.lists(st.sampled_from(["BEGIN:VEVENT", "END:VEVENT", "DTSTART:20260101", "x"])).map(lambda x: ical(*x))
)
def test_any_text_is_read_or_refused_with_a_sentence(text: str) -> None:
    for read in (read_ical, read_govuk_json):
        try:
            read(text)
        except ValueError as error:
            assert str(error).endswith((".", ")"))  # noqa: PT017 - either outcome is right


# ── What a newer list changes ─────────────────────────────────────────────────────────────────────────────────────


def test_the_list_that_ships_changes_nothing() -> None:
    for nation in Nation:
        found = changes(nation, SHIPPED[nation])
        assert (found.added, found.removed, found.known_until) == ((), (), date(2028, 12, 31))


def test_a_single_new_day_is_added_and_removes_nothing() -> None:
    victory = Holiday(date(2026, 7, 20), "Victory")
    found = changes(EW, [victory])
    assert (found.added, found.removed, found.known_until) == ((victory,), (), date(2028, 12, 31))


def test_an_older_list_shows_the_day_it_lacks_as_removed() -> None:
    older = [holiday for holiday in SHIPPED[SCOTLAND] if holiday.on != date(2026, 6, 15)]
    assert [holiday.on for holiday in changes(SCOTLAND, older).removed] == [date(2026, 6, 15)]


def test_a_newly_published_year_replaces_the_computed_one() -> None:
    published = [Holiday(day, "") for day in days_in(EW, 2029) - {date(2029, 5, 7)} | {date(2029, 5, 8)}]
    found = changes(EW, published)
    assert [holiday.on for holiday in found.added] == [date(2029, 5, 8)]
    assert [holiday.on for holiday in found.removed] == [date(2029, 5, 7)]
    assert found.known_until == date(2029, 12, 31)


def test_a_year_beyond_a_gap_does_not_make_the_gap_known() -> None:
    assert changes(EW, holidays_in(EW, 2031)).known_until == date(2028, 12, 31)


def test_a_day_at_a_weekend_changes_nothing() -> None:
    assert changes(EW, [Holiday(date(2026, 4, 5), "Easter Sunday")]).added == ()
