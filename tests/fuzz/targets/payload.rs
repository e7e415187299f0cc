//! Any bytes as a page, under a document that comes with the program.
//!
//! The first byte says which document; whether the rest is the page itself, or says how a recorded page is changed; and
//! whether everything of the time is known.
#![no_main]

use libfuzzer_sys::arbitrary::Unstructured;
use libfuzzer_sys::fuzz_target;
use ohx_fuzz::{DOCUMENTS, check, context, seed, tree};

const CHANGED: u8 = 0x80;
const COVERS: u8 = 0x40;

fn seeds() -> Vec<(String, Vec<u8>)> {
    let mut seeds = Vec::new();
    for (n, document) in DOCUMENTS.iter().enumerate() {
        let number = u8::try_from(n).expect("few documents");
        for (m, page) in document.pages.iter().enumerate() {
            for (name, how) in [("", 0), ("-covered", COVERS)] {
                let input = [&[number | how], page.as_bytes()].concat();
                seeds.push((format!("{}-{m}{name}", document.record), input));
            }
            let change = [&[number | CHANGED | COVERS][..], &[m as u8; 32]].concat();
            seeds.push((format!("{}-{m}-changed", document.record), change));
        }
    }
    seeds
}

fuzz_target!(
    init: seed(seeds()),
    |data: &[u8]| {
        let Some((how, rest)) = data.split_first() else { return };
        let document = &DOCUMENTS[usize::from(how & 0x3f) % DOCUMENTS.len()];
        let context = context(how & COVERS != 0);
        if how & CHANGED == 0 {
            return check(&document.mapping, rest, &context);
        }
        if let Some(page) = tree::changed(&document.pages, &mut Unstructured::new(rest)) {
            check(&document.mapping, page.as_bytes(), &context);
        }
    }
);
