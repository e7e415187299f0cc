//! What Beurer's app on a phone exports: a file as HealthManager Pro writes it, in German, and what it says.

use std::fmt::Write as _;

use anyhow::Context as _;
use jiff::ToSpan as _;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use ohx_domain::Instant;
use ohx_sandbox::{OWN, Reading};

/// A person's export.
pub(crate) struct Export {
    zone: TimeZone,
    pressures: Vec<(DateTime, u32, u32, u32)>,
    /// In hundredths of a kilogram.
    weights: Vec<(DateTime, u32)>,
}

impl Export {
    /// So many days until yesterday: blood pressure morning and evening, and a weighing a day.
    pub(crate) fn new(zone: &str, now: Instant, days: u32, salt: u32) -> anyhow::Result<Self> {
        let zone = TimeZone::get(zone).with_context(|| format!("the zone {zone}"))?;
        let today = zone.to_datetime(now).date();
        let (mut pressures, mut weights) = (Vec::new(), Vec::new());
        for day in 1..=days {
            let date = today.checked_sub(i64::from(day).days())?;
            // No chance in it: the same every time, and different every day.
            let wave = |period: u32, span: u32| (day * 7 + salt * 13) % period % span;
            let minute = i8::try_from(wave(59, 50))?;
            pressures.push((
                date.at(7, minute, 0, 0),
                122 + wave(23, 17),
                76 + wave(19, 11),
                61 + wave(17, 13),
            ));
            pressures.push((
                date.at(20, minute, 0, 0),
                127 + wave(29, 19),
                79 + wave(13, 9),
                66 + wave(11, 9),
            ));
            weights.push((date.at(7, minute + 5, 0, 0), 8140 + wave(31, 29) * 5));
        }
        Ok(Self { zone, pressures, weights })
    }

    /// The times, in Unix seconds, and grams of the weighings: what the app writes to Health Connect as well.
    pub(crate) fn weighings(&self) -> anyhow::Result<Vec<(i64, u32)>> {
        let one = |(at, weight): &(DateTime, u32)| Ok((self.instant(*at)?.as_second(), weight * 10));
        self.weights.iter().map(one).collect()
    }

    /// The file.
    pub(crate) fn file(&self) -> String {
        let date = |at: &DateTime| at.strftime("%d.%m.%Y").to_string();
        let days = self.weights.iter().map(|(at, _)| *at);
        let (first, last) = (days.clone().min().unwrap_or_default(), days.max().unwrap_or_default());
        let mut text = format!(
            "Zeitraum\n\nvon;{}\nbis;{}\n\nAusgewählte Kategorien\n\nBlutdruck;{}\nGewicht;{}\n\n",
            date(&first),
            date(&last),
            self.pressures.len(),
            self.weights.len()
        );
        text.push_str("BLUTDRUCK\nDatum;Uhrzeit;Sys;Dia;Puls;MAD;Manuell hinzugefügt\n");
        for (at, systolic, diastolic, pulse) in &self.pressures {
            let time = at.strftime("%H:%M");
            // Writing to a String does not fail.
            let _ = writeln!(text, "{};{time};{systolic};{diastolic};{pulse};;0", date(at));
        }
        text.push_str("\nGewicht\nDatum;Uhrzeit;kg;BMI;Körperfett;Wasser;Muskeln;Knochen\n");
        for (at, weight) in &self.weights {
            let time = at.strftime("%H:%M");
            let _ = writeln!(text, "{};{time};{},{:02};;;;;", date(at), weight / 100, weight % 100);
        }
        text
    }

    /// What a correct consumer delivers of it.
    pub(crate) fn readings(&self) -> anyhow::Result<Vec<Reading>> {
        let mut all = Vec::new();
        for (at, systolic, diastolic, pulse) in &self.pressures {
            let panel = [("8480-6", format!("{systolic} mm[Hg]")), ("8462-4", format!("{diastolic} mm[Hg]"))];
            all.push(self.reading("blood-pressure", "blood-pressure", "85354-9", *at, &panel)?);
            let pulse = [(OWN, format!("{pulse} /min"))];
            all.push(self.reading("blood-pressure", "heart-rate", "8867-4", *at, &pulse)?);
        }
        for (at, weight) in &self.weights {
            let said = [(OWN, format!("{}.{:02} kg", weight / 100, weight % 100))];
            all.push(self.reading("weight", "body-weight", "29463-7", *at, &said)?);
        }
        Ok(all)
    }

    fn instant(&self, at: DateTime) -> anyhow::Result<Instant> {
        Ok(self.zone.to_ambiguous_timestamp(at).compatible()?)
    }

    fn reading(
        &self,
        record: &'static str,
        kind: &'static str,
        code: &'static str,
        at: DateTime,
        values: &[(&'static str, String)],
    ) -> anyhow::Result<Reading> {
        let instant = self.instant(at)?;
        let when = instant.display_with_offset(self.zone.to_offset(instant)).to_string();
        Ok(Reading {
            record,
            id: String::new(),
            kind,
            position: None,
            code,
            date: instant.as_second(),
            when,
            preliminary: false,
            values: values.iter().cloned().collect(),
        })
    }
}
