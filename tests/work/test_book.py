"""What an operator says: who answers, who is on duty, what a community has agreed on, and what is wrong with a file."""

from __future__ import annotations

import json
from datetime import date, datetime

import pytest
from town import BUREAU, EAST, LAT, LON, STREET, WEST

from dispatcher.store import work as log
from dispatcher.store.store import Store
from dispatcher.work.book import CHECKS, Book, Page
from dispatcher.work.calendar import CHINA, Calendar
from dispatcher.work.clock import TimeType
from dispatcher.work.doubts import doubts
from dispatcher.work.duty import Duty, on_duty, responsible
from dispatcher.work.filing import Filing
from dispatcher.work.plan import Offices
from dispatcher.work.policy import Policies, bar, parse_policies, parse_zones
from dispatcher.work.step import Disposition
from models.taxonomy import Taxonomy

CALENDAR = Calendar()


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=CHINA)


# Filing conditions


def test_the_shipped_conditions_are_examples_of_known_matters() -> None:
    filing = Filing.read()
    assert all(condition.example for condition in filing.all)
    seen = {matter.code for matter in Taxonomy.read().by_code.values() if matter.kind is not None}
    assert seen <= {condition.matter for condition in filing.all}  # what cameras see has its own deadlines
    assert [c.id for c in filing.of("06001", WEST)] == ["default"]  # any other has the usual one


def test_a_district_s_own_conditions_replace_the_examples_of_a_matter_there_and_nowhere_else() -> None:
    filing = Filing.read("""
    [[condition]]
    id = "ft"
    matter = "06010"
    when = "暴露垃圾"
    type = "工作日"
    amount = 1
    division = "440304"
    [[condition]]
    id = "lh"
    matter = "06010"
    when = "暴露垃圾"
    type = "工作时"
    amount = 2
    division = "440304008"
    """)
    assert [c.id for c in filing.of("06010", WEST)] == ["lh"]  # the street's goes before the district's
    assert [(c.id, c.kind, c.amount) for c in filing.of("06010", EAST)] == [("ft", TimeType.WORKDAYS, 1)]
    assert [c.id for c in filing.of("06010", "440305001001")] == ["06010-pile", "06010-large"]
    assert [c.id for c in filing.of("06010", None)] == ["06010-pile", "06010-large"]


# Duty

DUTY = Duty.parse("""
[[department]]
code = "440304-cgj"
name = "区城管局"

[[responsibility]]
areas = ["440304"]
co_handlers = ["440304-cgj"]

[[responsibility]]
matters = ["09006"]
areas = ["440304"]
owner = "440304-cgj"
disposition = "enforcement"

[[responsibility]]
matters = ["09006"]
areas = ["440304008901"]
owner = "area"
disposition = "own"

[[officer]]
community = "440304008901"
person = "李明"

[[shift]]
office = "440304008901"
person = "夜班"
hours = "22:00-06:00"

[[shift]]
office = "440304008901"
person = "节假日班"
days = "holidays"
hours = "09:00-17:00"

[[shift]]
office = "440304008"
person = "街道值班"
days = "workdays"
begins = 2026-11-01
ends = 2026-11-30
""")
ANSWERS = {
    "a matter that nobody named": ("06010", WEST, (WEST, (BUREAU,), None)),
    "a matter of a department": ("09006", EAST, (BUREAU, (), Disposition.ENFORCEMENT)),
    "a community that does it itself": ("09006", WEST, (WEST, (), Disposition.OWN)),
    "another district": ("09006", "440305001001", ("440305001001", (), None)),
    "nobody's place": ("06010", None, (None, (), None)),
}


@pytest.mark.parametrize("row", ANSWERS.values(), ids=ANSWERS)
def test_the_row_that_names_a_case_most_closely_says_who_answers(row) -> None:
    matter, area, expected = row
    found = responsible(DUTY, matter, area)
    assert (found.office, found.co_handlers, found.disposition) == expected


ON_DUTY = {
    "on a Friday noon the officer": (WEST, "2026-11-20T12:00", ["李明"]),
    "at night the night shift": (WEST, "2026-11-20T23:00", ["夜班"]),
    "after midnight still": (WEST, "2026-11-21T05:59", ["夜班"]),
    "from six on not": (WEST, "2026-11-20T06:00", ["李明"]),
    "on a Saturday the weekend shift": (WEST, "2026-11-21T10:00", ["节假日班"]),
    "on a Saturday that is worked the officer": (WEST, "2026-10-10T10:00", ["李明"]),
    "on a holiday the weekend shift": (WEST, "2026-10-01T10:00", ["节假日班"]),
    "a street in November": (STREET, "2026-11-30T10:00", ["街道值班"]),
    "a street in December": (STREET, "2026-12-01T10:00", []),
    "nobody's roster": (EAST, "2026-11-20T12:00", []),
}


@pytest.mark.parametrize("code", ["440304008", "440304008000"])
def test_codes_that_are_padded_with_zeros_name_the_same_areas(code) -> None:
    """As the file of areas has them, from which they are copied."""
    duty = Duty.parse(f"""
    [[department]]
    code = "440304-cgj"
    name = "区城管局"
    [[responsibility]]
    areas = ["{code}"]
    owner = "440304-cgj"
    [[responsibility]]
    areas = ["440300"]
    owner = "area"
    [[shift]]
    office = "{code}"
    person = "街道值班"
    """)
    assert responsible(duty, "06010", WEST).office == BUREAU
    assert responsible(duty, "06010", "440305001001").office == "440305001001"
    for office in ("440304008", "440304008000"):
        assert [person.person for person in on_duty(duty, office, at("2026-11-20T10:00"), CALENDAR)] == ["街道值班"]
    _, (campaign,) = parse_policies(f"""
    [[campaign]]
    name = "迎检"
    begins = 2026-11-01
    ends = 2026-11-30
    areas = ["{code}"]
    """)
    assert campaign.holds("06010", WEST, date(2026, 11, 20))
    assert not campaign.holds("06010", "440305001001", date(2026, 11, 20))
    policies, _ = parse_policies(f'[[policy]]\ncommunity = "{code}"\nthreshold = 0.9')
    assert Policies(policies).of(STREET).threshold == Policies(policies).of("440304008000").threshold == 0.9
    condition = f'[[condition]]\nid="x"\nmatter="06010"\nwhen="x"\ntype="工作日"\namount=1\ndivision="{code}"'
    assert [c.id for c in Filing.read(condition).of("06010", WEST)] == ["x"]


@pytest.mark.parametrize("row", ON_DUTY.values(), ids=ON_DUTY)
def test_who_is_on_duty(row) -> None:
    office, when, expected = row
    assert [person.person for person in on_duty(DUTY, office, at(when), CALENDAR)] == expected


# Policies, zones, campaigns

POLICIES, CAMPAIGNS = parse_policies("""
[[policy]]
community = "440304008901"
matters = ["06010", "09006"]
hours = "07:00-22:00"
threshold = 0.9

[[campaign]]
name = "夜市整治"
begins = 2026-11-01
ends = 2026-11-30
matters = ["09006"]
areas = ["440304"]
weight = 3
threshold = 0.8
""")
ZONES = parse_zones(
    json.dumps(
        {
            "type": "FeatureCollection",
            "features": [
                {
                    "type": "Feature",
                    "properties": {"name": "彩田早市", "hours": "06:00-09:00", "days": "workdays"},
                    "geometry": {
                        "type": "Polygon",
                        "coordinates": [
                            [[114.045, 22.54], [114.046, 22.54], [114.046, 22.541], [114.045, 22.541], [114.045, 22.54]]
                        ],
                    },
                }
            ],
        }
    )
)
AGREED = Policies(POLICIES, CAMPAIGNS, ZONES)
BARS = {
    "in the campaign": ("09006", WEST, "2026-11-20T12:00", (0.8, 3.0, None)),
    "after the campaign": ("09006", WEST, "2026-12-01T12:00", (0.9, 1.0, None)),
    "a stall at the morning market": ("09006", WEST, "2026-11-20T08:59", (None, 1.0, "许可经营区：彩田早市")),
    "a stall after it": ("09006", WEST, "2026-11-20T09:00", (0.8, 3.0, None)),
    "a stall there on a Saturday": ("09006", WEST, "2026-11-21T08:00", (0.8, 3.0, None)),
    "garbage at the morning market": ("06010", WEST, "2026-11-20T08:00", (0.9, 1.0, None)),
    "a matter that is not pursued": ("09010", WEST, "2026-11-20T12:00", (None, 1.0, "本社区不办理此事项")),
    "at night": ("06010", WEST, "2026-11-20T23:00", (None, 1.0, "不在本社区办理时段")),
    "a community without a policy": ("06010", EAST, "2026-11-20T23:00", (None, 1.0, None)),
}


@pytest.mark.parametrize("row", BARS.values(), ids=BARS)
def test_what_a_case_must_pass(row) -> None:
    matter, area, when, expected = row
    found = bar(AGREED, CALENDAR, matter=matter, area=area, lat=LAT, lon=LON, at=at(when))
    assert (found.threshold, found.weight, found.why) == expected


def test_a_stall_beside_the_zone_is_not_permitted() -> None:
    found = bar(AGREED, CALENDAR, matter="09006", area=EAST, lat=LAT, lon=LON + 0.01, at=at("2026-11-20T08:00"))
    assert found.why is None


# Offices


def test_above_a_community_is_its_street_then_its_district_then_its_city() -> None:
    offices = Offices({WEST: "440304008000"}, {})
    chain = [WEST]
    while (above := offices.above(chain[-1])) is not None:
        chain.append(above)
    assert chain == [WEST, "440304008000", "440304", "4403"]
    assert offices.above("440304-cgj") == "440304"
    assert offices.above("440304008901003") == "440304008"  # of a grid cell that no file knows


# Files that are wrong

WRONG = {
    "a department twice": (
        Page.DUTY,
        '[[department]]\ncode="a"\nname="甲"\n[[department]]\ncode="a"\nname="乙"',
        "named twice",
    ),
    "two officers of one community": (
        Page.DUTY,
        '[[officer]]\ncommunity="1"\nperson="甲"\n[[officer]]\ncommunity="1"\nperson="乙"',
        "officer of community 1",
    ),
    "an owner that nobody knows": (Page.DUTY, '[[responsibility]]\nowner="cgj"', "'cgj' is neither"),
    "a shift that ends before it begins": (
        Page.DUTY,
        '[[shift]]\noffice="1"\nperson="甲"\nbegins=2026-11-02\nends=2026-11-01',
        "shift 1: it ends 2026-11-01",
    ),
    "hours of nonsense": (Page.DUTY, '[[shift]]\noffice="1"\nperson="甲"\nhours="nine to five"', "hours is"),
    "a word too many": (Page.DUTY, '[[officer]]\ncommunity="1"\nperson="甲"\ntel="1"', "nothing is known of tel"),
    "a table too many": (Page.DUTY, "[[officers]]", "'officers' is none of"),
    "one table where there are many": (Page.DUTY, '[officer]\ncommunity="1"', r"\[\[officer\]\]"),
    "no TOML": (Page.POLICY, "[[", "no TOML"),
    "a threshold in percent": (Page.POLICY, '[[policy]]\ncommunity="1"\nthreshold=90', "threshold is 90"),
    "a policy twice": (Page.POLICY, '[[policy]]\ncommunity="1"\n[[policy]]\ncommunity="1"', "has a policy already"),
    "a campaign without an end": (Page.POLICY, '[[campaign]]\nname="x"\nbegins=2026-11-01', "begins and ends"),
    "a deadline in weeks": (
        Page.FILING,
        '[[condition]]\nid="x"\nmatter="06010"\nwhen="x"\ntype="周"\namount=1',
        "type is '周'",
    ),
    "a deadline of nothing": (
        Page.FILING,
        '[[condition]]\nid="x"\nmatter="06010"\nwhen="x"\ntype="工作日"\namount=0',
        "amount is 0",
    ),
    "an id twice": (
        Page.FILING,
        '[[condition]]\nid="default"\nmatter="06010"\nwhen="x"\ntype="工作日"\namount=1',
        "two filing conditions",
    ),
    "zones that are none": (Page.ZONES, "{}", "no GeoJSON"),
    "a zone that is a point": (
        Page.ZONES,
        '{"type":"FeatureCollection","features":[{"properties":{"name":"x"},"geometry":{"type":"Point","coordinates":[1,2]}}]}',
        "zones, feature 1",
    ),
    "business hours of nonsense": (Page.CALENDAR, 'hours = "9-5"', "business hours"),
}


@pytest.mark.parametrize("row", WRONG.values(), ids=WRONG)
def test_a_file_that_makes_no_sense_is_refused_with_the_place(row) -> None:
    page, text, said = row
    with pytest.raises(ValueError, match=said):
        CHECKS[page](text)


def test_a_book_is_made_of_its_pages() -> None:
    book = Book.of({"calendar": 'holidays = [2027-02-08]\nhours = "08:00-20:00"', "policy": ""})
    assert not book.clock.calendar.is_workday(date(2027, 2, 8))
    assert str(book.clock.hours) == "08:00-20:00"
    assert Book.of({}).filing.of("06010", None)[0].id == "06010-pile"


# Codes that nobody knows

CONDITION = '[[condition]]\nid="x"\nmatter="6010"\nwhen="x"\ntype="工作日"\namount=1\n'
ANSWERING = '[[responsibility]]\nmatters=["6010"]\n'
SLIPS = {
    "a condition": (Page.FILING, f'{CONDITION}division="440399"'),
    "a row of who answers": (Page.DUTY, f'{ANSWERING}areas=["440399"]\n[[officer]]\ncommunity="{WEST}"\nperson="甲"'),
    "an owner": (Page.DUTY, f'{ANSWERING}owner="440399"'),
    "an officer": (Page.DUTY, f'{ANSWERING}[[officer]]\ncommunity="440399"\nperson="甲"'),
    "a shift": (Page.DUTY, f'{ANSWERING}[[shift]]\noffice="440399"\nperson="甲"'),
    "a policy": (Page.POLICY, '[[policy]]\ncommunity="440399"\nmatters=["6010"]'),
    "a campaign": (
        Page.POLICY,
        '[[campaign]]\nname="x"\nbegins=2026-11-01\nends=2026-11-02\nmatters=["6010"]\nareas=["440399","440304"]',
    ),
}


@pytest.mark.parametrize("row", SLIPS.values(), ids=SLIPS)
def test_a_code_that_nobody_knows_is_said(row) -> None:
    page, text = row
    areas = [WEST, "440304008000", "440304000000"]
    assert list(doubts(page, text, matters=Taxonomy.read().by_code, areas=areas)) == [
        "matter 6010 is no code of matters.csv",
        "no area has the code 440399, or lies below it",
    ]
    assert len(list(doubts(page, text, matters=Taxonomy.read().by_code))) == 1  # no areas: nothing is known of them


def test_a_zone_for_a_matter_that_nobody_knows_is_said() -> None:
    zones = json.dumps(
        {
            "type": "FeatureCollection",
            "features": [
                {
                    "type": "Feature",
                    "properties": {"name": "早市", "matters": ["9006"]},
                    "geometry": {"type": "Polygon", "coordinates": [[[114, 22], [115, 22], [115, 23], [114, 22]]]},
                }
            ],
        }
    )
    assert list(doubts(Page.ZONES, zones, matters=Taxonomy.read().by_code)) == ["matter 9006 is no code of matters.csv"]
    assert list(doubts(Page.CALENDAR, "", matters=())) == []


def test_nothing_of_what_is_shipped_is_doubted() -> None:
    assert list(doubts(Page.FILING, "", matters=Taxonomy.read().by_code, areas=[WEST])) == []


# Commands


def test_a_file_is_checked_and_imported_and_the_log_is_verified(run, tmp_path) -> None:
    url = f"sqlite:///{tmp_path / 'city.db'}"
    good, bad = tmp_path / "duty.toml", tmp_path / "bad.toml"
    good.write_text('[[department]]\ncode = "440304-cgj"\nname = "区城管局"\n', encoding="utf8")
    bad.write_text('[[department]]\ncode = "a b"\nname = "x"\n', encoding="utf8")
    assert run("work", "check", "duty", good)[0] == 0
    slip = tmp_path / "slip.toml"
    slip.write_text('[[officer]]\ncommunity = "440399"\nperson = "甲"\n', encoding="utf8")
    assert run("work", "check", "duty", slip, "--json")[1] == {"kind": "duty", "file": str(slip), "notes": []}
    status, _, said = run("work", "check", "duty", bad)
    assert status == 1
    assert "a b" in said
    assert run("work", "import", "duty", bad, "--store", url)[0] == 1
    assert run("work", "import", "duty", good, "--store", url)[0] == 0
    with Store.open(url) as store, store.reading() as connection:
        assert Book.of(log.books(connection)).duty.names == {BUREAU: "区城管局"}
    status, document, _ = run("audit", "verify", "--store", url, "--json")
    assert status == 0
    assert document == {"entries": 0, "head": "0" * 64, "ok": True, "broken": None, "why": None}
    status, document, said = run("audit", "verify", "--store", url, "--head", "f" * 64, "--json")
    assert (status, document["head_known"]) == (1, False)
    assert "cut short" in said
