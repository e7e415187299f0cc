//! The model: what the workers, the store and the provider know, and the steps that are possible.

use stateright::{Model, Property};

/// A pair, numbered in the order of issue. 0 is that of the consent.
type Pair = usize;

/// What the code does for it to hold; each may be left out.
#[derive(Clone, Copy)]
pub(super) struct Order {
    /// The lease is taken before anything is refreshed.
    pub(super) lease: bool,
    /// The pair is read again inside the lease.
    pub(super) read_again: bool,
    /// The new pair is stored before its access token is used.
    pub(super) store_first: bool,
    /// `replace_tokens` replaces only the version that was read.
    pub(super) fenced: bool,
    /// A refusal counts only where the version is still the one that was refused.
    pub(super) fenced_refusal: bool,
}

pub(super) const AS_WRITTEN: Order =
    Order { lease: true, read_again: true, store_first: true, fenced: true, fenced_refusal: true };

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Worker {
    Idle,
    /// Has read a pair, and found that it has to be refreshed; or was refused with it.
    Wants {
        pair: Pair,
        version: usize,
        refused: bool,
    },
    /// Has the lease.
    Leased {
        pair: Pair,
        version: usize,
        refused: bool,
    },
    /// Has read inside the lease, and found the same.
    Ready {
        pair: Pair,
        version: usize,
    },
    /// The refresh is sent.
    Calling {
        pair: Pair,
        version: usize,
    },
    /// The provider has given a new pair, which is nowhere but here.
    Answered {
        new: Pair,
        version: usize,
    },
    /// The same, but its access token was used: only where the order is broken.
    UsedUnstored {
        new: Pair,
        version: usize,
    },
    /// The provider has refused.
    Refused {
        version: usize,
    },
    /// Has an access token in hand.
    Good {
        pair: Pair,
    },
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct World {
    workers: Vec<Worker>,
    /// Who has the lease. One that has run out is nobody's.
    lease: Option<usize>,
    /// Whether a lease has ever run out while its holder was at work.
    ran_out: bool,
    /// The stored pair and its version.
    stored: Pair,
    version: usize,
    /// Whether the link was moved to "consent again".
    dead: bool,
    /// The parent of each pair that was issued.
    issued: Vec<Pair>,
    /// Whose refresh tokens the provider takes.
    live: Vec<Pair>,
    /// Whose access tokens were used.
    used: Vec<Pair>,
    /// Access tokens up to this one have ended.
    ended: Option<Pair>,
    /// Whether the patient has ended the grant.
    revoked: bool,
    crashes: usize,
    /// Whether somebody has used a pair that another worker stored while its own refresh was under way.
    elsewhere: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Step {
    ReadTokens(usize),
    AcquireLease(usize),
    ReadInside(usize),
    SendRefresh(usize),
    AnswerRefresh(usize),
    LoseAnswer(usize),
    ReplaceTokens(usize),
    UseUnstored(usize),
    NoteRefusal(usize),
    Call(usize),
    Crash(usize),
    LeaseRunsOut,
    TokensEnd,
    Revoke,
}

pub(super) struct Refreshing {
    pub(super) order: Order,
    pub(super) workers: usize,
    /// How many pairs the provider may issue, and how often workers may crash: what keeps the model finite.
    pub(super) pairs: usize,
    pub(super) crashes: usize,
}

impl World {
    fn wants_refresh(&self, pair: Pair) -> bool {
        self.ended.is_some_and(|ended| pair <= ended)
    }

    /// The first use of an access token kills every refresh token but its own and those that came from it.
    fn use_access(&mut self, pair: Pair) -> bool {
        if !self.live.contains(&pair) {
            return false;
        }
        if !self.used.contains(&pair) {
            self.used.push(pair);
            self.used.sort_unstable();
            let issued = self.issued.clone();
            self.live.retain(|other| descends(&issued, *other, pair));
        }
        true
    }

    fn refreshing(&self) -> usize {
        self.workers.iter().filter(|worker| matches!(worker, Worker::Calling { .. })).count()
    }

    fn release(&mut self, worker: usize) {
        if self.lease == Some(worker) {
            self.lease = None;
        }
    }
}

fn descends(issued: &[Pair], mut pair: Pair, from: Pair) -> bool {
    while pair > from {
        pair = issued[pair];
    }
    pair == from
}

impl Model for Refreshing {
    type State = World;
    type Action = Step;

    fn init_states(&self) -> Vec<World> {
        vec![World {
            workers: vec![Worker::Idle; self.workers],
            lease: None,
            ran_out: false,
            stored: 0,
            version: 0,
            dead: false,
            issued: vec![0],
            live: vec![0],
            used: vec![0],
            ended: None,
            revoked: false,
            crashes: 0,
            elsewhere: false,
        }]
    }

    fn actions(&self, world: &World, steps: &mut Vec<Step>) {
        for (i, worker) in world.workers.iter().enumerate() {
            match worker {
                Worker::Idle if !world.dead => steps.push(Step::ReadTokens(i)),
                Worker::Idle => {}
                Worker::Wants { .. } if world.lease.is_none() || !self.order.lease => {
                    steps.push(Step::AcquireLease(i));
                }
                Worker::Wants { .. } => {}
                Worker::Leased { .. } => steps.push(Step::ReadInside(i)),
                Worker::Ready { .. } => steps.push(Step::SendRefresh(i)),
                Worker::Calling { .. } => {
                    steps.push(Step::AnswerRefresh(i));
                    steps.push(Step::LoseAnswer(i));
                }
                Worker::Answered { .. } if self.order.store_first => steps.push(Step::ReplaceTokens(i)),
                Worker::Answered { .. } => steps.push(Step::UseUnstored(i)),
                Worker::UsedUnstored { .. } => steps.push(Step::ReplaceTokens(i)),
                Worker::Refused { .. } => steps.push(Step::NoteRefusal(i)),
                Worker::Good { .. } => steps.push(Step::Call(i)),
            }
            if *worker != Worker::Idle && world.crashes < self.crashes {
                steps.push(Step::Crash(i));
            }
        }
        if world.lease.is_some() {
            steps.push(Step::LeaseRunsOut);
        }
        if world.ended != Some(world.stored) && world.issued.len() < self.pairs {
            steps.push(Step::TokensEnd);
        }
        if !world.revoked {
            steps.push(Step::Revoke);
        }
    }

    fn next_state(&self, before: &World, step: Step) -> Option<World> {
        let mut world = before.clone();
        match step {
            Step::ReadTokens(i) => {
                let (pair, version) = (world.stored, world.version);
                world.workers[i] = match world.wants_refresh(pair) {
                    true => Worker::Wants { pair, version, refused: false },
                    false => Worker::Good { pair },
                };
            }
            Step::AcquireLease(i) => {
                let Worker::Wants { pair, version, refused } = world.workers[i] else { return None };
                if self.order.lease {
                    world.lease = Some(i);
                }
                world.workers[i] = Worker::Leased { pair, version, refused };
            }
            Step::ReadInside(i) => {
                let Worker::Leased { pair: read, version: old, refused } = world.workers[i] else {
                    return None;
                };
                let (pair, version) =
                    if self.order.read_again { (world.stored, world.version) } else { (read, old) };
                // It wants a refresh where it has ended, or is the very one that the provider refused.
                let wants = world.wants_refresh(pair) || (refused && pair == read);
                world.workers[i] = match wants {
                    true => Worker::Ready { pair, version },
                    false => {
                        world.release(i);
                        Worker::Good { pair }
                    }
                };
            }
            Step::SendRefresh(i) => {
                let Worker::Ready { pair, version } = world.workers[i] else { return None };
                world.workers[i] = Worker::Calling { pair, version };
            }
            Step::AnswerRefresh(i) => {
                let Worker::Calling { pair, version } = world.workers[i] else { return None };
                if !world.live.contains(&pair) {
                    world.workers[i] = Worker::Refused { version };
                } else {
                    world.workers[i] =
                        Worker::Answered { new: issue(&mut world, pair, self.pairs)?, version };
                }
            }
            // The provider has done it, and nobody has heard: the same refresh token is tried again.
            Step::LoseAnswer(i) => {
                let Worker::Calling { pair, version } = world.workers[i] else { return None };
                if world.live.contains(&pair) {
                    issue(&mut world, pair, self.pairs)?;
                }
                world.workers[i] = Worker::Ready { pair, version };
            }
            Step::UseUnstored(i) => {
                let Worker::Answered { new, version } = world.workers[i] else { return None };
                world.use_access(new);
                world.workers[i] = Worker::UsedUnstored { new, version };
            }
            Step::ReplaceTokens(i) => {
                let (Worker::Answered { new, version } | Worker::UsedUnstored { new, version }) =
                    world.workers[i]
                else {
                    return None;
                };
                if world.version == version || !self.order.fenced {
                    world.stored = new;
                    world.version += 1;
                    world.workers[i] = Worker::Good { pair: new };
                } else {
                    // Somebody was faster: theirs is the pair to use.
                    world.elsewhere = true;
                    world.workers[i] = Worker::Good { pair: world.stored };
                }
                world.release(i);
            }
            Step::NoteRefusal(i) => {
                let Worker::Refused { version } = world.workers[i] else { return None };
                if world.version == version || !self.order.fenced_refusal {
                    world.dead = true;
                }
                world.release(i);
                world.workers[i] = Worker::Idle;
            }
            Step::Call(i) => {
                let Worker::Good { pair } = world.workers[i] else { return None };
                let version = world.version;
                world.workers[i] = match world.use_access(pair) {
                    true => Worker::Idle,
                    // Refused: refreshed once, with this one known to be no use.
                    false => Worker::Wants { pair, version, refused: true },
                };
            }
            Step::Crash(i) => {
                world.crashes += 1;
                world.workers[i] = Worker::Idle;
            }
            Step::LeaseRunsOut => {
                let holder = world.lease.take()?;
                world.ran_out |= world.workers[holder] != Worker::Idle;
            }
            Step::TokensEnd => world.ended = Some(world.stored),
            Step::Revoke => {
                world.revoked = true;
                world.live.clear();
            }
        }
        Some(world)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("no grant is lost", |_, world: &World| {
                world.revoked || world.live.contains(&world.stored)
            }),
            Property::always("only a revocation is read as one", |_, world: &World| {
                !world.dead || world.revoked
            }),
            Property::always("one refresh at a time, unless a lease has run out", |_, world: &World| {
                world.ran_out || world.refreshing() <= 1
            }),
            // That these are reached shows that the model does what it is about.
            Property::sometimes("the pair is refreshed twice", |_, world: &World| {
                world.version >= 2 && world.used.contains(&world.stored)
            }),
            Property::sometimes("a slower worker uses what a faster one has stored", |_, world: &World| {
                world.elsewhere
            }),
            Property::sometimes("a lease that has run out lets two refresh at once", |_, world: &World| {
                world.refreshing() >= 2
            }),
            Property::sometimes("a revoked grant is found out", |_, world: &World| world.dead),
            Property::sometimes("a lost answer leaves a pair that nobody knows", |_, world: &World| {
                world.issued.len() > world.version + 2
            }),
        ]
    }
}

/// A new pair; `None` where the model's bound is reached.
fn issue(world: &mut World, parent: Pair, bound: usize) -> Option<Pair> {
    let new = world.issued.len();
    if new > bound {
        return None;
    }
    world.issued.push(parent);
    world.live.push(new);
    Some(new)
}
