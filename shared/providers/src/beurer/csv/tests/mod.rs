mod properties;

use serde_json::Value;

use super::*;

fn options() -> Options {
    Options {
        zone: "Europe/Berlin".into(),
        date_order: None,
        accept_counts: false,
        now: "2026-11-21T10:00:00Z".parse().unwrap(),
    }
}

fn told(order: DateOrder) -> Options {
    Options { date_order: Some(order), ..options() }
}

fn export(file: &str) -> Export {
    read(file.as_bytes(), &options()).unwrap()
}

fn refused(file: &str) -> (&'static str, Option<usize>) {
    let error = read(file.as_bytes(), &options()).unwrap_err();
    (error.code(), error.line())
}

/// Every reading of a record, as JSON.
fn readings(export: &Export, kind: Kind) -> Vec<Value> {
    let of = export.records.iter().filter(|r| r.kind == kind).flat_map(|r| &r.parts);
    let parts = of.map(|p| serde_json::from_str::<Value>(p.text.reveal().get()).unwrap());
    parts.flat_map(|p| p["readings"].as_array().unwrap().clone()).collect()
}

/// The texts of the parts of all records.
fn texts(export: &Export) -> Vec<String> {
    let parts = export.records.iter().flat_map(|r| &r.parts);
    parts.map(|p| p.text.reveal().get().to_owned()).collect()
}

fn lines(export: &Export) -> Vec<(usize, Outcome, Option<Reason>)> {
    export.report.lines.iter().map(|l| (l.line, l.outcome, l.reason)).collect()
}

fn warnings(export: &Export) -> Vec<&'static str> {
    export.report.warnings.iter().map(|w| w.code).collect()
}

const GERMAN: &str = "\u{feff}Benutzerangaben\r\n\r\nVorname;Erika\r\nNachname;Muster\r\nGeburtstag;17.03.1961\r\n\
Geschlecht;Weiblich\r\nGröße;168 cm\r\n\r\nZeitraum\r\n\r\nvon;01.10.2026\r\nbis;31.10.2026\r\n\r\n\
Ausgewählte Kategorien\r\n\r\nBlutdruck;2\r\nGewicht;1\r\n\r\nBLUTDRUCK\r\n\
Datum;Uhrzeit;Sys;Dia;Puls;MAD;Manuell hinzugefügt\r\n04.10.2026;07:41;128;82;67;97;0\r\n\
05.10.2026;07:39;131;84;70;100;1\r\n\r\nMAD = Mittlerer arterieller Druck\r\n\r\nGewicht\r\n\
Datum;Uhrzeit;kg;BMI;Körperfett;Wasser;Muskeln;Knochen\r\n04.10.2026;07:45;81,40;28,8;31,2;49,6;-;0\r\n";

#[test]
fn a_german_file_in_full() {
    let export = export(GERMAN);
    let pressure = &export.records[0];
    assert_eq!((pressure.kind, pressure.readings), (Kind::BloodPressure, 2));
    assert_eq!(pressure.record().unwrap().as_str(), "blood-pressure");
    assert_eq!(
        texts(&export),
        [
            r#"{"origin":"csv","zone":"Europe/Berlin","readings":[{"at":"2026-10-04T07:41:00+02:00","local":"2026-10-04T07:41:00","systolic":128,"diastolic":82,"pulse":67,"mean":97,"pressure_unit":"mmHg","manual":false},{"at":"2026-10-05T07:39:00+02:00","local":"2026-10-05T07:39:00","systolic":131,"diastolic":84,"pulse":70,"mean":100,"pressure_unit":"mmHg","manual":true}]}"#,
            r#"{"origin":"csv","zone":"Europe/Berlin","readings":[{"at":"2026-10-04T07:45:00+02:00","local":"2026-10-04T07:45:00","weight":81.40,"bmi":28.8,"fat_percent":31.2,"water_percent":49.6,"mass_unit":"kg"}]}"#,
        ]
    );
    let window = export.window.unwrap();
    assert_eq!(window.start.to_string(), "2026-09-30T22:00:00Z");
    assert_eq!(window.end.to_string(), "2026-10-31T23:00:00Z", "the day on which summer time had ended");
    assert_eq!(pressure.window.end.to_string(), "2026-10-05T05:39:01Z");
    assert_eq!(export.report.counts, Counts { rows: 3, imported: 3, ..Counts::default() });
    assert_eq!(export.report.date_order, None);
    assert_eq!(warnings(&export), Vec::<&str>::new());
}

#[test]
fn nothing_of_the_person_and_no_value_is_in_what_is_printed() {
    let file = GERMAN.replace("128;82", "abc;82").replace("Knochen", "Knochen;Kommentar");
    let file = file.replace("31,2;49,6;-;0", "31,2;=49,6;-;0;Erika ist müde");
    let export = export(&file);
    assert_eq!(export.report.counts.left_out, 2);
    let printed =
        format!("{export:?} {} {}", serde_json::to_string(&export.report).unwrap(), texts(&export).join(" "));
    for personal in ["Erika", "Muster", "1961", "Weiblich", "168", "müde", "abc", "49,6"] {
        assert!(!printed.contains(personal), "{personal}");
    }
    assert!(!format!("{export:?}").contains("131"));
    let order = read(GERMAN.replace('.', "/").as_bytes(), &told(DateOrder::Mdy)).unwrap_err();
    assert!(!format!("{order} {order:?}").contains("2026"));
}

#[test]
fn files_of_other_locales() {
    // English, on a continental phone: points everywhere.
    let continental =
        "Blood pressure\nDate;Time;Sys;Dia;Pulse;MAP;Added manually\n04.10.2026;07:41;128;82;67;97;0\n";
    // The United Kingdom and Sweden.
    let british = "Weight\nDate;Time;kg;BMI;Body fat;Water;Muscles;Bone\n24/10/2026;07:45;81.4;28.8;31.2;49.6;36.0;2.9\n";
    // The United States.
    let american =
        "Blood Pressure\nDate;Time;Sys;Dia;Pulse;MAP;Added manually\n10/24/2026;07:41 PM;128;82;67;97;0\n";
    // HealthForYou.
    let hfy = "Weight\nDate;Time;Weight;BMI;Body fat;Water;Muscle;Bones;Added manually\n24/10/2026;07:45 pm;81.4;28.8;31.2;49.6;36.0;2.9;1\n\
Temperature\nDate;Time;TEMPERATURE;Mode;Added manually\n24/10/2026;12:10 am;36.9;Body;0\n24/10/2026;12:11 am;21.5;Room;0\n";
    let first = |file: &str, kind| readings(&export(file), kind)[0].to_string();
    let holds =
        |text: String, wanted: &[&str]| wanted.iter().for_each(|w| assert!(text.contains(w), "{text}: {w}"));
    holds(first(continental, Kind::BloodPressure), &[r#""at":"2026-10-04T07:41:00+02:00""#, r#""mean":97"#]);
    holds(
        first(british, Kind::Weight),
        &[
            r#""local":"2026-10-24T07:45:00""#,
            r#""weight":81.4"#,
            r#""muscle_percent":36.0"#,
            r#""bone_mass":2.9"#,
        ],
    );
    holds(first(american, Kind::BloodPressure), &[r#""local":"2026-10-24T19:41:00""#]);
    holds(first(hfy, Kind::Weight), &[r#""local":"2026-10-24T19:45:00""#, r#""manual":true"#]);
    holds(
        first(hfy, Kind::Temperature),
        &[r#""local":"2026-10-24T00:10:00""#, r#""temperature_unit":"Cel""#],
    );
    let hfy = export(hfy);
    assert_eq!(lines(&hfy)[2], (7, Outcome::LeftOut, Some(Reason::NotBodyTemperature)));
    assert_eq!(hfy.report.date_order, Some(DateOrder::Dmy));
    assert_eq!(export(american).report.date_order, Some(DateOrder::Mdy));
}

#[test]
fn ambiguous_dates_are_refused_and_read_as_told() {
    let file = "Blood Pressure\nDate;Time;Sys;Dia;Pulse\n04/10/2026;07:41 AM;128;82;67\n";
    let error = read(file.as_bytes(), &options()).unwrap_err();
    assert!(matches!(error, CsvError::AmbiguousDates { line: 3, .. }) && error.needs_an_answer());
    assert!(error.to_string().contains("--date-order") && error.to_string().contains("suggest month first"));
    for (order, local) in [(DateOrder::Dmy, "2026-10-04T07:41:00"), (DateOrder::Mdy, "2026-04-10T07:41:00")] {
        let export = read(file.as_bytes(), &told(order)).unwrap();
        assert_eq!(readings(&export, Kind::BloodPressure)[0]["local"], local);
    }
    // The stated period decides, where it can.
    let with = format!("from;01/10/2026\nto;31/10/2026\n{file}");
    assert_eq!(readings(&export(&with), Kind::BloodPressure)[0]["local"], "2026-10-04T07:41:00");
}

#[test]
fn what_is_no_export_is_said_to_be_what_it_is() {
    let bp = "Blutdruck\nDatum;Uhrzeit;Sys;Dia;Puls\n";
    for (file, expected) in [
        ("%PDF-1.4", ("pdf", None)),
        ("", ("empty", None)),
        ("Datum,Uhrzeit,Sys,Dia\n04.10.2026,07:41,128,82\n", ("not-an-export", None)),
        ("<html></html>", ("not-an-export", None)),
        ("Benutzerangaben\nVorname;Erika\n", ("not-an-export", None)),
        ("Blutdruck\n04.10.2026;07:41;128;82;67\n", ("no-header", Some(2))),
        ("Blutdruck\nDatum;Uhrzeit;Sys;Puls\n", ("missing-columns", Some(2))),
        ("Blutdruck\nDatum;Sys;Dia\n", ("missing-columns", Some(2))),
        ("Blutdruck\n\nDatum;Uhrzeit;kg;BMI\n", ("mixed-sections", Some(3))),
        ("Blutdruck;3\n\nBlutdruck\nDatum;Uhrzeit;Sys;Dia\n04.10.2026;07:41;128;82\n", ("counts", Some(1))),
        (&format!("{bp}04/10/2026;07:41;1;2;3\n"), ("ambiguous-dates", Some(3))),
        (&format!("{bp}13/10/2026;07:41;1;2;3\n10/13/2026;07:41;1;2;3\n"), ("date-order", Some(4))),
        (&format!("{bp}{}", "1;2\n".repeat(MAX_LINES)), ("too-many-lines", None)),
    ] {
        assert_eq!(refused(file), expected, "{}", file.get(..60).unwrap_or(file));
    }
    let zone = Options { zone: "Mars/Olympus".into(), ..options() };
    assert_eq!(read(GERMAN.as_bytes(), &zone).unwrap_err().code(), "unknown-zone");
    let large = vec![b'\n'; 50 * 1024 * 1024];
    assert_eq!(read(&large, &options()).unwrap_err().code(), "too-large");
}

#[test]
fn wrong_counts_are_refused_unless_they_are_accepted() {
    let file = GERMAN.replace("Blutdruck;2", "Blutdruck;3");
    let error = read(file.as_bytes(), &options()).unwrap_err();
    assert_eq!(error, CsvError::Counts { line: 16, section: Kind::BloodPressure, stated: 3, found: 2 });
    let export = read(file.as_bytes(), &Options { accept_counts: true, ..options() }).unwrap();
    assert_eq!((export.report.counts.imported, warnings(&export)), (3, vec!["counts"]));
    // A date in the preamble is no header.
    let dated = GERMAN.replace("Zeitraum\r\n", "Datum;21.11.2026\r\n\r\nZeitraum\r\n");
    assert_eq!(warnings(&self::export(&dated)), Vec::<&str>::new());
    // A category that has no section, and a section that is not stated.
    let file = GERMAN.replace("Gewicht;1\r\n", "Temperatur;0\r\n");
    assert_eq!(warnings(&self::export(&file)), ["count-not-stated"]);
}

#[test]
fn what_is_wrong_with_a_row_stays_with_it() {
    let file = "\
von;01.10.2026
bis;31.10.2026

Blutdruck
Datum;Uhrzeit;Sys;Dia;Puls;MAD;Manuell hinzugefügt
04.10.2026;07:41;128;82;67;97;0
04.10.2026;07:41;128;82;67;97;0
04.10.2026;07:42;128;82
04.10.2026;07:43;128;82;67;97;0;9
04.10.2026;25:44;128;82;67;97;0
32.10.2026;07:45;128;82;67;97;0
04.10.2026;07:46;128;8x2;67;97;0
04.10.2026;07:47;128;82;6 7;97;0
04.10.2026;07:48;=1+1;82;67;97;0
04.10.2026;07:49;128;82;+67;97;0
04.10.2026;07:50;128;0;67;97;0
04.11.2026;07:51;128;82;67;97;0
04.10.2026;07:52;128;82;-;;vielleicht
04.10.2026
";
    use Outcome::{Duplicate, Imported, LeftOut};
    let export = export(file);
    assert_eq!(
        lines(&export),
        [
            (6, Imported, None),
            (7, Duplicate, None),
            (8, LeftOut, Some(Reason::TooFewCells)),
            (9, LeftOut, Some(Reason::TooManyCells)),
            (10, LeftOut, Some(Reason::Unreadable)),
            (11, LeftOut, Some(Reason::Unreadable)),
            (12, LeftOut, Some(Reason::Unreadable)),
            (13, Imported, None),
            (14, LeftOut, Some(Reason::Formula)),
            (15, LeftOut, Some(Reason::Formula)),
            (16, LeftOut, Some(Reason::Empty)),
            (17, LeftOut, Some(Reason::OutsidePeriod)),
            (18, Imported, None),
            (19, LeftOut, Some(Reason::TooFewCells)),
        ]
    );
    let columns: Vec<_> = export.report.lines.iter().map(|l| l.column.as_deref()).collect();
    assert_eq!(columns[4..7], [Some("Uhrzeit"), Some("Datum"), Some("Dia")]);
    assert_eq!(columns[8..10], [Some("Sys"), Some("Puls")]);
    assert_eq!(
        export.report.lines[7].cells,
        [CellReport { column: "Puls".into(), reason: Reason::Unreadable }]
    );
    assert_eq!(export.report.lines[12].cells[0].column, "Manuell hinzugefügt");
    let counts = Counts { rows: 14, imported: 3, duplicates: 1, left_out: 10, cells_left_out: 2 };
    assert_eq!((export.report.counts, export.report.records["blood-pressure"]), (counts, counts));
    assert_eq!(readings(&export, Kind::BloodPressure).len(), 3);
}

#[test]
fn the_future_is_left_out() {
    let file = "Temperatur\nDatum;Uhrzeit;°C;Kommentar;Medikation\n21.11.2026;11:05;36,9;;\n21.11.2026;11:11;36,9;;\n";
    let export = export(file);
    assert_eq!(lines(&export)[1], (4, Outcome::LeftOut, Some(Reason::Future)));
    assert_eq!(export.report.counts.imported, 1, "clocks differ a little");
    // A stated period that is not over yet ends now.
    let stated = self::export(&format!("von;01.11.2026\nbis;30.11.2026\n{file}"));
    assert_eq!(stated.window.unwrap().end.to_string(), "2026-11-21T10:05:01Z");
}

#[test]
fn hours_that_summer_time_takes_or_doubles_are_noted() {
    let file =
        "Temperatur\nDatum;Uhrzeit;°C\n29.03.2026;02:30;36,9\n25.10.2026;02:30;36,9\n25.10.2026;03:00;36,9\n";
    let export = export(file);
    let times: Vec<_> =
        readings(&export, Kind::Temperature).iter().map(|r| r["at"].as_str().unwrap().to_owned()).collect();
    assert_eq!(
        times,
        ["2026-03-29T03:30:00+02:00", "2026-10-25T02:30:00+02:00", "2026-10-25T03:00:00+01:00"]
    );
    let notes: Vec<_> = export.report.lines.iter().map(|l| l.time).collect();
    assert_eq!(notes, [Some(Shift::DstGap), Some(Shift::DstOverlap), None]);
    assert!(warnings(&export).contains(&"clock-change"));
}

#[test]
fn sections_and_columns_that_are_not_known_are_reported() {
    let file = "\
Schlaf
Datum;Uhrzeit;Tiefschlaf
04.10.2026;07:00;120

Gewicht
Datum;Uhrzeit;kg;Aura;Kommentar;kg;12345
04.10.2026;07:45;81,4;9;=SUMME(A1);80;
04.10.2026;07:46;81,4;9;ein;Kommentar;mit;Strichpunkten

Hinweis;nur geschätzt
";
    let export = export(file);
    assert_eq!(
        lines(&export),
        [
            (3, Outcome::LeftOut, Some(Reason::UnknownSection)),
            (7, Outcome::Imported, None),
            (8, Outcome::Imported, None),
        ]
    );
    assert_eq!(warnings(&export), ["unknown-section", "not-understood", "no-counts"]);
    assert!(export.report.warnings[0].text.contains("Schlaf"));
    let columns: Vec<_> = export.report.columns.iter().map(|c| (c.column.as_str(), c.reason)).collect();
    assert_eq!(
        columns,
        [
            ("Aura", NotRead::Unknown),
            ("Kommentar", NotRead::FreeText),
            ("kg", NotRead::Twice),
            ("(not shown)", NotRead::Unknown),
        ]
    );
    assert_eq!(export.report.counts.rows, 3);
    // Columns that are known, under a title that is not.
    let other = "Tension artérielle\nDate;Time;Sys;Dia\n04.10.2026;07:41;128;82\n";
    assert_eq!(warnings(&self::export(other)), ["no-title", "no-counts"]);
}

#[test]
fn the_scale_with_28_columns() {
    let file = "Weight\nDate;Time;kg;BMI;Body fat;Water;Muscles;Bone;Fat left arm;Fat right arm;Fat left leg;Fat right leg;Fat trunk;\
Visceral fat;Muscle left arm;Muscle right arm;Muscle left leg;Muscle right leg;Muscle trunk;Metabolic age;Visceral fat level;Pulse;\
Soft lean mass;Lean body mass;Protein;Muscle mass incl. organs;Comment;Medication\n\
04.10.2026;07:45;81,4;28,8;31,2;49,6;36,0;2,9;30,1;30,2;30,3;30,4;30,5;11,0;35,1;35,2;35,3;35,4;35,5;52;9;0;50,1;56,0;16,2;53,1;gut;\n";
    let export = export(file);
    let reading = &readings(&export, Kind::Weight)[0];
    let members = reading.as_object().unwrap();
    assert_eq!(members.len(), 2 + 23 + 1, "times, all values but the pulse, and the unit: {members:?}");
    assert!(!members.contains_key("pulse"), "0 is not measured");
    for (name, value) in [
        ("fat_right_leg", 30.4),
        ("muscle_trunk", 35.5),
        ("metabolic_age", 52.0),
        ("muscle_mass_with_organs", 53.1),
    ] {
        assert_eq!(reading[name].as_f64(), Some(value), "{name}");
    }
}

#[test]
fn a_weight_in_pounds_leaves_masses_out_whose_unit_is_not_known() {
    let export = export("Weight\nDate;Time;lb;BMI;Bone\n10/24/2026;07:45 AM;179.5;28.8;6.4\n");
    let reading = &readings(&export, Kind::Weight)[0];
    assert_eq!((reading["mass_unit"].as_str(), reading.get("bone_mass")), (Some("lb"), None));
    assert_eq!(export.report.columns[0].reason, NotRead::UnitUnknown);
}

#[test]
fn glucose_in_two_units_is_one_value() {
    let file = "Blutzucker\nDatum;Uhrzeit;mg/dL;mmol/L;Mahlzeit;HbA1c;Kommentar\n\
04.10.2026;07:41;105;5,8;Nüchtern;;\n04.10.2026;07:42;105;7,8;;;\n04.10.2026;07:43;;5,8;dazwischen;;\n04.10.2026;07:44;;;;6,1;\n";
    let export = export(file);
    assert_eq!(lines(&export)[1], (4, Outcome::LeftOut, Some(Reason::UnitsDisagree)));
    let readings = readings(&export, Kind::Glucose);
    assert_eq!(readings[0]["glucose_mg_dl"], 105);
    assert_eq!((readings[0].get("glucose_mmol_l"), readings[0]["meal"].as_str()), (None, Some("fasting")));
    assert_eq!((readings[1]["glucose_mmol_l"].as_f64(), readings[1].get("meal")), (Some(5.8), None));
    assert_eq!(export.report.lines[2].cells[0].column, "Mahlzeit");
    assert_eq!(readings[2]["hba1c"].as_f64(), Some(6.1));
}

#[test]
fn sessions_of_the_oximeter() {
    let file = "Pulsoxymeter\nDatum;Startzeit;Endzeit;Dauer;SpO2 (Min);SpO2 (Max);SpO2 (Durchschnitt);bpm;Kommentar;Medikation\n\
04.10.2026;23:50;00:10;00:20:00;93;99;97;61;;\n04.10.2026;08:00;08:00;00:00:20;93;99;97;61;;\n\
\nPulsoximeter\nDatum;Uhrzeit;SpO2;Pulsrate;Kommentar\n05.10.2026;08:00;98;60;\n";
    let readings = readings(&export(file), Kind::OxygenSaturation);
    assert_eq!(readings[0]["at"], "2026-10-04T23:50:00+02:00");
    assert_eq!(readings[0]["end"], "2026-10-05T00:10:00+02:00");
    assert_eq!(
        (&readings[0]["spo2"], &readings[0]["spo2_min"], &readings[0]["spo2_max"]),
        (&97.into(), &93.into(), &99.into())
    );
    assert_eq!((readings[1].get("end"), readings[2]["spo2"].as_i64()), (None, Some(98)));
}

#[test]
fn reading_twice_and_in_another_language_gives_the_same() {
    let again = texts(&export(GERMAN));
    assert_eq!(texts(&export(GERMAN)), again);
    let english = "Blood pressure\nDate;Time;Dia;Sys;Added manually;MAP;Pulse\n\
04/10/2026;07:41;82;128;0;97;67\n05/10/2026;07:39;84;131;1;100;70\n";
    let english = read(english.as_bytes(), &told(DateOrder::Dmy)).unwrap();
    assert_eq!(readings(&english, Kind::BloodPressure), readings(&export(GERMAN), Kind::BloodPressure));
}
