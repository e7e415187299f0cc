//! Pages as busy accounts have them, the same every time.

use std::fmt::Write as _;

/// The second at which the first sample was taken.
const FIRST: usize = 1_704_000_000;

/// Withings getmeas, `groups` measure groups: weigh-ins with body composition, blood pressures, temperatures, oxygen.
pub(crate) fn getmeas(groups: usize) -> String {
    let mut text = String::from(
        r#"{"status":0,"body":{"updatetime":1704770000,"timezone":"Europe/Amsterdam","measuregrps":["#,
    );
    for n in 0..groups {
        if n > 0 {
            text.push(',');
        }
        let date = FIRST + n * 977;
        let wobble = (n * 7919) % 1000;
        let measures = match n % 4 {
            0 => format!(
                r#"{{"value":{},"type":1,"unit":-3,"algo":218235904,"fm":3}},{{"value":{},"type":8,"unit":-2}},{{"value":{},"type":6,"unit":-3}},{{"value":{},"type":5,"unit":-2,"position":7}},{{"value":{},"type":76,"unit":-2}},{{"value":{},"type":88,"unit":-2}}"#,
                80_000 + wobble,
                1_500 + wobble / 10,
                19_000 + wobble,
                6_500 + wobble / 10,
                6_200 + wobble / 10,
                310 + wobble / 100
            ),
            1 | 2 => format!(
                r#"{{"value":{},"type":9,"unit":0}},{{"value":{},"type":10,"unit":0}},{{"value":{},"type":11,"unit":0}}"#,
                70 + wobble % 20,
                115 + wobble % 30,
                58 + wobble % 25
            ),
            _ => format!(
                r#"{{"value":{},"type":71,"unit":-2}},{{"value":{},"type":54,"unit":0}}{}"#,
                3_640 + wobble % 90,
                95 + wobble % 5,
                // Some oximeters tell the pulse.
                if n % 20 % 8 == 3 { r#",{"value":71,"type":11,"unit":0}"# } else { "" }
            ),
        };
        let _never_fails = write!(
            text,
            r#"{{"grpid":{},"attrib":0,"date":{date},"created":{},"modified":{},"category":1,"deviceid":"51e8d0e7d16da9ff673accf10958ca94fea55d6e","hash_deviceid":"51e8d0e7d16da9ff673accf10958ca94fea55d6e","measures":[{measures}],"modelid":18,"model":"Body Comp","comment":null}}"#,
            5_000_000_000_u64 + n as u64,
            date + 60,
            date + 60
        );
    }
    text.push_str("]}}");
    text
}

/// Withings getintradayactivity: `samples` heart rates, one a minute.
pub(crate) fn heart_rates(samples: usize) -> String {
    let mut text = String::from(r#"{"status":0,"body":{"series":{"#);
    for n in 0..samples {
        let _never_fails = write!(
            text,
            r#"{}"{}":{{"heart_rate":{},"model":"ScanWatch","model_id":93,"deviceid":"892359876fd8805ac45bab078c4828692f0276b1"}}"#,
            if n > 0 { "," } else { "" },
            FIRST + n * 60,
            48 + (n * 7919) % 97
        );
    }
    text.push_str("}}}");
    text
}
