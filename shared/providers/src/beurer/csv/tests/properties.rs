//! Whatever the bytes, and whatever the locale.

use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone)]
struct Made {
    day: i8,
    minute: u16,
    values: [u16; 4],
    manual: bool,
}

fn made() -> impl Strategy<Value = Vec<Made>> {
    let values = (1_u16..400, 1_u16..300, 1_u16..250, 1_u16..300);
    let one = (1_i8..=30, 0_u16..1440, values, any::<bool>())
        .prop_map(|(day, minute, (a, b, c, d), manual)| Made { day, minute, values: [a, b, c, d], manual });
    prop::collection::vec(one, 0..40)
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = read(&bytes, &options());
    }

    #[test]
    fn no_damage_makes_it_panic(at in any::<prop::sample::Index>(), put in "[\\PC;\"\n\r0-9./:,=+-]{0,12}", cut in 0_usize..40) {
        let mut chars: Vec<char> = GERMAN.chars().collect();
        let at = at.index(chars.len());
        let end = (at + cut).min(chars.len());
        chars.splice(at..end, put.chars());
        let file: String = chars.into_iter().collect();
        if let Ok(export) = read(file.as_bytes(), &options()) {
            let counts = export.report.counts;
            prop_assert_eq!(counts.rows, counts.imported + counts.duplicates + counts.left_out);
            let taken: u64 = export.records.iter().map(|r| r.readings).sum();
            prop_assert_eq!(taken, counts.imported);
        }
    }

    /// Whatever the locale, every value comes back with its digits, and every row is accounted for.
    #[test]
    fn what_was_exported_is_read(rows in made(), locale in 0..4_usize, crlf in any::<bool>(), bom in any::<bool>()) {
        let date = |d: i8| match locale {
            0 | 1 => format!("{d:02}.10.2026"),
            2 => format!("{d:02}/10/2026"),
            _ => format!("10/{d:02}/2026"),
        };
        let time = |m: u16| match locale {
            3 => {
                let (hour, half) = (m / 60 % 12, if m / 60 < 12 { "AM" } else { "PM" });
                format!("{:02}:{:02} {half}", if hour == 0 { 12 } else { hour }, m % 60)
            }
            _ => format!("{:02}:{:02}", m / 60, m % 60),
        };
        let decimal = if locale == 0 { "," } else { "." };
        let mut file = vec![format!("from;{}", date(1)), format!("to;{}", date(31)), String::new(),
            format!("Blood pressure;{}", rows.len()), String::new(), "Blood pressure".into(),
            "Date;Time;Sys;Dia;Pulse;MAP;Added manually".into()];
        for row in &rows {
            let [a, b, c, d] = row.values;
            file.push(format!("{};{};{a}{decimal}5;{b};{c}{decimal}00;{d};{}", date(row.day), time(row.minute), u8::from(row.manual)));
        }
        let file = file.join(if crlf { "\r\n" } else { "\n" });
        let file = if bom { format!("\u{feff}{file}") } else { file };
        let export = read(file.as_bytes(), &options()).unwrap();
        let mut wanted: Vec<String> = Vec::new();
        for row in &rows {
            let [a, b, c, d] = row.values;
            let local = format!("2026-10-{:02}T{:02}:{:02}:00", row.day, row.minute / 60, row.minute % 60);
            let text = format!(r#""local":"{local}","systolic":{a}.5,"diastolic":{b},"pulse":{c}.00,"mean":{d},"pressure_unit":"mmHg","manual":{}}}"#, row.manual);
            if !wanted.contains(&text) {
                wanted.push(text);
            }
        }
        let texts = texts(&export).join("\n");
        prop_assert!(wanted.iter().all(|w| texts.contains(w)), "{texts}");
        prop_assert_eq!(export.report.counts.imported, u64::try_from(wanted.len()).unwrap());
        prop_assert_eq!(export.report.counts.duplicates, u64::try_from(rows.len() - wanted.len()).unwrap());
    }
}
