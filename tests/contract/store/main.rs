//! The store contract: every promise in the docs of `ohx_store`, over every engine.
//!
//! Run it through `tests/with-services`. A test takes a [`rig::Rig`]: two stores on one fresh database, as two
//! processes would have. To add an engine: add it to `rig::Engine` and to `promises!`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod access;
mod audit;
mod configuration;
mod configuring;
mod dead_letters;
mod dead_letters_replay;
mod engines;
mod erasures;
mod gauges;
mod history;
mod idempotency;
mod ledger_completion;
mod ledger_coverage;
mod ledger_lists;
mod ledger_of_record;
mod ledger_orders;
mod ledger_races;
mod ledger_requests;
mod ledger_reread;
mod ledger_skips;
mod links;
mod links_connect;
mod links_need;
mod mappings;
mod mappings_active;
mod overview;
mod planning;
mod quotas_together;
mod rewrap;
mod rig;
mod samples;
mod secrets_leases;
mod secrets_quotas;
mod secrets_tickets;
mod secrets_tokens;
mod signing;

/// Makes each promise of a module a test of each engine, named `<module>::on_<engine>::<promise>`.
macro_rules! promises {
    ($($promise:ident),+ $(,)?) => {
        crate::promises!(@engine on_sqlite, Sqlite: $($promise),+);
        crate::promises!(@engine on_postgres, Postgres: $($promise),+);
    };
    (@engine $module:ident, $engine:ident: $($promise:ident),+) => {
        mod $module {
            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $promise() {
                    crate::rig::with(crate::rig::Engine::$engine, super::$promise).await;
                }
            )+
        }
    };
}
pub(crate) use promises;
