//! Any text as a mapping document: it is refused with a place in it, or it maps the recorded pages.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ohx_fuzz::{DOCUMENTS, check, context, seed};
use ohx_mapping::Mapping;

fuzz_target!(
    init: seed(DOCUMENTS.iter().map(|d| (format!("built-in-{}", d.record), d.text.into()))),
    |text: &str| {
        let mapping = match Mapping::parse(text) {
            Ok(mapping) => mapping,
            Err(error) => {
                // YAML ends a line at a carriage return too.
                let lines = text.matches(['\n', '\r']).count() + 1;
                assert!(error.line <= lines, "a place outside of the document");
                assert!(!error.what.is_empty() && !error.to_string().is_empty());
                return;
            }
        };
        let _either = mapping.check_examples();
        for covers in [false, true] {
            let context = context(covers);
            for page in DOCUMENTS.iter().flat_map(|d| &d.pages) {
                check(&mapping, page.as_bytes(), &context);
            }
        }
    }
);
