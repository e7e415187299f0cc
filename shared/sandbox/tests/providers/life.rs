//! Promises about consents and tokens.

use data_encoding::BASE64URL_NOPAD;
use ohx_providers::Remedy;
use secrecy::ExposeSecret as _;
use sha2::{Digest as _, Sha256};

use crate::front::Spoilt;
use crate::world::{Cloud, STATE, VERIFIER, World, passes};

/// The grant is exactly what the person gave, and only for a code that is good.
pub(crate) async fn connect<C: Cloud>() {
    let world = World::<C>::new().await;
    let back = world.decide(C::ABOUT.person).await;
    assert_eq!(back["state"], STATE);
    let grant = world.exchange(&back["code"], VERIFIER).await.unwrap();
    assert_eq!(grant.account.as_ref().unwrap().reveal(), C::ABOUT.person);
    assert_eq!(grant.expires_in, C::ABOUT.lasts);
    let mut scopes: Vec<&str> = grant.scopes.iter().map(String::as_str).collect();
    scopes.sort_unstable();
    let mut asked = C::ABOUT.scopes.to_vec();
    asked.sort_unstable();
    assert_eq!(scopes, asked);
    assert_ne!(grant.refresh_token.unwrap().expose_secret(), grant.access_token.expose_secret());

    let declined = world.decide("decline").await;
    assert_eq!(declined["state"], STATE);
    assert!(!declined.contains_key("code"));
    // Used, or never given.
    for code in [back["code"].as_str(), "never-given"] {
        assert_eq!(world.exchange(code, VERIFIER).await.unwrap_err().remedy(), Remedy::Reauthorize);
    }
}

/// A code that leaked is of no use without the verifier.
pub(crate) async fn pkce<C: Cloud>() {
    let world = World::<C>::new().await;
    let asked: std::collections::BTreeMap<String, String> =
        world.authorize_url().query_pairs().into_owned().collect();
    assert!(asked.values().all(|value| value != VERIFIER));
    let other = "another-verifier-of-at-least-forty-three-characters";
    let leaked = world.exchange(&world.code().await, other).await;
    if C::ABOUT.promises("pkce") {
        assert_eq!(asked["code_challenge_method"], "S256");
        assert_eq!(asked["code_challenge"], BASE64URL_NOPAD.encode(&Sha256::digest(VERIFIER)));
        assert_eq!(leaked.unwrap_err().remedy(), Remedy::Reauthorize);
    } else {
        assert!(!asked.contains_key("code_challenge"));
        leaked.unwrap();
    }
}

/// An access token that has ended asks for a refresh, which brings one that works.
pub(crate) async fn refresh<C: Cloud>() {
    let world = World::<C>::new().await;
    world.seed(3);
    let grant = world.connect().await;
    world.recent(&grant).await.unwrap().is(&world.cloud.truth());
    world.clock.advance(C::ABOUT.lasts);
    let error = world.recent(&grant).await.err().unwrap();
    assert_eq!(error.remedy(), Remedy::Refresh, "{error}");
    let next = world.refresh(grant.refresh_token.as_ref().unwrap()).await.unwrap();
    assert_ne!(next.access_token.expose_secret(), grant.access_token.expose_secret());
    assert_eq!(next.expires_in, C::ABOUT.lasts);
    assert!(next.account.is_none_or(|account| account.reveal() == C::ABOUT.person));
    let grant = ohx_providers::Grant { account: None, ..next };
    world.recent(&grant).await.unwrap().is(&world.cloud.truth());
    assert_eq!(world.refresh(&"never-given".into()).await.unwrap_err().remedy(), Remedy::Reauthorize);
}

/// A refresh token that was used is dead once the new pair is in use.
pub(crate) async fn rotation<C: Cloud>() {
    let world = World::<C>::new().await;
    let mut grant = world.connect().await;
    for _ in 0..3 {
        let old = grant.refresh_token.clone().unwrap();
        let next = world.refresh(&old).await.unwrap();
        world.recent(&next).await.unwrap();
        if !C::ABOUT.promises("rotation") {
            assert!(next.refresh_token.is_none());
            world.refresh(&old).await.unwrap();
            return;
        }
        assert_eq!(world.refresh(&old).await.unwrap_err().remedy(), Remedy::Reauthorize);
        assert_ne!(next.refresh_token.as_ref().unwrap().expose_secret(), old.expose_secret());
        grant = next;
    }
}

/// A refresh whose reply is lost can be done again with the same token.
pub(crate) async fn lost_reply<C: Cloud>() {
    let world = World::<C>::new().await;
    let grant = world.connect().await;
    let token = grant.refresh_token.unwrap();
    world.front.spoil(Some(Spoilt::LostReply));
    for _ in 0..2 {
        let error = world.refresh(&token).await.unwrap_err();
        // Where the token was used up by the first try, the second may find that already.
        assert!(passes(&error), "{error}");
    }
    world.front.spoil(None);
    let again = world.refresh(&token).await;
    if C::ABOUT.promises("lost_reply") {
        world.recent(&again.unwrap()).await.unwrap();
    } else {
        assert_eq!(again.unwrap_err().remedy(), Remedy::Reauthorize, "and never anything that hides it");
    }
}

/// A grant that we end is dead at the provider; ending it twice is no error.
pub(crate) async fn revoke<C: Cloud>() {
    let world = World::<C>::new().await;
    let grant = world.connect().await;
    let refresh = grant.refresh_token.clone().unwrap();
    for _ in 0..2 {
        let told = world.adapter.revoke(&world.app, &grant.access_token, &refresh).await.unwrap();
        assert_eq!(told, C::ABOUT.promises("revoke"));
    }
    if C::ABOUT.promises("revoke") {
        gone(&world, &grant).await;
    } else {
        world.recent(&grant).await.unwrap();
    }
}

/// A person who left at the provider is seen as that, and can come back.
pub(crate) async fn left<C: Cloud>() {
    let world = World::<C>::new().await;
    world.seed(3);
    let grant = world.connect().await;
    world.cloud.leave();
    gone(&world, &grant).await;
    let grant = world.connect().await;
    world.recent(&grant).await.unwrap().is(&world.cloud.truth());
}

/// A dead token is refreshed first; that this fails as well is what a person who has left looks like.
async fn gone<C: Cloud>(world: &World<C>, grant: &ohx_providers::Grant) {
    let error = world.recent(grant).await.err().unwrap();
    assert_eq!(error.remedy(), Remedy::Refresh, "{error}");
    let error = world.refresh(grant.refresh_token.as_ref().unwrap()).await.unwrap_err();
    assert_eq!(error.remedy(), Remedy::Reauthorize, "{error}");
}
