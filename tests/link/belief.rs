//! When a refused grant is believed to be dead, and what is told then; a provider that refuses everybody.

use std::time::Duration;

use cloudevents::AttributesReader as _;
use ohx_domain::{Clock as _, LinkId, LinkState};
use ohx_events::envelope::{link_of, plain_data};
use ohx_events::plain::{ConsentReason, ReauthorizationRequired};
use ohx_events::types;
use ohx_link::LinkError;
use ohx_sandbox::withings::Fault;

use crate::{Engine, THREE_HOURS, World, both_stores, read};

both_stores!(
    a_dead_grant_is_told_once,
    a_refusal_that_passes_is_forgotten,
    a_provider_that_refuses_everybody_has_an_outage,
    a_dead_grant_among_many_is_found_by_its_witnesses,
    access_that_is_refused_to_everybody_is_an_outage_too,
);

const CONFIRM: Duration = Duration::from_secs(10);
const MINUTE: Duration = Duration::from_secs(60);

/// The provider answers the next calls of an action as if the token were dead.
fn refuse(world: &World, action: &str, status: i64) {
    let action = action.to_owned();
    world.outside.withings.inject(Fault::RefuseAction { action, status, calls: 1_000_000 });
}

impl World {
    async fn state_of(&self, link: LinkId) -> LinkState {
        self.processes[0].get(link).await.unwrap().state
    }

    /// Reads through every process at once; gives the errors.
    async fn all_read(&self, links: &[LinkId]) -> Vec<Option<LinkError>> {
        let now = self.clock.now();
        let reads = links.iter().enumerate().map(|(n, link)| {
            let (process, link) = (self.processes[n % self.processes.len()].clone(), *link);
            tokio::spawn(async move { read(&process, link, now).await.err() })
        });
        let mut errors = Vec::new();
        for read in reads.collect::<Vec<_>>() {
            errors.push(read.await.unwrap());
        }
        errors
    }
}

async fn a_dead_grant_is_told_once(engine: Engine) {
    let world = World::new(engine, 4).await;
    world.outside.withings.unlink(1).unwrap();
    // At first sight nothing is believed, and the link rests: who else wants something of it asks nobody.
    let error = world.read(0).await.unwrap_err();
    assert!(matches!(error, LinkError::Doubted { .. }), "{error}");
    let asked = world.outside.withings.stats().grants_refused;
    assert!(matches!(world.read(1).await.unwrap_err(), LinkError::Doubted { .. }));
    assert_eq!(world.outside.withings.stats().grants_refused, asked);
    assert_eq!(world.state().await, LinkState::Active);
    assert!(world.published(types::LINK_REAUTHORIZATION_REQUIRED).is_empty());

    world.clock.advance(CONFIRM);
    for error in world.all_read(&[world.link; 16]).await {
        let error = error.expect("nobody reads");
        assert!(!matches!(error, LinkError::Outage { .. }), "{error}");
    }
    assert_eq!(world.state().await, LinkState::ReauthorizationRequired);
    let told = world.published(types::LINK_REAUTHORIZATION_REQUIRED);
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(link_of(&told[0]).unwrap(), world.link);
    let data: ReauthorizationRequired = plain_data(&told[0]).unwrap();
    let since = world.clock.now();
    assert_eq!(
        (data.provider.as_str(), data.reason, data.since),
        ("withings", ConsentReason::GrantRefused, since)
    );
    let link = world.processes[0].get(world.link).await.unwrap();
    assert_eq!((link.state_code.as_deref(), link.state_since), (Some("grant-refused"), Some(since)));
    assert!(link.state_reason.unwrap().contains("withings"), "a reason that names the provider");
    // The same again after the patient has consented again is another one.
    assert_eq!(told[0].id(), format!("{}.reauthorization-required.1", world.link));
}

async fn a_refusal_that_passes_is_forgotten(engine: Engine) {
    let world = World::new(engine, 1).await;
    world.clock.advance(THREE_HOURS);
    refuse(&world, "requesttoken", 503);
    assert!(matches!(world.read(0).await.unwrap_err(), LinkError::Doubted { .. }));
    world.outside.withings.clear_faults();
    world.clock.advance(CONFIRM);
    world.read(0).await.unwrap();
    // From the beginning: an older refusal says nothing about this one.
    world.clock.advance(THREE_HOURS);
    refuse(&world, "requesttoken", 503);
    assert!(matches!(world.read(0).await.unwrap_err(), LinkError::Doubted { .. }));
    assert_eq!(world.state().await, LinkState::Active);
}

async fn a_provider_that_refuses_everybody_has_an_outage(engine: Engine) {
    let world = World::new(engine, 2).await;
    let mut links = vec![world.link];
    for person in 2..=8 {
        links.push(world.another(person).await);
    }
    world.clock.advance(THREE_HOURS);
    refuse(&world, "requesttoken", 503);
    let tried = || -> u64 {
        let calls = world.outside.withings.stats().calls;
        calls.iter().filter(|(call, _)| call.ends_with("requesttoken")).map(|(_, n)| n).sum()
    };
    let before = tried();
    // For hours: nobody is believed dead, and one call every two minutes finds out whether it is over.
    let mut held = 0;
    for _ in 0..200 {
        for error in world.all_read(&links).await {
            match error.expect("nobody can read") {
                LinkError::Outage { .. } => held += 1,
                LinkError::Doubted { .. } => {}
                other => panic!("{other}"),
            }
        }
        world.clock.advance(MINUTE);
    }
    assert!(held > 200, "the app is held: {held}");
    for link in &links {
        assert_eq!(world.state_of(*link).await, LinkState::Active);
    }
    assert!(world.published(types::LINK_REAUTHORIZATION_REQUIRED).is_empty());
    let calls = tried() - before;
    // Two looks each before it is known, then one every two minutes.
    assert!(calls <= 16 + 100, "{calls} refreshes were tried in 200 minutes");
    assert!(calls > 50, "{calls}: nobody looked");

    // When it is over, the first one through lets all others through, and nothing of it remains.
    world.outside.withings.clear_faults();
    world.clock.advance(MINUTE * 12);
    let mut waiting = links.clone();
    for _ in 0..20 {
        let errors = world.all_read(&waiting).await;
        waiting =
            waiting.iter().zip(&errors).filter(|(_, error)| error.is_some()).map(|(link, _)| *link).collect();
        if waiting.is_empty() {
            break;
        }
        world.clock.advance(MINUTE);
    }
    assert!(waiting.is_empty(), "all read again");
    for link in &links {
        assert_eq!(world.processes[0].parts().store.tokens(*link).await.unwrap().unwrap().refused, None);
    }
}

async fn a_dead_grant_among_many_is_found_by_its_witnesses(engine: Engine) {
    let world = World::new(engine, 2).await;
    let mut links = vec![world.link];
    for person in 2..=8 {
        links.push(world.another(person).await);
    }
    world.clock.advance(THREE_HOURS);
    world.outside.withings.unlink(1).unwrap();
    assert!(matches!(world.read(0).await.unwrap_err(), LinkError::Doubted { .. }));
    // A week without a witness would be a long time to say nothing; but an hour is none.
    world.clock.advance(MINUTE * 60);
    assert!(matches!(world.read(0).await.unwrap_err(), LinkError::Doubted { .. }));
    world.clock.advance(MINUTE);
    assert!(world.all_read(&links[1..]).await.iter().all(Option::is_none), "the others are well");
    world.clock.advance(MINUTE * 10);
    let error = world.read(1).await.unwrap_err();
    assert!(matches!(error, LinkError::Provider { .. }), "{error}");
    assert_eq!(world.state().await, LinkState::ReauthorizationRequired);
    assert_eq!(world.published(types::LINK_REAUTHORIZATION_REQUIRED).len(), 1);
}

/// Refreshes go well, and no access token is taken: a firewall before the API, say.
async fn access_that_is_refused_to_everybody_is_an_outage_too(engine: Engine) {
    let world = World::new(engine, 2).await;
    let mut links = vec![world.link];
    for person in 2..=8 {
        links.push(world.another(person).await);
    }
    refuse(&world, "getmeas", 401);
    for _ in 0..60 {
        world.clock.advance(MINUTE);
        for error in world.all_read(&links).await {
            let error = error.expect("nobody can read");
            assert!(matches!(error, LinkError::Outage { .. } | LinkError::Doubted { .. }), "{error}");
        }
    }
    for link in &links {
        assert_eq!(world.state_of(*link).await, LinkState::Active);
    }
    world.outside.withings.clear_faults();
    for _ in 0..30 {
        world.clock.advance(MINUTE);
        world.all_read(&links).await;
    }
    assert!(world.all_read(&links).await.iter().all(Option::is_none), "all read again");
}
