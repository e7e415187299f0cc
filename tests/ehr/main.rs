//! What is promised of an EHR, held by FHIR servers that we did not write: Medplum's router, Helios HFS, and the sandbox
//! that every other test uses.
//!
//! Each promise of `promises` is a test of its own on each server, and goes through every strategy and bundle. What a
//! server does otherwise than FHIR says, or than a careful server would, is an entry of `wrong`, and its tests expect just
//! that. HFS takes long to build: its tests are left out of `cargo test`, and `make test-hfs` runs them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods, missing_docs)]

#[path = "../r5/codes.rs"]
#[allow(dead_code)]
mod codes;
#[path = "../r5/definitions.rs"]
#[allow(dead_code)]
mod definitions;
#[path = "../r5/invariants.rs"]
#[allow(dead_code)]
mod invariants;
#[path = "../r5/json.rs"]
#[allow(dead_code)]
mod json;
#[path = "../r5/loinc.rs"]
#[allow(dead_code)]
mod loinc;
#[path = "../r5/outputs.rs"]
#[allow(dead_code)]
mod outputs;
#[path = "../r5/primitive.rs"]
mod primitive;
#[path = "../r5/validate.rs"]
#[allow(dead_code)]
mod validate;

mod mapped;
mod promises;
mod race;
mod readings;
mod servers;
mod tokens;
mod wrong;

/// A test for each promise, with attributes or none.
macro_rules! promises {
    ($server:ident, $attributes:tt) => {
        promises!($server, $attributes,
            promises::new_readings_arrive_once_and_digit_for_digit,
            promises::the_same_again_costs_no_version,
            promises::a_correction_replaces_and_an_older_version_does_not,
            promises::one_bad_entry_does_not_block_the_others,
            promises::a_device_comes_first_and_is_referred_to,
            promises::every_page_of_a_search_is_read,
            race::thirty_two_writers_at_once_leave_one,
            mapped::everything_that_is_mapped_is_taken_and_stays_valid,
        );
    };
    ($server:ident, $attributes:tt,) => {};
    ($server:ident, { $($attribute:tt)* }, $file:ident::$promise:ident, $($more:tt)*) => {
        #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
        $($attribute)*
        async fn $promise() {
            crate::$file::$promise(crate::servers::$server()).await;
        }
        promises!($server, { $($attribute)* }, $($more)*);
    };
}

mod sandbox {
    promises!(sandbox, {});
}

mod medplum {
    promises!(medplum, {});
}

mod hfs {
    promises!(hfs, { #[ignore = "make test-hfs builds the server"] });

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    #[ignore = "make test-hfs builds the server"]
    async fn only_a_token_of_the_right_key_and_scope_is_taken() {
        crate::tokens::only_a_token_of_the_right_key_and_scope_is_taken(crate::servers::hfs()).await;
    }
}
