//! What a seed stands for: the shape of a world, and which faults it knows.

use ohx_domain::Instant;
use ohx_domain::WriteStrategy;

use crate::dice::Dice;
use crate::journal::Kind;

/// What carries the events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carrier {
    /// `ohx serve`: a queue in the process, which dies with it.
    InProcess,
    /// A broker that keeps what it has until it is acknowledged.
    Broker,
    /// A real Redis behind a proxy, and `relay`.
    Redis,
}

/// What keeps the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Database {
    Sqlite,
    /// A real PostgreSQL behind a proxy.
    Postgres,
}

/// A provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    Withings,
    Google,
    Omron,
}

/// A world, before it begins.
#[derive(Debug, Clone)]
pub struct Plan {
    pub seed: u64,
    pub dice: Dice,
    pub carrier: Carrier,
    pub database: Database,
    /// The provider of each link.
    pub links: Vec<Source>,
    pub strategy: WriteStrategy,
    pub batch_size: usize,
    pub page_size: usize,
    /// Deliveries at the same time.
    pub at_once: usize,
    /// Steps before everything is healed.
    pub steps: u64,
    /// How many deliveries in a thousand meet a fault of their own.
    pub pain: u64,
    pub start: Instant,
    /// Whether faults of a kind are injected at all; a world without any is for tests of the check itself.
    pub faults: bool,
}

/// One world in so many has a real PostgreSQL, one a real Redis.
const REAL: u64 = 20;

impl Plan {
    /// The world of a seed.
    pub fn of(seed: u64) -> Self {
        let dice = Dice::new(seed);
        let carrier = match dice.below("world/carrier", REAL * 2) {
            0 | 1 => Carrier::Redis,
            n if n.is_multiple_of(2) => Carrier::InProcess,
            _ => Carrier::Broker,
        };
        let database = match dice.below("world/database", REAL) {
            0 => Database::Postgres,
            _ => Database::Sqlite,
        };
        let links = match dice.below("world/links", 20) {
            0..=8 => vec![Source::Withings],
            9..=11 => vec![Source::Withings, Source::Withings],
            12 => vec![Source::Withings, Source::Withings, Source::Omron],
            13 | 14 => vec![Source::Omron],
            15 | 16 => vec![Source::Google],
            17 => vec![Source::Withings, Source::Google],
            _ => vec![Source::Withings, Source::Omron],
        };
        let crowded = carrier != Carrier::Redis && dice.chance("world/crowded", 250);
        let strategies = [
            WriteStrategy::Update,
            WriteStrategy::Update,
            WriteStrategy::Auto,
            WriteStrategy::ConditionalCreate,
            WriteStrategy::SearchThenCreate,
        ];
        // A day in plain winter, and the days before the clocks change in Europe.
        let days =
            ["2026-02-10T08:00:00Z", "2026-03-27T21:30:00Z", "2026-10-23T22:45:00Z", "2026-12-31T20:00:00Z"];
        let start: Instant = dice.pick("world/start", &days).parse().expect("an instant");
        Self {
            seed,
            dice,
            carrier,
            database,
            links,
            // Time runs thirty times as fast before a real Redis: no lease there means what it should.
            strategy: match carrier {
                Carrier::Redis => WriteStrategy::Update,
                _ => dice.pick("world/strategy", &strategies),
            },
            batch_size: dice.between("world/batch", 3, 40) as usize,
            page_size: dice.between("world/page", 2, 12) as usize,
            at_once: if crowded { 3 } else { 1 },
            steps: dice.between("world/steps", 40, 90),
            pain: dice.between("world/pain", 60, 450),
            start,
            faults: true,
        }
    }

    /// The same world without any fault, small, on SQLite and a broker.
    pub fn calm(seed: u64) -> Self {
        let plan = Self::of(seed);
        let (carrier, database) = (Carrier::Broker, Database::Sqlite);
        Self { carrier, database, links: vec![Source::Withings], at_once: 1, steps: 0, faults: false, ..plan }
    }

    /// Whether this world knows a kind of fault: each knows some, so that rare combinations come up too.
    pub fn knows(&self, kind: Kind) -> bool {
        self.faults && self.dice.chance(&format!("knows/{kind}"), 650)
    }
}
