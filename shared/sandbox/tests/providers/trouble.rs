//! Promises about what goes wrong.

use std::sync::Arc;
use std::time::Duration;

use ohx_domain::Clock;
use ohx_providers::{Grant, ProviderError, Remedy};

use crate::front::Spoilt;
use crate::world::{Cloud, Read, VERIFIER, World, client, passes, wait};

/// "Too many" is an error that says how long to wait, never an empty success; what was read goes on where it stopped.
pub(crate) async fn rate_limit<C: Cloud>() {
    let world = World::<C>::new().await;
    world.seed(23);
    let grant = world.connect().await;
    let query = world.lately();
    let (mut pages, mut token, mut waits) = (Vec::new(), None, 0);
    loop {
        if pages.len() == 2 && waits == 0 {
            world.cloud.too_many(1);
        }
        match world.page(&grant, &query, token.as_ref()).await {
            Ok(page) => {
                token = page.next.clone();
                pages.push(page);
                if token.is_none() {
                    break;
                }
            }
            Err(error) => {
                assert_eq!(error.remedy(), C::ABOUT.too_many, "{error}");
                waits += 1;
                world.clock.advance(wait(&error).unwrap());
            }
        }
    }
    assert_eq!(waits, 1);
    Read::of(&world.mapping, pages).is(&world.cloud.truth());

    // The provider's own limit, and the wait that it asks for.
    let world = World::<C>::with(100, 10).await;
    world.seed(3);
    let grant = world.connect().await;
    let mut refused = None;
    for _ in 0..30 {
        match world.recent(&grant).await {
            Ok(read) => read.is(&world.cloud.truth()),
            Err(error) => refused = refused.or(Some(error)),
        }
    }
    let mut refused = refused.unwrap();
    for _ in 0..3 {
        world.clock.advance(wait(&refused).unwrap());
        match world.recent(&grant).await {
            Ok(read) => return read.is(&world.cloud.truth()),
            Err(error) => refused = error,
        }
    }
    panic!("waiting as long as it said does not help: {refused}");
}

/// The end of the service is told apart from a person's leaving.
pub(crate) async fn retired<C: Cloud>() {
    let world = World::<C>::new().await;
    let grant = world.connect().await;
    let mut ways = 0;
    while world.cloud.retire(ways) {
        for error in every_call(&world, &grant).await {
            assert!(matches!(error, ProviderError::Retired { .. }), "way {ways}: {error}");
            assert_eq!(error.remedy(), Remedy::Permanent);
        }
        ways += 1;
    }
    assert_eq!(ways > 0, C::ABOUT.promises("retired"));
    // Whatever looks like an end, without a word of the provider's, is nobody's leaving.
    for status in [403, 404, 410] {
        world.front.spoil(Some(Spoilt::Status(status)));
        for error in every_call(&world, &grant).await {
            assert!(!matches!(error.remedy(), Remedy::Reauthorize | Remedy::Refresh), "{status}: {error}");
            let retired = matches!(error, ProviderError::Retired { .. });
            assert!(!retired || C::ABOUT.promises("retired"), "{status}: {error}");
        }
    }
}

/// One malformed record yields the others, and one counted, named problem.
pub(crate) async fn malformed<C: Cloud>() {
    let world = World::<C>::with(100, 100_000).await;
    world.seed(9);
    let grant = world.connect().await;
    let good = world.recent(&grant).await.unwrap();
    good.is(&world.cloud.truth());
    assert!(good.skipped.is_empty(), "{:?}", good.skipped);
    world.cloud.break_one();
    let bad = world.recent(&grant).await.unwrap();
    let (records, instead) = C::ABOUT.broken;
    let readings = world.cloud.truth();
    let row = bad.held(&readings);
    assert_eq!((row.duplicates, row.altered, row.strange), (0, 0, 0), "{row:?}");
    // Every record makes as many readings.
    assert_eq!(row.missing, instead * readings.len() / 9);
    assert_eq!(bad.skipped.values().sum::<u64>(), records, "{:?}", bad.skipped);
    assert!(bad.skipped.keys().all(|reason| !reason.is_empty()), "{:?}", bad.skipped);
    world.recent(&grant).await.unwrap().is(&readings);
}

/// Nothing that goes wrong on the way is taken for an ended grant, and all is as before when it is over.
pub(crate) async fn outage<C: Cloud>() {
    let mut world = World::<C>::new().await;
    world.seed(9);
    let grant = world.connect().await;
    let code = world.code().await;
    let statuses = [500, 502, 503, 504].map(Spoilt::Status);
    let others = [Spoilt::Html(502), Spoilt::Html(200), Spoilt::CutOff, Spoilt::HangUp];
    for spoilt in statuses.into_iter().chain(others) {
        world.front.spoil(Some(spoilt));
        for error in every_call(&world, &grant).await {
            assert!(passes(&error), "{spoilt:?}: {error}");
        }
    }
    // Nobody answers, and nobody is there.
    let patient = Arc::clone(&world.adapter);
    world.adapter = C::adapter(client(Duration::from_millis(50)), Arc::clone(&world.clock) as Arc<dyn Clock>);
    world.front.spoil(Some(Spoilt::Silence));
    for error in every_call(&world, &grant).await {
        assert!(
            matches!(error, ProviderError::Transport { kind: "timeout", .. }) && passes(&error),
            "{error}"
        );
    }
    world.adapter = patient;
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let there = std::mem::replace(&mut world.app, C::app(&format!("http://{free}")));
    for error in every_call(&world, &grant).await {
        assert!(
            matches!(error, ProviderError::Transport { kind: "connect", .. }) && passes(&error),
            "{error}"
        );
    }
    world.app = there;
    world.front.spoil(None);
    world.recent(&grant).await.unwrap().is(&world.cloud.truth());
    world.refresh(grant.refresh_token.as_ref().unwrap()).await.unwrap();
    world.exchange(&code, VERIFIER).await.unwrap();
}

/// What reading, refreshing and connecting fail with.
async fn every_call<C: Cloud>(world: &World<C>, grant: &Grant) -> [ProviderError; 3] {
    [
        world.recent(grant).await.err().unwrap(),
        world.refresh(grant.refresh_token.as_ref().unwrap()).await.unwrap_err(),
        world.exchange("any-code", VERIFIER).await.unwrap_err(),
    ]
}
