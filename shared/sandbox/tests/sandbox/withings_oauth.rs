use serde_json::json;

use super::{ANNA, BEN, REDIRECT, World, pair, refresh_form};
use ohx_sandbox::withings::Fault;

const AUTHORIZE: &str = "/oauth2_user/authorize2";

#[tokio::test]
async fn the_consent_page_shows_persons_and_refuses_what_is_not_the_clients() {
    let world = World::new().await;
    let good = [
        ("response_type", "code"),
        ("client_id", "client-1"),
        ("redirect_uri", REDIRECT),
        ("state", "\"><script>"),
        ("scope", "user.info,user.metrics"),
    ];
    let get = async |query: &[(&str, &str)]| {
        let reply = world.http.get(format!("{}{AUTHORIZE}", world.base)).query(query).send().await.unwrap();
        (reply.status().as_u16(), reply.headers().get("location").cloned(), reply.text().await.unwrap())
    };
    let (status, _, page) = get(&good).await;
    assert_eq!(status, 200);
    for part in
        ["method=\"post\"", "value=\"1000\">Anna &lt;A&gt;<", "value=\"1001\">Ben<", "value=\"decline\""]
    {
        assert!(page.contains(part), "{part} in {page}");
    }
    assert!(!page.contains("<script>"), "{page}");
    for (index, wrong) in [(0, "token"), (1, "other"), (2, "http://127.0.0.1:1/else"), (3, ""), (4, "a b")] {
        let mut query = good;
        query[index].1 = wrong;
        let (status, location, _) = get(&query).await;
        assert_eq!((status, location), (400, None), "{wrong}");
    }
    world.sim.register_redirect("http://127.0.0.1:1/else");
    let mut query = good;
    query[2].1 = "http://127.0.0.1:1/else";
    assert_eq!(get(&query).await.0, 200);
}

#[tokio::test]
async fn declining_comes_back_with_the_state_and_no_code() {
    let world = World::new().await;
    let back = world.decide("decline", "user.metrics").await;
    assert_eq!(back.as_str(), format!("{REDIRECT}?state=xyz%26%3D1"));
}

#[tokio::test]
async fn a_code_works_once_and_for_thirty_seconds() {
    let world = World::new().await;
    let code = world.code(ANNA, "user.metrics").await;
    world.advance(29);
    let first = world.exchange(&code).await;
    assert_eq!(first["status"], 0);
    assert_eq!(first["body"]["expires_in"], 10_800);
    assert_eq!(first["body"]["scope"], "user.metrics");
    assert_eq!(first["body"]["token_type"], "Bearer");
    assert!(first["body"]["csrf_token"].is_string());
    assert_eq!(world.exchange(&code).await["status"], 503, "used");

    let code = world.code(ANNA, "user.metrics").await;
    world.advance(30);
    assert_eq!(world.exchange(&code).await["status"], 503, "too old");
    assert_eq!(world.exchange("0000").await["status"], 503, "unknown");
    assert_eq!(world.sim.stats().grants_refused, 3);
}

#[tokio::test]
async fn the_user_id_is_now_a_number_now_a_text() {
    let world = World::new().await;
    let mut seen = Vec::new();
    for _ in 0..4 {
        let code = world.code(BEN, "user.metrics").await;
        seen.push(world.exchange(&code).await["body"]["userid"].clone());
    }
    assert!(seen.contains(&json!(1001)) && seen.contains(&json!("1001")), "{seen:?}");
}

#[tokio::test]
async fn the_old_refresh_token_lives_until_the_new_access_token_is_used() {
    let world = World::new().await;
    let (a1, r1) = world.grant(ANNA).await;
    assert_eq!(world.getmeas(&a1, &[]).await["status"], 0);
    let (a2, r2) = pair(&world.refresh(&r1).await);
    // The reply was lost, say: the same old token again.
    let (a3, r3) = pair(&world.refresh(&r1).await);
    assert_ne!((&a2, &r2), (&a3, &r3));
    assert_eq!(world.getmeas(&a3, &[]).await["status"], 0);
    assert_eq!(world.refresh(&r1).await["status"], 503, "the new access token was used");
    let (a4, _) = pair(&world.refresh(&r3).await);
    assert_eq!(world.getmeas(&a4, &[]).await["status"], 0);
    assert_eq!(world.refresh(&r3).await["status"], 503);
    assert_eq!(world.sim.stats().refreshes, 3);
}

#[tokio::test]
async fn the_old_refresh_token_lives_eight_hours_at_most() {
    let world = World::new().await;
    let (_, r1) = world.grant(ANNA).await;
    pair(&world.refresh(&r1).await);
    world.advance(8 * 3600 - 1);
    let (_, r3) = pair(&world.refresh(&r1).await);
    world.advance(1);
    assert_eq!(world.refresh(&r1).await["status"], 503, "a second use does not prolong it");
    world.advance(365 * 86_400 - 2);
    let (_, r4) = pair(&world.refresh(&r3).await);
    world.advance(365 * 86_400);
    assert_eq!(world.refresh(&r4).await["status"], 503, "a year");
}

#[tokio::test]
async fn an_access_token_lives_three_hours() {
    let world = World::new().await;
    let (access, _) = world.grant(ANNA).await;
    world.advance(10_799);
    assert_eq!(world.getmeas(&access, &[]).await["status"], 0);
    world.advance(1);
    let expired = world.getmeas(&access, &[]).await;
    assert_eq!((&expired["status"], &expired["body"]), (&json!(401), &json!({})));
    assert!(expired["error"].as_str().unwrap().starts_with("XRequestID: "));
    assert_eq!(world.getmeas("nonsense", &[]).await["status"], 401);
    assert_eq!(world.call("/measure", None, &[("action", "getmeas")]).await["status"], 401);
    assert_eq!(world.sim.stats().unauthorized, 3);
}

#[tokio::test]
async fn a_new_consent_ends_the_tokens_of_the_old_one() {
    let world = World::new().await;
    let (a1, r1) = world.grant(ANNA).await;
    let (a2, _) = world.grant(ANNA).await;
    assert_eq!(world.getmeas(&a1, &[]).await["status"], 401);
    assert_eq!(world.refresh(&r1).await["status"], 503);
    assert_eq!(world.getmeas(&a2, &[]).await["status"], 0);
}

#[tokio::test]
async fn a_wrong_client_gets_nothing() {
    let world = World::new().await;
    let (_, refresh) = world.grant(ANNA).await;
    for (index, wrong, status) in
        [(3, "guess", 342), (2, "other", 342), (1, "password", 503), (0, "steal", 2554)]
    {
        let mut form = refresh_form(&refresh);
        form[index].1 = wrong;
        assert_eq!(world.call("/v2/oauth2", None, &form).await["status"], status, "{wrong}");
    }
    let code = world.code(ANNA, "user.metrics").await;
    world.sim.register_redirect("http://127.0.0.1:1/else");
    let form = [
        ("action", "requesttoken"),
        ("grant_type", "authorization_code"),
        ("client_id", "client-1"),
        ("client_secret", "s3cr3t"),
        ("code", &code),
        ("redirect_uri", "http://127.0.0.1:1/else"),
    ];
    assert_eq!(
        world.call("/v2/oauth2", None, &form).await["status"],
        503,
        "not the redirect_uri of the code"
    );
}

#[tokio::test]
async fn a_nonce_signs_once_and_for_thirty_minutes() {
    use hmac::{Hmac, KeyInit, Mac};
    let sign = |message: &str| {
        let mut mac = Hmac::<sha2::Sha256>::new_from_slice(b"s3cr3t").unwrap();
        mac.update(message.as_bytes());
        data_encoding::HEXLOWER.encode(&mac.finalize().into_bytes())
    };
    let world = World::new().await;
    let (access, _) = world.grant(ANNA).await;
    let nonce = async || {
        let signature = sign("getnonce,client-1,1700000000");
        let form = [
            ("action", "getnonce"),
            ("client_id", "client-1"),
            ("timestamp", "1700000000"),
            ("signature", &signature),
        ];
        let reply = world.call("/v2/signature", None, &form).await;
        reply["body"]["nonce"].as_str().unwrap().to_owned()
    };
    let revoke = async |nonce: &str, signature: &str| {
        let form = [
            ("action", "revoke"),
            ("client_id", "client-1"),
            ("nonce", nonce),
            ("signature", signature),
            ("userid", "1000"),
        ];
        world.call("/v2/oauth2", None, &form).await["status"].clone()
    };
    let first = nonce().await;
    assert_eq!(revoke(&first, &sign("revoke,client-1,else")).await, 342);
    let old = nonce().await;
    world.advance(30 * 60);
    assert_eq!(revoke(&old, &sign(&format!("revoke,client-1,{old}"))).await, 343, "too old");
    let good = nonce().await;
    let signature = sign(&format!("revoke,client-1,{good}"));
    assert_eq!(world.getmeas(&access, &[]).await["status"], 0);
    assert_eq!(revoke(&good, &signature).await, 0);
    assert_eq!(revoke(&good, &signature).await, 343, "used");
    assert_eq!(world.getmeas(&access, &[]).await["status"], 401);
}

#[tokio::test]
async fn a_dropped_refresh_has_happened() {
    let world = World::new().await;
    let (_, refresh) = world.grant(ANNA).await;
    world.sim.inject(Fault::DropReplyAfterRefresh);
    let lost = world.raw("/v2/oauth2", None, &refresh_form(&refresh)).await;
    let lost = match lost {
        Ok(reply) => reply.bytes().await.map(|_| ()),
        Err(e) => Err(e),
    };
    assert!(lost.is_err());
    assert_eq!(world.sim.stats().refreshes, 1);
    let (access, _) = pair(&world.refresh(&refresh).await);
    assert_eq!(world.getmeas(&access, &[]).await["status"], 0);
}
