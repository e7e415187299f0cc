//! Recordings of the heart: the class, and the signal. The blood pressure and the pulse beside them come with getmeas.

use std::collections::BTreeMap;

use ohx_domain::decimal::Exact;

use super::{Common, OWN, Reading, UTC, When, divided, rhythm};
use crate::withings::data::Account;
use crate::withings::life::Ecg;

fn from(record: &'static str, ecg: &Ecg) -> Common<'static> {
    let (id, when) = (ecg.signalid.to_string(), When::at(ecg.timestamp));
    Common { record, id, when, zone: &UTC, preliminary: false }
}

/// Recordings that have a signal, and a plan that includes what is said of it.
fn ecgs(account: &Account) -> impl Iterator<Item = &Ecg> {
    account.life.ecgs.values().filter(|ecg| !ecg.signal.is_empty() && !account.life.basic)
}

/// The class of each ECG.
pub(super) fn list(account: &Account) -> Vec<Reading> {
    let of = |ecg: &Ecg| {
        let class = rhythm(ecg.afib).map(|class| (OWN, class.to_owned()));
        from("heart-list", ecg).reading(
            "ecg-classification",
            "ecg-classification",
            class.into_iter().collect(),
        )
    };
    ecgs(account).filter_map(of).collect()
}

/// The signal of each ECG in microvolts, as lead I, and the pulse in it.
pub(super) fn get(account: &Account) -> Vec<Reading> {
    let of = |ecg: &Ecg| {
        let interval = divided(Exact::from(1000), ecg.sampling_frequency.into(), 9)?;
        // Digits that say nothing: an interval is not measured.
        let interval = interval.trim_end_matches('0').trim_end_matches('.');
        let signal: Vec<String> = ecg.signal.iter().map(ToString::to_string).collect();
        let mut values = BTreeMap::from([("131329", format!("{} uV every {interval} ms", signal.join(" ")))]);
        if ecg.heart_rate != 0 {
            values.insert("8867-4", format!("{} /min", ecg.heart_rate));
        }
        from("heart-get", ecg).reading("ecg", "11524-6", values)
    };
    ecgs(account).filter_map(of).collect()
}
