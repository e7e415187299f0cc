use proptest::prelude::*;

use super::*;

fn hex(text: &str) -> Vec<u8> {
    text.split_whitespace().map(|b| u8::from_str_radix(b, 16).unwrap()).collect()
}

fn read(uuid: &str, bytes: &str) -> Result<Decoded, GattError> {
    decode(Characteristic::from_uuid(uuid).unwrap(), &hex(bytes), None, None)
}

fn shown(decoded: &Decoded) -> String {
    let numbers = decoded.numbers.iter().map(|(n, v)| format!("{n}={v}"));
    let words = decoded.words.iter().map(|(n, v)| format!("{n}={v}"));
    numbers.chain(words).collect::<Vec<_>>().join(" ")
}

fn all(uuid: &str, bytes: &str) -> String {
    let decoded = read(uuid, bytes).unwrap();
    let local = decoded.local.map_or_else(|| "-".to_owned(), |l| l.to_string());
    let user = decoded.user.map_or_else(|| "-".to_owned(), |u| u.to_string());
    format!("{local} {user} {}", shown(&decoded))
}

#[test]
fn the_vectors_of_the_sheet() {
    assert_eq!(
        all("2A35", "1E 80 00 52 00 61 00 EA 07 0A 04 07 29 00 43 00 01 00 00"),
        "2026-10-04T07:41:00 1 systolic=128 diastolic=82 mean=97 pulse=67 pressure_unit=mmHg body_movement=not-detected \
         loose_cuff=not-detected irregular_pulse=not-detected improper_position=not-detected"
    );
    assert_eq!(all("2A1C", "00 76 01 00 FF"), "- - temperature=37.4 temperature_unit=Cel");
}

#[test]
fn one_of_each() {
    for (uuid, bytes, expected) in [
        // kPa, tenths; neither time nor pulse.
        ("2A35", "01 AB F0 6D F0 FF 07", "- - systolic=17.1 diastolic=10.9 pressure_unit=kPa"),
        // Irregular pulse; a user who is not known; no pulse.
        (
            "0x2a35",
            "1C 80 00 52 00 61 00 FF 07 FF 04 00",
            "- - systolic=128 diastolic=82 mean=97 pressure_unit=mmHg body_movement=not-detected loose_cuff=not-detected \
          irregular_pulse=detected improper_position=not-detected",
        ),
        // 16280 steps of 5 g; a BMI, and a height that is not read.
        (
            "2A9D",
            "0E 98 3F EA 07 0A 04 07 2D 00 02 20 01 90 06",
            "2026-10-04T07:45:00 2 weight=81.400 bmi=28.8 mass_unit=kg",
        ),
        ("2A9D", "01 1E 46", "- - weight=179.50 mass_unit=lb"),
        (
            "2A9C",
            "FE 07 38 01 EA 07 0A 04 07 2D 00 02 52 1E 68 01 90 16 AA 2B 2A 27 98 1F 88 13 98 3F",
            "2026-10-04T07:45:00 2 weight=81.400 fat_percent=31.2 muscle_percent=36.0 muscle_mass=28.880 lean_mass=55.890 \
          soft_lean_mass=50.130 water_mass=40.440 basal_metabolism_kj=7762 impedance=500.0 mass_unit=kg",
        ),
        (
            "2A1C",
            "06 76 01 00 FF EA 07 0A 04 07 29 00 03",
            "2026-10-04T07:41:00 - temperature=37.4 temperature_unit=Cel site=ear",
        ),
        ("2A1C", "01 DA 03 00 FF", "- - temperature=98.6 temperature_unit=degF"),
        // 105 * 10^-5 kg/L; ten minutes after the base time.
        (
            "2A18",
            "03 07 00 EA 07 0A 04 07 29 00 0A 00 69 B0 11",
            "2026-10-04T07:51:00 - glucose_mg_dl=105 specimen=capillary-blood",
        ),
        // 58 * 10^-4 mol/L.
        (
            "2A18",
            "06 07 00 EA 07 0A 04 07 29 00 3A C0 11",
            "2026-10-04T07:41:00 - glucose_mmol_l=5.8 specimen=capillary-blood",
        ),
        ("2A5E", "01 61 00 3C 00 EA 07 0A 04 07 29 00", "2026-10-04T07:41:00 - spo2=97 pulse=60"),
        // The clock was never set; a perfusion index.
        (
            "2A5E",
            "1F 61 00 3C 00 EA 07 0A 04 07 29 00 00 01 00 00 00 1F F0",
            "- - spo2=97 pulse=60 perfusion_index=3.1",
        ),
        ("0000-2A5F", "", ""),
        (
            "2A5F",
            "1F 61 00 3C 00 60 00 3D 00 62 00 3B 00 80 01 00 00 00 1F F0",
            "- - spo2=97 pulse=60 perfusion_index=3.1",
        ),
        // Year 0: the device does not know.
        (
            "2A35",
            "02 80 00 52 00 61 00 00 00 00 00 00 00 00",
            "- - systolic=128 diastolic=82 mean=97 pressure_unit=mmHg",
        ),
    ] {
        if Characteristic::from_uuid(uuid).is_some() {
            assert_eq!(all(uuid, bytes), expected, "{uuid} {bytes}");
        }
    }
    assert_eq!(
        Characteristic::from_uuid("00002a35-0000-1000-8000-00805F9B34FB"),
        Some(Characteristic::BloodPressure)
    );
    for other in ["", "2A00", "0000-2A5F", "2A355", "é2A35", "00002a35"] {
        assert_eq!(Characteristic::from_uuid(other), None, "{other}");
    }
}

#[test]
fn what_is_no_reading_is_refused() {
    let time = "EA 07 0A 04 07 29 00";
    for (uuid, bytes, expected) in [
        ("2A35", String::new(), GattError::TooShort),
        ("2A35", "1E 80 00 52 00".into(), GattError::TooShort),
        ("2A35", "00 80 00 52 00 61 00 00".into(), GattError::TooLong),
        ("2A35", "00 FF 07 52 00 61 00".into(), GattError::NoValue),
        ("2A35", "00 80 00 00 08 61 00".into(), GattError::NoValue),
        ("2A35", "02 80 00 52 00 61 00 EA 07 0D 04 07 29 00".into(), GattError::Time),
        ("2A35", "02 80 00 52 00 61 00 EA 07 02 1E 07 29 00".into(), GattError::Time),
        ("2A35", "02 80 00 52 00 61 00 FF FF 02 1E 07 29 00".into(), GattError::Time),
        ("2A9D", "00 FF FF".into(), GattError::NoValue),
        ("2A9D", "00 00 00".into(), GattError::NoValue),
        ("2A9C", "00 00 FF FF".into(), GattError::NoValue),
        ("2A9C", "00 10 38 01".into(), GattError::SeveralPackets),
        ("2A1C", "00 FF FF 7F 00".into(), GattError::NoValue),
        ("2A1C", "00 76 01 00 05".into(), GattError::Number),
        ("2A1C", "04 76 01 00 FF 0A".into(), GattError::Reserved),
        ("2A18", format!("00 07 00 {time}"), GattError::NoValue),
        ("2A18", format!("02 07 00 {time} 69 B0 1A"), GattError::NotAPatient),
        ("2A18", format!("02 07 00 {time} 69 B0 41"), GattError::NotAPatient),
        ("2A18", format!("02 07 00 {time} 69 B0 10"), GattError::Reserved),
        ("2A18", format!("0A 07 00 {time} 69 B0 11 20 00"), GattError::NotValid),
        ("2A18", format!("0A 07 00 {time} 69 B0 11 00 08"), GattError::Clock),
        ("2A5E", "00 FF 07 3C 00".into(), GattError::NoValue),
        ("2A5E", "02 61 00 3C 00 00 04".into(), GattError::NotAPatient),
        ("2A5E", "02 61 00 3C 00 00 40".into(), GattError::NotValid),
        ("2A5F", "01 61 00 3C 00 60".into(), GattError::TooShort),
    ] {
        assert_eq!(read(uuid, &bytes).err(), Some(expected), "{uuid} {bytes}");
    }
    let pressure = hex("00 80 00 52 00 61 00");
    assert_eq!(
        decode(Characteristic::BloodPressure, &pressure, Some(&[]), None).err(),
        Some(GattError::NoContext)
    );
    assert_eq!(decode(Characteristic::BloodPressure, &[0; 513], None, None).err(), Some(GattError::TooLong));
}

#[test]
fn an_early_estimate_is_preliminary() {
    assert!(read("2A5E", "02 61 00 3C 00 40 00").unwrap().preliminary);
    assert!(!read("2A5E", "02 61 00 3C 00 00 01").unwrap().preliminary);
}

#[test]
fn the_context_of_a_glucose_measurement() {
    let value = hex("02 07 00 EA 07 0A 04 07 29 00 69 B0 11");
    let read = |context: &str| decode(Characteristic::Glucose, &value, Some(&hex(context)), None);
    let decoded = read("DF 07 00 00 01 3C E0 01 11 1E 00 32 01 0A 00 3D F0").unwrap();
    assert_eq!(shown(&decoded), "glucose_mg_dl=105 hba1c=6.1 specimen=capillary-blood meal=before-meal");
    assert_eq!(decoded.sequence, Some(7));
    assert_eq!(
        shown(&read("02 07 00 03").unwrap()),
        "glucose_mg_dl=105 specimen=capillary-blood meal=fasting"
    );
    assert_eq!(read("02 08 00 03").err(), Some(GattError::OtherContext));
    assert_eq!(read("02 07 00 06").err(), Some(GattError::Reserved));
    assert_eq!(read("02 07 00").err(), Some(GattError::TooShort));
    assert_eq!(read("00 07 00 01").err(), Some(GattError::TooLong));
}

#[test]
fn models_that_deviate_are_read_as_they_deviate() {
    let read = |c, bytes: &str, model| decode(c, &hex(bytes), None, Some(model)).map(|d| shown(&d));
    let bp = Characteristic::BloodPressure;
    let swapped = "04 80 00 52 00 61 00 00 43";
    assert!(read(bp, swapped, "BM85").unwrap().contains("pulse=67"));
    assert!(!read(bp, swapped, "BM54").is_ok_and(|s| s.contains("pulse=67")));
    assert!(
        read(bp, "04 80 00 52 00 61 00 43 00", "BM85").unwrap().contains("pulse=67"),
        "not swapped where it is right"
    );
    assert!(
        read(bp, "00 00 80 00 52 00 61", "BM92").unwrap().starts_with("systolic=128 diastolic=82 mean=97")
    );
    assert!(
        read(bp, "00 80 00 52 00 61 00", "BM92").unwrap().starts_with("systolic=128 diastolic=82 mean=97")
    );
    // The sample of the FT95 demo, which is no valid FLOAT.
    let sample = "00 76 01 FF FE";
    assert_eq!(
        read(Characteristic::Temperature, sample, "FT95").unwrap(),
        "temperature=37.4 temperature_unit=Cel"
    );
    assert_eq!(read(Characteristic::Temperature, sample, "FT13").err(), Some(GattError::Number));
}

#[test]
fn the_special_values_of_both_formats() {
    for (raw, special) in [
        (0x07ff, Special::NaN),
        (0x0800, Special::NRes),
        (0x07fe, Special::PositiveInfinity),
        (0x0802, Special::NegativeInfinity),
        (0x0801, Special::Reserved),
    ] {
        assert_eq!(Decimal::sfloat(raw), Err(special));
    }
    for (raw, special) in [
        (0x007f_ffff, Special::NaN),
        (0x0080_0000, Special::NRes),
        (0x007f_fffe, Special::PositiveInfinity),
        (0x0080_0002, Special::NegativeInfinity),
        (0x0080_0001, Special::Reserved),
    ] {
        assert_eq!(Decimal::float(raw), Err(special));
    }
    // The same mantissas with another exponent are numbers.
    assert_eq!(Decimal::sfloat(0xf7ff).unwrap().text().as_deref(), Some("204.7"));
    assert_eq!(Decimal::float(0xff80_0000).unwrap().text().as_deref(), Some("-838860.8"));
    assert_eq!(Decimal::sfloat(0x1fff).unwrap().text().as_deref(), Some("-10"));
    assert_eq!(Decimal::float(0x7f00_0001).unwrap().text(), None, "10^127 is no reading");
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(
        which in 0..Characteristic::ALL.len(), bytes in prop::collection::vec(any::<u8>(), 0..40),
        context in prop::option::of(prop::collection::vec(any::<u8>(), 0..24)), model in prop::sample::select(vec!["", "BM85", "BM92", "FT95"]),
    ) {
        let (_, which) = Characteristic::ALL[which];
        if let Ok(decoded) = decode(which, &bytes, context.as_deref(), Some(model)) {
            for (_, number) in &decoded.numbers {
                prop_assert!(ohx_domain::decimal::parse_json_number(number).is_some(), "{number}");
            }
            // Nothing may be lost at the end, or made up.
            prop_assert!(decode(which, &[&bytes[..], &[0]].concat(), None, Some(model)).is_err());
        }
    }

    /// Every SFLOAT is the decimal that it says, to the last digit.
    #[test]
    fn decimals_are_exact(mantissa in -2045_i32..=2045, exponent in -8_i32..=7) {
        let raw = u16::from_le_bytes([(mantissa & 0xff) as u8, ((mantissa >> 8 & 0x0f) | (exponent & 0x0f) << 4) as u8]);
        let decimal = Decimal::sfloat(raw).unwrap();
        prop_assert_eq!((decimal.mantissa, decimal.exponent), (mantissa, exponent));
        let text = decimal.text().unwrap();
        let digits: i64 = text.replace('.', "").parse().unwrap();
        let shift = if exponent > 0 { 10_i64.pow(exponent.unsigned_abs()) } else { 1 };
        prop_assert_eq!(digits, i64::from(mantissa) * shift);
        prop_assert_eq!(text.split_once('.').map_or(0, |(_, d)| d.len()), exponent.min(0).unsigned_abs() as usize);
    }
}
