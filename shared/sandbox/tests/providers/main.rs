//! One contract over all providers: every adapter keeps the same promises against its own simulator.
//!
//! A promise is a function over [`world::Cloud`], and every provider has one test of each. What a provider does not
//! promise is said with its reason in its [`world::About`]; the test is there all the same, and proves the contrary as
//! far as it can be seen. To add a provider: implement `Cloud` in a module of its own, end it with `promises!`, and say
//! below what does not apply.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod front;
mod life;
mod trouble;
mod world;

/// Makes a test of every promise for a provider, and the list of their names.
macro_rules! promises {
    ($cloud:ty) => {
        promises! {
            $cloud: life::{connect, pkce, refresh, rotation, lost_reply, revoke, left}
            reading::{page, incremental, late_data}
            trouble::{rate_limit, retired, malformed, outage}
        }
    };
    ($cloud:ty: $($module:ident::{$($promise:ident),+})+) => {
        pub(crate) const PROMISES: &[&str] = &[$($(stringify!($promise)),+),+];

        $($(
            #[tokio::test]
            async fn $promise() {
                crate::$module::$promise::<$cloud>().await;
            }
        )+)+
    };
}

mod beurer_contract;
mod fitbit_legacy;
mod google_health;
mod omron;
mod reading;
mod withings;

use world::{About, Cloud};

/// Every exception is listed here once more, so that none comes or goes unseen.
#[test]
fn what_does_not_apply_is_known() {
    fn of<C: Cloud>() -> &'static About {
        &C::ABOUT
    }
    let all = [
        (of::<withings::Withings>(), withings::PROMISES),
        (of::<google_health::Google>(), google_health::PROMISES),
        (of::<omron::Omron>(), omron::PROMISES),
        (of::<fitbit_legacy::Legacy>(), fitbit_legacy::PROMISES),
        (of::<beurer_contract::Contract>(), beurer_contract::PROMISES),
    ];
    let mut listed = Vec::new();
    for (about, promises) in all {
        for (promise, reason) in about.not_applicable {
            assert!(promises.contains(promise), "{} has no promise {promise}", about.kind);
            println!("{} does not promise {promise}: {reason}", about.kind);
            listed.push((about.kind, *promise));
        }
    }
    let expected = [
        ("withings", "pkce"),
        ("withings", "revoke"),
        ("withings", "retired"),
        ("fitbit", "rotation"),
        ("fitbit", "retired"),
        ("omron", "lost_reply"),
        ("omron", "retired"),
        ("fitbit-legacy", "lost_reply"),
        ("beurer-contract", "lost_reply"),
        ("beurer-contract", "retired"),
    ];
    assert_eq!(listed, expected);
}

/// No provider that is asked is left out.
#[test]
fn every_provider_that_is_asked_is_here() {
    let asked = ohx_providers::KINDS.iter().filter(|kind| kind.consent);
    let asked: Vec<&str> = asked.map(|kind| kind.name).collect();
    assert_eq!(asked, ["withings", "beurer-contract", "omron", "fitbit", "fitbit-legacy"]);
}
