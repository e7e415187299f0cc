//! A month of a link's coverage: a day is complete, partly there, on its way, missing, or nobody has asked for it.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};

use super::api::{Coverage, Fate, Span};
use crate::words::record;

/// A stretch at the end of what is known that nobody has asked for yet is no hole before it is so old, in seconds.
const OPEN: i64 = 36 * 3600;
/// The picture of a month: the width of a day and the height of all, in its own units.
pub(super) const DAY: u32 = 10;
pub(super) const TALL: u32 = 20;

/// What of a day is at the EHR.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Day {
    Complete,
    Partly,
    OnItsWay,
    Missing,
    NothingAsked,
    /// It lies ahead.
    Ahead,
}

impl Day {
    /// Every state that is told, for the legend.
    pub(super) const TOLD: [Self; 5] =
        [Self::Complete, Self::Partly, Self::OnItsWay, Self::Missing, Self::NothingAsked];

    pub(super) const fn text(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Partly => "partly",
            Self::OnItsWay => "on its way",
            Self::Missing => "missing",
            Self::NothingAsked => "nothing asked",
            Self::Ahead => "",
        }
    }

    pub(super) const fn sign(self) -> &'static str {
        match self {
            Self::Complete => "●",
            Self::Partly => "◐",
            Self::OnItsWay => "↻",
            Self::Missing => "▲",
            Self::NothingAsked => "○",
            Self::Ahead => "",
        }
    }

    pub(super) const fn class(self) -> &'static str {
        match self {
            Self::Complete => "good",
            Self::Partly | Self::OnItsWay => "warn",
            Self::Missing => "bad",
            Self::NothingAsked | Self::Ahead => "soft",
        }
    }

    /// How tall it is in the picture: told by its shape as well as by its colour.
    const fn tall(self) -> u32 {
        match self {
            Self::Complete => TALL,
            Self::OnItsWay => 14,
            Self::Partly => 10,
            Self::Missing => 5,
            Self::NothingAsked => 2,
            Self::Ahead => 0,
        }
    }

    /// What stretches of time make of a day. `tail` is not held against it.
    fn of(fates: impl Iterator<Item = Fate>) -> Option<Self> {
        let (mut published, mut lacks, mut way, mut never, mut any) = (false, false, false, false, false);
        for fate in fates {
            any = true;
            match fate {
                Fate::Published => published = true,
                Fate::OnItsWay => way = true,
                Fate::Failed | Fate::Refused => lacks = true,
                Fate::NeverAsked => never = true,
                Fate::BeforeHistory => {}
            }
        }
        any.then_some(match (way, published, lacks, never) {
            (true, ..) => Self::OnItsWay,
            (_, true, false, false) => Self::Complete,
            (_, true, ..) => Self::Partly,
            (_, false, true, _) => Self::Missing,
            (_, false, false, _) => Self::NothingAsked,
        })
    }

    /// Several records' day, seen as one.
    fn together(days: impl Iterator<Item = Self>) -> Self {
        let mut all = None;
        for day in days.filter(|day| *day != Self::Ahead) {
            all = Some(match (all, day) {
                (None, day) => day,
                (Some(one), day) if one == day => day,
                (Some(Self::OnItsWay | Self::Complete), Self::OnItsWay)
                | (Some(Self::OnItsWay), Self::Complete) => Self::OnItsWay,
                (Some(Self::Missing | Self::NothingAsked), Self::Missing)
                | (Some(Self::Missing), Self::NothingAsked) => Self::Missing,
                _ => Self::Partly,
            });
        }
        all.unwrap_or(Self::Ahead)
    }
}

/// A month in a time zone.
pub(super) struct Month {
    first: Date,
    zone: TimeZone,
}

/// A month as it is shown.
pub(super) struct Calendar {
    pub(super) title: String,
    /// `2026-10` and `2026-12`; the next one only where it has begun.
    pub(super) before: String,
    pub(super) after: Option<String>,
    pub(super) weeks: Vec<Vec<Option<Cell>>>,
    pub(super) strips: Vec<Strip>,
}

pub(super) struct Cell {
    pub(super) number: i8,
    /// `2026-11-17`.
    pub(super) date: String,
    /// What a screen reader says before and after the number.
    pub(super) weekday: String,
    pub(super) month: String,
    pub(super) day: Day,
    pub(super) chosen: bool,
}

/// A record's month in one line.
pub(super) struct Strip {
    pub(super) record: String,
    pub(super) name: String,
    pub(super) says: String,
    pub(super) marks: Vec<Mark>,
    pub(super) width: u32,
}

pub(super) struct Mark {
    pub(super) x: u32,
    pub(super) y: u32,
    pub(super) height: u32,
    pub(super) class: &'static str,
}

impl Month {
    /// The month that a text such as `2026-11` names, else the one that `now` is in; none that lies ahead.
    pub(super) fn of(text: Option<&str>, zone: TimeZone, now: Timestamp) -> Self {
        let current = now.to_zoned(zone.clone()).date().first_of_month();
        let named = text.and_then(|text| format!("{text}-01").parse::<Date>().ok());
        let first = named.map_or(current, Date::first_of_month).min(current);
        Self { first, zone }
    }

    /// Its days.
    pub(super) fn days(&self) -> impl Iterator<Item = Date> {
        self.first.series(1.day()).take(usize::from(self.first.days_in_month().unsigned_abs()))
    }

    /// When a day of it begins and ends: not always 24 hours apart.
    pub(super) fn edges(&self, day: Date) -> Option<(Timestamp, Timestamp)> {
        let begin = |date: Date| date.to_zoned(self.zone.clone()).ok().map(|at| at.timestamp());
        Some((begin(day)?, begin(day.tomorrow().ok()?)?))
    }

    /// When it begins and ends.
    pub(super) fn whole(&self) -> Option<(Timestamp, Timestamp)> {
        Some((self.edges(self.first)?.0, self.edges(self.first.last_of_month())?.1))
    }

    /// Each day of a record.
    fn of_record(&self, coverage: &Coverage) -> Vec<(Date, Day)> {
        let day = |date| {
            let fates = self.edges(date).map(|edges| cut(coverage, edges)).unwrap_or_default();
            // What has just not been asked for yet does not make a day incomplete that is there so far.
            let fates = fates.iter().filter(|(_, span)| !is_open(coverage, span)).map(|(_, span)| span.state);
            Day::of(fates)
        };
        let open = |date| self.edges(date).is_some_and(|edges| !cut(coverage, edges).is_empty());
        self.days()
            .map(|date| (date, day(date).unwrap_or(if open(date) { Day::NothingAsked } else { Day::Ahead })))
            .collect()
    }

    /// The calendar of some records together; `chosen` is a day such as `2026-11-17`.
    pub(super) fn calendar(&self, records: &[&Coverage], chosen: Option<Date>, now: Timestamp) -> Calendar {
        let each: Vec<Vec<(Date, Day)>> = records.iter().map(|one| self.of_record(one)).collect();
        let mut weeks: Vec<Vec<Option<Cell>>> = Vec::new();
        let lead = self.first.weekday().to_monday_zero_offset();
        let mut week: Vec<Option<Cell>> = (0..lead).map(|_| None).collect();
        for (place, date) in self.days().enumerate() {
            let day = Day::together(each.iter().filter_map(|days| days.get(place)).map(|(_, day)| *day));
            let chosen = chosen == Some(date);
            let (weekday, month) = (date.strftime("%A").to_string(), date.strftime("%B").to_string());
            week.push(Some(Cell { number: date.day(), date: date.to_string(), weekday, month, day, chosen }));
            if week.len() == 7 {
                weeks.push(std::mem::take(&mut week));
            }
        }
        if !week.is_empty() {
            week.resize_with(7, || None);
            weeks.push(week);
        }
        let month = |date: Date| date.strftime("%Y-%m").to_string();
        let next = self.first.last_of_month().tomorrow().ok();
        let today = now.to_zoned(self.zone.clone()).date();
        Calendar {
            title: self.first.strftime("%B %Y").to_string(),
            before: self.first.yesterday().map(month).unwrap_or_default(),
            after: next.filter(|next| *next <= today).map(month),
            weeks,
            strips: records.iter().zip(&each).map(|(one, days)| strip(&one.record, days)).collect(),
        }
    }
}

/// The stretches of a record that lie in a span of time, each with what of it does.
pub(super) fn cut(
    coverage: &Coverage,
    (begin, end): (Timestamp, Timestamp),
) -> Vec<((Timestamp, Timestamp), &Span)> {
    let inside = |span: &Span| (span.start.max(begin), span.end.min(end));
    let all = coverage.spans.iter().map(|span| (inside(span), span));
    all.filter(|((start, end), _)| start < end).collect()
}

/// Whether it reaches until now and is young enough that nobody had to ask for it yet. A refused reading leaves a hole that is
/// followed by what was published after it: a stretch at the end that counts as refused is only where that request's time ends.
pub(super) fn is_open(coverage: &Coverage, span: &Span) -> bool {
    let Some(last) = coverage.spans.last() else { return false };
    let published = coverage.spans.iter().rfind(|one| one.state == Fate::Published);
    let tail = match span.state {
        Fate::NeverAsked => std::ptr::eq(last, span),
        Fate::Refused => published.is_some_and(|published| span.start >= published.end),
        _ => false,
    };
    tail && last.end.as_second() - span.start.as_second() < OPEN
}

fn strip(name: &str, days: &[(Date, Day)]) -> Strip {
    let mut marks = Vec::with_capacity(days.len());
    let mut x = 0;
    for (_, day) in days {
        let height = day.tall();
        if height > 0 {
            marks.push(Mark { x: x + 1, y: TALL - height, height, class: day.class() });
        }
        x += DAY;
    }
    let told = Day::TOLD.into_iter().filter_map(|state| {
        let n = days.iter().filter(|(_, day)| *day == state).count();
        (n > 0).then(|| format!("{n} {}", state.text()))
    });
    let told: Vec<String> = told.collect();
    Strip { record: name.to_owned(), name: record(name), says: told.join(", "), marks, width: x }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn span(start: &str, end: &str, state: Fate) -> Span {
        Span { start: at(start), end: at(end), state, why: Vec::new() }
    }

    fn weight(spans: Vec<Span>) -> Coverage {
        Coverage { record: "weight".into(), spans }
    }

    fn days(month: &Month, coverage: &Coverage) -> Vec<Day> {
        month.of_record(coverage).into_iter().map(|(_, day)| day).collect()
    }

    #[test]
    fn a_day_is_as_its_stretches_are() {
        let zone = TimeZone::get("Europe/Vienna").unwrap();
        let month = Month::of(Some("2026-11"), zone, at("2026-11-20T12:00:00Z"));
        let coverage = weight(vec![
            span("2026-10-31T23:00:00Z", "2026-11-01T23:00:00Z", Fate::BeforeHistory),
            span("2026-11-01T23:00:00Z", "2026-11-10T23:00:00Z", Fate::Published),
            span("2026-11-10T23:00:00Z", "2026-11-11T11:00:00Z", Fate::Failed),
            span("2026-11-11T11:00:00Z", "2026-11-12T23:00:00Z", Fate::Published),
            span("2026-11-12T23:00:00Z", "2026-11-13T23:00:00Z", Fate::Refused),
            span("2026-11-13T23:00:00Z", "2026-11-14T23:00:00Z", Fate::NeverAsked),
            span("2026-11-14T23:00:00Z", "2026-11-15T23:00:00Z", Fate::OnItsWay),
            span("2026-11-15T23:00:00Z", "2026-11-20T09:00:00Z", Fate::Published),
            span("2026-11-20T09:00:00Z", "2026-11-20T12:00:00Z", Fate::NeverAsked),
        ]);
        let days = days(&month, &coverage);
        assert_eq!(days.len(), 30);
        assert_eq!((days[0], days[1], days[9]), (Day::NothingAsked, Day::Complete, Day::Complete));
        assert_eq!((days[10], days[11], days[12]), (Day::Partly, Day::Complete, Day::Missing));
        assert_eq!((days[13], days[14], days[15]), (Day::NothingAsked, Day::OnItsWay, Day::Complete));
        assert_eq!((days[19], days[20]), (Day::Complete, Day::Ahead));
        let calendar = month.calendar(&[&coverage], None, at("2026-11-20T12:00:00Z"));
        assert_eq!((calendar.title.as_str(), calendar.before.as_str()), ("November 2026", "2026-10"));
        assert_eq!((calendar.after, calendar.weeks.len()), (None, 6));
        assert!(calendar.weeks.iter().all(|week| week.len() == 7));
        assert_eq!(
            calendar.strips[0].says,
            "15 complete, 1 partly, 1 on its way, 1 missing, 2 nothing asked"
        );
        let cells: Vec<_> = calendar.weeks.iter().flatten().flatten().collect();
        assert_eq!((cells[12].weekday.as_str(), cells[12].month.as_str()), ("Friday", "November"));
    }

    #[test]
    fn a_hole_at_the_end_that_is_old_is_told() {
        let month = Month::of(None, TimeZone::UTC, at("2026-11-20T12:00:00Z"));
        let coverage = weight(vec![
            span("2026-11-01T00:00:00Z", "2026-11-17T00:00:00Z", Fate::Published),
            span("2026-11-17T00:00:00Z", "2026-11-20T12:00:00Z", Fate::NeverAsked),
        ]);
        let days = days(&month, &coverage);
        assert_eq!((days[15], days[16], days[19]), (Day::Complete, Day::NothingAsked, Day::NothingAsked));
    }

    #[test]
    fn the_end_of_a_request_is_no_refusal_and_a_refused_reading_is_one() {
        let month = Month::of(None, TimeZone::UTC, at("2026-11-20T12:00:00Z"));
        let mut coverage = weight(vec![
            span("2026-11-19T00:00:00Z", "2026-11-20T12:00:00Z", Fate::Published),
            span("2026-11-20T12:00:00Z", "2026-11-20T12:00:00.4Z", Fate::Refused),
            span("2026-11-20T12:00:00.4Z", "2026-11-20T12:05:00Z", Fate::NeverAsked),
        ]);
        assert_eq!(days(&month, &coverage)[19], Day::Complete);
        coverage.spans[0].end = at("2026-11-20T11:00:00Z");
        coverage.spans.insert(1, span("2026-11-20T11:00:00Z", "2026-11-20T11:00:01Z", Fate::Refused));
        coverage.spans.insert(2, span("2026-11-20T11:00:01Z", "2026-11-20T12:00:00Z", Fate::Published));
        assert_eq!(days(&month, &coverage)[19], Day::Partly);
    }

    #[test]
    fn records_together_are_as_the_worst_of_them() {
        use Day::{Ahead, Complete, Missing, NothingAsked, OnItsWay, Partly};
        for (days, expected) in [
            (vec![Complete, Complete], Complete),
            (vec![Complete, Missing], Partly),
            (vec![Complete, OnItsWay, Complete], OnItsWay),
            (vec![Missing, NothingAsked], Missing),
            (vec![NothingAsked, NothingAsked], NothingAsked),
            (vec![Complete, NothingAsked], Partly),
            (vec![Ahead, Ahead], Ahead),
            (vec![], Ahead),
        ] {
            assert_eq!(Day::together(days.iter().copied()), expected, "{days:?}");
        }
    }

    #[test]
    fn months_that_are_none_or_lie_ahead_are_this_one() {
        let now = at("2026-11-20T12:00:00Z");
        for (text, expected) in [
            ("2026-02", "2026-02-01"),
            ("2026-13", "2026-11-01"),
            ("2027-01", "2026-11-01"),
            ("", "2026-11-01"),
        ] {
            assert_eq!(Month::of(Some(text), TimeZone::UTC, now).first.to_string(), expected);
        }
        // An hour is missing on the last Sunday in March.
        let month = Month::of(Some("2026-03"), TimeZone::get("Europe/Vienna").unwrap(), now);
        let (begin, end) = month.edges("2026-03-29".parse().unwrap()).unwrap();
        assert_eq!(end.as_second() - begin.as_second(), 23 * 3600);
    }
}
